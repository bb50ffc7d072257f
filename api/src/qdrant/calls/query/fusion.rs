//! Fusing the lists of prefetches.

use std::collections::HashMap;

use bigrain_engine::PointId;
use qdrant_client::qdrant as q;
use tonic::Status;

use super::Ranked;
use crate::qdrant::error::wrong;

/// What Qdrant adds to ranks from 0 on.
const RANK_CONSTANT: u32 = 2;
/// Standard deviations to either side of a list's mean that span 0 to 1.
const DEVIATIONS: f64 = 3.0;

/// Fuses lists by name.
pub(super) fn fuse(fusion: i32, lists: &[Ranked], limit: usize) -> Result<Ranked, Status> {
    match q::Fusion::try_from(fusion).map_err(wrong)? {
        q::Fusion::Rrf => reciprocal_ranks(&q::Rrf::default(), lists, limit),
        q::Fusion::Dbsf => Ok(distributions(lists, limit)),
    }
}

/// Fuses by scores on a common scale: three standard deviations below a list's mean are 0 and three above it are 1.
/// Unlike the engine's own, scores beyond them are not cut off, so that an outlier stays one.
fn distributions(lists: &[Ranked], limit: usize) -> Ranked {
    let mut sums = Sums::default();
    for list in lists {
        let count = list.len() as f64;
        let mean = list.iter().map(|(_, score)| f64::from(*score)).sum::<f64>() / count;
        let squares = list.iter().map(|(_, score)| (f64::from(*score) - mean).powi(2)).sum::<f64>();
        let span = DEVIATIONS * (squares / (count - 1.0)).sqrt();
        for (id, score) in list {
            // Of one score, and of scores that are all equal, there is no deviation.
            let scaled = if span > 0.0 { (f64::from(*score) - mean) / span } else { 0.0 };
            sums.add(id, 0.5 + 0.5 * scaled);
        }
    }
    sums.into_ranked(limit)
}

/// What the lists give each point, together.
#[derive(Default)]
struct Sums<'a>(HashMap<&'a PointId, f64>);

impl<'a> Sums<'a> {
    fn add(&mut self, id: &'a PointId, part: f64) {
        *self.0.entry(id).or_default() += part;
    }

    /// Returns the points with the greatest sums; among equals those of smaller ids are first.
    fn into_ranked(self, limit: usize) -> Ranked {
        let each = self.0.into_iter().map(|(id, sum)| (id.clone(), sum as f32));
        let mut fused: Ranked = each.collect();
        fused.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        fused.truncate(limit);
        fused
    }
}

/// Fuses by ranks, as Qdrant weighs them: a list of weight `w` gives the point of rank `r`, from 0 on,
/// `1 / ((r + 1) / w + k - 1)`. So a weight moves ranks together, and does not scale what comes of them.
pub(super) fn reciprocal_ranks(
    rrf: &q::Rrf,
    lists: &[Ranked],
    limit: usize,
) -> Result<Ranked, Status> {
    let constant = rrf.k.unwrap_or(RANK_CONSTANT);
    if constant == 0 {
        return Err(wrong("rrf.k value 0 is invalid: must be 1 or larger"));
    }
    let weights = &rrf.weights;
    if !weights.is_empty() && weights.len() != lists.len() {
        return Err(wrong(format!(
            "rrf.weights has {} weights: expected one for each of {} prefetches",
            weights.len(),
            lists.len()
        )));
    }
    let mut sums = Sums::default();
    for (at, list) in lists.iter().enumerate() {
        let weight = f64::from(weights.get(at).copied().unwrap_or(1.0));
        if weight.is_nan() {
            return Err(wrong(format!("rrf.weights: weight {at} is not a number")));
        }
        for (rank, (id, _)) in list.iter().enumerate() {
            let part = if weight > 0.0 {
                1.0 / ((rank as f64 + 1.0) / weight + f64::from(constant) - 1.0)
            } else {
                0.0
            };
            sums.add(id, part);
        }
    }
    Ok(sums.into_ranked(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ids: &[u64]) -> Ranked {
        ids.iter().map(|&id| (id.into(), 0.0)).collect()
    }

    #[test]
    fn ranks_are_weighed_as_qdrant_weighs_them() {
        let lists = [list(&[1, 2]), list(&[2, 3])];
        let plain = reciprocal_ranks(&q::Rrf::default(), &lists, 9).unwrap();
        assert_eq!(plain[0], (2.into(), (1.0 / 3.0 + 1.0 / 2.0) as f32));
        assert_eq!(plain[1], (1.into(), 0.5));
        let rrf = q::Rrf { k: Some(3), weights: vec![2.0, 0.0] };
        let weighed = reciprocal_ranks(&rrf, &lists, 9).unwrap();
        assert_eq!(weighed[0], (1.into(), (1.0 / (0.5 + 2.0)) as f32));
        assert_eq!(weighed[2], (3.into(), 0.0));
    }

    #[test]
    fn an_outlier_stays_above_what_others_get() {
        let mut outlier: Ranked = (1..=100_u64).map(|id| (id.into(), 0.0)).collect();
        outlier.push((101.into(), 1.0));
        let other: Ranked = vec![(1.into(), 7.0)];
        let fused = distributions(&[outlier, other], 2);
        assert_eq!(fused[0].0, 101.into());
        assert!(fused[0].1 > 2.0, "{fused:?}");
        assert_eq!(fused[1].0, 1.into());
        assert_eq!(distributions(&[vec![(1.into(), 3.0), (2.into(), 3.0)]], 1), [(1.into(), 0.5)]);
    }

    #[test]
    fn weights_that_do_not_fit_are_refused() {
        let rrf = q::Rrf { k: None, weights: vec![1.0] };
        let error = reciprocal_ranks(&rrf, &[list(&[1]), list(&[2])], 1).unwrap_err();
        assert!(error.message().contains("each of 2 prefetches"), "{error:?}");
        assert!(reciprocal_ranks(&q::Rrf { k: Some(0), weights: vec![] }, &[], 1).is_err());
    }
}
