//! How well a kind of codes ranks.

use serde::Serialize;

use crate::fusing::{Interval, difference_over_seeds};

/// Beyond this rank nDCG and MRR count nothing.
const DEPTH: u32 = 10;

/// Where right documents come, seed by seed.
#[derive(Debug)]
pub(super) struct Ranked {
    pub name: String,
    pub bits: usize,
    ranks: Vec<Vec<u32>>,
}

/// Means over queries and seeds; each query has one right document.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// `1 / log2(rank + 1)`, of ranks to 10.
    pub ndcg_10: f64,
    /// `1 / rank`, of ranks to 10.
    pub mrr_10: f64,
    /// The share of ranks to 1, to 10 and to 100.
    pub recall_1: f64,
    /// To 10.
    pub recall_10: f64,
    /// To 100.
    pub recall_100: f64,
}

impl Ranked {
    /// Takes ranks from 0, of the same queries for each seed.
    pub fn new(name: String, bits: usize, ranks: Vec<Vec<u32>>) -> Self {
        Self { name, bits, ranks }
    }

    /// Returns how many seeds there are.
    pub fn seeds(&self) -> usize {
        self.ranks.len()
    }

    /// Returns the figures of those queries for which `is_in` is true.
    pub fn figures(&self, is_in: &[bool]) -> Figures {
        let mean = |of: &dyn Fn(u32) -> f64| {
            let ranks = self.ranks.iter().flat_map(|ranks| ranks.iter().zip(is_in));
            let (sum, count) = ranks
                .filter(|(_, is_in)| **is_in)
                .fold((0.0, 0), |(sum, count), (&rank, _)| (sum + of(rank), count + 1));
            sum / f64::from(count.max(1))
        };
        let within = |limit: u32| move |rank: u32| f64::from(u8::from(rank < limit));
        Figures {
            ndcg_10: mean(&ndcg),
            mrr_10: mean(&|rank| if rank < DEPTH { 1.0 / f64::from(rank + 1) } else { 0.0 }),
            recall_1: mean(&within(1)),
            recall_10: mean(&within(10)),
            recall_100: mean(&within(100)),
        }
    }

    /// Returns the difference of nDCG@10, or of recall@10, to another kind.
    pub fn over(&self, other: &Self, measure: Measure) -> Option<Interval> {
        let of = |ranked: &Self| -> Vec<Vec<f64>> {
            let seed = |ranks: &Vec<u32>| ranks.iter().map(|&rank| measure.of(rank)).collect();
            ranked.ranks.iter().map(seed).collect()
        };
        difference_over_seeds(&of(self), &of(other))
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Measure {
    Ndcg,
    Recall,
}

impl Measure {
    fn of(self, rank: u32) -> f64 {
        match self {
            Self::Ndcg => ndcg(rank),
            Self::Recall => f64::from(u8::from(rank < DEPTH)),
        }
    }
}

fn ndcg(rank: u32) -> f64 {
    if rank < DEPTH { 1.0 / f64::from(rank + 2).log2() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_means_over_queries_of_a_slice_and_seeds() {
        let ranked = Ranked::new("a".to_owned(), 64, vec![vec![0, 9, 10], vec![1, 200, 0]]);
        let all = ranked.figures(&[true; 3]);
        let expected = (1.0 + 1.0 / 11_f64.log2() + 1.0 / 3_f64.log2() + 1.0) / 6.0;
        assert!((all.ndcg_10 - expected).abs() < 1e-12, "{all:?}");
        assert!((all.mrr_10 - (1.0 + 0.1 + 0.5 + 1.0) / 6.0).abs() < 1e-12, "{all:?}");
        let sixths = (all.recall_1, all.recall_10, all.recall_100);
        assert_eq!(sixths, (2.0 / 6.0, 4.0 / 6.0, 5.0 / 6.0));
        let slice = ranked.figures(&[false, true, false]);
        assert_eq!((slice.recall_10, slice.recall_100), (0.5, 0.5));
        let other = Ranked::new("b".to_owned(), 64, vec![vec![50, 50, 50]]);
        let over = ranked.over(&other, Measure::Recall).unwrap();
        assert!((over.mean - 4.0 / 6.0).abs() < 1e-12 && over.low < over.mean, "{over:?}");
        assert!((ranked.over(&other, Measure::Ndcg).unwrap().mean - all.ndcg_10).abs() < 1e-12);
    }
}
