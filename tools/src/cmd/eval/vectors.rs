//! Recall against speed, on vectors with true neighbours.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bigrain_engine::{
    CollectionConfig, CollectionInfo, DEFAULT_LIMIT, DenseFormat, Levels, Metric, Query,
    SearchParams,
};
use clap::Args;

use super::args::Common;
use super::filters::{FilterCases, FilterEvaluation, FilterSweep};
use super::index::IndexPlace;
use super::ingest::IngestRun;
use super::report::{BuildFigures, VectorEvaluation};
use super::service::ServiceRun;
use super::test_set::{Sources, TestSet};
use crate::cmd::flags::parse_levels;
use crate::curve::{CurvePoint, Found, Measurement, Sweep, measure, search_all, warm_up};
use crate::failure::Usage;
use crate::machine::{Machine, ProcessMemory};
use crate::matrix::Matrix;
use crate::session::Session;
use crate::truth::{FoundRows, Judge, Neighbors};

/// Targets swept when none are named.
const TARGETS: [f32; 4] = [0.8, 0.9, 0.95, 0.99];

/// Vectors to search, and how.
#[derive(Args, Debug)]
#[command(next_help_heading = "Vectors")]
pub struct VectorArgs {
    /// Vectors to search: .fvecs, .bvecs, .npy, or .hdf5 in the layout of ann-benchmarks, which
    /// holds queries and truth too. While they are indexed all of them are in memory
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    /// Vectors to look for [default: those of the HDF5 file]
    #[arg(long, value_name = "FILE", conflicts_with = "corpus")]
    queries: Option<PathBuf>,
    /// Row numbers of the true neighbours, nearest first: .ivecs, or .hdf5 [default: those of the
    /// HDF5 file; without one they are computed, and kept beside the data folder if it is kept]
    #[arg(long, value_name = "FILE", conflicts_with = "corpus")]
    truth: Option<PathBuf>,
    /// How vectors are compared: cosine, dot or l2 [default: what the HDF5 file says, or cosine]
    #[arg(long, conflicts_with = "corpus")]
    metric: Option<Metric>,
    /// Bits a dimension of the codes in memory, 1 to 4
    #[arg(long, value_parser = parse_levels, default_value = "2", conflicts_with = "corpus")]
    levels: Levels,
    /// How vectors are stored on disk: f32, f16 or i8
    #[arg(long, value_name = "FORMAT", default_value_t, conflicts_with = "corpus")]
    dense: DenseFormat,
    /// Lists of codes in the segment [default: about four times the root of its rows]
    #[arg(long, value_name = "N", conflicts_with = "corpus")]
    lists: Option<u32>,
    /// How many results
    #[arg(long, short = 'n', value_name = "N", default_value_t = DEFAULT_LIMIT, conflicts_with = "corpus")]
    limit: usize,
    /// Build this collection in the data folder once, and use it again the next time [default: a
    /// temporary folder]
    #[arg(long, short, value_name = "NAME", conflicts_with = "corpus")]
    collection: Option<String>,
    /// What to vary: target=0.8,0.9,.. or probes=1,2,.. [default: target=0.8,0.9,0.95,0.99]
    #[arg(long, value_name = "KNOB=VALUES", conflicts_with = "corpus")]
    sweep: Option<Sweep>,
    /// Rank by the codes alone, and read no vectors
    #[arg(long, conflicts_with = "corpus")]
    codes_only: bool,
    /// Read the payloads of results too, as a search that shows them does
    #[arg(long, conflicts_with = "corpus")]
    payload: bool,
    /// Passes over the queries at each setting; times are medians over them
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "corpus")]
    rounds: u16,
    /// Measure on all threads at once too
    #[arg(long, conflicts_with = "corpus")]
    threads_all: bool,
    /// Measure filtered searches instead, of which 50 % to 0.1 % of the rows match
    #[arg(long, conflicts_with_all = ["corpus", "plot", "threads_all", "truth"])]
    filters: bool,
    /// Filters, what rows carry for them, which queries ask, and what is true, as a JSON file
    /// [default: ranges of a random number, beside exact filtered searches]
    #[arg(long, value_name = "FILE", requires = "filters")]
    filter_cases: Option<PathBuf>,
    /// Measure searches while other rows are written as fast as they can be, for so many seconds,
    /// beside the same searches before that
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["corpus", "sweep", "plot", "threads_all", "truth", "collection", "filters"])]
    under_ingest: Option<u64>,
    /// Measure writes and searches through a server of this process, beside the same by calls of the
    /// library
    #[arg(long, conflicts_with_all = ["corpus", "sweep", "plot", "threads_all", "truth", "collection", "filters", "under_ingest"])]
    over_service: bool,
    /// Draw the curve into this SVG file
    #[arg(long, value_name = "FILE", conflicts_with = "corpus")]
    plot: Option<PathBuf>,
}

