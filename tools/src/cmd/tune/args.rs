//! The command line, and what runs after what.

use std::path::PathBuf;

use bigrain_engine::{
    Cancel, Collection, DEFAULT_LIMIT, EngineConfig, SearchParams, SearchParamsError,
};
use clap::Args;

use super::advice::advise;
use super::asked::Asked;
use super::hybrid::{self, Common, HybridArgs};
use super::report::Tuning;
use crate::curve::{CurvePoint, Sweep, measure, warm_up};
use crate::failure::Usage;
use crate::machine::Machine;
use crate::progress::Progress;
use crate::session::{Session, open_collection};
use crate::truth::ExactResults;

/// Targets swept when none are named: close together where curves are steep.
const TARGETS: [f32; 10] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0];

/// Measures what a target recall finds and costs on a collection, and says which one to use.
///
/// Nothing is changed: a target is a parameter of each search. With --hybrid it fits how results of
/// vectors and words are fused, and keeps that.
#[derive(Args, Debug)]
pub struct TuneArgs {
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    /// Vectors to look for: .fvecs, .bvecs, .npy or .hdf5 [default: stored points, each of which
    /// looks for others than itself]
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// How many stored points to look with, at most
    #[arg(long, value_name = "N", default_value = "500", conflicts_with = "queries")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,
    /// How many results
    #[arg(long, short = 'n', value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
    /// What to vary: target=0.8,0.9,.. or probes=1,2,.. [default: ten targets from 0.5 to 1]
    #[arg(long, value_name = "KNOB=VALUES")]
    sweep: Option<Sweep>,
    /// Verify at most this many candidates for each result, 1 to 1000 [default: what suits the
    /// codes]
    #[arg(long, value_name = "X")]
    oversampling: Option<f32>,
    /// Passes over the queries at each setting; times are medians over them
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Draw the curve into this SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hybrid: HybridArgs,
}

/// Asks the queries exactly, then at every setting, and reports.
///
/// # Errors
///
/// When a file, a flag or the data folder is refused, or the caller stops it.
pub fn run(args: &TuneArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    if args.hybrid.is_asked() {
        let (collection, sample) = (args.collection.as_deref(), args.sample as usize);
        let common = Common { collection, sample, json: args.json };
        return hybrid::run(&args.hybrid, common, session);
    }
    let sweep = args.sweep.clone().unwrap_or_else(|| Sweep::targets(&TARGETS));
    let params = args.params()?;
    // With every thread as long as nothing is timed.
    let collection = open_collection(&session.open_existing()?, args.collection.as_deref())?;
    let asked = match &args.queries {
        Some(path) => Asked::read(path, &collection, &session.cancel)?,
        None => Asked::sample(&collection, args.sample as usize, &session.cancel)?,
    };
    // A stored point finds itself first, and that is no finding.
    let searched = match asked.of_stored_points() {
        true => args.limited(args.limit + 1)?,
        false => params,
    };
    let truth = exact_results(&collection, &asked, searched, args.limit, &session.cancel)?;
    let info = collection.info();
    drop(collection);

    // One thread of the engine too, so that no search uses a second one.
    let config = EngineConfig { threads: 1, background_threads: 0, ..session.engine_config() };
    let collection = session.open_engine(&session.data_dir(), config)?.collection(&info.name)?;
    warm_up(&collection, asked.queries(), searched, &sweep)?;
    let measured = measure(&collection, asked.queries(), searched, &sweep, args.rounds.into())?;
    let points = measured.iter().map(|measured| {
        let found = asked.without_themselves(&measured.found, args.limit);
        CurvePoint::new(measured, truth.recall(&found), None)
    });
    let points: Vec<CurvePoint> = points.collect();
    let tuning = Tuning {
        machine: Machine::here().with_device(&session.device),
        collection: info.name,
        rows: info.points,
        dims: info.config.field(None)?.dims,
        queries: asked.source().to_owned(),
        query_count: asked.queries().len(),
        limit: args.limit,
        rounds: args.rounds,
        advice: advise(&points),
        points,
    };
    if let Some(path) = &args.plot {
        tuning.plot().write(path)?;
    }
    if args.json {
        return session.write_json(&tuning);
    }
    tuning.write_table(session.out)
}

impl TuneArgs {
    fn params(&self) -> anyhow::Result<SearchParams> {
        self.limited(self.limit)
    }

    fn limited(&self, limit: usize) -> anyhow::Result<SearchParams> {
        let usage = |error: SearchParamsError| Usage::new(error.to_string());
        let mut params = SearchParams::new(limit).map_err(usage)?;
        if let Some(oversampling) = self.oversampling {
            params = params.with_oversampling(oversampling).map_err(usage)?;
        }
        Ok(params.with_payload(false))
    }
}

/// Searches exactly, on all of the engine's threads.
fn exact_results(
    collection: &Collection,
    asked: &Asked,
    params: SearchParams,
    limit: usize,
    cancel: &Cancel,
) -> anyhow::Result<ExactResults> {
    let params = params.with_exact(true);
    let mut progress = Progress::counting("truth", "queries", asked.queries().len() as u64);
    let mut found = Vec::with_capacity(asked.queries().len());
    for query in asked.queries() {
        cancel.check()?;
        let output = collection.search(query, &params)?;
        found.push(output.points.into_iter().map(Into::into).collect());
        progress.advance(1, found.len() as u64);
    }
    progress.finish();
    let found = asked.without_themselves(&found, limit);
    Ok(ExactResults::new(collection.config().field(None)?.metric, limit, found))
}
