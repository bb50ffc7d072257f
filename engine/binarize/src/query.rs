//! A query as bit planes, and what its scores mean.
//!
//! # The estimator
//!
//! Let `x'`, `q'` be rotated vectors, `u` the code of `x` and `w` that of the query, both vectors of
//! odd integers; rotation keeps dot products, so `<x, q> = <x', q'>`.
//!
//! ```text
//!  r     = ||x||^2 / <u, x'>       r u - x' is orthogonal to x'
//!  delta = ||q||^2 / <w, q'>       e = q' - delta w is orthogonal to q'
//!
//!  r delta <u, w>  =  <x, q>  +  <r u - x', q'>  -  r <u, e>
//! ```
//!
//! The second term is the code's own error. Its direction is uniform among those orthogonal to
//! `x'`, because the rotation is random, so its mean is zero and its deviation
//! `||q|| ||x|| sqrt((1 - rho^2) / rho^2) / sqrt(D - 1)`: that is `Factors::error * ||q||`. The third
//! is the query's rounding, seen through the code: `e` is known exactly, and against it `r u`
//! behaves like a random vector of its length, which gives `r ||u|| ||e|| / sqrt(D)`. Since
//! `r ||u|| = ||x|| / rho`, its square follows from what is stored:
//!
//! ```text
//!  (r ||u||)^2 = ||x||^2 / rho^2 = ||x||^2 + (D - 1) error^2     cosine (||x|| = 1), L2 (add = -||x||^2)
//!  r ||u||    <= r (2^B - 1) sqrt(D)                             dot (exact at one level)
//! ```
//!
//! [`Estimate::error`] is `epsilon` times the root of the sum of both squares. `epsilon` counts standard
//! deviations: the usual 1.9 holds for about 97 % of vectors on each side and 94 % on both, 2.6 for 99 %
//! on both, 3.3 for 99.9 %.
//!
//! # Near duplicates
//!
//! Where `x` is close to `q`, `u` and `e` are no longer independent: both round the same
//! coordinates. At a width of four bits this is nothing, but two sign codes of one vector
//! agree everywhere and `r delta <u, w>` is 1.57 instead of 1. The effect is measured on the query
//! itself when it is prepared, as the relative error of the estimate of `<q, q>`; the same fraction of
//! the estimate is added to every error. Estimates stay monotone in the score either way.

use bigrain_kernels::{QueryPlanes, quantize, score_one};
use bigrain_types::{Levels, Metric};
use thiserror::Error;

use crate::binarizer::Binarizer;
use crate::encode::{SHORTEST, length};
use crate::factors::Factors;
use crate::scale::ScaleSearch;

/// How many standard deviations an error covers unless asked otherwise.
pub const DEFAULT_EPSILON: f32 = 1.9;

/// What rounding in `f32` adds to an error, relative to the terms of the similarity.
const ROUNDING: f32 = 1.0 / (1 << 21) as f32;

/// How many bits of each dimension a query keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryWidth {
    /// As many as the codes have levels (SDC): the query is a code itself.
    Symmetric,
    /// This many, 1 to 8 (ADC).
    Bits(u8),
}

impl QueryWidth {
    /// Returns the width that is worth its time: 6 bits against codes of one level, 4 above.
    #[must_use]
    pub fn default_for(levels: Levels) -> Self {
        if levels == Levels::ONE { Self::Bits(6) } else { Self::Bits(4) }
    }

    fn bits(self, levels: Levels) -> Result<usize, PrepareQueryError> {
        match self {
            Self::Symmetric => Ok(levels.count()),
            Self::Bits(bits @ 1..=8) => Ok(usize::from(bits)),
            Self::Bits(bits) => Err(PrepareQueryError::Width(bits)),
        }
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

/// A similarity, larger for nearer points, and how far the true one may be from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The unbiased estimate.
    pub similarity: f32,
    /// How far off it may be, on either side.
    pub error: f32,
}

impl Estimate {
    /// Returns the similarity that the point has at least.
    #[must_use]
    pub fn lower(&self) -> f32 {
        self.similarity - self.error
    }

