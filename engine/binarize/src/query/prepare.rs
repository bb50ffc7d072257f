//! From a query vector to its code.

use bigrain_kernels::{QueryPlanes, quantize, score_one};
use bigrain_types::{Levels, Metric};
use thiserror::Error;

use super::code::{DEFAULT_EPSILON, QueryCode, Variance};
use super::width::QueryWidth;
use crate::binarizer::Binarizer;
use crate::encode::{SHORTEST, length};
use crate::scale::ScaleSearch;

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
        let bits = width.bits(self.layout().levels())?;
        let mut rotated = vec![0.0; self.layout().dims()];
        self.rotate(query, &mut rotated);
        let norm = length(&rotated);
        if norm * norm > f64::from(f32::MAX) || norm.is_nan() {
            return Err(PrepareQueryError::NotFinite);
        }
        let rounded = Rounded::new(&rotated, norm, bits);
        let bias = rounded.bias(&rotated, norm, self.layout().levels());
        let constant = if self.metric() == Metric::L2 { -(norm * norm) as f32 } else { 0.0 };
        Ok(QueryCode {
            planes: rounded.planes,
            code_dims: rotated.len(),
            delta: rounded.delta as f32,
            constant,
            norm: norm as f32,
            variance: self.variance(rounded.loss),
            bias: bias as f32,
            epsilon: DEFAULT_EPSILON,
        })
    }

    /// Returns the coefficients for a query with `loss = ||e||^2 / ||q||^2`.
    fn variance(&self, loss: f64) -> Variance {
        let dims = self.layout().dims() as f64;
        let exact = Variance {
            of_error: (1.0 + loss * (dims - 1.0) / dims) as f32,
            of_rescale: 0.0,
            of_add: 0.0,
            constant: 0.0,
        };
        match self.metric() {
            Metric::Cosine => Variance { constant: (loss / dims) as f32, ..exact },
            // Factors are doubled under L2, so their squares are four times as large.
            Metric::L2 => Variance { of_add: (-4.0 * loss / dims) as f32, ..exact },
            Metric::Dot | _ => {
                let largest = f64::from(self.layout().largest_value());
                let of_rescale = (largest * largest * loss) as f32;
                Variance { of_error: 1.0, of_rescale, ..exact }
            }
        }
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
    fn new(rotated: &[f32], norm: f64, bits: usize) -> Self {
        let mut planes = vec![0; bits * (rotated.len() / 64)];
        if norm < SHORTEST {
            return Self { planes, delta: 0.0, loss: 1.0 };
        }
        let search = ScaleSearch::Grid;
        let inverse_scale = search.inverse_scale(rotated, norm, bits, &mut Vec::new());
        let sums = quantize(rotated, inverse_scale, bits, &mut planes);
        let dot = f64::from(sums.dot) / f64::from(inverse_scale);
        let rho_squared = dot * dot / (f64::from(sums.norm_squared) * norm * norm);
        let loss = (1.0 / rho_squared - 1.0).max(0.0);
        Self { planes, delta: norm * norm / dot, loss }
    }

    /// Returns the relative error of the estimate of `<q, q>` from the query's own code.
    fn bias(&self, rotated: &[f32], norm: f64, levels: Levels) -> f64 {
        let words = rotated.len() / 64;
        let Ok(query) = QueryPlanes::new(&self.planes, rotated.len()) else { return 0.0 };
        if self.delta == 0.0 {
            return 0.0;
        }
        let mut code = vec![0; levels.count() * words];
        let scale =
            ScaleSearch::Fixed.inverse_scale(rotated, norm, levels.count(), &mut Vec::new());
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
