//! Every query searched once.

use std::time::{Duration, Instant};

use anyhow::Context;
use bigrain_engine::{Collection, PointId, Query, ScoredPoint, SearchParams, SearchStats};

use crate::human;

/// One result, without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Which point.
    pub id: PointId,
    /// The score that the search gave it.
    pub score: f32,
}

impl From<ScoredPoint> for Found {
    fn from(point: ScoredPoint) -> Self {
        Self { id: point.id, score: point.score }
    }
}

/// Every query searched once, one after the other on the calling thread.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// What was found for each query, nearest first.
    pub found: Vec<Vec<Found>>,
    /// How long each query took.
    pub latencies: Vec<Duration>,
    /// What all of them did.
    pub stats: SearchStats,
}

impl Pass {
    /// Searches; the queries carry the flag that stops it.
    ///
    /// # Errors
    ///
    /// When a search is refused, fails, or is cancelled.
    pub fn run(
        collection: &Collection,
        queries: &[Query],
        params: &SearchParams,
    ) -> anyhow::Result<Self> {
        let mut pass = Self::default();
        pass.found.reserve(queries.len());
        pass.latencies.reserve(queries.len());
        for (number, query) in queries.iter().enumerate() {
            let started = Instant::now();
            let found = collection.search(query, params);
            pass.latencies.push(started.elapsed());
            let found = found.with_context(|| format!("query {number}"))?;
            pass.stats += found.stats;
            pass.found.push(found.points.into_iter().map(Found::from).collect());
        }
        Ok(pass)
    }

    /// Returns queries a second.
    #[must_use]
    pub fn queries_per_second(&self) -> f64 {
        let elapsed: Duration = self.latencies.iter().sum();
        human::rate(self.latencies.len() as u64, elapsed)
    }

    /// Returns the latency that a share of the queries stayed within, in microseconds.
    #[must_use]
    pub fn latency_us(&self, share: f64) -> f64 {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        let rank = (share * latencies.len() as f64).ceil() as usize;
        let latency = latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default();
        latency.as_secs_f64() * 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_ranked_from_the_nearest_above() {
        let latencies = [4, 1, 3, 2].map(Duration::from_micros).to_vec();
        let pass = Pass { latencies, ..Pass::default() };
        assert_eq!((pass.latency_us(0.5), pass.latency_us(0.99)), (2.0, 4.0));
        assert_eq!(pass.queries_per_second().round(), 400_000.0);
        assert_eq!(Pass::default().latency_us(0.5), 0.0);
    }
}
