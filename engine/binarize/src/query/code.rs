//! A prepared query, and what its scores mean.

use bigrain_kernels::QueryPlanes;

use crate::factors::Factors;

/// How many standard deviations an error covers unless asked otherwise.
pub const DEFAULT_EPSILON: f32 = 1.9;

/// What rounding in `f32` adds to an error, relative to the terms of the similarity.
const ROUNDING: f32 = 1.0 / (1 << 21) as f32;

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
    pub(super) planes: Vec<u64>,
    pub(super) code_dims: usize,
    pub(super) delta: f32,
    /// What every similarity contains: `-||q||^2` under L2.
    pub(super) constant: f32,
    /// `||q||`.
    pub(super) norm: f32,
    pub(super) variance: Variance,
    /// The relative error of the estimate of `<q, q>`.
    pub(super) bias: f32,
    pub(super) epsilon: f32,
}

/// The squared deviation of an estimate, divided by `||q||^2`, is linear in what a vector stores:
/// `of_error * error^2 + of_rescale * rescale^2 + of_add * add + constant`. See the module's page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variance {
    pub(super) of_error: f32,
    pub(super) of_rescale: f32,
    pub(super) of_add: f32,
    pub(super) constant: f32,
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
        let variance = self.variance.of_error * (factors.error * factors.error)
            + self.variance.of_rescale * (factors.rescale * factors.rescale)
            + self.variance.of_add * factors.add
            + self.variance.constant;
        // `of_error` is at least 1; squares of the shortest vectors' factors vanish in f32.
        let deviation = self.norm * variance.sqrt().max(factors.error);
        let rounding = ROUNDING * (dot.abs() + factors.add.abs() + self.constant.abs());
        Estimate {
            similarity: factors.add + self.constant + dot,
            error: self.epsilon * deviation + self.bias * dot.abs() + rounding,
        }
    }
}
