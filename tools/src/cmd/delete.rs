//! `bigrain delete`: points by id, or all that match a filter.

use bigrain_engine::MAX_POINTS_PER_BATCH;
use clap::Args;

use super::point_flags::{PointFlags, Points};
use crate::human;
use crate::session::{Session, open_collection};

/// Deletes points, by their ids or by a filter; ids that do not exist are passed over.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    #[command(flatten)]
    points: PointFlags,
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// When data folder or collection cannot be opened, or a point is of another version.
pub fn run(args: &DeleteArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let points = args.points.points()?;
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.collection.as_deref())?;
    if args.points.dry_run {
        let there = human::counted(points.count(&collection)?, "point", "points");
        let left = human::count(collection.count());
        writeln!(session.out, "{there} of {left} would be deleted; nothing was changed")?;
        return Ok(());
    }
    let (deleted, missing) = match &points {
        Points::Matching(filter) => (collection.delete_matching(filter)?.deleted, 0),
        Points::Ids(ids) => {
            let mut deleted = 0;
            for ids in ids.chunks(MAX_POINTS_PER_BATCH) {
                session.cancel.check()?;
                deleted += collection.delete_if(ids, args.points.conditions())?.deleted;
            }
            (deleted, ids.len() as u64 - deleted)
        }
    };
    let deleted = human::counted(deleted, "point", "points");
    let left = human::count(collection.count());
    match missing {
        0 => writeln!(session.out, "{deleted} deleted, {left} left")?,
        _ => writeln!(session.out, "{deleted} deleted, {missing} missing, {left} left")?,
    }
    Ok(())
}