/// Builds or opens the collection, finds the truth, searches, judges, and reports.
///
/// # Errors
///
/// When a file, a flag or the data folder is refused, or the caller stops it.
pub(super) fn run(
    args: &VectorArgs,
    common: Common,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let params = args.params(common.oversampling)?;
    let mut set = args.test_set()?;
    let config = args.collection_config(&set);
    if let Some(seconds) = args.under_ingest {
        let evaluation = IngestRun { set: &set, config, params, seconds }.run(session)?;
        if common.json {
            return session.write_json(&evaluation);
        }
        return evaluation.write_table(session.out);
    }
    if args.over_service {
        let rounds = args.rounds;
        let evaluation = ServiceRun { set: &set, config, params, rounds }.run(session)?;
        if common.json {
            return session.write_json(&evaluation);
        }
        return evaluation.write_table(session.out);
    }
    let place = match &args.collection {
        Some(name) => IndexPlace::kept(session.data_dir(), name),
        None => IndexPlace::temporary()?,
    };
    if args.filters {
        return args.run_filters(&set, place, params, common, session);
    }
    let times = place.build(&set.base, &config, session.threads, &session.cancel)?;
    let keep = args.collection.is_some().then(|| session.data_dir());
    let truth = set.neighbors(keep.as_deref(), params.limit(), session)?;
    let vectors = set.queries.to_matrix()?;
    let searched = args.search(&place, &vectors, params, session)?;
    let judged = Judged { set: &set, truth: &truth, vectors: &vectors, limit: params.limit() };
    let first = config.field(None)?;
    let evaluation = VectorEvaluation {
        machine: Machine::here().with_device(&session.device),
        base: set.base.path().display().to_string(),
        queries: set.queries.path().display().to_string(),
        query_count: vectors.len(),
        metric: first.metric,
        levels: first.levels,
        dense: first.dense,
        lists: first.lists,
        limit: params.limit(),
        oversampling: params.oversampling(),
        codes_only: !params.verify(),
        rounds: args.rounds,
        threads: session.thread_count().get(),
        build: BuildFigures::new(times, &searched.info, searched.memory),
        points: judged.points(&searched)?,
    };
    if let Some(path) = &args.plot {
        evaluation.plot().write(path)?;
    }
    if common.json {
        return session.write_json(&evaluation);
    }
    evaluation.write_table(session.out)
}

/// What came of searching, before it is judged.
struct Searched {
    info: CollectionInfo,
    /// Of the process, when every query had been searched once.
    memory: ProcessMemory,
    measured: Vec<Measurement>,
    /// Queries a second on all threads for each setting, where that was wanted.
    speeds: Option<Vec<f64>>,
}

impl VectorArgs {
    /// Returns the file of vectors to search.
    pub(super) fn file(&self) -> Option<&Path> {
        self.vectors.as_deref()
    }

    /// Returns the file of vectors to look for.
    pub(super) fn queries(&self) -> Option<&Path> {
        self.queries.as_deref()
    }

    /// Returns the name of a collection.
    pub(super) fn collection(&self) -> Option<&str> {
        self.collection.as_deref()
    }

    /// Returns where a picture is to be drawn.
    pub(super) fn plot(&self) -> Option<&Path> {
        self.plot.as_deref()
    }

    fn params(&self, oversampling: Option<f32>) -> anyhow::Result<SearchParams> {
        let usage = |error: bigrain_engine::SearchParamsError| Usage::new(error.to_string());
        let mut params = SearchParams::new(self.limit).map_err(usage)?;
        if let Some(oversampling) = oversampling {
            params = params.with_oversampling(oversampling).map_err(usage)?;
        }
        Ok(params.with_verify(!self.codes_only).with_payload(self.payload))
    }

