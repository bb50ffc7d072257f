//! `bigrain restore`: an archive becomes a data folder.

use std::path::PathBuf;

use clap::Args;

use super::backup::write_contents;
use crate::progress::Progress;
use crate::session::Session;
use crate::watching::watching;

/// Makes a data folder from an archive of `bigrain backup`.
///
/// Everything is verified before the folder gets its name. A folder that holds anything is never
/// written to.
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// The archive to read
    archive: PathBuf,
    /// The data folder to make: new, or empty [default: the one of --data]
    folder: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the archive is damaged or refused, the folder is not empty, or the caller stops it. No folder
/// is left then.
pub fn run(args: &RestoreArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let folder = args.folder.clone().unwrap_or_else(|| session.data_dir());
    let progress = Progress::counting("restore", "MiB", 0);
    let contents = watching(progress, &session.cancel, |watch| {
        bigrain_engine::restore(&args.archive, &folder, watch)
    })?;
    write_contents(session, &contents, args.archive.metadata()?.len(), args.json)
}
