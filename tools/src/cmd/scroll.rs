//! `bigrain scroll`: stored points, one JSON object a line.

use bigrain_engine::filter::SortDirection;
use bigrain_engine::{Cursor, Error, Filter, OrderBy, ScrollParams, StoredPoint};
use clap::Args;
use serde_json::{Map, Value, json};

use super::search::read_filter;
use crate::failure::Usage;
use crate::session::{Session, open_collection};

/// Writes points in the order of their ids or of a payload field, one JSON object a line; where the next page begins is
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
    /// Write the points that match this filter, as JSON ({"field": "year", "gte": 1990};
    /// docs/filters.md has all conditions)
    #[arg(long, value_name = "JSON", value_parser = read_filter)]
    filter: Option<Filter>,
    /// Order by the values of this payload field; points without any come last
    #[arg(long, value_name = "FIELD")]
    order_by: Option<String>,
    /// Large values first
    #[arg(long, requires = "order_by")]
    descending: bool,
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
    let params = args.params()?;
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

impl ScrollArgs {
    fn params(&self) -> anyhow::Result<ScrollParams> {
        let usage = |error: Error| Usage::new(error.to_string());
        let mut params = ScrollParams::new(self.limit).map_err(usage)?.with_vectors(self.vectors);
        if let Some(cursor) = &self.cursor {
            params = params.from_cursor(cursor.clone());
        }
        if let Some(filter) = &self.filter {
            params = params.with_filter(filter.clone());
        }
        if let Some(field) = &self.order_by {
            let direction = match self.descending {
                true => SortDirection::Descending,
                false => SortDirection::Ascending,
            };
            params = params.with_order(OrderBy::new(field, direction).map_err(usage)?);
        }
        Ok(params)
    }
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
