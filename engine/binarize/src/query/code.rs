//! A prepared query.

use bigrain_kernels::QueryPlanes;
use bigrain_types::Metric;

use super::terms::{Estimate, Terms};
use crate::factors::Factors;
use crate::recurrent::{Crossed, Crossing};

/// How many standard deviations an error covers unless asked otherwise.
pub const DEFAULT_EPSILON: f32 = 1.9;

/// A prepared query: its planes, and what turns scores into similarities.
#[derive(Clone, Debug)]
pub struct QueryCode {
    pub(super) planes: Vec<u64>,
    pub(super) rotated: Vec<f32>,
    pub(super) metric: Metric,
    pub(super) delta: f32,
    /// Whether codes are about the origin in every list.
    pub(super) about_origin: bool,
    /// What scores mean of codes of the binarizer's parent, where these are asked.
    pub(super) crossing: Option<Crossing>,
    /// `||q||^2`.
    pub(super) norm_squared: f32,
    /// `||e||^2`, where `e = q' - delta w`.
    pub(super) lost: f32,
    /// `1 - rho^2` of a typical code: of all its levels, and of its signs alone.
    pub(super) code_loss: f32,
    pub(super) sign_loss: f32,
    /// The relative error of the estimate of `<q, q>`.
    pub(super) bias: f32,
    pub(super) epsilon: f32,
}

impl QueryCode {
    /// Counts `epsilon` standard deviations into every error.
    #[must_use]
    pub fn with_epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Makes it a query of codes that the parent of its binarizer made. The planes stay as they are; what
    /// scores mean changes.
    #[must_use]
    pub fn crossed(mut self, crossing: Crossing) -> Self {
        self.sign_loss *= crossing.sign.error.powi(2);
        self.crossing = Some(crossing);
        self
    }

    /// Returns the planes, ready for `bigrain_kernels::scan`.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the constructor made planes of this very shape")]
    pub fn planes(&self) -> QueryPlanes<'_> {
        QueryPlanes::new(&self.planes, self.rotated.len()).expect("whole planes without pads")
    }

    /// Returns the rotated query, in the coordinates of centres.
    #[must_use]
    pub fn rotated(&self) -> &[f32] {
        &self.rotated
    }

    /// Returns the number of planes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.planes.len() / (self.rotated.len() / 64)
    }

    /// Returns how many standard deviations an error covers.
    #[must_use]
    pub fn epsilon(&self) -> f32 {
        self.epsilon
    }

    /// Returns the similarity of the query and a centre, from their dot product and the centre's
    /// squared length.
    #[inline]
    #[must_use]
    pub fn centre_similarity(&self, dot: f32, norm_squared: f32) -> f32 {
        if self.metric == Metric::L2 { -self.squared_distance(dot, norm_squared) } else { dot }
    }

    /// Returns the terms of codes about the origin.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.terms_in_list(0.0, 0.0)
    }

    /// Returns the terms of the codes in a list, from the dot product of its centre with the rotated query and
    /// the centre's squared length. Codes are about the centre, or about the origin where the binarizer
    /// was learned ([`Binarizer::encode_in_list`](crate::Binarizer::encode_in_list)).
    #[inline]
    #[must_use]
    pub fn terms_in_list(&self, dot: f32, norm_squared: f32) -> Terms {
        let (dot, norm_squared) = self.centre_of_codes(dot, norm_squared);
        let terms = self.terms_about(dot, norm_squared);
        match self.crossing {
            Some(crossing) => across(terms, crossing.full),
            None => terms,
        }
    }

    /// As [`QueryCode::terms_in_list`], for the signs of codes of several levels: see
    /// [`QueryCode::sign_terms_about`].
    #[inline]
    #[must_use]
    pub fn sign_terms_in_list(&self, dot: f32, norm_squared: f32) -> Terms {
        let (dot, norm_squared) = self.centre_of_codes(dot, norm_squared);
        let terms = self.sign_terms_about(dot, norm_squared);
        match self.crossing {
            // What they stray by is in the loss already.
            Some(Crossing { sign, .. }) => across(terms, Crossed { error: 1.0, ..sign }),
            None => terms,
        }
    }

    fn centre_of_codes(&self, dot: f32, norm_squared: f32) -> (f32, f32) {
        if self.about_origin { (0.0, 0.0) } else { (dot, norm_squared) }
    }

    /// Returns the terms of codes about a centre, from its dot product with the rotated query and
    /// its squared length.
    #[inline]
    #[must_use]
    pub fn terms_about(&self, dot: f32, norm_squared: f32) -> Terms {
        let dims = self.rotated.len() as f32;
        let distance = self.squared_distance(dot, norm_squared);
        let variance = distance + self.lost * (dims - 1.0) / dims / self.code_loss;
        self.with_error(dot, norm_squared, variance.sqrt())
    }

    /// As [`QueryCode::terms_about`], for the signs (plane 0) of codes of several levels, whose
    /// error is not stored: [`Terms::error`] is what their *rescale* factor is multiplied with.
    ///
    /// ```text
    ///  ||x|| / rho = rescale sqrt(D)     so     error = rescale sqrt(D (1 - rho^2) / (D - 1))
    /// ```
    ///
    /// where `1 - rho^2` is close to its mean, `1 - 2 / pi`, the closer the more dimensions.
    #[inline]
    #[must_use]
    pub fn sign_terms_about(&self, dot: f32, norm_squared: f32) -> Terms {
        let dims = self.rotated.len() as f32;
        let distance = self.squared_distance(dot, norm_squared);
        let variance = distance * self.sign_loss * dims / (dims - 1.0) + self.lost;
        self.with_error(dot, norm_squared, variance.sqrt())
    }

    /// Returns the similarity that the integer score of a code about the origin stands for, and its
    /// error.
    #[must_use]
    pub fn estimate(&self, score: i32, factors: Factors) -> Estimate {
        self.terms().estimate(score, factors)
    }

    /// Returns the squared distance of the query and a centre, from their dot product and the
    /// centre's squared length.
    #[inline]
    #[must_use]
    pub fn squared_distance(&self, dot: f32, norm_squared: f32) -> f32 {
        (self.norm_squared - 2.0 * dot + norm_squared).max(0.0)
    }

    fn with_error(&self, dot: f32, norm_squared: f32, deviation: f32) -> Terms {
        Terms {
            constant: self.centre_similarity(dot, norm_squared),
            scale: self.delta,
            error: self.epsilon * deviation,
            bias: self.bias,
        }
    }
}

/// Returns the terms for codes of the parent.
fn across(terms: Terms, Crossed { shift, stretch, error }: Crossed) -> Terms {
    Terms {
        constant: terms.constant + shift,
        scale: terms.scale * stretch,
        error: terms.error * error,
        ..terms
    }
}
