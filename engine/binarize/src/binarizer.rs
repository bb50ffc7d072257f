//! The model from embedding to code, and its code space.

use std::sync::Arc;

use bigrain_types::{CodeSpaceId, Levels, Metric};
use thiserror::Error;

use crate::layout::{CodeLayout, CodeLayoutError};
use crate::recurrent::Recurrent;
use crate::rotation::{Rotation, RotationError};
use crate::scale::ScaleSearch;

/// With fewer code dimensions than this, centroids get a second level.
const FEW_DIMS: usize = 256;

/// Encodes embeddings of one dimension under one metric. Immutable and shared between threads.
#[derive(Clone, Debug)]
pub struct Binarizer {
    model: Model,
    layout: CodeLayout,
    metric: Metric,
    seed: u64,
    scale_search: ScaleSearch,
    id: CodeSpaceId,
}

/// What the coordinates that become bits are made with.
#[derive(Clone, Debug)]
pub(crate) enum Model {
    Rotation(Rotation),
    Recurrent(Arc<Recurrent>),
}

/// Parameters that give no binarizer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BinarizerError {
    /// Dimensions that no code has.
    #[error(transparent)]
    Layout(#[from] CodeLayoutError),
    /// Parameters that no rotation has.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// A metric that has no estimator.
    #[error("metric {0} has no codes")]
    Metric(Metric),
}

impl Binarizer {
    /// Returns the binarizer that needs no training: a random rotation, then the nearest odd
    /// integers.
    ///
    /// # Errors
    ///
    /// [`BinarizerError`] for dimensions out of range or a metric without an estimator.
    pub fn new_rotation(
        dims: usize,
        levels: Levels,
        metric: Metric,
        seed: u64,
    ) -> Result<Self, BinarizerError> {
        Self::from_rotation(Rotation::new(dims, seed)?, levels, metric, seed)
    }

    /// Returns a binarizer that was learned, for cosine. Its codes are about the origin, whatever the centre.
    #[must_use]
    pub fn new_recurrent(recurrent: Arc<Recurrent>) -> Self {
        let (layout, id, seed) = (*recurrent.layout(), recurrent.id(), recurrent.parts().seed);
        let scale_search = ScaleSearch::default();
        let model = Model::Recurrent(recurrent);
        Self { model, layout, metric: Metric::Cosine, seed, scale_search, id }
    }

    pub(crate) fn from_rotation(
        rotation: Rotation,
        levels: Levels,
        metric: Metric,
        seed: u64,
    ) -> Result<Self, BinarizerError> {
        let layout = CodeLayout::for_embedding(rotation.dims(), levels)?;
        let scale_search = ScaleSearch::default();
        let id = code_space_id(&rotation, levels, metric_code(metric)?, seed);
        Ok(Self { model: Model::Rotation(rotation), layout, metric, seed, scale_search, id })
    }

    /// Looks for each vector's scale in another way. The code space stays the same: codes of
    /// different searches may be compared.
    #[must_use]
    pub fn with_scale_search(mut self, scale_search: ScaleSearch) -> Self {
        self.scale_search = scale_search;
        self
    }

    /// Returns a binarizer with the same rotation, for codes of centroids that are compared by
    /// `metric`: of one level, or two where dimensions are so few that signs tell little. That of a
    /// learned binarizer is a rotation too, of as many dimensions as its codes have.
    ///
    /// # Errors
    ///
    /// [`BinarizerError::Metric`] for a metric without an estimator.
    pub fn for_centroids(&self, metric: Metric) -> Result<Self, BinarizerError> {
        let few = self.layout.dims() < FEW_DIMS;
        let levels = if few { Levels::TWO } else { Levels::ONE };
        let rotation = match &self.model {
            Model::Rotation(rotation) => rotation.clone(),
            Model::Recurrent(_) => Rotation::new(self.layout.dims(), self.seed)?,
        };
        Self::from_rotation(rotation, levels, metric, self.seed)
    }

