//! Results that are near the query without being all alike: maximal marginal relevance (Carbonell and
//! Goldstein, 1998).
//!
//! Results are taken one at a time. Each time the one with the greatest
//! `(1 - diversity) · relevance - diversity · max over those taken of similarity` is taken.

/// Returns the places of `limit` candidates in the order in which they are taken; among equals the
/// earlier one.
///
/// `relevance` and what `similarity` returns for two places are on one scale, larger is nearer.
/// `diversity` lies between 0, which keeps the order of relevance, and 1, which minds only how unlike
/// the results are (the first is the most relevant even then). Similarities are asked for once a pair at
/// most: `limit` times the candidates.
#[must_use]
pub fn diversify(
    relevance: &[f32],
    similarity: impl Fn(usize, usize) -> f32,
    diversity: f32,
    limit: usize,
) -> Vec<usize> {
    let mut left: Vec<usize> = (0..relevance.len()).collect();
    let mut nearest_taken = vec![f32::NEG_INFINITY; relevance.len()];
    let mut taken = Vec::with_capacity(limit.min(relevance.len()));
    while taken.len() < limit && !left.is_empty() {
        let value = |&place: &usize| {
            if taken.is_empty() {
                return relevance[place];
            }
            (1.0 - diversity) * relevance[place] - diversity * nearest_taken[place]
        };
        let mut best = 0;
        for at in 1..left.len() {
            if value(&left[at]) > value(&left[best]) {
                best = at;
            }
        }
        let place = left.remove(best);
        taken.push(place);
        for &other in &left {
            nearest_taken[other] = nearest_taken[other].max(similarity(place, other));
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn closeness(places: &[f32]) -> impl Fn(usize, usize) -> f32 + '_ {
        |a, b| 1.0 - (places[a] - places[b]).abs()
    }

    #[test]
    fn twins_make_room_for_others() {
        let (places, relevance) = ([0.0, 0.01, 0.5, 0.9], [1.0, 0.99, 0.6, 0.1]);
        assert_eq!(diversify(&relevance, closeness(&places), 0.0, 3), [0, 1, 2]);
        assert_eq!(diversify(&relevance, closeness(&places), 0.5, 3), [0, 2, 1]);
        assert_eq!(diversify(&relevance, closeness(&places), 1.0, 2), [0, 3]);
    }

    proptest! {
        #[test]
        fn every_result_is_taken_once_and_the_best_first(
            places in prop::collection::vec(0.0_f32..1.0, 0..20),
            diversity in 0.0_f32..=1.0,
            limit in 0_usize..25,
        ) {
            let relevance: Vec<f32> = places.iter().map(|place| 1.0 - place).collect();
            let taken = diversify(&relevance, closeness(&places), diversity, limit);
            prop_assert_eq!(taken.len(), limit.min(places.len()));
            let mut once = taken.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), taken.len());
            if let Some(&first) = taken.first() {
                prop_assert!(relevance.iter().all(|&other| relevance[first] >= other));
            }
        }
    }
}
