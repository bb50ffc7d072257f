//! The shape of one vector field.

use bigrain_types::{DenseFormat, EmbeddingSpaceId, Levels, MAX_DIMS, Metric};
use serde::{Deserialize, Serialize};

use super::LearnedBinarizer;
use crate::{Error, Result};

/// What a collection's only field is called where its creator does not care.
pub const DEFAULT_FIELD: &str = "vector";

/// The longest field name, in bytes.
pub const MAX_FIELD_NAME_BYTES: usize = 64;

/// The most lists of a segment.
const MAX_LISTS: u32 = 1 << 20;

/// The shape of one dense vector field, fixed when the field is made.
///
/// ```
/// use bigrain_engine::{DenseFormat, FieldConfig, Levels, Metric};
///
/// let image = FieldConfig::new("image", 512, Metric::Cosine)
///     .with_levels(Levels::ONE)
///     .with_dense(DenseFormat::F16);
/// image.validate()?;
/// # Ok::<(), bigrain_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldConfig {
    /// What the field is called, in requests and in file names: letters, digits, `_` and `-`.
    pub name: String,
    /// Components of each vector.
    pub dims: usize,
    /// What "near" means.
    pub metric: Metric,
    /// Bits per dimension of the codes in memory. Default 2.
    #[serde(default = "default_levels")]
    pub levels: Levels,
    /// How dense vectors are stored on disk. Default f32.
    #[serde(default)]
    pub dense: DenseFormat,
    /// Lists of codes in each segment; without it about four times the root of its rows.
    #[serde(default)]
    pub lists: Option<u32>,
    /// Which embedding space the vectors come from; vectors stated to be of another are refused.
    #[serde(default)]
    pub space: Option<EmbeddingSpaceId>,
    /// The encoder that makes the vectors, as a folder or a name. bigrain's tools and service use
    /// it to encode text; the engine only keeps it.
    #[serde(default)]
    pub model: Option<String>,
    /// A learned binarizer, under cosine; without it codes are those of the rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binarizer: Option<LearnedBinarizer>,
}

fn default_levels() -> Levels {
    Levels::TWO
}

impl FieldConfig {
    /// Returns the shape of a field with codes of two levels.
    #[must_use]
    pub fn new(name: impl Into<String>, dims: usize, metric: Metric) -> Self {
        Self {
            name: name.into(),
            dims,
            metric,
            levels: default_levels(),
            dense: DenseFormat::F32,
            lists: None,
            space: None,
            model: None,
            binarizer: None,
        }
    }

    /// Makes codes with a learned binarizer, of as many levels as it has.
    #[must_use]
    pub fn with_binarizer(mut self, binarizer: LearnedBinarizer) -> Self {
        self.levels = binarizer.levels();
        self.binarizer = Some(binarizer);
        self
    }

    /// Sets how dense vectors are stored on disk.
    #[must_use]
    pub fn with_dense(mut self, dense: DenseFormat) -> Self {
        self.dense = dense;
        self
    }

    /// Sets the lists of codes in each segment; a segment never has more than rows.
    #[must_use]
    pub fn with_lists(mut self, lists: u32) -> Self {
        self.lists = Some(lists);
        self
    }

    /// Sets the bits per dimension of the codes in memory.
    #[must_use]
    pub fn with_levels(mut self, levels: Levels) -> Self {
        self.levels = levels;
        self
    }

    /// States which embedding space the vectors come from.
    #[must_use]
    pub fn with_space(mut self, space: EmbeddingSpaceId) -> Self {
        self.space = Some(space);
        self
    }