    /// Returns the similarity that the point has at most.
    #[must_use]
    pub fn upper(&self) -> f32 {
        self.similarity + self.error
    }
}

/// A prepared query: its planes, and what turns scores into similarities.
#[derive(Clone, Debug)]
pub struct QueryCode {
    planes: Vec<u64>,
    code_dims: usize,
    delta: f32,
    /// What every similarity contains: `-||q||^2` under L2.
    constant: f32,
    spread: Spread,
    /// `||q||^2` and `||e||^2`.
    norm_squared: f32,
    rounding_squared: f32,
    bias: f32,
    epsilon: f32,
}

/// How `(r ||u||)^2 / D` follows from a vector's factors, by metric.
#[derive(Clone, Copy, Debug)]
enum Spread {
    /// `(norm_squared + (D - 1) error^2) / D`, where `norm_squared` is a constant plus a multiple
    /// of `add`.
    Exact { constant: f32, of_add: f32, of_error: f32 },
    /// `(largest value)^2 rescale^2`.
    Largest { of_rescale: f32 },
}

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
            spread: self.spread(),
            norm_squared: (norm * norm) as f32,
            rounding_squared: rounded.rounding_squared as f32,
            bias: bias as f32,
            epsilon: DEFAULT_EPSILON,
        })
    }

    fn spread(&self) -> Spread {
        let dims = self.layout().dims() as f32;
        let of_error = (dims - 1.0) / dims;
        match self.metric() {
            Metric::Cosine => Spread::Exact { constant: 1.0 / dims, of_add: 0.0, of_error },
            // Factors are doubled under L2, so their squares are four times as large.
            Metric::L2 => Spread::Exact { constant: 0.0, of_add: -4.0 / dims, of_error },
            _ => Spread::Largest { of_rescale: f32::from(self.layout().largest_value()) },
        }
    }
}

impl QueryCode {
    /// Counts `epsilon` standard deviations into every error.
    #[must_use]
    pub fn with_epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Returns the planes, ready for `bigrain_kernels::scan`.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the constructor made planes of this very shape")]
    pub fn planes(&self) -> QueryPlanes<'_> {
        QueryPlanes::new(&self.planes, self.code_dims).expect("whole planes without pads")
    }

    /// Returns the number of planes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.planes.len() / (self.code_dims / 64)
    }

    /// Returns the query's step: coordinate `i` is about `delta` times its odd integer.
    #[must_use]
    pub fn delta(&self) -> f32 {
        self.delta
    }

    /// Returns what every similarity contains: `-||q||^2` under L2, else 0.
    #[must_use]
    pub fn constant(&self) -> f32 {
        self.constant
    }

    /// Returns how many standard deviations an error covers.
    #[must_use]
    pub fn epsilon(&self) -> f32 {
        self.epsilon
    }

    /// Returns the similarity that a code's integer score stands for.
    #[inline]
    #[must_use]
    pub fn similarity(&self, score: i32, factors: Factors) -> f32 {
        factors.add + self.constant + factors.rescale * (self.delta * score as f32)
    }

    /// Returns the similarity that a code's integer score stands for, and its error.
    #[inline]
    #[must_use]
    pub fn estimate(&self, score: i32, factors: Factors) -> Estimate {
        let dot = factors.rescale * (self.delta * score as f32);
        let error_squared = factors.error * factors.error;
        let spread = match self.spread {
            Spread::Exact { constant, of_add, of_error } => {
                constant + of_add * factors.add + of_error * error_squared
            }
            Spread::Largest { of_rescale } => (of_rescale * factors.rescale).powi(2),
        };
        let variance = error_squared * self.norm_squared + spread * self.rounding_squared;
        let rounding = ROUNDING * (dot.abs() + factors.add.abs() + self.constant.abs());
        Estimate {
            similarity: factors.add + self.constant + dot,
            error: self.epsilon * variance.sqrt() + self.bias * dot.abs() + rounding,
        }
    }
}

/// A rotated query, rounded to odd integers.
struct Rounded {
    planes: Vec<u64>,
    delta: f64,
    /// `||e||^2`, where `e = q' - delta w`.
    rounding_squared: f64,
}

impl Rounded {
    fn new(rotated: &[f32], norm: f64, bits: usize) -> Self {
        let mut planes = vec![0; bits * (rotated.len() / 64)];
        if norm < SHORTEST {
            return Self { planes, delta: 0.0, rounding_squared: norm * norm };
        }
        let search = ScaleSearch::Grid;
        let inverse_scale = search.inverse_scale(rotated, norm, bits, &mut Vec::new());
        let sums = quantize(rotated, inverse_scale, bits, &mut planes);
        let dot = f64::from(sums.dot) / f64::from(inverse_scale);
        let rho_squared = dot * dot / (f64::from(sums.norm_squared) * norm * norm);
        let rounding_squared = norm * norm * (1.0 / rho_squared - 1.0).max(0.0);
        Self { planes, delta: norm * norm / dot, rounding_squared }
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
