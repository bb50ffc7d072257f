//! Verification: candidates' dense vectors are scored exactly, in the order of their bounds.
//!
//! BiDR's post verification with RaBitQ's stopping rule. Candidates come ordered by optimistic
//! similarity, best first. As long as fewer than `limit` are known, or the next bound still beats
//! the `limit`-th exact similarity, a batch is read and scored; then the rest is left unread.

use bigrain_kernels::{TopK, dot, l2_squared};
use bigrain_types::Metric;

use crate::Candidate;

/// Dense rows scored between two looks at the stopping rule. Small, because every row past the
/// point where reading could have stopped is a read wasted.
const BATCH: usize = 16;

/// The exact similarity of a query and a dense vector under `metric`, larger is better.
///
/// Cosine takes vectors of length one, as they are stored.
#[must_use]
pub fn similarity(metric: Metric, query: &[f32], row: &[f32]) -> f32 {
    if metric == Metric::L2 { -l2_squared(query, row) } else { dot(query, row) }
}

/// What verification found and what it cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verified {
    /// Exact similarity and index into the candidates given, best first.
    pub best: Vec<(f32, usize)>,
    /// How many rows were scored.
    pub rows: u64,
}

/// Scores `candidates` (ordered by `optimistic`, best first) until no unread one can be among the
/// best `limit`.
///
/// `score` returns the exact similarity of one candidate.
///
/// # Errors
///
/// The first error of `score`.
pub fn verify<E>(
    candidates: &[Candidate],
    limit: usize,
    mut score: impl FnMut(&Candidate) -> Result<f32, E>,
) -> Result<Verified, E> {
    debug_assert!(candidates.is_sorted_by(|a, b| a.optimistic >= b.optimistic));
    let mut best = TopK::new(limit);
    let mut rows = 0;
    for (batch_number, batch) in candidates.chunks(BATCH).enumerate() {
        if best.len() >= limit && batch[0].optimistic <= best.threshold() {
            break;
        }
        for (position, candidate) in batch.iter().enumerate() {
            let index = batch_number * BATCH + position;
            best.push(score(candidate)?, index as u32);
            rows += 1;
        }
    }
    let best = best.into_sorted().into_iter();
    let best = best.map(|scored| (scored.score, scored.offset as usize)).collect();
    Ok(Verified { best, rows })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn candidates(bounds: &[f32]) -> Vec<Candidate> {
        let mut bounds = bounds.to_vec();
        bounds.sort_by(|a, b| b.total_cmp(a));
        let candidate =
            |(offset, optimistic)| Candidate { source: 0, offset: offset as u32, optimistic };
        bounds.into_iter().enumerate().map(candidate).collect()
    }

    #[test]
    fn reading_stops_when_no_bound_can_enter() {
        let bounds: Vec<f32> = (0..1000).map(|i| 1.0 - i as f32 / 1000.0).collect();
        let verified = verify(&candidates(&bounds), 3, |candidate| {
            Ok::<_, Infallible>(candidate.optimistic - 0.01)
        })
        .unwrap();
        assert_eq!(verified.best.iter().map(|best| best.1).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(verified.rows, BATCH as u64);
    }

    #[test]
    fn no_candidates_is_no_results() {
        let verified = verify(&[], 3, |_| Ok::<_, Infallible>(0.0)).unwrap();
        assert_eq!(verified, Verified::default());
    }

    proptest! {
        #[test]
        fn valid_bounds_give_exactly_the_brute_force_answer(
            pairs in prop::collection::vec((-1.0_f32..1.0, 0.0_f32..0.3), 0..200),
            limit in 1_usize..20,
        ) {
            let mut rows: Vec<(f32, f32)> =
                pairs.iter().map(|&(exact, slack)| (exact, exact + slack)).collect();
            rows.sort_by(|a, b| b.1.total_cmp(&a.1));
            let candidates: Vec<Candidate> = rows
                .iter()
                .enumerate()
                .map(|(i, row)| Candidate { source: 0, offset: i as u32, optimistic: row.1 })
                .collect();
            let verified = verify(&candidates, limit, |candidate| {
                Ok::<_, Infallible>(rows[candidate.offset as usize].0)
            }).unwrap();
            let mut exact: Vec<f32> = rows.iter().map(|row| row.0).collect();
            exact.sort_by(|a, b| b.total_cmp(a));
            exact.truncate(limit);
            let found: Vec<f32> = verified.best.iter().map(|best| best.0).collect();
            prop_assert_eq!(found, exact);
        }
    }
}
