//! How much codes weigh beside an adapter: the `lambda` of `dense + lambda code`.

use crate::ranking::{Shortlisted, ranks_among};

/// The weights that are tried.
const WEIGHTS: [f32; 14] = [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0, 5.0];

/// Returns the weight of codes with which right documents come first most, by nDCG over the whole
/// shortlist; of equals the smallest. `dense` has the adapted score of each shortlisted document.
///
/// # Panics
///
/// When `dense` has another shape than `shortlists`.
#[must_use]
pub fn fit_code_weight(shortlists: &[Vec<Shortlisted>], dense: &[Vec<f32>], right: &[u32]) -> f32 {
    let gain = |weight: f32| -> f64 {
        let score = |query: usize, place: usize| {
            dense[query][place] + weight * shortlists[query][place].code
        };
        let ranks = ranks_among(shortlists, right, score);
        let found = ranks.into_iter().filter(|&rank| rank != u32::MAX);
        found.map(|rank| 1.0 / (f64::from(rank) + 2.0).log2()).sum()
    };
    let mut best = (0.0, f64::MIN);
    for weight in WEIGHTS {
        let gain = gain(weight);
        if gain > best.1 {
            best = (weight, gain);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_weigh_what_brings_right_documents_first() {
        let list = |codes: [f32; 3]| {
            let one = |(document, code): (u32, f32)| Shortlisted { document, code };
            (0..).zip(codes).map(one).collect::<Vec<_>>()
        };
        // Dense scores alone put 1 first; codes alone 2; both together 0, from a weight of 0.5 on.
        let shortlists = vec![list([0.8, 0.2, 0.95])];
        let dense = vec![vec![0.6, 0.9, 0.1]];
        assert_eq!(fit_code_weight(&shortlists, &dense, &[0]), 0.6);
        assert_eq!(fit_code_weight(&shortlists, &dense, &[1]), 0.0);
        assert_eq!(fit_code_weight(&shortlists, &dense, &[2]), 5.0);
        // What no shortlist has does not count.
        assert_eq!(fit_code_weight(&shortlists, &dense, &[9]), 0.0);
    }
}
