//! `bigrain scroll`: stored points, one JSON object a line.

use bigrain_engine::{Cursor, ScrollParams, StoredPoint};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::Usage;
use crate::session::{Session, open_collection};

/// Writes points in the order of their ids, one JSON object a line; where the next page begins is
/// written to standard error.
#[derive(Args, Debug)]
pub struct ScrollArgs {
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    /// How many points
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Begin where an earlier page said
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<Cursor>,
    /// Write vectors too
    #[arg(long)]
    vectors: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When a parameter is out of range, or data folder or collection cannot be opened.
pub fn run(args: &ScrollArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let params = ScrollParams::new(args.limit).map_err(|error| Usage::new(error.to_string()))?;
    let mut params = params.with_vectors(args.vectors);
    if let Some(cursor) = &args.cursor {
        params = params.from_cursor(cursor.clone());
    }
    let engine = session.open_existing()?;
    let page = open_collection(&engine, args.collection.as_deref())?.scroll_page(&params)?;
    for point in &page.points {
        session.write_json(&to_json(point))?;
    }
    session.out.flush()?;
    if let Some(next) = page.next {
        session.note(&format!("next page: --cursor {next}"));
    }
    Ok(())
}

fn to_json(point: &StoredPoint) -> Value {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(point.id));
    object.insert("version".to_owned(), json!(point.seq.0));
    if !point.vectors.is_empty() {
        let vectors = point.vectors.iter();
        let vectors = vectors.map(|vector| (vector.field.to_string(), json!(vector.values)));
        object.insert("vectors".to_owned(), Value::Object(vectors.collect()));
    }
    object.insert("payload".to_owned(), json!(point.payload));
    Value::Object(object)
}
