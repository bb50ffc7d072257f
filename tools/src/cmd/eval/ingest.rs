//! How long searches take while points are written as fast as they can be, beside a quiet collection.
//!
//! Half of the rows are there when it begins. One thread searches all the time, one query after the
//! other; for the second of three phases another thread writes, the other rows first and then all of
//! them anew, under other ids and a little moved, in batches without a pause, while the engine flushes and merges. The third
//! begins when all that is merged: what was written makes searches slower in any case, and it says by how
//! much. The phases are of one run, so other work on the machine weighs on all.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use bigrain_engine::{
    Collection, CollectionConfig, DeviceChoice, Engine, ErrorKind, Point, PointId, Query,
    SearchParams,
};
use comfy_table::Cell;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::Serialize;

use super::test_set::TestSet;
use crate::curve::Pass;
use crate::machine::{LoadAverage, Machine, ProcessMemory};
use crate::matrix::Matrix;
use crate::progress::Progress;
use crate::session::Session;
use crate::{human, table};

/// Points of one write.
const BATCH: usize = 500;

/// The part of its length by which a row that is written again is moved.
const SHAKEN: f32 = 0.1;

/// Searches between two looks at the clock.
const SHOWN_AT_ONCE: usize = 16;

/// How long searches take beside writes.
#[derive(Clone, Debug, Serialize)]
pub struct IngestEvaluation {
    /// What it ran on.
    #[serde(flatten)]
    pub machine: Machine,
    /// Processes that wanted to run while it was measured, this one among them.
    pub load: LoadAverage,
    /// The file of the vectors.
    pub base: String,
    /// Components of each.
    pub dims: usize,
    /// Rows that were there when it began.
    pub rows_before: u64,
    /// Rows when it ended.
    pub rows_after: u64,
    /// Results asked for.
    pub limit: usize,
    /// Seconds that each phase lasted.
    pub seconds: u64,
    /// Points of one write.
    pub batch: usize,
    /// Points written a second.
    pub points_per_second: f64,
    /// Before, during and after the writes.
    pub phases: Vec<Phase>,
    /// The 99th percentile during the writes, as a multiple of that before them.
    pub p99_ratio: f64,
    /// The same, as a multiple of that after them.
    pub p99_ratio_after: f64,
    /// Memory of the process during the writes.
    #[serde(flatten)]
    pub memory: ProcessMemory,
}

/// Searches of one phase.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// Which.
    pub name: &'static str,
    /// Searches of it.
    pub searches: u64,
    /// The latency half of them stayed within, in microseconds.
    pub p50_us: f64,
    /// The latency 95 of 100 stayed within, in microseconds.
    pub p95_us: f64,
    /// The latency 99 of 100 stayed within, in microseconds.
    pub p99_us: f64,
    /// The longest, in microseconds.
    pub longest_us: f64,
    /// Codes scanned by a search, in the mean.
    pub codes: f64,
    /// Rows read by a search, in the mean.
    pub rows_read: f64,
    /// Segments searched, in the mean.
    pub segments: f64,
}

/// What is measured, and how.
pub(super) struct IngestRun<'a> {
    pub set: &'a TestSet,
    pub config: CollectionConfig,
    pub params: SearchParams,
    pub seconds: u64,
}

impl IngestRun<'_> {
    /// Builds a collection in a temporary folder, and measures.
    pub fn run(&self, session: &Session<'_>) -> anyhow::Result<IngestEvaluation> {
        let folder = tempfile::tempdir().context("create a temporary folder")?;
        let verify_io = session.engine_config().verify_io;
        let engine =
            session.create_or_open_to_serve(folder.path(), verify_io, DeviceChoice::Cpu)?;
        let collection = engine.create_collection("vectors", self.config.clone())?;
        let base = self.set.base.to_matrix()?;
        let query = |row: &[f32]| Query::new(row.to_vec()).with_cancel(session.cancel.clone());
        let queries: Vec<Query> = self.set.queries.to_matrix()?.rows().map(query).collect();
        let mut rows = Rows { base: &base, next: 0 };
        fill(&collection, &mut rows, base.len() / 2)?;
        let rows_before = collection.count();

        // The first searches make codes resident.
        Pass::run(&collection, &queries, &self.params)?;
        let before = self.phase("before", &collection, &queries, &AtomicBool::new(false))?;
        let (during, written) = self.beside_writes(&engine, &queries, &mut rows)?;
        let (load, memory) = (LoadAverage::now(), ProcessMemory::now());
        collection.settle()?;
        Pass::run(&collection, &queries, &self.params)?;
        let after = self.phase("after", &collection, &queries, &AtomicBool::new(false))?;
        let ratio = |quiet: &Phase| during.p99_us / quiet.p99_us.max(f64::MIN_POSITIVE);
        Ok(IngestEvaluation {
            machine: Machine::here().with_device(&session.device),
            load,
            base: self.set.base.path().display().to_string(),
            dims: base.dims(),
            rows_before,
            rows_after: collection.count(),
            limit: self.params.limit(),
            seconds: self.seconds,
            batch: BATCH,
            points_per_second: written,
            p99_ratio: ratio(&before),
            p99_ratio_after: ratio(&after),
            phases: vec![before, during, after],
            memory,
        })
    }

    /// Searches for the length of a phase while another thread writes; returns points a second too.
    fn beside_writes(
        &self,
        engine: &Engine,
        queries: &[Query],
        rows: &mut Rows<'_>,
    ) -> anyhow::Result<(Phase, f64)> {
        let (ended, failed) = (AtomicBool::new(false), AtomicBool::new(false));
        let collection = &engine.collection("vectors")?;
        thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let written = write_until(&ended, collection, rows);
                failed.store(written.is_err(), Ordering::Relaxed);
                written
            });
            let searched = self.phase("during", collection, queries, &failed);
            ended.store(true, Ordering::Relaxed);
            let written = writing.join().map_err(|_| anyhow!("the writer panicked"))??;
            Ok((searched?, written))
        })
    }

    /// Searches the queries over and over for the length of a phase, unless something fails.
    fn phase(
        &self,
        name: &'static str,
        collection: &Collection,
        queries: &[Query],
        failed: &AtomicBool,
    ) -> anyhow::Result<Phase> {
        let (started, length) = (Instant::now(), Duration::from_secs(self.seconds));
        let mut progress = Progress::counting(name, "searches", self.seconds);
        let mut all = Pass::default();
        while started.elapsed() < length && !failed.load(Ordering::Relaxed) {
            let some = all.latencies.len() % queries.len().max(1);
            let some = &queries[some..queries.len().min(some + SHOWN_AT_ONCE)];
            let pass = Pass::run(collection, some, &self.params)?;
            all.latencies.extend(pass.latencies);
            all.stats += pass.stats;
            progress.advance(some.len() as u64, started.elapsed().as_secs());
        }
        progress.finish();
        let searches = all.latencies.len() as u64;
        let each = |all: u64| all as f64 / searches.max(1) as f64;
        Ok(Phase {
            name,
            searches,
            p50_us: all.latency_us(0.5),
            p95_us: all.latency_us(0.95),
            p99_us: all.latency_us(0.99),
            longest_us: all.latency_us(1.0),
            codes: each(all.stats.codes_scanned),
            rows_read: each(all.stats.rows_read),
            segments: each(all.stats.segments),
        })
    }
}

