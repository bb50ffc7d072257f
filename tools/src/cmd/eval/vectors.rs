//! Recall against speed, on vectors with true neighbours.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bigrain_engine::{
    Collection, CollectionConfig, DEFAULT_LIMIT, DenseFormat, Levels, Metric, Query, SearchParams,
};
use clap::Args;
use rayon::ThreadPoolBuilder;

use super::args::Common;
use super::index::{BuildTimes, IndexPlace};
use super::report::{BuildFigures, VectorEvaluation};
use crate::cmd::flags::parse_levels;
use crate::curve::{CurvePoint, Found, Measurement, Sweep, measure, search_all, warm_up};
use crate::failure::Usage;
use crate::human;
use crate::input::{Format, Role, VectorFile, read_metric, read_neighbors};
use crate::machine::{Machine, ProcessMemory};
use crate::matrix::Matrix;
use crate::progress::Progress;
use crate::session::Session;
use crate::truth::{BruteForce, FoundRows, Judge, Neighbors, TruthCache};

/// Targets swept when none are named.
const TARGETS: [f32; 4] = [0.8, 0.9, 0.95, 0.99];

/// Neighbours computed for each query at least, so that the truth serves deeper searches too.
const TRUTH_WIDTH: usize = 100;

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
    let set = Set::open(args)?;
    let params = args.params(common.oversampling)?;
    let sweep = args.sweep.clone().unwrap_or_else(|| Sweep::targets(&TARGETS));
    let config = args.collection_config(&set);
    let place = match &args.collection {
        Some(name) => IndexPlace::kept(session.data_dir(), name),
        None => IndexPlace::temporary()?,
    };
    let times = place.build(&set.base, &config, session.threads, &session.cancel)?;
    let truth = set.truth(args, session)?;
    let vectors = set.queries.to_matrix()?;
    let query = |row: &[f32]| Query::new(row.to_vec()).with_cancel(session.cancel.clone());
    let queries: Vec<Query> = vectors.rows().map(query).collect();

    // One thread of the engine too, so that no search uses a second one.
    let collection = place.open(1)?;
    warm_up(&collection, &queries, params, &sweep)?;
    let build = build_figures(&collection, times);
    let measured = measure(&collection, &queries, params, &sweep, args.rounds.into())?;
    drop(collection);
    let speeds = if args.threads_all {
        let threads = session.thread_count().get();
        let collection = place.open(session.threads)?;
        warm_up(&collection, &queries, params, &sweep)?;
        Some(search_all(&collection, &queries, params, &sweep, threads, args.rounds.into())?)
    } else {
        None
    };

    let judged = Judged { set: &set, truth: &truth, vectors: &vectors, limit: params.limit() };
    let evaluation = VectorEvaluation {
        machine: Machine::here(),
        base: set.base.path().display().to_string(),
        queries: set.queries.path().display().to_string(),
        query_count: queries.len(),
        metric: config.metric,
        levels: config.levels,
        dense: config.dense,
        lists: config.lists,
        limit: params.limit(),
        oversampling: params.oversampling(),
        codes_only: !params.verify(),
        rounds: args.rounds,
        threads: session.thread_count().get(),
        build,
        points: judged.points(&measured, speeds.as_deref())?,
    };
    if let Some(path) = &args.plot {
        evaluation.plot().write(path)?;
    }
    if common.json {
        return session.write_json(&evaluation);
    }
    evaluation.write_table(session.out)
}

impl VectorArgs {
    fn params(&self, oversampling: Option<f32>) -> anyhow::Result<SearchParams> {
        let usage = |error: bigrain_engine::SearchParamsError| Usage::new(error.to_string());
        let mut params = SearchParams::new(self.limit).map_err(usage)?;
        if let Some(oversampling) = oversampling {
            params = params.with_oversampling(oversampling).map_err(usage)?;
        }
        Ok(params.with_verify(!self.codes_only).with_payload(self.payload))
    }

    fn collection_config(&self, set: &Set) -> CollectionConfig {
        let config = CollectionConfig::new(set.base.shape().dims, set.metric)
            .with_levels(self.levels)
            .with_dense(self.dense);
        match self.lists {
            Some(lists) => config.with_lists(lists),
            None => config,
        }
    }
}

fn build_figures(collection: &Collection, times: BuildTimes) -> BuildFigures {
    let info = collection.info();
    BuildFigures {
        import_seconds: times.import_seconds,
        index_seconds: times.index_seconds,
        reused: times.import_seconds.is_none(),
        rows: info.points,
        dims: info.config.dims,
        segments: info.segments,
        resident_bytes_per_vector: human::ratio(info.memory_bytes, info.points),
        disk_bytes: info.disk_bytes,
        memory: ProcessMemory::now(),
    }
}

/// What is searched, what is looked for, and what is near.
struct Set {
    base: VectorFile,
    queries: VectorFile,
    metric: Metric,
    /// Neighbours that come with the vectors, for their own metric.
    own_truth: Option<PathBuf>,
}

