//! `bigrain search`: a question in, a table out.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use bigrain_engine::{
    Collection, Engine, Filter, FilterError, GroupBy, GroupOutput, MAX_OVERSAMPLING, Query,
    SearchOutput, SearchParams,
};
use clap::Args;
use serde_json::{Value, json};

use crate::cmd::answer_flags::{AnswerFlags, groups_json, write_groups};
use crate::cmd::hybrid_flags::{HybridFlags, Way};
use crate::code;
use crate::failure::Usage;
use crate::hits;
use crate::model::Model;
use crate::session::{Session, find_collection, open_collection};

/// Finds the points nearest to a text, by vectors, by words, or by both.
#[derive(Args, Debug)]
pub struct SearchArgs {
    /// What to look for
    query: String,
    /// The collection to search; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    /// The vector field to search [default: the collection's first]
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    /// Search among the points that match this filter, as JSON
    #[arg(long, value_name = "JSON", value_parser = read_filter)]
    filter: Option<Filter>,
    /// The folder of the model that encodes the text [default: the field's]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// How many results
    #[arg(long, short = 'n', value_name = "N", default_value_t = bigrain_engine::DEFAULT_LIMIT)]
    limit: usize,
    /// The share of the true neighbours to aim at, above 0 and at most 1 [default: 0.95]
    #[arg(long, value_name = "SHARE")]
    recall: Option<f32>,
    /// Probe this many lists of each segment, whatever --recall says
    #[arg(long, value_name = "N")]
    probes: Option<usize>,
    /// Rank by the codes alone, and read no vectors
    #[arg(long, conflicts_with = "exact")]
    codes_only: bool,
    /// Score every vector instead of asking the codes first
    #[arg(long)]
    exact: bool,
    #[arg(long, value_name = "X", help = oversampling_help())]
    oversampling: Option<f32>,
    #[command(flatten)]
    hybrid: HybridFlags,
    #[command(flatten)]
    answer: AnswerFlags,
    /// Search code that was built with --code: print file and line of functions and types, each with
    /// the block that matches best
    #[arg(long, conflicts_with_all = ["field", "group_by", "diversity"])]
    code: bool,
    /// Blocks of each function or type
    #[arg(long, value_name = "N", default_value_t = 3, requires = "code")]
    blocks: usize,
    /// Show the plan
    #[arg(long)]
    explain: bool,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When a parameter is out of range, or data folder, collection or model cannot be opened.
pub fn run(args: &SearchArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let (params, way) = (args.params()?, args.hybrid.way()?);
    if args.query.trim().is_empty() {
        return Err(Usage::new("the query is empty").into());
    }
    let engine = session.open_existing()?;
    if args.code {
        let collection = open_code(&engine, args.collection.as_deref())?;
        return args.write_code(&collection, &params, session);
    }
    let collection = open_collection(&engine, args.collection.as_deref())?;
    if let Some(by) = args.answer.group_by()? {
        return args.write_groups(&collection, &by, &params, session);
    }
    let Answer { found, encode } = args.ask(&collection, way, &params, session)?;
    if args.json {
        let encode_seconds = encode.as_secs_f64();
        return session.write_json(&to_json(args, collection.name(), encode_seconds, &found));
    }
    if found.points.is_empty() {
        let (name, shape) = (collection.name(), collection.config());
        match shape.fields().len() {
            _ if args.filter.is_some() || way != Way::Vectors => {
                writeln!(session.out, "no point of {name:?} matches")?
            }
            1 => writeln!(session.out, "collection {name:?} is empty")?,
            _ => {
                let field = &shape.field(args.field.as_deref())?.name;
                writeln!(session.out, "no point of {name:?} has a vector in field {field:?}")?;
            }
        }
    } else {
        writeln!(session.out, "{}\n", hits::to_table(&found.points).trim_fmt())?;
    }
    writeln!(session.out, "{}", hits::stats_line(&found.stats, encode))?;
    if let Some(plan) = &found.plan {
        writeln!(session.out, "\n{plan}")?;
    }
    Ok(())
}

/// What was found, and how long the query's text took to encode.
struct Answer {
    found: SearchOutput,
    encode: Duration,
}

impl SearchArgs {
    fn ask(
        &self,
        collection: &Collection,
        way: Way,
        params: &SearchParams,
        session: &Session<'_>,
    ) -> anyhow::Result<Answer> {
        let mut text = self.hybrid.text_query(&self.query).with_cancel(session.cancel.clone());
        if let Some(filter) = &self.filter {
            text = text.with_filter(filter.clone());
        }
        if !way.needs_vector() {
            let found = collection.search_text(&text, params)?;
            return Ok(Answer { found, encode: Duration::ZERO });
        }
        let started = Instant::now();
        let vector = self.vector_query(collection, session)?;
        let encode = started.elapsed();
        let found = match way.hybrid_query(vector.clone(), text) {
            Some(query) => collection.search_hybrid(&query, params)?,
            None => collection.search(&vector, params)?,
        };
        Ok(Answer { found, encode })
    }

