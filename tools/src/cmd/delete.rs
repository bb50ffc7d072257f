//! `bigrain delete`: points by id.

use bigrain_engine::PointId;
use clap::Args;

use super::update::{conditions, parse_id};
use crate::human;
use crate::session::{Session, open_collection};

/// Deletes points; ids that do not exist are passed over.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    /// The points; digits are a number's id, anything else a text's
    #[arg(required = true, value_name = "ID", value_parser = parse_id)]
    ids: Vec<PointId>,
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    /// Only if every point is of this version, as `bigrain scroll` shows it
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
}

/// Runs the command.
///
/// # Errors
///
/// When data folder or collection cannot be opened, or a point is of another version.
pub fn run(args: &DeleteArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.collection.as_deref())?;
    let output = collection.delete_if(&args.ids, conditions(args.if_version))?;
    writeln!(session.out, "{} deleted", human::counted(output.deleted, "point", "points"))?;
    Ok(())
}