    fn run_filters(
        &self,
        set: &TestSet,
        place: IndexPlace<'_>,
        params: SearchParams,
        common: Common,
        session: &mut Session<'_>,
    ) -> anyhow::Result<()> {
        let vectors = set.queries.to_matrix()?;
        let cases = match &self.filter_cases {
            Some(path) => FilterCases::read(path, set.base.shape().rows, vectors.len())?,
            None => FilterCases::scattered(vectors.len())?,
        };
        let payload = |row| cases.payload(row);
        let place = place.with_payload(&payload);
        let config = self.collection_config(set);
        let times = place.build(&set.base, &config, session.threads, &session.cancel)?;
        let queries = queries(&vectors, session);
        let collection = place.open(1, session)?;
        let sweep = self.sweep.clone().unwrap_or_else(|| Sweep::targets(&[params.target_recall()]));
        let points = FilterSweep {
            collection: &collection,
            set,
            vectors: &vectors,
            queries: &queries,
            params,
            sweep: &sweep,
            rounds: usize::from(self.rounds),
        }
        .run(&cases)?;
        let evaluation = FilterEvaluation {
            machine: Machine::here().with_device(&session.device),
            base: set.base.path().display().to_string(),
            rows: collection.count(),
            query_count: queries.len(),
            limit: params.limit(),
            rounds: self.rounds,
            build: BuildFigures::new(times, &collection.info(), ProcessMemory::now()),
            points,
        };
        if common.json {
            return session.write_json(&evaluation);
        }
        evaluation.write_table(session.out)
    }

    fn test_set(&self) -> anyhow::Result<TestSet> {
        // Without --corpus there is a --vectors; without a name no file is found.
        let base = self.vectors.as_deref().unwrap_or(Path::new(""));
        TestSet::open(&Sources {
            base,
            queries: self.queries.as_deref(),
            truth: self.truth.as_deref(),
            metric: self.metric,
            limit: self.limit,
        })
    }

    /// Searches on one thread, and then on all of them if that is wanted.
    fn search(
        &self,
        place: &IndexPlace<'_>,
        vectors: &Matrix,
        params: SearchParams,
        session: &Session<'_>,
    ) -> anyhow::Result<Searched> {
        let sweep = self.sweep.clone().unwrap_or_else(|| Sweep::targets(&TARGETS));
        let rounds = usize::from(self.rounds);
        let queries = queries(vectors, session);
        // One thread of the engine too, so that no search uses a second one.
        let collection = place.open(1, session)?;
        warm_up(&collection, &queries, params, &sweep)?;
        let (info, memory) = (collection.info(), ProcessMemory::now());
        let measured = measure(&collection, &queries, params, &sweep, rounds)?;
        drop(collection);
        let mut speeds = None;
        if self.threads_all {
            let threads = session.thread_count().get();
            let collection = place.open(session.threads, session)?;
            warm_up(&collection, &queries, params, &sweep)?;
            speeds = Some(search_all(&collection, &queries, params, &sweep, threads, rounds)?);
        }
        Ok(Searched { info, memory, measured, speeds })
    }

    fn collection_config(&self, set: &TestSet) -> CollectionConfig {
        let config = CollectionConfig::new(set.base.shape().dims, set.metric)
            .with_levels(self.levels)
            .with_dense(self.dense);
        match self.lists {
            Some(lists) => config.with_lists(lists),
            None => config,
        }
    }
}

/// What the results are judged by.
struct Judged<'a> {
    set: &'a TestSet,
    truth: &'a Neighbors,
    vectors: &'a Matrix,
    limit: usize,
}

impl Judged<'_> {
    fn points(&self, searched: &Searched) -> anyhow::Result<Vec<CurvePoint>> {
        let measured = &searched.measured;
        let found: Vec<Vec<FoundRows>> =
            measured.iter().map(|measured| rows(&measured.found)).collect::<Result<_, _>>()?;
        let passes: Vec<&[FoundRows]> = found.iter().map(Vec::as_slice).collect();
        let base = self.set.base.rows()?;
        let judge =
            Judge::new(self.truth, self.limit, &passes, self.set.metric, self.vectors, base)?;
        let point = |(index, measured): (usize, &Measurement)| {
            let speeds = searched.speeds.as_ref();
            let qps_all = speeds.and_then(|speeds| speeds.get(index).copied());
            CurvePoint::new(measured, judge.recall(&found[index]), qps_all)
        };
        Ok(measured.iter().enumerate().map(point).collect())
    }
}

/// Returns the queries, which the session can stop.
fn queries(vectors: &Matrix, session: &Session<'_>) -> Vec<Query> {
    let query = |row: &[f32]| Query::new(row.to_vec()).with_cancel(session.cancel.clone());
    vectors.rows().map(query).collect()
}

/// Returns the row numbers of results, which are their ids.
pub(super) fn rows(found: &[Vec<Found>]) -> anyhow::Result<Vec<FoundRows>> {
    let row = |found: &Found| {
        let number = found.id.as_number().and_then(|number| u32::try_from(number).ok());
        number.with_context(|| format!("result {} is no row number", found.id))
    };
    found.iter().map(|found| found.iter().map(row).collect()).collect()
}
