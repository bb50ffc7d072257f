//! `bigrain backup`: collections become an archive.

use std::path::PathBuf;

use bigrain_engine::BackupContents;
use clap::Args;

use crate::progress::Progress;
use crate::session::Session;
use crate::watching::watching;
use crate::{human, table};

/// Writes what collections hold now to one archive.
///
/// The archive is a tar file with a checksum for each file in it. It gets its name when it is complete
/// and on disk.
#[derive(Args, Debug)]
pub struct BackupArgs {
    /// The archive to write; there must be no such file yet
    to: PathBuf,
    /// Only this collection; can be given several times [default: all]
    #[arg(long, short, value_name = "NAME")]
    collection: Vec<String>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the folder or the archive is refused, stored bytes are damaged, or the caller stops it. No
/// archive is left then.
pub fn run(args: &BackupArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let names: Vec<&str> = args.collection.iter().map(String::as_str).collect();
    let names = (!names.is_empty()).then_some(&names[..]);
    let progress = Progress::counting("backup", "MiB", 0);
    let contents =
        watching(progress, &session.cancel, |watch| engine.backup(&args.to, names, watch))?;
    let bytes = args.to.metadata()?.len();
    write_contents(session, &contents, bytes, args.json)
}

/// Writes what an archive holds.
///
/// # Errors
///
/// When the output is closed.
pub(super) fn write_contents(
    session: &mut Session<'_>,
    contents: &BackupContents,
    bytes: u64,
    json: bool,
) -> anyhow::Result<()> {
    if json {
        return session.write_json(&serde_json::json!({ "contents": contents, "bytes": bytes }));
    }
    let mut shown = table::plain(["collection", "points", "segments", "segment files"]);
    for collection in &contents.collections {
        shown.add_row([
            collection.name.clone(),
            human::count(collection.points),
            human::count(collection.segments),
            human::bytes(collection.segment_bytes),
        ]);
    }
    table::align_right(&mut shown, &[1, 2, 3]);
    writeln!(session.out, "{}", shown.trim_fmt())?;
    Ok(writeln!(session.out, "{} in all", human::bytes(bytes))?)
}
