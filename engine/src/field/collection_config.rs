//! The shape of a collection: its vector fields.

use std::collections::HashSet;

use bigrain_types::{DenseFormat, EmbeddingSpaceId, Levels, Metric, TextField};
use serde::{Deserialize, Serialize};

use super::{DEFAULT_FIELD, FieldConfig};
use crate::{Error, ErrorKind, Result};

/// The most vector fields of a collection.
pub const MAX_FIELDS: usize = 64;

/// The shape of a [`Collection`](crate::Collection): one vector field or more.
///
/// Most collections have one field and never name it:
///
/// ```
/// use bigrain_engine::{CollectionConfig, Levels, Metric};
///
/// let config = CollectionConfig::new(384, Metric::Cosine).with_levels(Levels::ONE);
/// assert_eq!(config.first().name, "vector");
/// ```
///
/// The first of several is the default of requests that name none, and rows of a segment lie in its
/// order on disk: it should be the one that is searched most.
///
/// ```
/// use bigrain_engine::{CollectionConfig, FieldConfig, Metric};
///
/// let config = CollectionConfig::of(FieldConfig::new("text", 384, Metric::Cosine))
///     .with_field(FieldConfig::new("image", 512, Metric::Dot));
/// config.validate()?;
/// # Ok::<(), bigrain_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct CollectionConfig {
    /// Never empty.
    fields: Vec<FieldConfig>,
    texts: Vec<TextField>,
}

impl CollectionConfig {
    /// Returns the shape of a collection with one field, called [`DEFAULT_FIELD`], whose codes have
    /// two levels.
    #[must_use]
    pub fn new(dims: usize, metric: Metric) -> Self {
        Self::of(FieldConfig::new(DEFAULT_FIELD, dims, metric))
    }

    /// Returns the shape of a collection with one field.
    #[must_use]
    pub fn of(first: FieldConfig) -> Self {
        Self { fields: vec![first], texts: Vec::new() }
    }

    /// Returns the shape with some vector fields, of which there is at least one, and text fields.
    pub(super) fn from_fields(
        fields: impl Iterator<Item = FieldConfig>,
        texts: Vec<TextField>,
    ) -> Self {
        let fields: Vec<FieldConfig> = fields.collect();
        debug_assert!(!fields.is_empty(), "a collection has at least one field");
        Self { fields, texts }
    }

    /// Declares a payload field to be searched by words.
    #[must_use]
    pub fn with_text(mut self, field: TextField) -> Self {
        self.texts.push(field);
        self
    }

    /// Returns the payload fields that are searched by words, in their order.
    #[must_use]
    pub fn texts(&self) -> &[TextField] {
        &self.texts
    }

    /// Returns the text field of a [name](TextField::name).
    ///
    /// # Errors
    ///
    /// `NotFound`, with the names there are.
    pub fn text(&self, name: &str) -> Result<&TextField> {
        let found = self.texts.iter().find(|text| text.name() == name);
        found.ok_or_else(|| no_such_text(name, &self.texts))
    }

    pub(super) fn into_fields(self) -> Vec<FieldConfig> {
        self.fields
    }

    /// Adds another field.
    #[must_use]
    pub fn with_field(mut self, field: FieldConfig) -> Self {
        self.fields.push(field);
        self
    }

    /// Sets how dense vectors of the first field are stored on disk.
    #[must_use]
    pub fn with_dense(self, dense: DenseFormat) -> Self {
        self.map_first(|first| first.with_dense(dense))
    }

    /// Sets the lists of codes of the first field in each segment; a segment never has more than
    /// rows.
    #[must_use]
    pub fn with_lists(self, lists: u32) -> Self {
        self.map_first(|first| first.with_lists(lists))
    }

    /// Sets the bits per dimension of the first field's codes in memory.
    #[must_use]
    pub fn with_levels(self, levels: Levels) -> Self {
        self.map_first(|first| first.with_levels(levels))
    }

    /// States which embedding space the first field's vectors come from.
    #[must_use]
    pub fn with_space(self, space: EmbeddingSpaceId) -> Self {
        self.map_first(|first| first.with_space(space))
    }

    /// States which encoder makes the first field's vectors.
    #[must_use]
    pub fn with_model(self, model: impl Into<String>) -> Self {
        self.map_first(|first| first.with_model(model))
    }

    /// Returns the first field: the default of requests that name none.
    #[must_use]
    pub fn first(&self) -> &FieldConfig {
        &self.fields[0]
    }

    /// Returns every field, in their order.
    #[must_use]
    pub fn fields(&self) -> &[FieldConfig] {
        &self.fields
    }

    /// Returns the field of a name; the first one without a name.
    ///
    /// # Errors
    ///
    /// `NotFound`, with the names there are.
    pub fn field(&self, name: Option<&str>) -> Result<&FieldConfig> {
        let Some(name) = name else { return Ok(self.first()) };
        let found = self.fields.iter().find(|field| field.name == name);
        found.ok_or_else(|| no_such_field(name, self.fields.iter().map(|field| &*field.name)))
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// An error of kind [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the value.
    pub fn validate(&self) -> Result<()> {
        check_field_count(self.fields.len())?;
        let mut names = HashSet::new();
        for field in &self.fields {
            field.validate().map_err(|error| self.at_field(&field.name, error))?;
            if !names.insert(&field.name) {
                return Err(Error::invalid(format!("two fields are called {:?}", field.name)));
            }
        }
        check_texts(&self.texts)
    }

    fn map_first(mut self, change: impl FnOnce(FieldConfig) -> FieldConfig) -> Self {
        let first = self.fields.remove(0);
        self.fields.insert(0, change(first));
        self
    }

    /// Names the field an error is about, where there are several.
    fn at_field(&self, name: &str, error: Error) -> Error {
        if self.fields.len() == 1 { error } else { at_field(name, &error) }
    }
}

/// What a shape is in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    fields: Vec<FieldConfig>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    texts: Vec<TextField>,
}

