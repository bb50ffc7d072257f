//! The shape of one multi-vector field.

use bigrain_types::{EmbeddingSpaceId, MAX_TOKEN_COMPONENT, MAX_TOKEN_DIMS, Metric, MultiVector};
use serde::{Deserialize, Serialize};

use super::config::{check_field_name, check_space};
use crate::{Error, ErrorKind, Result};

/// Merged tokens of a point in memory, unless configured.
const DEFAULT_SKETCH_TOKENS: u8 = 12;

/// The most merged tokens of a point in memory.
const MAX_SKETCH_TOKENS: u8 = 64;

/// The shape of one multi-vector field, fixed when the field is made. A point has one vector in it for
/// each token of a text or patch of an image; points are compared by MaxSim: the mean over the query's
/// tokens of the largest similarity with any token of the point.
///
/// ```
/// use bigrain_engine::{CollectionConfig, Metric, MultiFieldConfig};
///
/// let patches = MultiFieldConfig::new("patches", 256, Metric::Cosine);
/// CollectionConfig::new(512, Metric::Cosine).with_multi(patches).validate()?;
/// # Ok::<(), bigrain_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiFieldConfig {
    /// What the field is called, in requests and in file names: letters, digits, `_` and `-`.
    pub name: String,
    /// Components of each token.
    pub dims: usize,
    /// How tokens are compared: cosine or dot product.
    pub metric: Metric,
    /// A point's tokens are merged into this many, whose codes are kept in memory. Default 12.
    #[serde(default = "default_sketch_tokens")]
    pub sketch_tokens: u8,
    /// Which embedding space the tokens come from; those stated to be of another are refused.
    #[serde(default)]
    pub space: Option<EmbeddingSpaceId>,
    /// The encoder that makes the tokens, as a folder or a name; the engine only keeps it.
    #[serde(default)]
    pub model: Option<String>,
}

fn default_sketch_tokens() -> u8 {
    DEFAULT_SKETCH_TOKENS
}

impl MultiFieldConfig {
    /// Returns the shape of a field.
    #[must_use]
    pub fn new(name: impl Into<String>, dims: usize, metric: Metric) -> Self {
        let sketch_tokens = DEFAULT_SKETCH_TOKENS;
        Self { name: name.into(), dims, metric, sketch_tokens, space: None, model: None }
    }

    /// Sets how many merged tokens of a point are kept in memory.
    #[must_use]
    pub fn with_sketch_tokens(mut self, sketch_tokens: u8) -> Self {
        self.sketch_tokens = sketch_tokens;
        self
    }

    /// States which embedding space the tokens come from.
    #[must_use]
    pub fn with_space(mut self, space: EmbeddingSpaceId) -> Self {
        self.space = Some(space);
        self
    }

    /// States which encoder makes the tokens.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// An error of kind [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the value.
    pub fn validate(&self) -> Result<()> {
        check_field_name(&self.name)?;
        if self.dims == 0 || self.dims > MAX_TOKEN_DIMS {
            return Err(Error::invalid(format!(
                "dims out of range: expected 1 to {MAX_TOKEN_DIMS}, got {}",
                self.dims
            )));
        }
        if !matches!(self.metric, Metric::Cosine | Metric::Dot) {
            return Err(Error::invalid(format!(
                "multi-vectors are compared by cosine or dot product, not by {}",
                self.metric
            )));
        }
        if self.sketch_tokens == 0 || self.sketch_tokens > MAX_SKETCH_TOKENS {
            return Err(Error::invalid(format!(
                "sketch_tokens out of range: expected 1 to {MAX_SKETCH_TOKENS}, got {}",
                self.sketch_tokens
            )));
        }
        Ok(())
    }

    /// Refuses a multi-vector that cannot be compared with the field's.
    pub(crate) fn check_query(
        &self,
        vector: &MultiVector,
        space: Option<EmbeddingSpaceId>,
    ) -> Result<()> {
        check_space(self.space, space)?;
        if vector.dims() != self.dims {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!(
                    "dimension mismatch: collection has {}, tokens have {}",
                    self.dims,
                    vector.dims()
                ),
            ));
        }
        let is_zero = |token: &[f32]| token.iter().all(|&value| value == 0.0);
        if self.metric == Metric::Cosine
            && let Some(token) = vector.iter().position(is_zero)
        {
            let reason = format!("token {token} is zero under cosine: it has no direction");
            return Err(Error::invalid(reason));
        }
        Ok(())
    }

    /// Refuses a multi-vector that the field does not take.
    pub(crate) fn check(
        &self,
        vector: &MultiVector,
        space: Option<EmbeddingSpaceId>,
    ) -> Result<()> {
        self.check_query(vector, space)?;
        let is_beyond = |value: &f32| value.abs() > MAX_TOKEN_COMPONENT;
        if self.metric != Metric::Cosine
            && let Some(at) = vector.values().iter().position(is_beyond)
        {
            let (token, position) = (at / self.dims, at % self.dims);
            return Err(Error::invalid(format!(
                "token {token} has {} at component {position}: f16 reaches to \
                 {MAX_TOKEN_COMPONENT}",
                vector.values()[at]
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_value() {
        let field = |dims, metric| MultiFieldConfig::new("m", dims, metric);
        let refused = |config: MultiFieldConfig| config.validate().unwrap_err().to_string();
        assert!(refused(field(0, Metric::Dot)).contains("dims out of range"));
        assert!(refused(field(8, Metric::L2)).contains("cosine or dot product, not by l2"));
        let sketch = field(8, Metric::Dot).with_sketch_tokens(0);
        assert!(refused(sketch).contains("sketch_tokens out of range"));
        let tokens = |values: &[f32]| MultiVector::new(2, values.to_vec()).unwrap();
        let check = |metric, values: &[f32]| {
            field(2, metric).check(&tokens(values), None).map_err(|error| error.to_string())
        };
        assert!(check(Metric::Cosine, &[1.0, 0.0, 0.0, 0.0]).unwrap_err().contains("token 1 is"));
        assert!(check(Metric::Dot, &[1.0, 0.0, 0.0, 0.0]).is_ok());
        assert!(check(Metric::Cosine, &[1e30, 0.0]).is_ok());
        let error = check(Metric::Dot, &[0.0, 0.0, 0.0, 1e30]).unwrap_err();
        assert!(error.contains("token 1 has") && error.contains("at component 1"), "{error}");
        let error = field(3, Metric::Dot).check(&tokens(&[1.0, 2.0]), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    }
}
