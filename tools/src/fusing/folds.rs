//! Judging a fit by queries it has not seen.

use std::num::NonZeroUsize;

use anyhow::ensure;

use crate::shuffle::shuffle;

/// Where shuffling begins: the same queries are in the same folds every time.
const SEED: u64 = 0x666f_6c64;

/// Which part of the queries each query is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    of_query: Vec<usize>,
    count: usize,
}

impl Folds {
    /// Deals `queries` queries out to `count` folds, at random and evenly.
    ///
    /// # Errors
    ///
    /// When there are fewer than two folds, or fewer queries than folds.
    pub fn deal(queries: usize, count: NonZeroUsize) -> anyhow::Result<Self> {
        let count = count.get();
        ensure!(count >= 2, "expected at least 2 folds, got {count}");
        ensure!(queries >= count, "{queries} queries are too few for {count} folds");
        let mut of_query: Vec<usize> = (0..queries).map(|query| query % count).collect();
        shuffle(&mut of_query, SEED);
        Ok(Self { of_query, count })
    }

    /// Returns how many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Returns for each query the choice that was made by the queries of the other folds. `choose` is
/// given the queries to choose by.
pub fn cross_validated(folds: &Folds, mut choose: impl FnMut(&[usize]) -> usize) -> Vec<usize> {
    let mut chosen = vec![0; folds.of_query.len()];
    for fold in 0..folds.count {
        let is_in = |query: &usize| folds.of_query[*query] == fold;
        let (here, others): (Vec<usize>, Vec<usize>) = (0..chosen.len()).partition(is_in);
        let choice = choose(&others);
        here.into_iter().for_each(|query| chosen[query] = choice);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(queries: usize, count: usize) -> anyhow::Result<Folds> {
        Folds::deal(queries, NonZeroUsize::new(count).unwrap())
    }

    #[test]
    fn folds_are_even_and_the_same_every_time() {
        for (queries, count) in [(52, 5), (5, 5), (7, 2)] {
            let folds = deal(queries, count).unwrap();
            assert_eq!(folds, deal(queries, count).unwrap());
            for fold in 0..count {
                let size = folds.of_query.iter().filter(|&&other| other == fold).count();
                assert!(size == queries / count || size == queries.div_ceil(count));
            }
        }
        assert!(deal(3, 4).is_err() && deal(9, 1).is_err());
    }

    #[test]
    fn no_query_is_among_those_its_choice_is_made_by() {
        let folds = deal(23, 4).unwrap();
        let mut seen = Vec::new();
        let chosen = cross_validated(&folds, |others| {
            seen.push(others.to_vec());
            seen.len() - 1
        });
        for (query, choice) in chosen.into_iter().enumerate() {
            assert!(!seen[choice].contains(&query));
        }
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), 3 * 23);
    }
}
