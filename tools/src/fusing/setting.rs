//! What can be fitted.

use std::fmt;

use bigrain_engine::Fusion;
use serde::{Serialize, Serializer};

/// Steps of the weight between vectors alone and words alone.
const STEPS: usize = 20;

/// How results of vectors and words are fused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// The method.
    pub fusion: Fusion,
    /// What words weigh, from 0 to 1; vectors weigh the rest.
    pub text_weight: f32,
}

impl Setting {
    /// Returns all that are tried: those of one method follow each other, by their weights.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let rank = |constant| Fusion::ReciprocalRank { constant };
        let methods = [Fusion::MinMax, Fusion::Distribution, rank(10.0), rank(60.0)];
        let weights = |fusion| {
            (0..=STEPS).map(move |step| Self { fusion, text_weight: step as f32 / STEPS as f32 })
        };
        methods.into_iter().flat_map(weights).collect()
    }

    /// Returns what vectors weigh.
    #[must_use]
    pub fn vector_weight(&self) -> f32 {
        1.0 - self.text_weight
    }

    /// Returns the best setting by a figure for each of [`all`](Self::all). A setting is judged by its
    /// neighbours' figures too: what is good by chance has bad ones.
    #[must_use]
    pub(super) fn best(all: &[Self], figures: &[f64]) -> usize {
        let of_method = |at: usize, other: usize| all[at].fusion == all[other].fusion;
        let smooth = |at: usize| {
            let beside = [at.checked_sub(1), Some(at + 1).filter(|&next| next < all.len())];
            let beside = beside.into_iter().flatten().filter(|&other| of_method(at, other));
            let (mut sum, mut weight) = (2.0 * figures[at], 2.0);
            for other in beside {
                sum += figures[other];
                weight += 1.0;
            }
            sum / weight
        };
        let better = |a: &usize, b: &usize| smooth(*b).total_cmp(&smooth(*a));
        // Among equals the first: stable, so the same figures give the same setting.
        (0..all.len()).min_by(better).unwrap_or(0)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, text weight {:.2}", self.fusion, self.text_weight)
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plateau_beats_a_spike() {
        let all = Setting::all();
        let mut figures = vec![0.0; all.len()];
        figures[3] = 1.0;
        figures[10..13].fill(0.9);
        assert_eq!(Setting::best(&all, &figures), 11);
        // The neighbour of the last weight is not the first weight of the next method.
        let mut edges = vec![0.5; all.len()];
        (edges[STEPS], edges[STEPS + 1]) = (0.8, 0.0);
        assert_eq!(Setting::best(&all, &edges), STEPS);
    }

    #[test]
    fn each_search_alone_is_among_the_settings() {
        for fusion in [Fusion::MinMax, Fusion::Distribution, Fusion::default()] {
            for text_weight in [0.0, 1.0] {
                assert!(Setting::all().contains(&Setting { fusion, text_weight }));
            }
        }
    }
}
