//! What is searched, what is looked for, and what should be found.

use std::path::Path;

use anyhow::Context;
use bigrain_engine::Metric;
use rayon::ThreadPoolBuilder;

use crate::failure::Usage;
use crate::human;
use crate::input::{Format, Role, VectorFile, read_metric, read_neighbors};
use crate::progress::Progress;
use crate::session::Session;
use crate::truth::{BruteForce, Neighbors, TruthCache};

/// Neighbours computed for each query at least, so that the truth serves deeper searches too.
const TRUTH_WIDTH: usize = 100;

/// Where a test set comes from, as the command line says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources<'a> {
    pub base: &'a Path,
    pub queries: Option<&'a Path>,
    pub truth: Option<&'a Path>,
    pub metric: Option<Metric>,
    /// True neighbours needed for each query.
    pub limit: usize,
}

/// What is searched, what is looked for, and what should be found, if that is known.
#[derive(Debug)]
pub(super) struct TestSet {
    pub base: VectorFile,
    pub queries: VectorFile,
    pub metric: Metric,
    given: Option<Neighbors>,
}

impl TestSet {
    /// Checks what can be checked before anything is built: headers, and the truth that is given.
    pub fn open(sources: &Sources<'_>) -> anyhow::Result<Self> {
        let base = VectorFile::open(sources.base, Role::Base)?;
        let whole_set = base.format() == Format::Hdf5;
        let queries = match sources.queries {
            Some(queries) => queries,
            None if whole_set => sources.base,
            None => return Err(Usage::new("pass --queries FILE: vectors to look for").into()),
        };
        let queries = VectorFile::open(queries, Role::Queries)?;
        let (has, asks) = (base.shape().dims, queries.shape().dims);
        if has != asks {
            let file = queries.path().display();
            let line = format!("dimension mismatch: the base has {has}, {file} has {asks}");
            return Err(Usage::new(line).into());
        }
        let own_metric = if whole_set { read_metric(sources.base)? } else { None };
        let metric = sources.metric.or(own_metric).unwrap_or(Metric::Cosine);
        // Neighbours in the file of the base are those of its own queries under its own metric.
        let own = whole_set && own_metric == Some(metric) && queries.path() == base.path();
        let mut set = Self { base, queries, metric, given: None };
        set.given = match (sources.truth, own) {
            (Some(path), _) => Some(set.read_truth(path, sources.limit)?),
            (None, true) => set.own_truth(sources.limit)?,
            (None, false) => None,
        };
        Ok(set)
    }

    /// Reads the truth that is named, which has to fit.
    fn read_truth(&self, path: &Path, limit: usize) -> anyhow::Result<Neighbors> {
        let truth = match Format::of(path) {
            Ok(Format::Hdf5) => read_neighbors(path)?.ok_or_else(|| {
                Usage::new(format!("{} holds no dataset \"neighbors\"", path.display()))
            })?,
            Ok(_) | Err(_) => Neighbors::read_ivecs(path)?,
        };
        self.check(&truth, path)?;
        let wanted = self.wanted(limit);
        if truth.width() < wanted {
            let has = human::counted(truth.width() as u64, "neighbour", "neighbours");
            let path = path.display();
            let line = format!("{path} has {has} for each query, the limit needs {wanted}");
            return Err(Usage::new(line).into());
        }
        Ok(truth)
    }

    /// Reads the truth that comes with the vectors, if there is one and it is wide enough.
    fn own_truth(&self, limit: usize) -> anyhow::Result<Option<Neighbors>> {
        let own = read_neighbors(self.base.path())?;
        let Some(truth) = own.filter(|truth| truth.width() >= self.wanted(limit)) else {
            return Ok(None);
        };
        self.check(&truth, self.base.path())?;
        Ok(Some(truth))
    }

    fn check(&self, truth: &Neighbors, path: &Path) -> anyhow::Result<()> {
        let (queries, rows) = self.sizes();
        truth.check(queries, rows).with_context(|| format!("truth {}", path.display()))
    }

    /// Returns how many neighbours a query has that is to find `limit`.
    fn wanted(&self, limit: usize) -> usize {
        limit.min(self.base.shape().rows as usize)
    }

    /// Returns how many queries there are, and how many rows.
    fn sizes(&self) -> (usize, u64) {
        (self.queries.shape().rows as usize, self.base.shape().rows)
    }

    /// Returns the true neighbours: given, kept beside the data folder from before, or computed.
    pub fn neighbors(
        &mut self,
        keep_beside: Option<&Path>,
        limit: usize,
        session: &Session<'_>,
    ) -> anyhow::Result<Neighbors> {
        if let Some(given) = self.given.take() {
            return Ok(given);
        }
        let width = limit.max(TRUTH_WIDTH);
        let Some(data) = keep_beside else { return self.compute(width, session) };
        let cache = TruthCache::beside(data, &self.base, &self.queries, self.metric, width)?;
        let (queries, rows) = self.sizes();
        if let Some(kept) = cache.read(queries, rows) {
            return Ok(kept);
        }
        let truth = self.compute(width, session)?;
        cache.write(&truth)?;
        Ok(truth)
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
