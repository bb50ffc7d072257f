//! The shape of a collection: its vector fields.

use std::collections::HashSet;

use bigrain_types::{DenseFormat, EmbeddingSpaceId, Levels, Metric, TextField};
use serde::{Deserialize, Serialize};

use super::{DEFAULT_FIELD, FieldConfig, MultiFieldConfig, SparseFieldConfig};
use crate::{Error, ErrorKind, Result};

/// The most vector fields of a collection, of all kinds together.
pub const MAX_FIELDS: usize = 64;

/// The shape of a [`Collection`](crate::Collection): one vector field or more.
///
/// Most collections have one field and never name it:
///
/// ```
/// use bigrain_engine::{CollectionConfig, Levels, Metric};
///
/// let config = CollectionConfig::new(384, Metric::Cosine).with_levels(Levels::ONE);
/// assert_eq!(config.first().unwrap().name, "vector");
/// ```
///
/// The first of several is the default of requests that name none, and rows of a segment lie in its
/// order on disk: it should be the one that is searched most. Sparse and multi-vector fields stand beside
/// the dense ones; a collection may have such fields only, and then rows lie in the order in which they
/// were written.
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
    fields: Vec<FieldConfig>,
    sparse: Vec<SparseFieldConfig>,
    multi: Vec<MultiFieldConfig>,
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
        Self { fields: vec![first], sparse: Vec::new(), multi: Vec::new(), texts: Vec::new() }
    }

    /// Returns the shape of a collection with one field, which is sparse.
    #[must_use]
    pub fn of_sparse(first: SparseFieldConfig) -> Self {
        Self { fields: Vec::new(), sparse: vec![first], multi: Vec::new(), texts: Vec::new() }
    }

    /// Returns the shape of a collection with one field, which is of multi-vectors.
    #[must_use]
    pub fn of_multi(first: MultiFieldConfig) -> Self {
        Self { fields: Vec::new(), sparse: Vec::new(), multi: vec![first], texts: Vec::new() }
    }

    /// Returns the shape with some vector fields, of which there is at least one, and text fields.
    pub(super) fn from_fields(
        fields: impl Iterator<Item = FieldConfig>,
        sparse: impl Iterator<Item = SparseFieldConfig>,
        multi: impl Iterator<Item = MultiFieldConfig>,
        texts: Vec<TextField>,
    ) -> Self {
        let (fields, sparse): (Vec<_>, Vec<_>) = (fields.collect(), sparse.collect());
        let config = Self { fields, sparse, multi: multi.collect(), texts };
        debug_assert!(config.count() > 0, "a collection has at least one field");
        config
    }

    /// Adds a sparse field.
    #[must_use]
    pub fn with_sparse(mut self, field: SparseFieldConfig) -> Self {
        self.sparse.push(field);
        self
    }

    /// Returns the sparse fields, in their order.
    #[must_use]
    pub fn sparse(&self) -> &[SparseFieldConfig] {
        &self.sparse
    }

    /// Adds a multi-vector field.
    #[must_use]
    pub fn with_multi(mut self, field: MultiFieldConfig) -> Self {
        self.multi.push(field);
        self
    }

    /// Returns the multi-vector fields, in their order.
    #[must_use]
    pub fn multi(&self) -> &[MultiFieldConfig] {
        &self.multi
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

    pub(super) fn into_fields(
        self,
    ) -> (Vec<FieldConfig>, Vec<SparseFieldConfig>, Vec<MultiFieldConfig>) {
        (self.fields, self.sparse, self.multi)
    }

    /// Returns how many vector fields there are.
    fn count(&self) -> usize {
        self.fields.len() + self.sparse.len() + self.multi.len()
    }

    /// Adds another dense field.
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

    /// Returns the first dense field: the default of requests that name none.
    #[must_use]
    pub fn first(&self) -> Option<&FieldConfig> {
        self.fields.first()
    }

    /// Returns every dense field, in their order.
    #[must_use]
    pub fn fields(&self) -> &[FieldConfig] {
        &self.fields
    }

    /// Returns the names of all vector fields, those of the dense ones first, then of the sparse ones.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        let sparse = self.sparse.iter().map(|field| &*field.name);
        let multi = self.multi.iter().map(|field| &*field.name);
        self.fields.iter().map(|field| &*field.name).chain(sparse).chain(multi)
    }

    /// Returns the dense field of a name; the first one without a name.
    ///
    /// # Errors
    ///
    /// `NotFound`, with the names there are; `FailedPrecondition` for a field of another kind, or where
    /// none is dense.
    pub fn field(&self, name: Option<&str>) -> Result<&FieldConfig> {
        let Some(name) = name else { return self.first().ok_or_else(no_dense_field) };
        if self.sparse.iter().any(|field| field.name == name) {
            return Err(is_sparse(name));
        }
        if self.multi.iter().any(|field| field.name == name) {
            return Err(is_multi(name));
        }
        let found = self.fields.iter().find(|field| field.name == name);
        found.ok_or_else(|| no_such_field(name, self.field_names()))
    }

    /// Refuses the name of no vector field.
    pub(crate) fn check_vector_field(&self, name: &str) -> Result<()> {
        let is_known = self.field_names().any(|known| known == name);
        if is_known { Ok(()) } else { Err(no_such_field(name, self.field_names())) }
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// An error of kind [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the value.
    pub fn validate(&self) -> Result<()> {
        check_field_count(self.count())?;
        for field in &self.fields {
            field.validate().map_err(|error| self.at_field(&field.name, error))?;
        }
        for field in &self.sparse {
            field.validate().map_err(|error| self.at_field(&field.name, error))?;
        }
        for field in &self.multi {
            field.validate().map_err(|error| self.at_field(&field.name, error))?;
        }
        let mut names = HashSet::new();
        if let Some(name) = self.field_names().find(|name| !names.insert(*name)) {
            return Err(Error::invalid(format!("two fields are called {name:?}")));
        }
        check_texts(&self.texts)
    }

    /// Changes the first dense field, if there is one.
    fn map_first(mut self, change: impl FnOnce(FieldConfig) -> FieldConfig) -> Self {
        if !self.fields.is_empty() {
            let first = self.fields.remove(0);
            self.fields.insert(0, change(first));
        }
        self
    }

    /// Names the field an error is about, where there are several.
    fn at_field(&self, name: &str, error: Error) -> Error {
        if self.count() == 1 { error } else { at_field(name, &error) }
    }
}