    /// States which encoder makes the vectors.
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
        if self.dims == 0 || self.dims > MAX_DIMS {
            return Err(Error::invalid(format!(
                "dims out of range: expected 1 to {MAX_DIMS}, got {}",
                self.dims
            )));
        }
        if self.lists.is_some_and(|lists| lists == 0 || lists > MAX_LISTS) {
            return Err(Error::invalid(format!(
                "lists out of range: expected 1 to {MAX_LISTS}, got {}",
                self.lists.unwrap_or_default()
            )));
        }
        self.binarizer.as_ref().map_or(Ok(()), |binarizer| self.check_binarizer(binarizer))
    }

    /// Refuses a learned binarizer of other vectors than the field's.
    fn check_binarizer(&self, binarizer: &LearnedBinarizer) -> Result<()> {
        let refuse = |reason: String| Err(Error::invalid(format!("learned binarizer {reason}")));
        if self.metric != Metric::Cosine {
            return refuse(format!("compares by cosine, the field by {}", self.metric));
        }
        if self.dims != binarizer.dims() {
            return refuse(format!("takes {} dims, the field has {}", binarizer.dims(), self.dims));
        }
        if self.levels != binarizer.levels() {
            let (has, asked) = (binarizer.levels().get(), self.levels.get());
            return refuse(format!("has {has} levels, the field {asked}"));
        }
        Ok(())
    }

    /// Refuses a vector that the dense format cannot hold. Under cosine all fit: they have length one.
    pub(crate) fn check_dense(&self, vector: &[f32]) -> Result<()> {
        let limit =
            if self.metric == Metric::Cosine { f32::MAX } else { self.dense.max_component() };
        let Some(position) = vector.iter().position(|value| value.abs() > limit) else {
            return Ok(());
        };
        Err(Error::invalid(format!(
            "vector component {position} is {}: {} reaches to {limit}",
            vector[position], self.dense
        )))
    }

    /// Refuses a vector stated to be of another embedding space.
    pub(crate) fn check_space(&self, given: Option<EmbeddingSpaceId>) -> Result<()> {
        check_space(self.space, given)
    }
}

/// Refuses a vector stated to be of another embedding space than its field's.
pub(super) fn check_space(
    own: Option<EmbeddingSpaceId>,
    given: Option<EmbeddingSpaceId>,
) -> Result<()> {
    match (own, given) {
        (Some(own), Some(given)) if own != given => Err(Error::new(
            crate::ErrorKind::FailedPrecondition,
            format!("embedding space mismatch: collection has {own}, vector has {given}"),
        )),
        _ => Ok(()),
    }
}

/// Refuses names that are empty, too long, or awkward in a file name, a URL or a shell.
pub(super) fn check_field_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || name.len() > MAX_FIELD_NAME_BYTES || !name.bytes().all(allowed) {
        return Err(Error::invalid(format!(
            "bad field name {name:?}: expected 1 to {MAX_FIELD_NAME_BYTES} letters, digits, '_' or \
             '-'"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_names_and_values_are_named() {
        for name in ["", "a.b", "a b", "a/b", "a@1", "ä", &"x".repeat(65)] {
            let error = FieldConfig::new(name, 3, Metric::Dot).validate().unwrap_err();
            assert!(error.to_string().starts_with("bad field name"), "{error}");
        }
        FieldConfig::new("text-v1_large", 3, Metric::Dot).validate().unwrap();
        let error = FieldConfig::new("v", 0, Metric::Dot).validate().unwrap_err();
        assert!(error.to_string().contains("dims"), "{error}");
        let error = FieldConfig::new("v", 1, Metric::Dot).with_lists(0).validate().unwrap_err();
        assert!(error.to_string().contains("lists"), "{error}");
    }

    #[test]
    fn a_component_beyond_the_dense_format_is_named() {
        let config = FieldConfig::new("v", 2, Metric::Dot).with_dense(DenseFormat::F16);
        let error = config.check_dense(&[1.0, -65_505.0]).unwrap_err();
        assert_eq!(error.to_string(), "vector component 1 is -65505: f16 reaches to 65504");
        config.check_dense(&[65_504.0, 0.0]).unwrap();
        let cosine = FieldConfig { metric: Metric::Cosine, ..config };
        cosine.check_dense(&[1e20, 0.0]).unwrap();
    }

    #[test]
    fn values_that_are_not_given_are_the_defaults() {
        let config: FieldConfig =
            serde_json::from_str(r#"{"name": "v", "dims": 4, "metric": "cosine"}"#).unwrap();
        assert_eq!(config, FieldConfig::new("v", 4, Metric::Cosine));
        let unknown = r#"{"name":"v","dims":4,"metric":"dot","x":1}"#;
        assert!(serde_json::from_str::<FieldConfig>(unknown).is_err());
    }
}
