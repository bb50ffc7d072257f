//! How sure a difference between two searches is.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::Serialize;

/// Resamplings.
const ROUNDS: usize = 10_000;

/// Where resampling begins: the same figures give the same interval.
const SEED: u64 = 0x626f_6f74;

/// A mean difference, and where it lies in 95 of 100 resamplings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The mean difference.
    pub mean: f64,
    /// 2.5 of 100 resamplings are below.
    pub low: f64,
    /// 2.5 of 100 resamplings are above.
    pub high: f64,
}

impl Interval {
    /// Returns the difference in points.
    #[must_use]
    pub fn in_points(self) -> String {
        let Self { mean, low, high } = self;
        format!("{:+.2} ({:+.2} to {:+.2})", 100.0 * mean, 100.0 * low, 100.0 * high)
    }
}

/// Returns the mean of `a - b` with its 95 % interval, by the paired bootstrap: queries are drawn
/// with replacement, each with both of its figures (Efron and Tibshirani, 1993; for retrieval Sakai,
/// 2006). `None` without queries.
///
/// # Panics
///
/// When there are not as many figures of one as of the other.
#[must_use]
pub fn mean_difference(a: &[f64], b: &[f64]) -> Option<Interval> {
    assert_eq!(a.len(), b.len(), "figures of different queries");
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let count = differences.len();
    if count == 0 {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut draw = || differences[(random.next_u64() % count as u64) as usize];
    let mut means: Vec<f64> =
        (0..ROUNDS).map(|_| (0..count).map(|_| draw()).sum::<f64>() / count as f64).collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((ROUNDS - 1) as f64 * share).round() as usize];
    let mean = differences.iter().sum::<f64>() / count as f64;
    Some(Interval { mean, low: at(0.025), high: at(0.975) })
}

/// Returns what `a` has more than `b` in the mean over queries and seeds, each of which has its figures in a
/// list of its own, and the 2.5th and 97.5th of a hundred such means over seeds and queries drawn anew,
/// the same queries for both. `None` without queries.
///
/// # Panics
///
/// When lists have different lengths.
#[must_use]
pub fn difference_over_seeds(a: &[Vec<f64>], b: &[Vec<f64>]) -> Option<Interval> {
    let count = a.first()?.len();
    assert!(a.iter().chain(b).all(|seed| seed.len() == count), "figures of different queries");
    if count == 0 || b.is_empty() {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut below = |limit: usize| (random.next_u64() % limit as u64) as usize;
    let drawn = |seeds: &[Vec<f64>], below: &mut dyn FnMut(usize) -> usize| -> Vec<usize> {
        (0..seeds.len()).map(|_| below(seeds.len())).collect()
    };
    let mean = |seeds: &[Vec<f64>], which: &[usize], query: usize| {
        which.iter().map(|&seed| seeds[seed][query]).sum::<f64>() / which.len() as f64
    };
    let mut means: Vec<f64> = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (of_a, of_b) = (drawn(a, &mut below), drawn(b, &mut below));
        let queries = (0..count).map(|_| below(count)).collect::<Vec<usize>>();
        let of = |query: &usize| mean(a, &of_a, *query) - mean(b, &of_b, *query);
        means.push(queries.iter().map(of).sum::<f64>() / count as f64);
    }
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((ROUNDS - 1) as f64 * share).round() as usize];
    let of_all =
        |seeds: &[Vec<f64>]| seeds.iter().flatten().sum::<f64>() / (seeds.len() * count) as f64;
    Some(Interval { mean: of_all(a) - of_all(b), low: at(0.025), high: at(0.975) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_normal_approximation_where_it_holds() {
        // Differences of +1 and -0.5 in equal parts: mean 0.25, deviation 0.75.
        let a: Vec<f64> = (0..400).map(|at| if at % 2 == 0 { 1.0 } else { 0.0 }).collect();
        let b: Vec<f64> = (0..400).map(|at| if at % 2 == 0 { 0.0 } else { 0.5 }).collect();
        let Interval { mean, low, high } = mean_difference(&a, &b).unwrap();
        let half = 1.96 * 0.75 / 400_f64.sqrt();
        assert!((mean - 0.25).abs() < 1e-12);
        assert!((low - (mean - half)).abs() < 0.006, "{low}");
        assert!((high - (mean + half)).abs() < 0.006, "{high}");
    }

    #[test]
    fn equal_searches_do_not_differ_and_nothing_has_no_interval() {
        let same = [0.25, 0.5, 1.0];
        let none = Interval { mean: 0.0, low: 0.0, high: 0.0 };
        assert_eq!(mean_difference(&same, &same), Some(none));
        assert_eq!(mean_difference(&[], &[]), None);
    }

    #[test]
    fn seeds_that_differ_widen_the_interval() {
        let even = |at: usize| if at.is_multiple_of(2) { 1.0 } else { 0.0 };
        let seed = |shift: f64| (0..400).map(|at| even(at) + shift).collect::<Vec<f64>>();
        let base = [seed(0.0)];
        let alike = difference_over_seeds(&[seed(0.2), seed(0.2)], &base).unwrap();
        assert!((alike.mean - 0.2).abs() < 1e-12 && alike.high - alike.low < 1e-9, "{alike:?}");
        let unlike = difference_over_seeds(&[seed(0.1), seed(0.3)], &base).unwrap();
        assert!((unlike.mean - 0.2).abs() < 1e-12, "{unlike:?}");
        assert!((unlike.low - 0.1).abs() < 1e-9 && (unlike.high - 0.3).abs() < 1e-9, "{unlike:?}");
        assert!(difference_over_seeds(&[], &base).is_none());
        let one = [seed(0.0).iter().map(|x| 1.0 - x).collect::<Vec<f64>>()];
        let (paired, plain) =
            (difference_over_seeds(&one, &base), mean_difference(&one[0], &base[0]));
        assert!((paired.unwrap().low - plain.unwrap().low).abs() < 0.02, "{paired:?} {plain:?}");
    }
}
