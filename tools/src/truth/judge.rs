//! Decides which results are right.
//!
//! A result that the truth does not name may still be as near as its k-th neighbour. So every
//! similarity that matters, of true neighbours and of results they do not name, is computed from
//! the vectors themselves, in one pass over the base however many searches are judged: memory is
//! bounded by the results, not by the base.

use std::collections::HashSet;

use anyhow::bail;
use bigrain_engine::Metric;

use super::similarity::similarity;
use super::{Neighbors, Recall};
use crate::input::InputError;
use crate::matrix::Matrix;

/// Row numbers found by one search, nearest first.
pub type FoundRows = Vec<u32>;

/// Decides which results are right.
#[derive(Debug)]
pub struct Judge<'a> {
    truth: &'a Neighbors,
    limit: usize,
    /// Rows and the queries they are compared with, sorted.
    pairs: Vec<(u32, u32)>,
    /// The similarity of each pair.
    similarities: Vec<f64>,
}

impl<'a> Judge<'a> {
    /// Prepares to judge searches for `limit` neighbours; `passes` holds the results of every
    /// query, for every pass over the queries.
    ///
    /// # Errors
    ///
    /// When a row cannot be read, or a result is no row of the base.
    pub fn new(
        truth: &'a Neighbors,
        limit: usize,
        passes: &[&[FoundRows]],
        metric: Metric,
        queries: &Matrix,
        base: impl Iterator<Item = Result<Vec<f32>, InputError>>,
    ) -> anyhow::Result<Self> {
        let limit = limit.min(truth.width());
        let mut pairs = HashSet::new();
        for query in 0..truth.len() {
            let results = passes.iter().flat_map(|found| found[query].iter().take(limit));
            let rows = truth.of(query)[..limit].iter().chain(results);
            pairs.extend(rows.map(|&row| (row, query as u32)));
        }
        let mut pairs: Vec<(u32, u32)> = pairs.into_iter().collect();
        pairs.sort_unstable();
        let similarities = similarities(&pairs, metric, queries, base)?;
        Ok(Self { truth, limit, pairs, similarities })
    }

    /// Judges the results of one pass over the queries.
    #[must_use]
    pub fn recall(&self, found: &[FoundRows]) -> Recall {
        Recall::measure(self.limit, |depth| self.share(found, depth))
    }

    /// Returns the mean share of right ones among the first `depth` results.
    fn share(&self, found: &[FoundRows], depth: usize) -> f64 {
        let right = |(query, rows): (usize, &FoundRows)| {
            let truth = &self.truth.of(query)[..depth];
            let farthest = truth.iter().map(|&row| self.similarity(query, row));
            let farthest = farthest.fold(f64::INFINITY, f64::min);
            rows.iter().take(depth).filter(|&&row| self.similarity(query, row) >= farthest).count()
        };
        let right: usize = found.iter().enumerate().map(right).sum();
        right as f64 / (depth * found.len()).max(1) as f64
    }

    fn similarity(&self, query: usize, row: u32) -> f64 {
        match self.pairs.binary_search(&(row, query as u32)) {
            Ok(pair) => self.similarities[pair],
            // Only what was announced is judged.
            Err(_) => f64::NEG_INFINITY,
        }
    }
}

fn similarities(
    pairs: &[(u32, u32)],
    metric: Metric,
    queries: &Matrix,
    base: impl Iterator<Item = Result<Vec<f32>, InputError>>,
) -> anyhow::Result<Vec<f64>> {
    let mut similarities = Vec::with_capacity(pairs.len());
    for (number, row) in base.enumerate() {
        let row = row?;
        while let Some(&(_, query)) =
            pairs.get(similarities.len()).filter(|pair| pair.0 as usize == number)
        {
            similarities.push(similarity(metric, queries.row(query as usize), &row));
        }
        if similarities.len() == pairs.len() {
            break;
        }
    }
    match pairs.get(similarities.len()) {
        Some((row, _)) => bail!("row {row} was found, and is not in the base"),
        None => Ok(similarities),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge<'a>(truth: &'a Neighbors, passes: &[&[FoundRows]]) -> anyhow::Result<Judge<'a>> {
        let mut queries = Matrix::empty(1);
        queries.push(&[0.0]);
        queries.push(&[10.0]);
        let base = [1.0, 2.0, 2.0, 9.0, 10.0, 11.0].map(|value: f32| Ok(vec![value]));
        Judge::new(truth, 2, passes, Metric::L2, &queries, base.into_iter())
    }

    fn truth() -> Neighbors {
        let mut truth = Neighbors::empty(2);
        truth.push(&[0, 1]);
        truth.push(&[4, 3]);
        truth
    }

    #[test]
    fn what_is_as_near_as_the_last_neighbour_is_right() {
        let truth = truth();
        // Row 2 equals row 1; row 5 is as far from the second query as row 3.
        let found = [vec![0, 2], vec![4, 5]];
        let recall = judge(&truth, &[&found]).unwrap().recall(&found);
        assert_eq!((recall.at_limit, recall.at_1), (1.0, Some(1.0)));
    }

    #[test]
    fn wrong_missing_and_misplaced_results_cost() {
        let truth = truth();
        let found = [vec![1, 0], vec![0]];
        let other = [vec![0, 3], vec![4, 3]];
        let judge = judge(&truth, &[&found, &other]).unwrap();
        let recall = judge.recall(&found);
        assert_eq!((recall.at_limit, recall.at_1), (0.5, Some(0.0)));
        assert_eq!(judge.recall(&other).at_limit, 0.75);
    }

    #[test]
    fn a_result_that_is_no_row_is_an_error() {
        let truth = truth();
        let error = judge(&truth, &[&[vec![77], vec![]]]).unwrap_err().to_string();
        assert_eq!(error, "row 77 was found, and is not in the base");
    }
}
