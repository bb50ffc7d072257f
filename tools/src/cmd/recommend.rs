//! `bigrain recommend`: points like some and unlike others.

use std::time::Duration;

use bigrain_engine::{
    DEFAULT_LIMIT, Diversity, Filter, PointId, RecommendQuery, RecommendStrategy, SearchParams,
    SearchParamsError,
};
use clap::Args;
use serde_json::json;

use super::point_flags::parse_id;
use super::search::read_filter;
use crate::failure::Usage;
use crate::hits;
use crate::session::{Session, open_collection};

/// Finds points that are like some points and unlike others, none of which is a result.
#[derive(Args, Debug)]
pub struct RecommendArgs {
    /// Results are like these; digits are a number's id, anything else a text's
    #[arg(required = true, value_name = "ID", value_parser = parse_id)]
    like: Vec<PointId>,
    /// Results are unlike this one; may be given several times
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    unlike: Vec<PointId>,
    /// Score by the nearest example, and not by the average of all
    #[arg(long)]
    best_score: bool,
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    /// The vector field to compare [default: the collection's first]
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    /// Search among the points that match this filter, as JSON ({"field": "year", "gte": 1990};
    /// docs/filters.md has all conditions)
    #[arg(long, value_name = "JSON", value_parser = read_filter)]
    filter: Option<Filter>,
    /// How many results
    #[arg(long, short = 'n', value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
    /// Score every vector instead of asking the codes first
    #[arg(long)]
    exact: bool,
    /// Leave out results that score worse: below X, or above it where scores are distances
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    score_threshold: Option<f32>,
    /// Results that are not all alike: how much unlikeness counts against nearness, 0 to 1
    #[arg(long, value_name = "WEIGHT", conflicts_with = "best_score")]
    diversity: Option<f32>,
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
/// When a parameter is out of range, a point does not exist, or data folder or collection cannot be
/// opened.
pub fn run(args: &RecommendArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let params = args.params()?;
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.collection.as_deref())?;
    let Some((first, others)) = args.like.split_first() else {
        return Err(Usage::new("name at least one point").into());
    };
    let query = RecommendQuery::like(first.clone()).with_cancel(session.cancel.clone());
    let mut query = others.iter().cloned().fold(query, RecommendQuery::and_like);
    query = args.unlike.iter().cloned().fold(query, RecommendQuery::unlike);
    if args.best_score {
        query = query.with_strategy(RecommendStrategy::BestScore);
    }
    if let Some(field) = &args.field {
        query = query.in_field(field);
    }
    if let Some(filter) = &args.filter {
        query = query.with_filter(filter.clone());
    }
    let found = collection.recommend(&query, &params)?;
    if args.json {
        let points = hits::to_json(&found.points);
        let mut json = json!({ "points": points, "stats": found.stats });
        if let Some(plan) = &found.plan {
            json["plan"] = json!(plan);
        }
        return session.write_json(&json);
    }
    if found.points.is_empty() {
        writeln!(session.out, "no other point of {:?} matches", collection.name())?;
    } else {
        writeln!(session.out, "{}\n", hits::to_table(&found.points).trim_fmt())?;
    }
    writeln!(session.out, "{}", hits::stats_line(&found.stats, Duration::ZERO))?;
    if let Some(plan) = &found.plan {
        writeln!(session.out, "\n{plan}")?;
    }
    Ok(())
}

impl RecommendArgs {
    fn params(&self) -> anyhow::Result<SearchParams> {
        let mut params = SearchParams::new(self.limit);
        if let Some(threshold) = self.score_threshold {
            params = params.and_then(|params| params.with_score_threshold(threshold));
        }
        let diversity = self.diversity.map(Diversity::new).transpose();
        let usage = |error: SearchParamsError| Usage::new(error.to_string());
        let (params, diversity) = (params.map_err(usage)?, diversity.map_err(usage)?);
        Ok(params.with_exact(self.exact).with_explain(self.explain).with_diversity(diversity))
    }
}
