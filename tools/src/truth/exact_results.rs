//! Truth from an exact search of the collection itself.

use std::collections::HashSet;

use bigrain_engine::{Metric, PointId};

use super::Recall;
use crate::curve::Found;

/// What an exact search found for each query: the truth about vectors as they are stored.
///
/// Ties are judged by score: verification and an exact search score a row alike.
#[derive(Clone, Debug)]
pub struct ExactResults {
    metric: Metric,
    limit: usize,
    results: Vec<Vec<Found>>,
}

impl ExactResults {
    /// Takes the results of each query, nearest first, `limit` where there are as many.
    #[must_use]
    pub fn new(metric: Metric, limit: usize, results: Vec<Vec<Found>>) -> Self {
        Self { metric, limit, results }
    }

    /// Judges the results of the same queries.
    #[must_use]
    pub fn recall(&self, found: &[Vec<Found>]) -> Recall {
        Recall::measure(self.limit, |depth| self.share(found, depth))
    }

    fn share(&self, found: &[Vec<Found>], depth: usize) -> f64 {
        let (mut right, mut wanted) = (0, 0);
        for (truth, found) in self.results.iter().zip(found) {
            let truth = &truth[..depth.min(truth.len())];
            let ids: HashSet<&PointId> = truth.iter().map(|found| &found.id).collect();
            let is_right = |found: &&Found| {
                ids.contains(&found.id)
                    || truth.last().is_some_and(|last| self.is_as_near(found.score, last.score))
            };
            right += found.iter().take(depth).filter(is_right).count();
            wanted += truth.len();
        }
        if wanted == 0 { 1.0 } else { right as f64 / wanted as f64 }
    }

    fn is_as_near(&self, score: f32, than: f32) -> bool {
        if self.metric.larger_is_nearer() { score >= than } else { score <= than }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(results: &[(u64, f32)]) -> Vec<Found> {
        results.iter().map(|&(id, score)| Found { id: id.into(), score }).collect()
    }

    #[test]
    fn results_count_by_id_or_by_a_score_as_near() {
        let truth = vec![found(&[(1, 0.5), (2, 1.0)]), found(&[(7, 3.0)])];
        let truth = ExactResults::new(Metric::L2, 2, truth);
        let recall = truth.recall(&[found(&[(9, 1.0), (3, 1.5)]), found(&[(7, 3.0)])]);
        // Point 9 is as near as the second neighbour; point 3 is farther; query 1 has one neighbour.
        assert_eq!(recall.at_limit, 2.0 / 3.0);
        assert_eq!(recall.at_1, Some(0.5));
        let truth = ExactResults::new(Metric::Dot, 1, vec![found(&[(1, 2.0)])]);
        assert_eq!(truth.recall(&[found(&[(5, 2.0)])]).at_limit, 1.0);
        assert_eq!(truth.recall(&[found(&[(5, 1.9)])]).at_limit, 0.0);
    }
}
