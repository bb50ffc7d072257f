//! A multi-vector field at run time.

use std::sync::Arc;

use bigrain_binarize::Binarizer;
use bigrain_index::multi::{BuildMulti, are_halves, round};
use bigrain_types::{
    EmbeddingSpaceId, FieldId, HalfTokens, Levels, Metric, MultiVector, normalize,
};

use super::fields::ROTATION_SEED;
use super::{MultiFieldConfig, SchemaMulti};
use crate::{Error, Result};

/// One multi-vector field of a collection, with all it takes to check, encode and find its tokens.
#[derive(Debug)]
pub(crate) struct MultiField {
    pub id: FieldId,
    pub name: Arc<str>,
    /// What the field is called in file names.
    pub file_stem: String,
    pub config: MultiFieldConfig,
    /// Of merged tokens: signs, for dot products.
    pub binarizer: Binarizer,
}

impl MultiField {
    /// Prepares a field for use.
    pub fn new(SchemaMulti { id, file_stem, config }: &SchemaMulti) -> Result<Self> {
        // Tokens have length one under cosine, so their dot product is the same.
        let binarizer =
            Binarizer::new_rotation(config.dims, Levels::ONE, Metric::Dot, ROTATION_SEED)
                .map_err(|error| Error::invalid(error.to_string()))?;
        let (file_stem, config) = (file_stem.clone(), config.clone());
        Ok(Self { id: *id, name: config.name.as_str().into(), file_stem, config, binarizer })
    }

    /// Returns how its files are built.
    pub fn build(&self, seed: u64) -> BuildMulti<'_> {
        let sketch_tokens = self.config.sketch_tokens.into();
        BuildMulti { binarizer: &self.binarizer, sketch_tokens, seed, device: None }
    }

    /// Brings tokens into the form in which they are stored: each of length one under cosine. One of
    /// halves that has it, as far as these can tell, is left as it is: what was stored, exported and
    /// imported has the same bits.
    pub fn normalize_stored(&self, vector: &mut MultiVector) {
        // Each component of a half is off by at most 2^-11 of itself, and so the square of the length by
        // little more than 2^-10.
        const ROUNDING: f32 = 1.0 / 1000.0;
        if self.config.metric != Metric::Cosine {
            return;
        }
        for token in vector.values_mut().chunks_exact_mut(self.config.dims) {
            let is_one = (bigrain_kernels::dot(token, token) - 1.0).abs() <= ROUNDING;
            if !is_one || !are_halves(token) {
                normalize(token);
            }
        }
    }

    /// Brings tokens into the form in which a query is compared: each of length one under cosine.
    pub fn normalize(&self, vector: &mut MultiVector) {
        if self.config.metric == Metric::Cosine {
            vector.values_mut().chunks_exact_mut(self.config.dims).for_each(normalize);
        }
    }

    /// Checks a multi-vector, and brings it into the form in which it is stored.
    pub fn stored(
        &self,
        vector: &MultiVector,
        space: Option<EmbeddingSpaceId>,
    ) -> Result<Arc<HalfTokens>> {
        self.config.check(vector, space)?;
        let mut vector = vector.clone();
        self.normalize_stored(&mut vector);
        Ok(Arc::new(round(&vector)))
    }
}
