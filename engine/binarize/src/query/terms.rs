//! What turns integer scores into similarities, for codes about one centre.

use crate::factors::Factors;

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

/// What turns the integer scores of codes about one centre into similarities:
///
/// ```text
///  p          = rescale * (scale * S)
///  similarity = (add + constant) + p
///  error      = factor's error * error + |p| * bias
/// ```
///
/// A list of codes has one centre, so this is all that a scan of the list needs of the query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// What every similarity contains: the centre's dot product with the query, or minus its
    /// squared distance.
    pub constant: f32,
    /// The query's step: coordinate `i` is about `scale` times its odd integer.
    pub scale: f32,
    /// What a code's own error is multiplied with.
    pub error: f32,
    /// The relative error that codes of near duplicates share with the query's.
    pub bias: f32,
}

impl Terms {
    /// Returns the similarity that a code's integer score stands for, and its error.
    #[inline]
    #[must_use]
    pub fn estimate(&self, score: i32, factors: Factors) -> Estimate {
        let dot = factors.rescale * (self.scale * score as f32);
        let base = factors.add + self.constant;
        let rounding = ROUNDING * (dot.abs() + factors.add.abs() + self.constant.abs());
        Estimate {
            similarity: base + dot,
            error: factors.error * self.error + self.bias * dot.abs() + rounding,
        }
    }
}
