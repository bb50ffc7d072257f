//! `bigrain bench`: what scans and builds cost on a device, beside the CPU in the same run.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use bigrain_engine::{DeviceChoice, Levels};
use bigrain_types::MAX_DIMS;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use rayon::ThreadPoolBuilder;

use crate::cmd::flags::parse_levels;
use crate::failure::Usage;
use crate::progress::Progress;
use crate::scan_bench::{BenchPlan, BenchShape, Measured, Rates, ScanBench};
use crate::session::Session;
use crate::{human, table};

/// The share of the memory that rows take which are encoded: one in so many.
const DENSE_PART: u64 = 4;

/// Measures scans of codes, batches, rotation with rounding, and the nearest lists of rows: on the device that --device
/// names beside the CPU in the same run, or on the CPU alone.
///
/// Codes, rows and queries are random ones. Integer scores and results of the device are compared with the CPU's first,
/// and a difference is an error.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Levels of the codes, one after the other
    #[arg(long, value_name = "N,..", value_parser = parse_levels, value_delimiter = ',', default_value = "1,2")]
    levels: Vec<Levels>,
    /// Dimensions of embeddings
    #[arg(long, value_name = "N", default_value_t = 768, value_parser = count(MAX_DIMS as u64))]
    dims: usize,
    /// Codes that are scanned [default: as many as fit into --memory]
    #[arg(long, value_name = "N", value_parser = count(1 << 31))]
    rows: Option<usize>,
    /// Mebibytes of codes and, a quarter of it, of rows that are encoded: here, and on the device
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    memory: u64,
    /// Queries of a batch
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = count(1 << 16))]
    queries: usize,
    /// Lists among which the nearest of a row is found
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = count(1 << 20))]
    lists: usize,
    /// Results of a query
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = count(1024))]
    limit: usize,
    /// Passes that count; one before them does not
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = count(1000))]
    repeat: usize,
    /// Where randomness begins
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write the result as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Reads a number from 1 to `most`.
fn count(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

/// Runs the command.
///
/// # Errors
///
/// When the device that was asked for is missing, answers otherwise than the CPU or has too little memory, the caller
/// stops it, or the result cannot be written.
pub fn run(args: &BenchArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    if args.levels.is_empty() {
        return Err(Usage::new("nothing to measure: --levels is empty").into());
    }
    let device = session.device.backend(DeviceChoice::Cpu)?;
    let shape = args.shape();
    let cancel = session.cancel.clone();
    let plan = BenchPlan { shape, levels: &args.levels, repeat: args.repeat, cancel: &cancel };
    let threads = ThreadPoolBuilder::new().num_threads(session.thread_count().get()).build()?;
    let mut progress = Progress::counting("bench", "passes", plan.passes());
    let mut done = 0;
    let mut on_pass = || {
        done += 1;
        progress.advance(1, done);
    };
    let bench = threads.install(|| plan.run(device.as_ref(), &mut on_pass));
    progress.finish();
    let bench = bench?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&bench)?;
        fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))?;
    }
    show(&bench, session)
}

impl BenchArgs {
    fn shape(&self) -> BenchShape {
        let bytes = self.memory << 20;
        let fitting = || BenchShape::fitting_rows(self.dims, &self.levels, bytes);
        let rows = self.rows.unwrap_or_else(fitting);
        let dense = BenchShape::fitting_dense_rows(self.dims, bytes / DENSE_PART);
        BenchShape {
            dims: self.dims,
            rows,
            dense_rows: rows.min(dense),
            queries: self.queries,
            lists: self.lists,
            limit: self.limit,
            seed: self.seed,
        }
    }
}

fn show(bench: &ScanBench, session: &mut Session<'_>) -> anyhow::Result<()> {
    let device = bench.machine.device.as_deref();
    let mut shown = table::titled(&["", "levels", "CPU", device.unwrap_or("device"), "ratio", ""]);
    for one in &bench.workloads {
        let rate = |rates: &Rates| format!("{} {}/s", human::large(rates.median), one.unit);
        shown.add_row([
            one.workload.to_owned(),
            one.levels.map(|levels| levels.to_string()).unwrap_or_default(),
            rate(&one.cpu),
            one.device.as_ref().map(rate).unwrap_or_default(),
            one.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            details(one),
        ]);
    }
    table::align_right(&mut shown, &[1, 2, 3, 4]);
    let BenchShape { dims, rows, dense_rows, queries, lists, limit, seed } = bench.shape;
    let [before, after] = bench.load;
    writeln!(
        session.out,
        "{}\n\nscan: {} random codes of {dims} dimensions (seed {seed}), all levels, the best {limit}, a query at a time\n\
         batch: {} on the device, one after the other on the CPU\n\
         encode: rotation and rounding of {}; assign: the nearest of {}\n\
         medians of {}; copies to the device and back are part of its times\n\
         {}, {}, load {before} to {after}",
        shown.trim_fmt(),
        human::count(rows as u64),
        human::counted(queries as u64, "query at once", "queries at once"),
        human::counted(dense_rows as u64, "random row", "random rows"),
        human::counted(lists as u64, "list", "lists"),
        human::counted(bench.workloads[0].cpu.per_second.len() as u64, "pass", "passes"),
        bench.machine.cpu.as_deref().unwrap_or("unknown CPU"),
        human::counted(bench.threads as u64, "thread", "threads"),
    )?;
    Ok(())
}

/// Says what a workload comes to in the measure that bounds it.
fn details(one: &Measured) -> String {
    let sides = [("CPU", Some(&one.cpu)), ("device", one.device.as_ref())];
    let each = |count: u64, unit: &str| {
        let side = |(name, rates): &(&str, Option<&Rates>)| {
            let rate = human::large((*rates)?.median * count as f64);
            Some(format!("{name} {rate}{unit}"))
        };
        sides.iter().filter_map(side).collect::<Vec<_>>().join(", ")
    };
    let mut parts = Vec::new();
    parts.extend(one.bytes_each.map(|bytes| each(bytes, "B/s")));
    let share = |share| format!("{:.0} % of its memory's bandwidth", 100.0 * share);
    parts.extend(one.bandwidth_share.map(share));
    parts.extend(one.operations_each.map(|operations| each(operations, "op/s of whole numbers")));
    let found = |found| format!("the CPU finds the nearest of {:.1} %", 100.0 * found);
    parts.extend(one.cpu_finds_nearest.map(found));
    parts.join(", ")
}
