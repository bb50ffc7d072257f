//! Filtered search: recall and speed by the share of rows that match.
//!
//! Every row carries a number that has nothing to do with its vector, `u` below 2^32, made from the
//! row's own number. A range of it keeps as many rows as is wanted. The truth is an exact search with
//! the same filter.

use std::io::Write;

use anyhow::bail;
use bigrain_engine::{Collection, Filter, Payload, Query, SearchParams};
use comfy_table::Cell;
use serde::Serialize;
use serde_json::json;

use crate::curve::{Measurement, Pass, Sweep, Work, measure, warm_up};
use crate::machine::Machine;
use crate::progress::Progress;
use crate::truth::ExactResults;
use crate::{human, table};

/// The payload field that filters look at.
const FIELD: &str = "u";

/// The shares of rows that match: those of VectorDBBench.
const SHARES: [f64; 9] = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];

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
    /// The share of the true neighbours that was aimed at.
    pub target_recall: f32,
    /// Passes over the queries at each share.
    pub rounds: u16,
    /// A row for each share.
    pub points: Vec<FilterPoint>,
}

/// What was measured at one share.
#[derive(Clone, Debug, Serialize)]
pub struct FilterPoint {
    /// The share of rows that match, as asked.
    pub share: f64,
    /// Rows that match.
    pub matching: u64,
    /// The share of the exact results that was found.
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

/// Returns the payload of a row.
pub(super) fn payload(row: u64) -> Payload {
    Payload::new().with(FIELD, scatter(row))
}

/// How filtered searches are measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct FilterSweep<'a> {
    pub collection: &'a Collection,
    pub queries: &'a [Query],
    pub params: SearchParams,
    pub rounds: usize,
}

impl FilterSweep<'_> {
    /// Measures at every share.
    pub fn run(&self) -> anyhow::Result<Vec<FilterPoint>> {
        let mut points = Vec::with_capacity(SHARES.len());
        let mut progress = Progress::counting("filters", "shares", SHARES.len() as u64);
        for share in SHARES {
            points.push(self.measure(share)?);
            progress.advance(1, points.len() as u64);
        }
        progress.finish();
        Ok(points)
    }

    fn measure(&self, share: f64) -> anyhow::Result<FilterPoint> {
        let end = (share * 2_f64.powi(32)) as u64;
        let filter = Filter::from_value(&json!({"field": FIELD, "lt": end}))?;
        let collection = self.collection;
        let Some(first) = self.queries.first() else { bail!("there are no queries") };
        let explained = self.params.with_explain(true);
        let output = collection.search(&first.clone().with_filter(filter.clone()), &explained)?;
        let first_us = output.stats.times.total().as_secs_f64() * 1e6;
        let plan =
            output.plan.and_then(|plan| plan.sources.into_iter().find_map(|part| part.filter));

        let matching = collection.count_matching(&filter)?;
        if matching == 0 && share == SHARES[0] {
            bail!(
                "no row has a number below {end} in field {FIELD:?}: \
                 the collection was built without --filters"
            );
        }
        let queries: Vec<Query> =
            self.queries.iter().map(|query| query.clone().with_filter(filter.clone())).collect();
        let exact = Pass::run(collection, &queries, &self.params.with_exact(true))?;
        let metric = collection.config().field(None)?.metric;
        let truth = ExactResults::new(metric, self.params.limit(), exact.found);
        let sweep = Sweep::targets(&[self.params.target_recall()]);
        warm_up(collection, &queries, self.params, &sweep)?;
        let measured = measure(collection, &queries, self.params, &sweep, self.rounds)?;
        let Some(Measurement { found, queries_per_second, p50_us, p99_us, work, .. }) =
            measured.into_iter().next()
        else {
            bail!("nothing was measured");
        };
        Ok(FilterPoint {
            share,
            matching,
            recall: truth.recall(&found).at_limit,
            queries_per_second,
            p50_us,
            p99_us,
            first_us,
            work,
            plan: plan.unwrap_or_default(),
        })
    }
}

impl FilterEvaluation {
    /// Writes the evaluation for people.
    ///
    /// # Errors
    ///
    /// When `out` refuses.
    pub fn write_table(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut rows = table::plain([
            "match", "rows", "recall", "qps", "p50", "p99", "first", "codes", "read", "plan",
        ]);
        for point in &self.points {
            let us =
                |us: f64| Cell::new(human::duration(std::time::Duration::from_secs_f64(us / 1e6)));
            rows.add_row([
                Cell::new(format!("{} %", 100.0 * point.share)),
                Cell::new(human::count(point.matching)),
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
        table::align_right(&mut rows, &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
        writeln!(
            out,
            "{}: {} rows, {} queries, {} results each, target recall {}, one thread\n",
            self.base,
            human::count(self.rows),
            self.query_count,
            self.limit,
            self.target_recall
        )?;
        writeln!(out, "{}", rows.trim_fmt())?;
        Ok(())
    }
}

/// Turns a row's number into one below 2^32 that looks random (the finisher of SplitMix64).
fn scatter(row: u64) -> u64 {
    let mut bits = row.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_keeps_the_share_it_stands_for() {
        for share in SHARES {
            let end = (share * 2_f64.powi(32)) as u64;
            let kept = (0..200_000).filter(|&row| scatter(row) < end).count() as f64;
            assert!((kept / 200_000.0 / share - 1.0).abs() < 0.15, "{share}: {kept}");
        }
    }
}