/// The rows of a file, over and over, each time under ids of their own and a little otherwise: many rows that are
/// equal would make a search read all of them.
struct Rows<'a> {
    base: &'a Matrix,
    next: u64,
}

impl Rows<'_> {
    fn take(&mut self, count: usize) -> Vec<Point> {
        let rows = self.base.len() as u64;
        let numbers = self.next..self.next + count as u64;
        self.next = numbers.end;
        let point = |number: u64| {
            let mut vector = self.base.row((number % rows) as usize).to_vec();
            if number >= rows {
                shake(&mut vector, number);
            }
            Point::new(PointId::from(number), vector)
        };
        numbers.map(point).collect()
    }
}

/// Moves a vector by up to [`SHAKEN`] of its length, in a direction that `seed` says.
fn shake(vector: &mut [f32], seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let most = SHAKEN * length / (vector.len() as f32).sqrt();
    let by = |bits: u32| most * (bits as f32 / u32::MAX as f32 * 2.0 - 1.0);
    vector.iter_mut().for_each(|x| *x += by(random.next_u32()));
}

fn fill(collection: &Collection, rows: &mut Rows<'_>, count: usize) -> anyhow::Result<()> {
    let mut progress = Progress::counting("fill", "rows", count as u64);
    let mut left = count;
    while left > 0 {
        let batch = left.min(BATCH);
        collection.upsert(rows.take(batch))?;
        left -= batch;
        progress.advance(batch as u64, (count - left) as u64);
    }
    progress.finish();
    collection.flush()?;
    Ok(collection.settle()?)
}

/// Writes without a pause; returns points a second.
fn write_until(
    ended: &AtomicBool,
    collection: &Collection,
    rows: &mut Rows<'_>,
) -> anyhow::Result<f64> {
    let (started, mut written) = (Instant::now(), 0);
    while !ended.load(Ordering::Relaxed) {
        let points = rows.take(BATCH);
        match collection.upsert(points) {
            Ok(_) => written += BATCH as u64,
            Err(error) if error.kind() == ErrorKind::ResourceExhausted => thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(human::rate(written, started.elapsed()))
}

impl IngestEvaluation {
    /// Writes it for people.
    ///
    /// # Errors
    ///
    /// When the output is closed.
    pub fn write_table(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(
            out,
            "{}: {} rows of {} dims, {} after {} points/s in writes of {}, {} results each; load {}\n",
            self.base,
            human::count(self.rows_before),
            self.dims,
            human::count(self.rows_after),
            human::count(self.points_per_second as u64),
            self.batch,
            self.limit,
            self.load,
        )?;
        let mut rows = table::plain([
            "writes",
            "searches",
            "p50",
            "p95",
            "p99",
            "longest",
            "segments",
            "codes",
            "rows read",
        ]);
        for phase in &self.phases {
            let us = |us: f64| Cell::new(human::micros(us));
            rows.add_row([
                Cell::new(phase.name),
                Cell::new(human::count(phase.searches)),
                us(phase.p50_us),
                us(phase.p95_us),
                us(phase.p99_us),
                us(phase.longest_us),
                Cell::new(format!("{:.1}", phase.segments)),
                Cell::new(human::count(phase.codes as u64)),
                Cell::new(format!("{:.1}", phase.rows_read)),
            ]);
        }
        table::align_right(&mut rows, &[1, 2, 3, 4, 5, 6, 7, 8]);
        writeln!(out, "{}\n", rows.trim_fmt())?;
        writeln!(
            out,
            "p99 during the writes is {:.2} times that before them, {:.2} times that after them",
            self.p99_ratio, self.p99_ratio_after,
        )?;
        Ok(())
    }
}
