//! `bigrain update`: payloads of stored points, by id, or of all that match a filter.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use bigrain_engine::{MAX_POINTS_PER_BATCH, Payload, PayloadUpdate, UpdateOutput};
use clap::Args;

use super::point_flags::{PointFlags, Points};
use crate::human;
use crate::session::{Session, open_collection};

/// Changes the payloads of points, by their ids or by a filter, and leaves their vectors.
#[derive(Args, Debug)]
pub struct UpdateArgs {
    #[command(flatten)]
    points: PointFlags,
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    #[command(flatten)]
    change: Change,
}

/// What to change; exactly one of these.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Change {
    /// Set the keys of this JSON object and leave the others
    #[arg(long, value_name = "JSON", value_parser = parse_payload)]
    merge: Option<Payload>,
    /// Set the keys of the JSON object in this file and leave the others
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,
    /// Put this JSON object in place of the payload
    #[arg(long, value_name = "JSON", value_parser = parse_payload)]
    overwrite: Option<Payload>,
    /// Remove this key; may be given several times
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    /// Remove every key
    #[arg(long)]
    clear: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When data folder or collection cannot be opened, a point is of another version, or the engine
/// refuses the change.
pub fn run(args: &UpdateArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let (points, change) = (args.points.points()?, args.change.update()?);
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.collection.as_deref())?;
    if args.points.dry_run {
        let there = human::counted(points.count(&collection)?, "point", "points");
        let all = human::count(collection.count());
        writeln!(session.out, "{there} of {all} would be updated; nothing was changed")?;
        return Ok(());
    }
    let output = match &points {
        Points::Matching(filter) => collection.update_payload_matching(filter, &change)?,
        Points::Ids(ids) => {
            let conditions = args.points.conditions();
            let mut all: Option<UpdateOutput> = None;
            for ids in ids.chunks(MAX_POINTS_PER_BATCH) {
                session.cancel.check()?;
                let mut output = collection.update_payload_if(ids, &change, &conditions)?;
                if let Some(before) = all {
                    output.updated += before.updated;
                    output.missing += before.missing;
                }
                all = Some(output);
            }
            all.context("there are no ids")?
        }
    };
    let updated = human::counted(output.updated, "point", "points");
    writeln!(
        session.out,
        "{updated} updated, {} missing, version {}",
        output.missing, output.seq.0
    )?;
    Ok(())
}

impl Change {
    fn update(&self) -> anyhow::Result<PayloadUpdate> {
        if let Some(path) = &self.set {
            let context = || format!("read payload {}", path.display());
            let json = fs::read(path).with_context(context)?;
            return Ok(PayloadUpdate::Merge(Payload::from_json(&json).with_context(context)?));
        }
        Ok(match (&self.merge, &self.overwrite) {
            (Some(payload), _) => PayloadUpdate::Merge(payload.clone()),
            (None, Some(payload)) => PayloadUpdate::Overwrite(payload.clone()),
            (None, None) if self.clear => PayloadUpdate::Clear,
            (None, None) => PayloadUpdate::Remove(self.remove.clone()),
        })
    }
}

fn parse_payload(text: &str) -> Result<Payload, String> {
    Payload::from_json(text.as_bytes()).map_err(|error| error.to_string())
}
