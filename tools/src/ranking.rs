//! How good a ranked list is, as trec_eval and BEIR measure it.
//!
//! For one query, with graded judgements `rel(d)` (unjudged documents count 0) and a list
//! `d_1 .. d_n`, best first:
//!
//! ```text
//! DCG@k    = Σ_{i ≤ k} rel(d_i) / log2(i + 1)
//! nDCG@k   = DCG@k / DCG@k of all judged documents, best first
//! Recall@k = relevant documents among d_1..d_k / all relevant documents
//! MRR@k    = 1 / rank of the first relevant document, 0 if it is beyond k
//! ```
//!
//! The gain is linear, as in trec_eval's `ndcg_cut`. A document is relevant when its judgement is
//! 1 or more. A query without a relevant document has no defined quality and is left out of means.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::AddAssign;

use serde::Serialize;

/// What is measured of a query with one right document.
pub const MEASURES: [&str; 3] = ["MRR", "R@1", "R@10"];

/// Returns the [`MEASURES`] of each rank, which counts from 0: one over it counted from 1, whether it is the
/// first, whether it is among the first ten.
#[must_use]
pub fn measured(ranks: &[u32]) -> [Vec<f64>; 3] {
    let reciprocal = ranks.iter().map(|&rank| 1.0 / (f64::from(rank) + 1.0)).collect();
    let below = |limit: u32| {
        ranks.iter().map(|&rank| f64::from(u8::from(rank < limit))).collect::<Vec<f64>>()
    };
    [reciprocal, below(1), below(10)]
}

/// What people said about the documents of one query: a grade by document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgements<D: Eq + Hash>(HashMap<D, u32>);

/// How good the ranked list of one query is, or the mean over queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quality {
    /// nDCG@10.
    pub ndcg_10: f64,
    /// Recall@10.
    pub recall_10: f64,
    /// Recall@100.
    pub recall_100: f64,
    /// MRR@10.
    pub mrr_10: f64,
}

impl<D: Eq + Hash> Default for Judgements<D> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<D: Eq + Hash> Judgements<D> {
    /// Records a judgement; a later one for the same document replaces the earlier.
    pub fn insert(&mut self, document: D, grade: u32) {
        self.0.insert(document, grade);
    }

    /// Whether any document is relevant.
    #[must_use]
    pub fn has_relevant(&self) -> bool {
        self.0.values().any(|&grade| grade > 0)
    }

    /// Measures a list, best first, each document once. `None` without a relevant document.
    #[must_use]
    pub fn quality<'a>(&self, list: impl IntoIterator<Item = &'a D>) -> Option<Quality>
    where
        D: 'a,
    {
        let grades: Vec<u32> = list.into_iter().map(|document| self.grade(document)).collect();
        let mut ideal: Vec<u32> = self.0.values().copied().collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        let relevant = ideal.iter().filter(|&&grade| grade > 0).count();
        (relevant > 0).then(|| Quality {
            ndcg_10: discounted_gain(&grades, 10) / discounted_gain(&ideal, 10),
            recall_10: found(&grades, 10) as f64 / relevant as f64,
            recall_100: found(&grades, 100) as f64 / relevant as f64,
            mrr_10: reciprocal_rank(&grades, 10),
        })
    }

    fn grade(&self, document: &D) -> u32 {
        self.0.get(document).copied().unwrap_or(0)
    }
}

impl Quality {
    /// Returns the mean; zeros without queries.
    #[must_use]
    pub fn mean(qualities: &[Self]) -> Self {
        let mut sum = Self::default();
        for &quality in qualities {
            sum += quality;
        }
        let count = qualities.len().max(1) as f64;
        Self {
            ndcg_10: sum.ndcg_10 / count,
            recall_10: sum.recall_10 / count,
            recall_100: sum.recall_100 / count,
            mrr_10: sum.mrr_10 / count,
        }
    }
}

impl AddAssign for Quality {
    fn add_assign(&mut self, other: Self) {
        self.ndcg_10 += other.ndcg_10;
        self.recall_10 += other.recall_10;
        self.recall_100 += other.recall_100;
        self.mrr_10 += other.mrr_10;
    }
}

fn discounted_gain(grades: &[u32], cut: usize) -> f64 {
    let gain = |(index, &grade): (usize, &u32)| f64::from(grade) / ((index + 2) as f64).log2();
    grades.iter().take(cut).enumerate().map(gain).sum()
}

