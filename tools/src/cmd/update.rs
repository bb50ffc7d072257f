//! `bigrain update`: payloads of stored points.

use bigrain_engine::{Condition, Conditions, Payload, PayloadUpdate, PointId, SeqNo};
use clap::Args;

use crate::human;
use crate::session::{Session, open_collection};

/// Changes the payloads of points and leaves their vectors.
#[derive(Args, Debug)]
pub struct UpdateArgs {
    /// The points; digits are a number's id, anything else a text's
    #[arg(required = true, value_name = "ID", value_parser = parse_id)]
    ids: Vec<PointId>,
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    #[command(flatten)]
    change: Change,
    /// Only if every point is of this version, as `bigrain scroll` shows it
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
}

/// What to change; exactly one of these.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Change {
    /// Set the keys of this JSON object and leave the others
    #[arg(long, value_name = "JSON", value_parser = parse_payload)]
    merge: Option<Payload>,
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
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.collection.as_deref())?;
    let conditions = conditions(args.if_version);
    let output = collection.update_payload_if(&args.ids, &args.change.update(), &conditions)?;
    let updated = human::counted(output.updated, "point", "points");
    writeln!(
        session.out,
        "{updated} updated, {} missing, version {}",
        output.missing, output.seq.0
    )?;
    Ok(())
}

impl Change {
    fn update(&self) -> PayloadUpdate {
        match (&self.merge, &self.overwrite) {
            (Some(payload), _) => PayloadUpdate::Merge(payload.clone()),
            (None, Some(payload)) => PayloadUpdate::Overwrite(payload.clone()),
            (None, None) if self.clear => PayloadUpdate::Clear,
            (None, None) => PayloadUpdate::Remove(self.remove.clone()),
        }
    }
}

/// Returns the condition that every point is of a version, if one is named.
pub(super) fn conditions(version: Option<u64>) -> Conditions {
    version.map_or_else(Conditions::default, |seq| Conditions::all(Condition::Version(SeqNo(seq))))
}

/// Reads an id as a person writes it: digits are a number.
pub(super) fn parse_id(text: &str) -> Result<PointId, String> {
    match text.parse::<u64>() {
        Ok(number) => Ok(PointId::from(number)),
        Err(_) => PointId::parse(text).map_err(|error| error.to_string()),
    }
}

fn parse_payload(text: &str) -> Result<Payload, String> {
    Payload::from_json(text.as_bytes()).map_err(|error| error.to_string())
}
