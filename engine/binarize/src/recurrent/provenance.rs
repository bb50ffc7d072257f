//! What scores of learned codes mean, where the binarizer comes from, and how good it is.

use bigrain_kernels::dot;
use bigrain_types::{CodeSpaceId, MAX_DIMS, normalize};

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
#[derive(Clone, Debug, PartialEq)]
pub struct Parent {
    /// The space of its codes.
    pub space: CodeSpaceId,
    /// What scores of the new version's queries with its codes mean: the cosine of query and document, of
    /// the translated query where the parent is of another encoder.
    pub scoring: Scoring,
    /// What joins the embeddings of both, where the parent is of another encoder.
    pub translation: Option<Translation>,
}

/// How queries of one encoder are compared with the embeddings of another: `cos(q, d) ~ i + s cos(M q, d')`, where
/// `d'` is what the other encoder makes of the document that this one makes `d` of.
#[derive(Clone, Debug, PartialEq)]
pub struct Translation {
    /// The components of the other encoder's embeddings, `d'`.
    pub dims: usize,
    /// `M`, `d' x d`, row after row.
    pub map: Vec<f32>,
    /// What the cosine of a translated query and an embedding of the other encoder means.
    pub fit: Fit,
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
        self.full.check()?;
        self.sign.check()
    }
}

impl Fit {
    fn check(&self) -> Result<(), RecurrentError> {
        let above_zero = |value: f32| value.is_normal() && value > 0.0;
        if !above_zero(self.slope) {
            return Err(RecurrentError::Number("the slope of scores"));
        }
        if !above_zero(self.error) {
            return Err(RecurrentError::Number("the error of scores"));
        }
        if !self.intercept.is_finite() {
            return Err(RecurrentError::Number("the intercept of scores"));
        }
        Ok(())
    }
}

impl Translation {
    /// Returns `M q`, of length one, for a query of as many components as the map takes; nothing where the map
    /// leaves nothing of it.
    #[must_use]
    pub fn translate(&self, query: &[f32]) -> Option<Vec<f32>> {
        let rows = self.map.chunks_exact(query.len().max(1));
        let mut translated: Vec<f32> = rows.map(|row| dot(row, query)).collect();
        let squared = dot(&translated, &translated);
        (squared.is_normal()).then(|| {
            normalize(&mut translated);
            translated
        })
    }

    /// Returns the similarity that a cosine of a translated query means.
    #[must_use]
    pub fn similarity(&self, cosine: f32) -> f32 {
        self.fit.intercept + self.fit.slope * cosine
    }

    fn check(&self, inputs: usize) -> Result<(), RecurrentError> {
        let (map, tensor) = ("the translation", "the matrix");
        let (expected, actual) = (self.dims.saturating_mul(inputs), self.map.len());
        if !(1..=MAX_DIMS).contains(&self.dims) || expected != actual {
            return Err(RecurrentError::Shape { map, tensor, expected, actual });
        }
        if self.map.iter().any(|value| !value.is_finite()) {
            return Err(RecurrentError::Number("a weight"));
        }
        self.fit.check()
    }
}

impl Provenance {
    /// Checks what is said of a binarizer of vectors of `dims` components.
    pub(super) fn check(&self, dims: usize) -> Result<(), RecurrentError> {
        if self.quantiles.len() > MAX_QUANTILES {
            return Err(RecurrentError::Quantiles(self.quantiles.len()));
        }
        if let Some(Parent { scoring, translation, .. }) = &self.parent {
            scoring.check()?;
            translation.as_ref().map_or(Ok(()), |translation| translation.check(dims))?;
        }
        let Champion { rotation, learned, low, high, .. } = self.champion;
        let figures = [rotation, learned, low, high].into_iter();
        let quantiles = self.quantiles.iter().flat_map(|q| [q.share, q.full, q.sign]);
        match figures.chain(quantiles).all(f32::is_finite) {
            true => Ok(()),
            false => Err(RecurrentError::Number("a figure of the training")),
        }
    }
}
