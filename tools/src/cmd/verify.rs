//! `bigrain verify`: is an archive what was written?

use std::path::PathBuf;

use clap::Args;

use super::backup::write_contents;
use crate::progress::Progress;
use crate::session::Session;
use crate::watching::watching;

/// Reads all of an archive of `bigrain backup`, and says what it holds or what is wrong with it.
///
/// Compares every byte with its checksum, and checks that what the archive holds would open. Writes
/// nothing.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The archive to read
    archive: PathBuf,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the archive is damaged or refused, or the caller stops it.
pub fn run(args: &VerifyArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let progress = Progress::counting("verify", "MiB", 0);
    let contents =
        watching(progress, &session.cancel, |watch| bigrain_engine::verify(&args.archive, watch))?;
    write_contents(session, &contents, args.archive.metadata()?.len(), args.json)
}
