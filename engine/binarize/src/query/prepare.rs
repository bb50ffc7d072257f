//! From a query vector to its code.

use bigrain_kernels::{QueryPlanes, quantize, score_one};
use bigrain_types::Levels;
use thiserror::Error;

use super::code::{DEFAULT_EPSILON, QueryCode};
use super::width::QueryWidth;
use crate::binarizer::{Binarizer, Model};
use crate::encode::{EncodeScratch, SHORTEST, length, squared};
use crate::recurrent::Recurrent;
use crate::scale::ScaleSearch;

/// `1 - rho^2` of the best uniform quantiser of a normal variable, for 1 to 4 bits (Max, 1960).
const TYPICAL_LOSS: [f32; 4] = [0.363_4, 0.118_8, 0.037_4, 0.011_5];

/// From so many bits on, and with more than the codes have, the estimate of `<q, q>` is as good as any
/// other.
const UNBIASED: usize = 4;

impl Binarizer {
    /// Rotates a query and rounds it to odd integers of the given width.
    ///
    /// # Errors
    ///
    /// [`PrepareQueryError`] for a query of another length, one that is not finite, or a width
    /// out of range.
    pub fn prepare_query(
        &self,
        query: &[f32],
        width: QueryWidth,
    ) -> Result<QueryCode, PrepareQueryError> {
        if query.len() != self.dims() {
            let expected = self.dims();
            return Err(PrepareQueryError::Dimension { expected, actual: query.len() });
        }
        let mut rotated = vec![0.0; self.layout().dims()];
        self.rotate(query, &mut rotated);
        let prepared = self.prepare(rotated, width, ScaleSearch::Grid)?;
        match self.model() {
            Model::Recurrent(recurrent) => Ok(self.learned(recurrent, query, width, prepared)),
            Model::Rotation(_) => Ok(prepared),
        }
    }

    /// Makes of a rounded projection the query of learned codes.
    fn learned(
        &self,
        recurrent: &Recurrent,
        query: &[f32],
        width: QueryWidth,
        mut prepared: QueryCode,
    ) -> QueryCode {
        if width == QueryWidth::Symmetric && prepared.delta > 0.0 {
            // The query is a code as any other, of length one as a vector.
            let mut values = vec![0; self.layout().dims()];
            self.encode(query, &mut EncodeScratch::default(), &mut prepared.planes);
            self.layout().unpack(&prepared.planes, &mut values);
            let norm_squared: f32 = values.iter().map(|&value| (value * value) as f32).sum();
            prepared.delta = norm_squared.sqrt().recip();
            prepared.lost = 0.0;
        }
        // The deviation that `sign_terms_about` derives from a code's rescale factor.
        let sign = recurrent.parts().scoring.sign;
        let dims = self.layout().dims() as f32;
        prepared.sign_loss = (sign.error / sign.slope).powi(2) * (dims - 1.0);
        prepared.about_origin = true;
        prepared.bias = 0.0;
        prepared
    }

    /// As [`Binarizer::prepare_query`], for a query that is rotated already, and in less time: it is
    /// rounded at the scale that is best on average.
    ///
    /// # Errors
    ///
    /// [`PrepareQueryError`], as there; the length is that of the code.
    pub fn prepare_rotated(
        &self,
        rotated: Vec<f32>,
        width: QueryWidth,
    ) -> Result<QueryCode, PrepareQueryError> {
        self.prepare(rotated, width, ScaleSearch::Fixed)
    }

    fn prepare(
        &self,
        rotated: Vec<f32>,
        width: QueryWidth,
        search: ScaleSearch,
    ) -> Result<QueryCode, PrepareQueryError> {
        let expected = self.layout().dims();
        if rotated.len() != expected {
            return Err(PrepareQueryError::Dimension { expected, actual: rotated.len() });
        }
        let bits = width.bits(self.layout().levels())?;
        let norm = length(&rotated);
        if norm * norm > f64::from(f32::MAX) || norm.is_nan() {
            return Err(PrepareQueryError::NotFinite);
        }
        let rounded = Rounded::new(&rotated, norm, bits, search);
        let levels = self.layout().levels();
        let alike = bits < UNBIASED || bits <= levels.count();
        let bias = if alike { rounded.bias(&rotated, norm, levels, search) } else { 0.0 };
        Ok(QueryCode {
            planes: rounded.planes,
            metric: self.metric(),
            delta: rounded.delta as f32,
            norm_squared: squared(norm),
            lost: (rounded.loss * norm * norm) as f32,
            code_loss: TYPICAL_LOSS[levels.count() - 1],
            sign_loss: TYPICAL_LOSS[0],
            bias: bias as f32,
            about_origin: false,
            crossing: None,
            epsilon: DEFAULT_EPSILON,
            rotated,
        })
    }
}

/// A rotated query, rounded to odd integers.
struct Rounded {
    planes: Vec<u64>,
    delta: f64,
    /// `||e||^2 / ||q||^2`, where `e = q' - delta w`.
    loss: f64,
}

impl Rounded {
    fn new(rotated: &[f32], norm: f64, bits: usize, search: ScaleSearch) -> Self {
        let mut planes = vec![0; bits * (rotated.len() / 64)];
        if norm < SHORTEST {
            return Self { planes, delta: 0.0, loss: 1.0 };
        }
        let inverse_scale = search.inverse_scale(rotated, norm, bits, &mut Vec::new());
        let sums = quantize(rotated, inverse_scale, bits, &mut planes);
        let dot = f64::from(sums.dot) / f64::from(inverse_scale);
        let rho_squared = dot * dot / (f64::from(sums.norm_squared) * norm * norm);
        let loss = (1.0 / rho_squared - 1.0).max(0.0);
        Self { planes, delta: norm * norm / dot, loss }
    }

    /// Returns the relative error of the estimate of `<q, q>` from the query's own code.
    fn bias(&self, rotated: &[f32], norm: f64, levels: Levels, search: ScaleSearch) -> f64 {
        let words = rotated.len() / 64;
        let Ok(query) = QueryPlanes::new(&self.planes, rotated.len()) else { return 0.0 };
        if self.delta == 0.0 {
            return 0.0;
        }
        let mut code = vec![0; levels.count() * words];
        let scale = search.inverse_scale(rotated, norm, levels.count(), &mut Vec::new());
        let sums = quantize(rotated, scale, levels.count(), &mut code);
        let planes: Vec<&[u64]> = code.chunks_exact(words).collect();
        // rescale * delta * S / ||q||^2 - 1
        let dot = f64::from(sums.dot) / f64::from(scale);
        (self.delta * f64::from(score_one(&planes, query)) / dot - 1.0).abs()
    }
}

/// A query that cannot be compared with codes.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrepareQueryError {
    /// The query has another length than the embeddings.
    #[error("dimension mismatch: binarizer has {expected}, query has {actual}")]
    Dimension {
        /// The binarizer's dimensions.
        expected: usize,
        /// The query's.
        actual: usize,
    },
    /// A width outside 1 to 8 bits.
    #[error("query width out of range: expected 1 to 8 bits, got {0}")]
    Width(u8),
    /// A component is not finite, or the length is beyond `f32`.
    #[error("query is not finite")]
    NotFinite,
}
