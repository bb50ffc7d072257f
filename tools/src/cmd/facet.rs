//! `bigrain facet`: how often the values of a payload field occur.

use bigrain_engine::{DEFAULT_LIMIT, FacetOutput, FacetQuery, Filter};
use clap::Args;
use serde_json::{Value, json};

use super::search::read_filter;
use crate::failure::Usage;
use crate::session::{Session, open_collection};
use crate::{human, table};

/// Counts the values of a payload field, the most frequent first.
#[derive(Args, Debug)]
pub struct FacetArgs {
    /// The field, as in filters: color, tags, authors[].name
    field: String,
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    /// Count among the points that match this filter, as JSON ({"field": "year", "gte": 1990};
    /// docs/filters.md has all conditions)
    #[arg(long, value_name = "JSON", value_parser = read_filter)]
    filter: Option<Filter>,
    /// How many values
    #[arg(long, short = 'n', value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When a parameter is out of range, or data folder or collection cannot be opened.
pub fn run(args: &FacetArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let query = FacetQuery::new(&args.field).and_then(|query| query.with_limit(args.limit));
    let mut query = query.map_err(|error| Usage::new(error.to_string()))?;
    if let Some(filter) = &args.filter {
        query = query.with_filter(filter.clone());
    }
    let engine = session.open_existing()?;
    let found = open_collection(&engine, args.collection.as_deref())?.facet(&query)?;
    if args.json {
        return session.write_json(&to_json(&found));
    }
    let mut table = table::plain(["points", "value"]);
    for value in &found.values {
        table.add_row([human::count(value.count), value.value.to_json().to_string()]);
    }
    table::align_right(&mut table, &[0]);
    writeln!(session.out, "{}\n", table.trim_fmt())?;
    writeln!(
        session.out,
        "{} in {}",
        human::counted(found.distinct, "value", "values"),
        human::counted(found.points, "point", "points"),
    )?;
    Ok(())
}

fn to_json(found: &FacetOutput) -> Value {
    let values = found.values.iter();
    let values: Value = values
        .map(|value| json!({ "value": value.value.to_json(), "count": value.count }))
        .collect();
    json!({ "values": values, "distinct": found.distinct, "points": found.points })
}