fn found(grades: &[u32], cut: usize) -> usize {
    grades.iter().take(cut).filter(|&&grade| grade > 0).count()
}

fn reciprocal_rank(grades: &[u32], cut: usize) -> f64 {
    let first = grades.iter().take(cut).position(|&grade| grade > 0);
    first.map_or(0.0, |index| 1.0 / (index + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(grades: &[(&'static str, u32)]) -> Judgements<&'static str> {
        let mut judgements = Judgements::default();
        grades.iter().for_each(|&(document, grade)| judgements.insert(document, grade));
        judgements
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "expected {expected}, got {actual}");
    }

    #[test]
    fn graded_ndcg_matches_a_hand_computed_case() {
        // Ideal: 3/log2(2) + 2/log2(3) + 1/log2(4) = 3 + 1.26186 + 0.5 = 4.76186
        // List c, x, a, b: 1 + 0 + 3/2 + 2/log2(5) = 1 + 1.5 + 0.86135 = 3.36135
        let judgements = judged(&[("a", 3), ("b", 2), ("c", 1), ("d", 0)]);
        let quality = judgements.quality(&["c", "x", "a", "b"]).unwrap();
        let ideal = 3.0 + 2.0 / 3f64.log2() + 0.5;
        assert_close(quality.ndcg_10, (1.0 + 1.5 + 2.0 / 5f64.log2()) / ideal);
        assert!((quality.ndcg_10 - 0.705_89).abs() < 1e-5, "{}", quality.ndcg_10);
        assert_close(quality.recall_10, 1.0);
        assert_close(quality.mrr_10, 1.0);
    }

    #[test]
    fn ranks_are_measured_by_what_they_are_over_and_below() {
        let [reciprocal, first, ten] = measured(&[0, 9, 10, u32::MAX]);
        assert_eq!(reciprocal[..3], [1.0, 0.1, 1.0 / 11.0]);
        assert!(reciprocal[3] < 1e-9, "{reciprocal:?}");
        assert_eq!((first, ten), (vec![1.0, 0.0, 0.0, 0.0], vec![1.0, 1.0, 0.0, 0.0]));
    }

    #[test]
    fn a_perfect_list_scores_one_and_an_empty_one_zero() {
        let judgements = judged(&[("a", 2), ("b", 1)]);
        let perfect = judgements.quality(&["a", "b"]).unwrap();
        assert_eq!(perfect, Quality { ndcg_10: 1.0, recall_10: 1.0, recall_100: 1.0, mrr_10: 1.0 });
        assert_eq!(judgements.quality(&[]).unwrap(), Quality::default());
    }

    #[test]
    fn cuts_fall_after_the_tenth_and_the_hundredth() {
        let judgements = judged(&[("a", 1), ("b", 1)]);
        let list_with = |rank: usize| {
            let mut list = vec!["x"; 120];
            list[rank - 1] = "a";
            judgements.quality(&list).unwrap()
        };
        assert_close(list_with(10).mrr_10, 0.1);
        assert_close(list_with(10).recall_10, 0.5);
        let eleventh = list_with(11);
        assert_eq!((eleventh.ndcg_10, eleventh.recall_10, eleventh.mrr_10), (0.0, 0.0, 0.0));
        assert_close(eleventh.recall_100, 0.5);
        assert_close(list_with(100).recall_100, 0.5);
        assert_close(list_with(101).recall_100, 0.0);
    }

    #[test]
    fn the_ideal_list_is_cut_at_ten_too() {
        let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
        let mut judgements = Judgements::default();
        names.iter().for_each(|name| judgements.insert(name.clone(), 1));
        let quality = judgements.quality(&names[..10]).unwrap();
        assert_close(quality.ndcg_10, 1.0);
        assert_close(quality.recall_10, 0.5);
    }

    #[test]
    fn queries_without_a_relevant_document_have_no_quality() {
        assert_eq!(judged(&[("a", 0)]).quality(&["a"]), None);
        assert!(!judged(&[]).has_relevant());
        assert_eq!(Quality::mean(&[]), Quality::default());
    }

    #[test]
    fn means_weigh_queries_equally() {
        let one = Quality { ndcg_10: 1.0, recall_10: 0.5, recall_100: 1.0, mrr_10: 0.25 };
        let mean = Quality::mean(&[one, Quality::default()]);
        assert_eq!(mean, Quality { ndcg_10: 0.5, recall_10: 0.25, recall_100: 0.5, mrr_10: 0.125 });
    }
}
