//! A vector field at run time.

use std::sync::Arc;

use bigrain_binarize::Binarizer;
use bigrain_types::{EmbeddingSpaceId, FieldId, Metric, TextField, normalize, validate_vector};

use super::collection_config::{at_field, no_such_field};
use super::{CollectionConfig, FieldConfig, Schema, SchemaField};
use crate::{Error, ErrorKind, Result};

/// The seed of every field's rotation. Codes of equal shape share one code space, so that segments
/// can be copied from one collection to another.
const ROTATION_SEED: u64 = 0x6269_6772_6169_6e31;

/// One vector field of a collection, with all it takes to check, encode and find its vectors.
#[derive(Debug)]
pub(crate) struct Field {
    pub id: FieldId,
    pub name: Arc<str>,
    /// What the field is called in file names.
    pub file_stem: String,
    pub config: FieldConfig,
    pub binarizer: Binarizer,
}

impl Field {
    /// Prepares a field for use.
    pub fn new(SchemaField { id, file_stem, config }: &SchemaField) -> Result<Self> {
        let FieldConfig { dims, levels, metric, .. } = *config;
        let binarizer = Binarizer::new_rotation(dims, levels, metric, ROTATION_SEED)
            .map_err(|error| Error::invalid(error.to_string()))?;
        Ok(Self {
            id: *id,
            name: config.name.as_str().into(),
            file_stem: file_stem.clone(),
            config: config.clone(),
            binarizer,
        })
    }

    /// Refuses a vector that the field does not take.
    pub fn check(&self, vector: &[f32], space: Option<EmbeddingSpaceId>) -> Result<()> {
        self.check_query(vector, space)?;
        self.config.check_dense(vector)
    }

    /// Refuses a query that cannot be compared with the field's vectors.
    pub fn check_query(&self, vector: &[f32], space: Option<EmbeddingSpaceId>) -> Result<()> {
        self.config.check_space(space)?;
        Ok(validate_vector(vector, self.config.dims, self.config.metric)?)
    }

    /// Brings a vector into the form in which it is stored and compared: length one under cosine.
    pub fn normalize(&self, vector: &mut [f32]) {
        if self.config.metric == Metric::Cosine {
            normalize(vector);
        }
    }
}

/// The fields of a collection at one moment, in their order; at least one. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    vectors: Arc<[Arc<Field>]>,
    texts: Arc<[TextField]>,
}

impl Fields {
    /// Prepares the fields of a schema for use.
    pub fn new(schema: &Schema) -> Result<Self> {
        let field = |field: &SchemaField| Field::new(field).map(Arc::new);
        let vectors = schema.fields.iter().map(field).collect::<Result<_>>()?;
        Ok(Self { vectors, texts: schema.texts.iter().cloned().collect() })
    }

    /// Returns the fields, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Field>> {
        self.vectors.iter()
    }

    /// Returns the field of an id.
    pub fn get(&self, id: FieldId) -> Option<&Arc<Field>> {
        self.iter().find(|field| field.id == id)
    }

    /// Returns the field of a name; the first one without a name.
    pub fn named(&self, name: Option<&str>) -> Result<&Arc<Field>> {
        let Some(name) = name else { return Ok(&self.vectors[0]) };
        let found = self.iter().find(|field| &*field.name == name);
        found.ok_or_else(|| no_such_field(name, self.iter().map(|field| &*field.name)))
    }

    /// Returns the fields with another one behind them.
    #[must_use]
    pub fn with(&self, field: Arc<Field>) -> Self {
        let vectors = self.iter().cloned().chain([field]).collect();
        Self { vectors, texts: Arc::clone(&self.texts) }
    }

    /// Returns the fields without one of them, which is not the only one.
    #[must_use]
    pub fn without(&self, id: FieldId) -> Self {
        let vectors = self.iter().filter(|field| field.id != id).cloned().collect();
        Self { vectors, texts: Arc::clone(&self.texts) }
    }

    /// Returns the fields with other text fields.
    #[must_use]
    pub fn with_texts(&self, texts: &[TextField]) -> Self {
        Self { vectors: Arc::clone(&self.vectors), texts: texts.into() }
    }

    /// Returns the text fields, in their order.
    pub fn texts(&self) -> &Arc<[TextField]> {
        &self.texts
    }

    /// Returns the text field at a path; the first one without a path.
    pub fn text(&self, path: Option<&str>) -> Result<&TextField> {
        let found = match path {
            Some(path) => self.texts.iter().find(|field| field.path.to_string() == path),
            None => self.texts.first(),
        };
        found.ok_or_else(|| no_such_text(path, &self.texts))
    }

    /// Returns the shape of the collection.
    pub fn config(&self) -> CollectionConfig {
        let vectors = self.iter().map(|field| field.config.clone());
        CollectionConfig::from_fields(vectors, &self.texts)
    }

    /// Names the field an error is about, where the collection has several.
    pub fn at(&self, field: &Field, error: Error) -> Error {
        if self.vectors.len() == 1 { error } else { at_field(&field.name, &error) }
    }
}

/// Says that a text field is not declared, and which are.
fn no_such_text(path: Option<&str>, known: &[TextField]) -> Error {
    let known: Vec<String> = known.iter().map(|field| field.path.to_string()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    match path {
        Some(path) => {
            let reason = format!("no such text field {path:?}: the collection has {known}");
            Error::new(ErrorKind::NotFound, reason)
        }
        None => Error::new(ErrorKind::FailedPrecondition, "the collection has no text fields"),
    }
}
