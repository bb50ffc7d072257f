//! `bigrain compact`: few segments, and no dead row in them.

use bigrain_engine::CollectionInfo;
use clap::Args;

use crate::human;
use crate::session::{Session, open_collection};

/// Merges a collection's segments until no row is dead and no two fit into one.
#[derive(Args, Debug)]
pub struct CompactArgs {
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// When data folder or collection cannot be opened, or the disk refuses.
pub fn run(args: &CompactArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.collection.as_deref())?;
    let before = describe(&collection.info());
    collection.compact()?;
    let after = describe(&collection.info());
    writeln!(session.out, "{}: {before} -> {after}", collection.name())?;
    Ok(())
}

fn describe(info: &CollectionInfo) -> String {
    format!(
        "{}, {} deleted, {}",
        human::counted(info.segments, "segment", "segments"),
        human::counted(info.deleted, "row", "rows"),
        human::bytes(info.disk_bytes)
    )
}