/// What a shape is in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default)]
    fields: Vec<FieldConfig>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sparse: Vec<SparseFieldConfig>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    multi: Vec<MultiFieldConfig>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    texts: Vec<TextField>,
}

impl TryFrom<Fields> for CollectionConfig {
    type Error = &'static str;

    fn try_from(Fields { fields, sparse, multi, texts }: Fields) -> Result<Self, Self::Error> {
        let config = Self { fields, sparse, multi, texts };
        if config.count() == 0 { Err("a collection has at least one field") } else { Ok(config) }
    }
}

impl From<CollectionConfig> for Fields {
    fn from(config: CollectionConfig) -> Self {
        let CollectionConfig { fields, sparse, multi, texts } = config;
        Self { fields, sparse, multi, texts }
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

/// Says that a field is sparse where a dense one is meant.
pub(super) fn is_sparse(name: &str) -> Error {
    let reason =
        format!("field {name:?} is sparse: expected a sparse vector, of indices and values");
    Error::new(ErrorKind::FailedPrecondition, reason)
}

/// Says that a field is of multi-vectors where one vector is meant.
pub(super) fn is_multi(name: &str) -> Error {
    let reason = format!("field {name:?} is of multi-vectors: expected a vector for each token");
    Error::new(ErrorKind::FailedPrecondition, reason)
}

/// Says that a field is of one vector a point where a multi-vector is meant.
pub(super) fn is_not_multi(name: &str) -> Error {
    let reason = format!("field {name:?} is not of multi-vectors: expected one vector");
    Error::new(ErrorKind::FailedPrecondition, reason)
}

/// Says that no field was named, and the first cannot be meant because none is of multi-vectors.
pub(super) fn no_multi_field() -> Error {
    Error::new(ErrorKind::FailedPrecondition, "the collection has no multi-vector fields")
}

/// Says that a field is dense where a sparse one is meant.
pub(super) fn is_dense(name: &str) -> Error {
    let reason = format!("field {name:?} is dense: expected all of its components");
    Error::new(ErrorKind::FailedPrecondition, reason)
}

/// Says that no field was named, and the first cannot be meant because none is dense.
pub(super) fn no_dense_field() -> Error {
    let reason =
        "the collection has no dense fields: name one of another kind, and give such a vector";
    Error::new(ErrorKind::FailedPrecondition, reason)
}

/// Says that no field was named, and the first cannot be meant because none is sparse.
pub(super) fn no_sparse_field() -> Error {
    Error::new(ErrorKind::FailedPrecondition, "the collection has no sparse fields")
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
        assert_eq!(config.first(), Some(&first.with_levels(Levels::ONE).with_model("m")));
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
    fn sparse_fields_share_the_names_of_the_dense_ones() {
        let sparse = SparseFieldConfig::new;
        let both = CollectionConfig::new(4, Metric::Dot).with_sparse(sparse("s"));
        both.validate().unwrap();
        assert_eq!(both.field_names().collect::<Vec<_>>(), ["vector", "s"]);
        let twice = both.clone().with_sparse(sparse("vector")).validate().unwrap_err();
        assert_eq!(twice.to_string(), "two fields are called \"vector\"");
        let bad = both.clone().with_sparse(sparse("a b")).validate().unwrap_err().to_string();
        assert!(bad.starts_with("field \"a b\": bad field name"), "{bad}");
        let error = both.field(Some("s")).unwrap_err().to_string();
        assert!(error.starts_with("field \"s\" is sparse"), "{error}");
        let only = CollectionConfig::of_sparse(sparse("s"));
        only.validate().unwrap();
        assert_eq!(only.field(None).unwrap_err().kind(), ErrorKind::FailedPrecondition);
        for config in [both, only] {
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<CollectionConfig>(&json).unwrap(), config);
        }
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
