//! The champion gate: learned codes beside those of the rotation, at equal bits, on what was not
//! learned from.

use std::sync::Arc;

use bigrain_binarize::{Binarizer, Champion, QueryWidth, Recurrent};
use bigrain_engine::Metric;
use bigrain_kernels::{TopK, dot};
use bigrain_train::{DocumentCodes, TrainError};
use rayon::prelude::*;

use crate::fusing::mean_difference;
use crate::matrix::Matrix;

/// Queries of the neighbour recall.
const NEIGHBOUR_QUERIES: usize = 500;

/// What a choice is made by.
#[derive(Clone, Copy, Debug)]
pub struct HeldOut<'a> {
    /// All documents.
    pub documents: &'a Matrix,
    /// Queries that were not learned from; none where there are no pairs, and then the neighbours of
    /// documents are what should be found.
    pub queries: &'a Matrix,
    /// The right document of each.
    pub right: &'a [u32],
    /// Results of each.
    pub limit: usize,
}

/// Returns the binarizer with what the gate measured.
///
/// # Errors
///
/// [`TrainError`] for a query that cannot be one.
pub fn judge(recurrent: Recurrent, held_out: &HeldOut<'_>) -> Result<Recurrent, TrainError> {
    let rotation = rotation_of(&recurrent)?;
    let mut parts = recurrent.parts().clone();
    let learned = Binarizer::new_recurrent(Arc::new(recurrent));
    let before = held_out.recalls(&rotation, &rotation)?;
    let after = held_out.recalls(&learned, &learned)?;
    parts.provenance.champion = champion(&before, &after, held_out.limit);
    Ok(Recurrent::new(parts)?)
}

/// Returns how recalls of the same queries compare, before and after something was learned.
pub(super) fn champion(before: &[f64], after: &[f64], limit: usize) -> Champion {
    let difference = mean_difference(after, before);
    Champion {
        queries: before.len() as u32,
        limit: limit as u32,
        rotation: mean(before) as f32,
        learned: mean(after) as f32,
        low: difference.map_or(0.0, |interval| interval.low as f32),
        high: difference.map_or(0.0, |interval| interval.high as f32),
    }
}

/// What an earlier version's codes give to its own queries, and to those of a compatible one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compatibility {
    /// Recall of the old version's queries.
    pub before: f64,
    /// Recall of the new version's queries.
    pub crossed: f64,
}

impl Compatibility {
    /// Whether nothing is lost by asking old codes with new queries.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.crossed >= self.before
    }
}

/// Returns what the codes of `parent` give to queries of both versions.
///
/// # Errors
///
/// [`TrainError::Query`] for a query that cannot be one.
pub fn compare_with_parent(
    recurrent: &Recurrent,
    parent: &Recurrent,
    held_out: &HeldOut<'_>,
) -> Result<Compatibility, TrainError> {
    compare_across(recurrent, parent, held_out, held_out)
}

/// As [`compare_with_parent`], where the parent is of another encoder, which makes `former` of what the later one makes
/// `held_out` of.
///
/// # Errors
///
/// [`TrainError::Query`] for a query that cannot be one.
pub fn compare_across(
    recurrent: &Recurrent,
    parent: &Recurrent,
    held_out: &HeldOut<'_>,
    former: &HeldOut<'_>,
) -> Result<Compatibility, TrainError> {
    let [new, old] =
        [recurrent, parent].map(|each| Binarizer::new_recurrent(Arc::new(each.clone())));
    let before = mean(&former.recalls(&old, &old)?);
    let crossed = HeldOut { documents: former.documents, ..*held_out };
    Ok(Compatibility { before, crossed: mean(&crossed.recalls(&new, &old)?) })
}

fn mean(recalls: &[f64]) -> f64 {
    recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
}

