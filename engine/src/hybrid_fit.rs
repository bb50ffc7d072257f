//! A fusion of vectors and words that was fitted on a collection.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{CollectionConfig, Error, Fusion, Result};

/// How results of a vector field and of a text field are fused, as judged queries on the collection
/// itself say. Kept with the collection, for [fitted](crate::HybridQuery::fitted) searches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HybridFit {
    /// How they are fused.
    pub fusion: Fusion,
    /// Results of each part that are fused; more where more are wanted. What is at the end of a list
    /// decides how its scores are scaled, so a fit holds for its depth.
    pub depth: usize,
    /// The vector field, dense or sparse, and its weight.
    pub vector: FittedPart,
    /// The text field and its weight.
    pub text: FittedPart,
    /// How good it was found to be.
    pub evidence: FitEvidence,
}

/// A field and its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedPart {
    /// Its name.
    pub field: String,
    /// How much its results count; 0 means that the other field alone is better.
    pub weight: f32,
}

/// What a fit was seen to be worth. The fused figure is of queries that the fit had not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitEvidence {
    /// Where the queries came from.
    pub source: String,
    /// How many there were.
    pub queries: u64,
    /// Parts of the queries, each of which was judged with a fit of the others.
    pub folds: u32,
    /// nDCG@10 of the vector field alone.
    pub vector: f64,
    /// nDCG@10 of the text field alone.
    pub text: f64,
    /// nDCG@10 of both, fused.
    pub fused: f64,
}

/// The most fits of a collection that have names.
pub(crate) const MAX_FITS: usize = 64;

/// The longest name of a fit, in bytes.
const MAX_FIT_NAME_BYTES: usize = 64;

/// Refuses a name that a fit cannot be kept under.
pub(crate) fn check_fit_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_FIT_NAME_BYTES || !name.bytes().all(allowed) {
        return Err(Error::invalid(format!(
            "bad name of a fit {name:?}: expected 1 to {MAX_FIT_NAME_BYTES} letters, digits, '_', '-' \
             or '.'"
        )));
    }
    Ok(())
}

impl HybridFit {
    /// Refuses a fit that a collection cannot search with.
    pub(crate) fn check(&self, config: &CollectionConfig) -> Result<()> {
        config.check_vector_field(&self.vector.field)?;
        config.text(&self.text.field)?;
        self.fusion.check()?;
        let weights = [self.vector.weight, self.text.weight];
        let usable = |weight: f32| weight >= 0.0 && weight.is_finite();
        if !weights.into_iter().all(usable) || weights == [0.0, 0.0] {
            return Err(Error::invalid(format!(
                "weights must be finite, not negative and not both 0, got {} and {}",
                self.vector.weight, self.text.weight
            )));
        }
        if self.depth == 0 {
            return Err(Error::invalid("depth must be at least 1, got 0"));
        }
        Ok(())
    }
}

impl fmt::Display for HybridFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fusion, vector, text, depth, .. } = self;
        write!(f, "{fusion} of {} × {}", vector.weight, vector.field)?;
        write!(f, " and {} × {}, {depth} deep", text.weight, text.field)
    }
}
