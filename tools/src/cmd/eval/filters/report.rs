//! What came of filtered searches: JSON, table.

use std::io::Write;
use std::time::Duration;

use comfy_table::Cell;
use serde::Serialize;

use crate::cmd::eval::report::BuildFigures;
use crate::curve::{Setting, Work};
use crate::machine::Machine;
use crate::{human, table};

/// What filtered searches found, and how fast.
#[derive(Clone, Debug, Serialize)]
pub struct FilterEvaluation {
    /// What it ran on.
    #[serde(flatten)]
    pub machine: Machine,
    /// The file of the vectors searched.
    pub base: String,
    /// Rows searched.
    pub rows: u64,
    /// How many queries there are.
    pub query_count: usize,
    /// Results asked for.
    pub limit: usize,
    /// Passes over the queries of each case at each setting.
    pub rounds: u16,
    /// What the collection took.
    pub build: BuildFigures,
    /// A row for each case and setting.
    pub points: Vec<FilterPoint>,
}

/// What was measured of one case at one setting.
#[derive(Clone, Debug, Serialize)]
pub struct FilterPoint {
    /// How the rows that match lie to the queries: `random`, or what the file of cases calls it.
    pub kind: String,
    /// The share of rows that match, as asked.
    pub share: f64,
    /// Rows that match.
    pub matching: u64,
    /// What was set: `target` or `probes`.
    pub knob: &'static str,
    /// To what.
    pub value: Setting,
    /// The share of the nearest rows that match that was found.
    pub recall: f64,
    /// Queries a second on one thread; the filter's rows are cached after the first.
    pub queries_per_second: f64,
    /// The latency half of the queries stayed within, in microseconds.
    pub p50_us: f64,
    /// The latency 99 of 100 queries stayed within, in microseconds.
    pub p99_us: f64,
    /// What the first search took, which had to find the rows that match, in microseconds.
    pub first_us: f64,
    /// What a query did.
    #[serde(flatten)]
    pub work: Work,
    /// What the plan says of the first segment.
    pub plan: String,
}

impl FilterEvaluation {
    /// Writes the evaluation for people.
    ///
    /// # Errors
    ///
    /// When `out` refuses.
    pub fn write_table(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut rows = table::plain([
            "rows are", "match", "rows", "setting", "recall", "qps", "p50", "p99", "first",
            "codes", "read", "plan",
        ]);
        for point in &self.points {
            let us = |us: f64| Cell::new(human::duration(Duration::from_secs_f64(us / 1e6)));
            rows.add_row([
                Cell::new(&point.kind),
                Cell::new(format!("{} %", 100.0 * point.share)),
                Cell::new(human::count(point.matching)),
                Cell::new(format!("{}={}", point.knob, point.value)),
                Cell::new(format!("{:.4}", point.recall)),
                Cell::new(human::count(point.queries_per_second as u64)),
                us(point.p50_us),
                us(point.p99_us),
                us(point.first_us),
                Cell::new(human::count(point.work.codes as u64)),
                Cell::new(human::count(point.work.rows_read as u64)),
                Cell::new(&point.plan),
            ]);
        }
        table::align_right(&mut rows, &[1, 2, 4, 5, 6, 7, 8, 9, 10]);
        writeln!(
            out,
            "{}: {} rows, {} queries, {} results each, one thread\n",
            self.base,
            human::count(self.rows),
            self.query_count,
            self.limit,
        )?;
        writeln!(out, "{}", rows.trim_fmt())?;
        Ok(())
    }
}