    /// Returns the dimensions of the embeddings.
    #[must_use]
    pub fn dims(&self) -> usize {
        match &self.model {
            Model::Rotation(rotation) => rotation.dims(),
            Model::Recurrent(recurrent) => recurrent.dims(),
        }
    }

    /// Returns the shape of the codes.
    #[must_use]
    pub fn layout(&self) -> &CodeLayout {
        &self.layout
    }

    /// Returns what "near" means.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Returns the seed the model was made from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns how scales are looked for.
    #[must_use]
    pub fn scale_search(&self) -> ScaleSearch {
        self.scale_search
    }

    /// Returns the code space: a hash of everything that decides what a code means (kind, dims,
    /// levels, metric, seed and signs). Only codes of one space may be compared.
    #[must_use]
    pub fn id(&self) -> CodeSpaceId {
        self.id
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Returns the rotation, where that is all that makes coordinates of embeddings.
    #[must_use]
    pub fn rotation(&self) -> Option<&Rotation> {
        match &self.model {
            Model::Rotation(rotation) => Some(rotation),
            Model::Recurrent(_) => None,
        }
    }

    /// Returns what was learned, if anything was.
    #[must_use]
    pub fn recurrent(&self) -> Option<&Arc<Recurrent>> {
        match &self.model {
            Model::Rotation(_) => None,
            Model::Recurrent(recurrent) => Some(recurrent),
        }
    }

    /// Rotates `vector` (`dims`) into the coordinates that become bits (the code's dimensions). Those of a
    /// learned binarizer have length one.
    ///
    /// # Panics
    ///
    /// When a slice has the wrong length.
    pub fn rotate(&self, vector: &[f32], rotated: &mut [f32]) {
        match &self.model {
            Model::Rotation(rotation) => rotation.rotate(vector, rotated),
            Model::Recurrent(recurrent) => recurrent.project(vector, rotated),
        }
    }
}

/// The byte that stands for a rotation in hashes and files.
pub(crate) const KIND_ROTATION: u8 = 1;

/// Returns the byte that stands for a metric in hashes and files.
pub(crate) fn metric_code(metric: Metric) -> Result<u8, BinarizerError> {
    match metric {
        Metric::Cosine => Ok(1),
        Metric::Dot => Ok(2),
        Metric::L2 => Ok(3),
        other => Err(BinarizerError::Metric(other)),
    }
}

fn code_space_id(rotation: &Rotation, levels: Levels, metric: u8, seed: u64) -> CodeSpaceId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"bigrain code space 1");
    hasher.update(&[KIND_ROTATION, levels.get(), metric]);
    hasher.update(&(rotation.dims() as u64).to_le_bytes());
    hasher.update(&seed.to_le_bytes());
    for word in rotation.signs() {
        hasher.update(&word.to_le_bytes());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    CodeSpaceId::from_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_depends_on_every_parameter_that_decides_a_code() {
        let id = |dims, levels, metric, seed| {
            Binarizer::new_rotation(dims, levels, metric, seed).unwrap().id()
        };
        let base = id(100, Levels::ONE, Metric::Dot, 1);
        assert_eq!(base, id(100, Levels::ONE, Metric::Dot, 1));
        assert_ne!(base, id(101, Levels::ONE, Metric::Dot, 1));
        assert_ne!(base, id(100, Levels::TWO, Metric::Dot, 1));
        assert_ne!(base, id(100, Levels::ONE, Metric::L2, 1));
        assert_ne!(base, id(100, Levels::ONE, Metric::Dot, 2));
    }

    #[test]
    fn the_id_has_not_moved() {
        let binarizer = Binarizer::new_rotation(384, Levels::ONE, Metric::Cosine, 0).unwrap();
        assert_eq!(binarizer.id().to_string(), "c538a29d5ec60c556d304f09e50e0437");
    }

    #[test]
    fn dimensions_out_of_range_are_refused() {
        for dims in [0, bigrain_types::MAX_DIMS + 1] {
            let error = Binarizer::new_rotation(dims, Levels::ONE, Metric::Dot, 1).unwrap_err();
            assert_eq!(error, BinarizerError::Rotation(RotationError::Dims(dims)));
        }
    }
}
