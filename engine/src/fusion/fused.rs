//! Fusing ranked lists.

use std::collections::HashMap;

use bigrain_types::PointId;

use super::method::{Fusion, FusionError};
use super::scale;

/// Points in the order of one search, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedList {
    /// Ids with scores, larger scores better, falling.
    pub points: Vec<(PointId, f32)>,
    /// How much the list counts; 1 is usual, 0 means not at all.
    pub weight: f32,
}

/// Returns the `limit` best points of all lists together, best first, with their fused scores; among
/// equals the smaller id first. A list of weight 0 adds neither scores nor points.
///
/// # Errors
///
/// [`FusionError`] for a parameter or weight out of range.
///
/// ```
/// use bigrain_engine::{Fusion, RankedList, fuse};
///
/// let near = RankedList { points: vec![(1.into(), 0.9), (2.into(), 0.8)], weight: 1.0 };
/// let named = RankedList { points: vec![(2.into(), 14.2), (3.into(), 3.1)], weight: 1.0 };
/// let fused = fuse(Fusion::default(), &[near, named], 10).unwrap();
/// let ids: Vec<String> = fused.iter().map(|(id, _)| id.to_string()).collect();
/// assert_eq!(ids, ["2", "1", "3"]);
/// ```
pub fn fuse(
    fusion: Fusion,
    lists: &[RankedList],
    limit: usize,
) -> Result<Vec<(PointId, f32)>, FusionError> {
    fusion.check()?;
    let mut sums: HashMap<&PointId, f32> = HashMap::new();
    for (at, list) in lists.iter().enumerate() {
        if !(list.weight >= 0.0 && list.weight.is_finite()) {
            return Err(FusionError::Weight { list: at, weight: list.weight });
        }
        if list.weight == 0.0 {
            continue;
        }
        for ((id, _), part) in list.points.iter().zip(contributions(fusion, list)) {
            *sums.entry(id).or_default() += list.weight * part;
        }
    }
    let mut fused: Vec<(PointId, f32)> =
        sums.into_iter().map(|(id, score)| (id.clone(), score)).collect();
    fused.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    fused.truncate(limit);
    Ok(fused)
}

/// Returns what each point of a list gets from it, before the weight.
fn contributions(fusion: Fusion, list: &RankedList) -> Vec<f32> {
    let scores = || list.points.iter().map(|&(_, score)| score).collect::<Vec<f32>>();
    match fusion {
        Fusion::ReciprocalRank { constant } => {
            (0..list.points.len()).map(|rank| 1.0 / (constant + rank as f32 + 1.0)).collect()
        }
        Fusion::MinMax => scale::by_range(&scores()),
        Fusion::Distribution => scale::by_distribution(&scores()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(points: &[(u64, f32)], weight: f32) -> RankedList {
        let points = points.iter().map(|&(id, score)| (id.into(), score)).collect();
        RankedList { points, weight }
    }

    fn ids(fused: &[(PointId, f32)]) -> Vec<String> {
        fused.iter().map(|(id, _)| id.to_string()).collect()
    }

    #[test]
    fn reciprocal_ranks_ignore_scores() {
        let fusion = Fusion::ReciprocalRank { constant: 1.0 };
        let lists = [list(&[(1, 1e9), (2, 0.0)], 1.0), list(&[(2, 0.2), (3, 0.1)], 2.0)];
        let fused = fuse(fusion, &lists, 9).unwrap();
        assert_eq!(ids(&fused), ["2", "3", "1"]);
        let expected = [1.0 / 3.0 + 2.0 / 2.0, 2.0 / 3.0, 0.5];
        for ((_, score), expected) in fused.iter().zip(expected) {
            assert!((score - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn sums_weigh_what_lists_say() {
        let lists = [list(&[(1, 0.9), (2, 0.5), (3, 0.1)], 1.0), list(&[(3, 7.0), (4, 1.0)], 0.6)];
        let fused = fuse(Fusion::MinMax, &lists, 3).unwrap();
        assert_eq!(ids(&fused), ["1", "3", "2"]);
        let doubled =
            [list(&[(1, 0.9), (2, 0.5), (3, 0.1)], 1.0), list(&[(3, 7.0), (4, 1.0)], 2.0)];
        assert_eq!(ids(&fuse(Fusion::MinMax, &doubled, 1).unwrap()), ["3"]);
    }

    #[test]
    fn weights_are_checked() {
        for weight in [-1.0, f32::NAN, f32::INFINITY] {
            let lists = [list(&[], 1.0), list(&[(1, 1.0)], weight)];
            let error = fuse(Fusion::MinMax, &lists, 1).unwrap_err();
            assert!(error.to_string().starts_with("weight of list 1 must be"), "{error}");
        }
    }

    fn ranked() -> impl Strategy<Value = RankedList> {
        (prop::collection::btree_map(0_u64..30, -5.0_f32..5.0, 0..15), 0_u8..3).prop_map(
            |(points, weight)| {
                let mut points: Vec<(PointId, f32)> =
                    points.into_iter().map(|(id, score)| (id.into(), score)).collect();
                points.sort_by(|a, b| b.1.total_cmp(&a.1));
                RankedList { points, weight: f32::from(weight) }
            },
        )
    }

    proptest! {
        #[test]
        fn one_list_keeps_its_order(list in ranked(), limit in 0_usize..20) {
            for fusion in [Fusion::default(), Fusion::MinMax] {
                let fused = fuse(fusion, std::slice::from_ref(&list), limit).unwrap();
                if list.weight == 0.0 {
                    prop_assert!(fused.is_empty());
                    continue;
                }
                prop_assert_eq!(fused.len(), limit.min(list.points.len()));
                let score = |id: &PointId| list.points.iter().find(|point| point.0 == *id).unwrap().1;
                prop_assert!(fused.iter().map(|(id, _)| score(id)).is_sorted_by(|a, b| a >= b));
            }
        }

        #[test]
        fn the_order_of_lists_does_not_matter(a in ranked(), b in ranked()) {
            for fusion in [Fusion::default(), Fusion::MinMax, Fusion::Distribution] {
                let one = fuse(fusion, &[a.clone(), b.clone()], 50).unwrap();
                let other = fuse(fusion, &[b.clone(), a.clone()], 50).unwrap();
                prop_assert_eq!(one, other);
            }
        }
    }
}