    /// Encodes the query for the field.
    fn vector_query(
        &self,
        collection: &Collection,
        session: &Session<'_>,
    ) -> anyhow::Result<Query> {
        let field = self.field.as_deref();
        let model = Model::open_for(collection, field, self.model.as_deref(), session.threads)?;
        let vector = model.encoder().encode_query(&self.query).context("encode the query")?;
        let query = Query::new(vector)
            .in_space(model.encoder().space())
            .with_cancel(session.cancel.clone());
        let query = match field {
            Some(field) => query.in_field(field),
            None => query,
        };
        Ok(match &self.filter {
            Some(filter) => query.with_filter(filter.clone()),
            None => query,
        })
    }

    fn params(&self) -> anyhow::Result<SearchParams> {
        let usage = |error: bigrain_engine::SearchParamsError| Usage::new(error.to_string());
        let mut params = SearchParams::new(self.limit).map_err(usage)?;
        if let Some(oversampling) = self.oversampling {
            params = params.with_oversampling(oversampling).map_err(usage)?;
        }
        if let Some(recall) = self.recall {
            params = params.with_target_recall(recall).map_err(usage)?;
        }
        if let Some(probes) = self.probes {
            params = params.with_probes(probes).map_err(usage)?;
        }
        let params = params.with_verify(!self.codes_only).with_exact(self.exact);
        self.answer.params(params.with_explain(self.explain))
    }

    fn write_groups(
        &self,
        collection: &Collection,
        by: &GroupBy,
        params: &SearchParams,
        session: &mut Session<'_>,
    ) -> anyhow::Result<()> {
        let (found, encode) = self.grouped(collection, by, params, session)?;
        if self.json {
            let groups = groups_json(&found);
            return session.write_json(&json!({ "groups": groups, "stats": found.stats }));
        }
        write_groups(&found, session)?;
        write_end(&found, encode, session)
    }

    /// Groups blocks by the snippet that they are of.
    fn write_code(
        &self,
        collection: &Collection,
        params: &SearchParams,
        session: &mut Session<'_>,
    ) -> anyhow::Result<()> {
        let by = GroupBy::new(code::GROUP_FIELD)?.with_per_group(self.blocks)?;
        let (found, encode) = self.grouped(collection, &by, params, session)?;
        if self.json {
            let snippets = code::groups_json(&found);
            return session.write_json(&json!({ "snippets": snippets, "stats": found.stats }));
        }
        if found.groups.is_empty() {
            writeln!(session.out, "no code of {:?} matches\n", collection.name())?;
        }
        code::write_groups(&found, session.out)?;
        write_end(&found, encode, session)
    }

    fn grouped(
        &self,
        collection: &Collection,
        by: &GroupBy,
        params: &SearchParams,
        session: &Session<'_>,
    ) -> anyhow::Result<(GroupOutput, Duration)> {
        if self.hybrid.way()? != Way::Vectors {
            return Err(
                Usage::new("--group-by and --code are for searches by vectors alone").into()
            );
        }
        let started = Instant::now();
        let query = self.vector_query(collection, session)?;
        let encode = started.elapsed();
        Ok((collection.search_groups(&query, by, params)?, encode))
    }
}

/// Writes what a search for groups did.
fn write_end(
    found: &GroupOutput,
    encode: Duration,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    writeln!(session.out, "{}", hits::stats_line(&found.stats, encode))?;
    if let Some(plan) = &found.plan {
        writeln!(session.out, "\n{plan}")?;
    }
    Ok(())
}

/// Opens the collection of code: the one named, or the one that is made if none is, or the only one.
fn open_code(engine: &Engine, name: Option<&str>) -> anyhow::Result<Collection> {
    let default = find_collection(engine, code::DEFAULT_COLLECTION)?;
    match (name, default) {
        (None, Some(collection)) => Ok(collection),
        (name, _) => open_collection(engine, name),
    }
}

/// Reads a filter that was given as an argument.
pub(super) fn read_filter(json: &str) -> Result<Filter, FilterError> {
    Filter::from_json(json.as_bytes())
}

fn oversampling_help() -> String {
    format!(
        "Verify at most this many candidates for each result, 1 to {MAX_OVERSAMPLING} \
         [default: what suits the codes]"
    )
}

fn to_json(
    args: &SearchArgs,
    collection: &str,
    encode_seconds: f64,
    found: &SearchOutput,
) -> Value {
    json!({
        "collection": collection,
        "query": args.query,
        "points": hits::to_json(&found.points),
        "encode_seconds": encode_seconds,
        "stats": found.stats,
        "plan": found.plan,
    })
}
