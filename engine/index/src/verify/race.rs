//! The stopping rule.

use bigrain_kernels::TopK;

use crate::Candidate;

/// What verification found and what it cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verified {
    /// Exact similarity and index into the candidates given, best first.
    pub best: Vec<(f32, usize)>,
    /// How many rows were scored.
    pub rows: u64,
    /// How many bytes of rows were read from files.
    pub bytes: u64,
}

/// Scores `candidates` (ordered by `optimistic`, best first) until no further one can be among the
/// best `limit`.
///
/// `score` returns the exact similarity of one candidate, from wherever its row is; `bytes` stays 0.
///
/// # Errors
///
/// The first error of `score`.
pub fn verify<E>(
    candidates: &[Candidate],
    limit: usize,
    mut score: impl FnMut(&Candidate) -> Result<f32, E>,
) -> Result<Verified, E> {
    debug_assert!(is_sorted(candidates));
    let mut race = Race::new(limit);
    let mut rows = 0;
    for (index, candidate) in candidates.iter().enumerate() {
        if !race.admits(candidate) {
            break;
        }
        race.enter(score(candidate)?, index);
        rows += 1;
    }
    Ok(Verified { best: race.finish(), rows, bytes: 0 })
}

/// The best rows so far, and who may still try.
pub(super) struct Race {
    limit: usize,
    best: TopK,
}

impl Race {
    pub fn new(limit: usize) -> Self {
        Self { limit, best: TopK::new(limit) }
    }

    /// Whether a candidate can be among the best. After the first that cannot, none can.
    #[inline]
    pub fn admits(&self, candidate: &Candidate) -> bool {
        self.best.len() < self.limit || candidate.optimistic > self.best.threshold()
    }

    /// Returns how many more rows will be scored whatever their similarities, if there are so many.
    pub fn certain(&self) -> usize {
        self.limit - self.best.len()
    }

    /// Takes the exact similarity of the candidate at `index`.
    #[inline]
    pub fn enter(&mut self, similarity: f32, index: usize) {
        self.best.push(similarity, index as u32);
    }

    /// Returns similarities and indices, best first.
    pub fn finish(self) -> Vec<(f32, usize)> {
        let best = self.best.into_sorted().into_iter();
        best.map(|scored| (scored.score, scored.offset as usize)).collect()
    }
}

/// Whether candidates stand in the order that the rule needs.
pub(super) fn is_sorted(candidates: &[Candidate]) -> bool {
    candidates.is_sorted_by(|a, b| a.optimistic >= b.optimistic)
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
            Ok::<_, Infallible>(candidate.optimistic - 0.0095)
        })
        .unwrap();
        assert_eq!(verified.best.iter().map(|best| best.1).collect::<Vec<_>>(), [0, 1, 2]);
        // The third best is 0.998 - 0.0095, and the bounds of the first twelve are above it.
        assert_eq!(verified.rows, 12);
    }

    #[test]
    fn no_candidates_or_no_places_is_no_results() {
        let verified = verify(&[], 3, |_| Ok::<_, Infallible>(0.0)).unwrap();
        assert_eq!(verified, Verified::default());
        let verified = verify(&candidates(&[1.0]), 0, |_| Ok::<_, Infallible>(0.0)).unwrap();
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