/// Returns the rotation of as many bits: of the same seed and levels. Where the code is shorter than the
/// rotation's, that of as many dimensions, of the vectors it begins with.
///
/// # Errors
///
/// [`TrainError`] for a shape that no rotation has.
pub fn rotation_of(recurrent: &Recurrent) -> Result<Binarizer, TrainError> {
    let (parts, layout) = (recurrent.parts(), recurrent.layout());
    let rotation =
        Binarizer::new_rotation(parts.dims, layout.levels(), Metric::Cosine, parts.seed)?;
    if rotation.layout().dims() == layout.dims() {
        return Ok(rotation);
    }
    // A shorter code of nothing learned: the rotation's first dimensions.
    let mut untrained = parts.clone();
    untrained.first = Default::default();
    untrained.loops.iter_mut().for_each(|each| *each = Default::default());
    Ok(Binarizer::new_recurrent(Arc::new(Recurrent::new(untrained)?)))
}

/// Returns 1 for each rank below `limit`, else 0.
#[must_use]
pub fn hits_at(ranks: &[u32], limit: usize) -> Vec<f64> {
    ranks.iter().map(|&rank| if (rank as usize) < limit { 1.0 } else { 0.0 }).collect()
}

impl HeldOut<'_> {
    /// Returns the recall of each query of one binarizer, by the codes of another one alone.
    fn recalls(&self, asking: &Binarizer, coding: &Binarizer) -> Result<Vec<f64>, TrainError> {
        let codes = DocumentCodes::new(coding, self.documents.values()).asked_by(asking);
        if !self.queries.is_empty() {
            let ranks = codes.ranks(self.queries.values(), self.right, QueryWidth::DEFAULT)?;
            return Ok(hits_at(&ranks, self.limit));
        }
        let step = (self.documents.len() / NEIGHBOUR_QUERIES).max(1);
        let chosen: Vec<u32> = (0..self.documents.len() as u32).step_by(step).collect();
        let queries: Vec<f32> =
            chosen.iter().flat_map(|&at| self.documents.row(at as usize)).copied().collect();
        let found = codes.nearest(&queries, &chosen, self.limit)?;
        let recall = |(&query, found): (&u32, Vec<u32>)| {
            let nearest = self.neighbours(query);
            let both = nearest.iter().filter(|near| found.contains(near)).count();
            both as f64 / nearest.len().max(1) as f64
        };
        Ok(chosen.par_iter().zip(found).map(recall).collect())
    }

    /// Returns the documents nearest to one of them.
    fn neighbours(&self, query: u32) -> Vec<u32> {
        let vector = self.documents.row(query as usize);
        let mut nearest = TopK::new(self.limit);
        for (row, other) in self.documents.rows().enumerate() {
            if row != query as usize {
                nearest.push(dot(vector, other), row as u32);
            }
        }
        nearest.into_sorted().into_iter().map(|scored| scored.offset).collect()
    }
}

#[cfg(test)]
mod tests {
    use bigrain_binarize::{Provenance, RecurrentLoop, RecurrentParts, Scoring};
    use bigrain_engine::Levels;

    use super::*;

    #[test]
    fn what_learned_nothing_does_not_beat_the_rotation() {
        let mut documents = Matrix::empty(64);
        let mut state = 1_u32;
        for _ in 0..300 {
            let row: Vec<f32> = (0..64)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 8) as f32 / (1 << 23) as f32 - 1.0
                })
                .collect();
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            documents.push(&row.iter().map(|x| x / norm).collect::<Vec<f32>>());
        }
        let parts = RecurrentParts {
            dims: 64,
            code_dims: 64,
            levels: Levels::TWO,
            seed: 1,
            first: Default::default(),
            loops: vec![RecurrentLoop::default()],
            scoring: Scoring::default(),
            provenance: Provenance::default(),
        };
        let none = Matrix::empty(64);
        let held_out = HeldOut { documents: &documents, queries: &none, right: &[], limit: 10 };
        let judged = judge(Recurrent::new(parts).unwrap(), &held_out).unwrap();
        let champion = judged.parts().provenance.champion;
        assert!(!champion.won(), "{champion:?}");
        assert!(champion.queries == 300 && champion.rotation > 0.5, "{champion:?}");
        assert!((champion.learned - champion.rotation).abs() < 0.06, "{champion:?}");
    }
}
