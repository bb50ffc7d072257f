//! What was measured at one setting.

use bigrain_engine::{Collection, Query, SearchParams, SearchStats};
use serde::Serialize;

use super::{Found, Pass, Setting, Sweep};
use crate::human;
use crate::progress::Progress;

/// What was measured at one setting: times are medians over the rounds.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The setting.
    pub setting: Setting,
    /// What was found for each query, in the first round.
    pub found: Vec<Vec<Found>>,
    /// Queries a second on one thread.
    pub queries_per_second: f64,
    /// The latency half of the queries stayed within, in microseconds.
    pub p50_us: f64,
    /// The latency 99 of 100 queries stayed within, in microseconds.
    pub p99_us: f64,
    /// What a query did.
    pub work: Work,
}

/// What a query did, means over the queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Work {
    /// Lists of codes probed.
    pub lists: f64,
    /// Codes scanned.
    pub codes: f64,
    /// Dense vectors scored.
    pub rows_read: f64,
    /// Bytes of dense vectors read from segment files.
    pub bytes_read: f64,
}

impl Work {
    fn mean(stats: &SearchStats, queries: u64) -> Self {
        Self {
            lists: human::ratio(stats.lists, queries),
            codes: human::ratio(stats.codes_scanned, queries),
            rows_read: human::ratio(stats.rows_read, queries),
            bytes_read: human::ratio(stats.bytes_read, queries),
        }
    }
}

/// Searches every query at every setting, `rounds` times, on the calling thread. The first searches
/// of a collection make its codes resident: see [`warm_up`].
///
/// # Errors
///
/// When a search is refused, fails, or is cancelled.
pub fn measure(
    collection: &Collection,
    queries: &[Query],
    params: SearchParams,
    sweep: &Sweep,
    rounds: usize,
) -> anyhow::Result<Vec<Measurement>> {
    let settings = sweep.settings();
    let of_all: Vec<SearchParams> =
        settings.iter().map(|setting| setting.apply(params)).collect::<Result<_, _>>()?;
    let total = (queries.len() * settings.len() * rounds) as u64;
    let mut progress = Progress::counting("search", "queries", total);
    let mut passes: Vec<Vec<Pass>> = settings.iter().map(|_| Vec::new()).collect();
    let mut searched = 0;
    for round in 0..rounds {
        for (params, passes) in of_all.iter().zip(&mut passes) {
            let mut pass = Pass::run(collection, queries, params)?;
            searched += queries.len() as u64;
            progress.advance(queries.len() as u64, searched);
            if round > 0 {
                pass.found = Vec::new();
            }
            passes.push(pass);
        }
    }
    progress.finish();
    Ok(settings.iter().zip(passes).map(|(&setting, passes)| summary(setting, passes)).collect())
}

/// Searches every query once at every setting, so that what follows finds codes and rows in memory.
/// The widest setting alone would not do: with few lists, rows are read that more lists rule out.
///
/// # Errors
///
/// When a search is refused, fails, or is cancelled.
pub fn warm_up(
    collection: &Collection,
    queries: &[Query],
    params: SearchParams,
    sweep: &Sweep,
) -> anyhow::Result<()> {
    for setting in sweep.settings() {
        Pass::run(collection, queries, &setting.apply(params)?)?;
    }
    Ok(())
}

fn summary(setting: Setting, mut passes: Vec<Pass>) -> Measurement {
    let over = |measured: fn(&Pass) -> f64| median(passes.iter().map(measured).collect());
    let queries_per_second = over(Pass::queries_per_second);
    let (p50_us, p99_us) = (over(|pass| pass.latency_us(0.5)), over(|pass| pass.latency_us(0.99)));
    let first = passes.first_mut().map(std::mem::take).unwrap_or_default();
    let work = Work::mean(&first.stats, first.latencies.len() as u64);
    Measurement { setting, found: first.found, queries_per_second, p50_us, p99_us, work }
}

/// Returns the middle value, of an even number the mean of the two in the middle; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), middle.checked_sub(1).and_then(|below| values.get(below))) {
        (Some(above), Some(below)) if values.len().is_multiple_of(2) => (above + below) / 2.0,
        (Some(value), _) => *value,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![7.0]), 7.0);
        assert_eq!(median(vec![]), 0.0);
    }
}