impl Set {
    fn open(args: &VectorArgs) -> anyhow::Result<Self> {
        let path = args.vectors.as_deref().unwrap_or(Path::new(""));
        let base = VectorFile::open(path, Role::Base)?;
        let whole_set = base.format() == Format::Hdf5;
        let queries = match &args.queries {
            Some(queries) => queries.as_path(),
            None if whole_set => path,
            None => return Err(Usage::new("pass --queries FILE: vectors to look for").into()),
        };
        let queries = VectorFile::open(queries, Role::Queries)?;
        let (has, asks) = (base.shape().dims, queries.shape().dims);
        if has != asks {
            let file = queries.path().display();
            let line = format!("dimension mismatch: the base has {has}, {file} has {asks}");
            return Err(Usage::new(line).into());
        }
        let own_metric = if whole_set { read_metric(path)? } else { None };
        let metric = args.metric.or(own_metric).unwrap_or(Metric::Cosine);
        let fits = queries.path() == path && own_metric == Some(metric);
        let own_truth = (whole_set && fits).then(|| path.to_owned());
        Ok(Self { base, queries, metric, own_truth })
    }

    /// Returns the true neighbours: given, kept from before, or computed.
    fn truth(&self, args: &VectorArgs, session: &Session<'_>) -> anyhow::Result<Neighbors> {
        let (count, rows) = (self.queries.shape().rows as usize, self.base.shape().rows);
        if let Some((path, truth)) = self.given_truth(args.truth.as_deref())? {
            let context = || format!("truth {}", path.display());
            truth.check(count, rows).with_context(context)?;
            let wanted = args.limit.min(rows as usize);
            if truth.width() < wanted {
                let has = human::counted(truth.width() as u64, "neighbour", "neighbours");
                let path = path.display();
                let line = format!("{path} has {has} for each query, the limit needs {wanted}");
                return Err(Usage::new(line).into());
            }
            return Ok(truth);
        }
        let width = args.limit.max(TRUTH_WIDTH);
        if args.collection.is_none() {
            return self.compute(width, session);
        }
        let data = session.data_dir();
        let cache = TruthCache::beside(&data, &self.base, &self.queries, self.metric, width)?;
        if let Some(truth) = cache.read(count, rows) {
            return Ok(truth);
        }
        let truth = self.compute(width, session)?;
        cache.write(&truth)?;
        Ok(truth)
    }

    fn given_truth(&self, named: Option<&Path>) -> anyhow::Result<Option<(PathBuf, Neighbors)>> {
        let Some(path) = named.or(self.own_truth.as_deref()) else { return Ok(None) };
        let hdf5 =
            path.extension().is_some_and(|extension| extension == "hdf5" || extension == "h5");
        let truth = if hdf5 { read_neighbors(path)? } else { Some(Neighbors::read_ivecs(path)?) };
        match truth {
            Some(truth) => Ok(Some((path.to_owned(), truth))),
            None if named.is_some() => {
                Err(Usage::new(format!("{} holds no neighbours", path.display())).into())
            }
            None => Ok(None),
        }
    }

    fn compute(&self, width: usize, session: &Session<'_>) -> anyhow::Result<Neighbors> {
        let threads = ThreadPoolBuilder::new().num_threads(session.threads).build()?;
        let search = BruteForce {
            metric: self.metric,
            queries: &self.queries.to_matrix()?,
            width,
            threads: &threads,
            cancel: &session.cancel,
        };
        let mut progress = Progress::counting("truth", "rows", self.base.shape().rows);
        let truth = search.run(self.base.rows()?, &mut progress);
        progress.finish();
        truth
    }
}

/// What the results are judged by.
struct Judged<'a> {
    set: &'a Set,
    truth: &'a Neighbors,
    vectors: &'a Matrix,
    limit: usize,
}

impl Judged<'_> {
    fn points(
        &self,
        measured: &[Measurement],
        speeds: Option<&[f64]>,
    ) -> anyhow::Result<Vec<CurvePoint>> {
        let found: Vec<Vec<FoundRows>> =
            measured.iter().map(|measured| rows(&measured.found)).collect::<Result<_, _>>()?;
        let passes: Vec<&[FoundRows]> = found.iter().map(Vec::as_slice).collect();
        let base = self.set.base.rows()?;
        let judge =
            Judge::new(self.truth, self.limit, &passes, self.set.metric, self.vectors, base)?;
        let point = |(index, measured): (usize, &Measurement)| {
            let qps_all = speeds.and_then(|speeds| speeds.get(index).copied());
            CurvePoint::new(measured, judge.recall(&found[index]), qps_all)
        };
        Ok(measured.iter().enumerate().map(point).collect())
    }
}

/// Returns the row numbers of results, which are their ids.
fn rows(found: &[Vec<Found>]) -> anyhow::Result<Vec<FoundRows>> {
    let row = |found: &Found| {
        let number = found.id.as_number().and_then(|number| u32::try_from(number).ok());
        number.with_context(|| format!("result {} is no row number", found.id))
    };
    found.iter().map(|found| found.iter().map(row).collect()).collect()
}