impl TryFrom<Fields> for CollectionConfig {
    type Error = &'static str;

    fn try_from(Fields { fields, texts }: Fields) -> Result<Self, Self::Error> {
        if fields.is_empty() {
            Err("a collection has at least one field")
        } else {
            Ok(Self { fields, texts })
        }
    }
}

impl From<CollectionConfig> for Fields {
    fn from(config: CollectionConfig) -> Self {
        Self { fields: config.fields, texts: config.texts }
    }
}

/// Refuses more fields than a collection may have.
pub(super) fn check_field_count(count: usize) -> Result<()> {
    if count > MAX_FIELDS {
        return Err(Error::invalid(format!("{count} fields exceed the limit of {MAX_FIELDS}")));
    }
    Ok(())
}

/// Refuses text fields that cannot be.
fn check_texts(texts: &[TextField]) -> Result<()> {
    check_field_count(texts.len())?;
    for (at, field) in texts.iter().enumerate() {
        if field.drop_stop_words && !field.language.has_stop_words() {
            let (name, language) = (field.name(), field.language);
            let reason =
                format!("text field {name}: no stop words are known of language {language}");
            return Err(Error::invalid(reason));
        }
        let name = field.name();
        if texts[..at].iter().any(|other| other.name() == name) {
            return Err(Error::invalid(format!("text field {name} is declared twice")));
        }
    }
    Ok(())
}

/// Names the field an error is about.
pub(super) fn at_field(name: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("field {name:?}: {error}"))
}

/// Says that a field does not exist, and which do.
pub(super) fn no_such_field<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    let reason = format!("no such field {name:?}: the collection has {}", known.join(", "));
    Error::new(ErrorKind::NotFound, reason)
}

/// Says that a text field is not declared, and which are.
pub(super) fn no_such_text<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a TextField>,
) -> Error {
    let known: Vec<String> = known.into_iter().map(TextField::name).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let reason = format!("no such text field {name:?}: the collection has {known}");
    Error::new(ErrorKind::NotFound, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortcuts_change_the_first_field_only() {
        let config = CollectionConfig::new(4, Metric::Dot)
            .with_field(FieldConfig::new("b", 2, Metric::L2))
            .with_levels(Levels::ONE)
            .with_model("m");
        let first = FieldConfig::new("vector", 4, Metric::Dot);
        assert_eq!(config.first(), &first.with_levels(Levels::ONE).with_model("m"));
        assert_eq!(config.fields()[1], FieldConfig::new("b", 2, Metric::L2));
    }

    #[test]
    fn bad_shapes_are_named() {
        let config = CollectionConfig::new(4, Metric::Dot);
        let twice = config.clone().with_field(FieldConfig::new("vector", 2, Metric::L2));
        let error = twice.validate().unwrap_err();
        assert_eq!(error.to_string(), "two fields are called \"vector\"");
        let empty = config.clone().with_field(FieldConfig::new("b", 0, Metric::L2));
        let error = empty.validate().unwrap_err().to_string();
        assert!(error.starts_with("field \"b\": dims out of range"), "{error}");
        let field = |at: usize| FieldConfig::new(format!("f{at}"), 2, Metric::L2);
        let many = (0..MAX_FIELDS).map(field).fold(config.clone(), CollectionConfig::with_field);
        assert_eq!(many.validate().unwrap_err().to_string(), "65 fields exceed the limit of 64");
        let error = config.field(Some("b")).unwrap_err();
        assert_eq!(error.to_string(), "no such field \"b\": the collection has vector");
    }

    #[test]
    fn text_fields_are_checked_and_kept() {
        let text = |path| TextField::new(path, bigrain_types::Language::Greek).unwrap();
        let config = CollectionConfig::new(4, Metric::Dot).with_text(text("a"));
        assert!(config.validate().is_ok());
        let twice = config.clone().with_text(text("a"));
        let error = twice.validate().unwrap_err().to_string();
        assert_eq!(error, "text field a is declared twice");
        let stop = config.clone().with_text(text("b").without_stop_words());
        let error = stop.validate().unwrap_err().to_string();
        assert_eq!(error, "text field b: no stop words are known of language el");
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<CollectionConfig>(&json).unwrap(), config);
    }

    #[test]
    fn a_shape_is_the_same_after_json_and_is_never_empty() {
        let config = CollectionConfig::new(4, Metric::Cosine).with_field(FieldConfig::new(
            "b",
            2,
            Metric::L2,
        ));
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<CollectionConfig>(&json).unwrap(), config);
        assert!(serde_json::from_str::<CollectionConfig>(r#"{"fields":[]}"#).is_err());
    }
}
