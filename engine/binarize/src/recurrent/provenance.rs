//! What scores of learned codes mean, where the binarizer comes from, and how good it is.

use bigrain_types::CodeSpaceId;

use super::error::RecurrentError;

/// The most quantiles that are kept.
pub const MAX_QUANTILES: usize = 64;

/// What the cosine of code and query says of the cosine of embedding and query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scoring {
    /// For all levels.
    pub full: Fit,
    /// For the signs alone.
    pub sign: Fit,
}

/// `cosine ~ intercept + slope * score`, fitted on held-out vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// What a score is multiplied with; above 0.
    pub slope: f32,
    /// What every similarity starts from.
    pub intercept: f32,
    /// How far estimates stray, above 0: the distance that 97 of 100 lie below the truth by at most,
    /// divided by the 1.9 deviations that this share takes in the mean of random rotations.
    pub error: f32,
}

/// How far estimates lie below the truth at most, for a share of pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorQuantile {
    /// The share of pairs, 0 to 1.
    pub share: f32,
    /// With all levels.
    pub full: f32,
    /// With the signs alone.
    pub sign: f32,
}

/// Where a binarizer comes from, and how it compares with the rotation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// The version before it whose codes its queries may be compared with, if it was trained for that.
    pub parent: Option<Parent>,
    /// The seed of the training.
    pub training_seed: u64,
    /// Its steps.
    pub steps: u32,
    /// Measured on held-out vectors.
    pub quantiles: Vec<ErrorQuantile>,
    /// The learned codes beside those of the rotation.
    pub champion: Champion,
}

/// The version before a binarizer, whose codes were the documents' side of its training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parent {
    /// The space of its codes.
    pub space: CodeSpaceId,
    /// What scores of the new version's queries with its codes mean.
    pub scoring: Scoring,
}

/// What the champion gate measured on held-out queries, at equal bits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Champion {
    /// Queries; 0 where nothing was measured.
    pub queries: u32,
    /// Results of each.
    pub limit: u32,
    /// Recall at `limit` of the rotation.
    pub rotation: f32,
    /// Recall at `limit` of the learned codes.
    pub learned: f32,
    /// The difference in 95 of 100 resamplings: from here ..
    pub low: f32,
    /// .. to here.
    pub high: f32,
}

impl Champion {
    /// Whether the learned codes beat the rotation: the interval of the difference lies above 0.
    #[must_use]
    pub fn won(&self) -> bool {
        self.queries > 0 && self.learned > self.rotation && self.low > 0.0
    }
}

impl Default for Scoring {
    fn default() -> Self {
        let fit = Fit { slope: 1.0, intercept: 0.0, error: 1.0 };
        Self { full: fit, sign: fit }
    }
}

impl Scoring {
    pub(super) fn check(&self) -> Result<(), RecurrentError> {
        for Fit { slope, intercept, error } in [self.full, self.sign] {
            let above_zero = |value: f32| value.is_normal() && value > 0.0;
            if !above_zero(slope) {
                return Err(RecurrentError::Number("the slope of scores"));
            }
            if !above_zero(error) {
                return Err(RecurrentError::Number("the error of scores"));
            }
            if !intercept.is_finite() {
                return Err(RecurrentError::Number("the intercept of scores"));
            }
        }
        Ok(())
    }
}

impl Provenance {
    pub(super) fn check(&self) -> Result<(), RecurrentError> {
        if self.quantiles.len() > MAX_QUANTILES {
            return Err(RecurrentError::Quantiles(self.quantiles.len()));
        }
        self.parent.map_or(Ok(()), |parent| parent.scoring.check())?;
        let Champion { rotation, learned, low, high, .. } = self.champion;
        let figures = [rotation, learned, low, high].into_iter();
        let quantiles = self.quantiles.iter().flat_map(|q| [q.share, q.full, q.sign]);
        match figures.chain(quantiles).all(f32::is_finite) {
            true => Ok(()),
            false => Err(RecurrentError::Number("a figure of the training")),
        }
    }
}
