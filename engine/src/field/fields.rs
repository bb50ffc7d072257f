//! A vector field at run time.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bigrain_binarize::{Binarizer, Crossing};
use bigrain_types::{
    CodeSpaceId, EmbeddingSpaceId, FieldId, Metric, SegmentId, normalize, validate_vector,
};

use super::collection_config::{
    at_field, is_dense, is_multi, is_not_multi, is_sparse, no_dense_field, no_multi_field,
    no_sparse_field, no_such_field, no_such_text,
};
use super::{
    CollectionConfig, FieldConfig, LearnedBinarizer, MultiField, Schema, SchemaField, SchemaSparse,
    SchemaText, SparseFieldConfig,
};
use crate::guide::Guide;
use crate::{Error, ErrorKind, HybridFit, Result};

/// The seed of every field's rotation. Codes of equal shape share one code space, so that segments
/// can be copied from one collection to another.
pub(super) const ROTATION_SEED: u64 = 0x6269_6772_6169_6e31;

/// One dense vector field of a collection, with all it takes to check, encode and find its vectors.
#[derive(Debug)]
pub(crate) struct Field {
    pub id: FieldId,
    pub name: Arc<str>,
    /// What the field is called in file names.
    pub file_stem: String,
    pub config: FieldConfig,
    pub binarizer: Binarizer,
    /// The version before, whose codes are still met.
    pub former: Option<FormerVersion>,
    /// Whether segments of the former version stay as they are for now.
    pub upgrade_paused: bool,
    /// The field of the encoder before, while any of its vectors may be left.
    pub predecessor: Option<FieldId>,
    /// Whether a field of a later encoder has followed: no vector may be written any more.
    pub is_followed: bool,
    /// Says where rows that are written belong, once a segment is large enough.
    pub guide: ArcSwapOption<Guide>,
}

impl Field {
    /// Prepares a field for use.
    pub fn new(schema: &SchemaField) -> Result<Self> {
        let SchemaField { id, file_stem, config, former, upgrade_paused, predecessor, .. } = schema;
        let FieldConfig { dims, levels, metric, .. } = *config;
        let binarizer = match &config.binarizer {
            Some(learned) => learned.binarizer(),
            None => Binarizer::new_rotation(dims, levels, metric, ROTATION_SEED)
                .map_err(|error| Error::invalid(error.to_string()))?,
        };
        let crossing = |former: &LearnedBinarizer| {
            let crossing = config.binarizer.as_ref()?.crossing(former)?;
            Some(FormerVersion { space: former.id(), crossing })
        };
        Ok(Self {
            id: *id,
            name: config.name.as_str().into(),
            file_stem: file_stem.clone(),
            config: config.clone(),
            binarizer,
            former: former.as_ref().and_then(crossing),
            upgrade_paused: *upgrade_paused,
            predecessor: *predecessor,
            is_followed: schema.successor.is_some(),
            guide: ArcSwapOption::empty(),
        })
    }

    /// Whether codes of a space can be searched: those of its binarizer, and of the version before.
    pub fn takes_codes_of(&self, space: CodeSpaceId) -> bool {
        space == self.binarizer.id() || self.former.is_some_and(|former| former.space == space)
    }

    /// Whether codes of a space are to be made anew.
    pub fn is_stale(&self, space: CodeSpaceId) -> bool {
        space != self.binarizer.id() && !self.upgrade_paused
    }

    /// Refuses a vector that the field does not take.
    pub fn check(&self, vector: &[f32], space: Option<EmbeddingSpaceId>) -> Result<()> {
        if self.is_followed {
            let reason = "takes no more vectors: a field of a later encoder has followed it";
            let reason = format!("field {:?} {reason}", self.name);
            return Err(Error::new(ErrorKind::FailedPrecondition, reason));
        }
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

/// The version of a learned binarizer before a field's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormerVersion {
    pub space: CodeSpaceId,
    /// How the field's queries are compared with codes of it.
    pub crossing: Crossing,
}

/// One sparse vector field of a collection.
#[derive(Debug)]
pub(crate) struct SparseField {
    pub id: FieldId,
    pub name: Arc<str>,
    /// What the field is called in file names.
    pub file_stem: String,
    pub config: SparseFieldConfig,
}

impl SparseField {
    /// Prepares a field for use.
    pub fn new(SchemaSparse { id, file_stem, config }: &SchemaSparse) -> Self {
        let (file_stem, config) = (file_stem.clone(), config.clone());
        Self { id: *id, name: config.name.as_str().into(), file_stem, config }
    }
}

/// The fields of a collection at one moment, in their order; at least one vector field. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    vectors: Arc<[Arc<Field>]>,
    sparse: Arc<[Arc<SparseField>]>,
    multi: Arc<[Arc<MultiField>]>,
    texts: Arc<[SchemaText]>,
    hybrid: Option<Arc<HybridFit>>,
    fits: Arc<BTreeMap<String, HybridFit>>,
}

impl Fields {
    /// Prepares the fields of a schema for use.
    pub fn new(schema: &Schema) -> Result<Self> {
        let field = |field: &SchemaField| Field::new(field).map(Arc::new);
        let vectors = schema.arranged().into_iter().map(field).collect::<Result<_>>()?;
        let sparse = schema.sparse.iter().map(|field| Arc::new(SparseField::new(field)));
        let multi = schema.multi.iter().map(|field| MultiField::new(field).map(Arc::new));
        let (sparse, multi) = (sparse.collect(), multi.collect::<Result<_>>()?);
        let (hybrid, fits) = (schema.hybrid.clone().map(Arc::new), schema.fits.clone().into());
        let texts = schema.texts.iter().cloned().collect();
        Ok(Self { vectors, sparse, multi, texts, hybrid, fits })
    }

    /// Returns the dense fields, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Field>> {
        self.vectors.iter()
    }

    /// Returns the sparse fields, in their order.
    pub fn sparse(&self) -> impl Iterator<Item = &Arc<SparseField>> {
        self.sparse.iter()
    }

    /// Returns the multi-vector fields, in their order.
    pub fn multi(&self) -> impl Iterator<Item = &Arc<MultiField>> {
        self.multi.iter()
    }

    /// Returns the multi-vector field of an id.
    pub fn get_multi(&self, id: FieldId) -> Option<&Arc<MultiField>> {
        self.multi().find(|field| field.id == id)
    }

    /// Returns the multi-vector field of a name; the first one without a name.
    pub fn named_multi(&self, name: Option<&str>) -> Result<&Arc<MultiField>> {
        let Some(name) = name else { return self.multi.first().ok_or_else(no_multi_field) };
        let found = self.multi().find(|field| &*field.name == name);
        found.ok_or_else(|| match self.names().any(|known| known == name) {
            true => is_not_multi(name),
            false => no_such_field(name, self.names()),
        })
    }

    /// Returns the dense field of an id.
    pub fn get(&self, id: FieldId) -> Option<&Arc<Field>> {
        self.iter().find(|field| field.id == id)
    }

    /// Returns the field that a field has followed, while it is there.
    pub fn before(&self, field: &Field) -> Option<&Arc<Field>> {
        self.get(field.predecessor?)
    }

    /// Returns the sparse field of an id.
    pub fn get_sparse(&self, id: FieldId) -> Option<&Arc<SparseField>> {
        self.sparse().find(|field| field.id == id)
    }

    /// Returns the dense field of a name; the first one without a name.
    pub fn named(&self, name: Option<&str>) -> Result<&Arc<Field>> {
        let Some(name) = name else { return self.vectors.first().ok_or_else(no_dense_field) };
        if self.sparse().any(|field| &*field.name == name) {
            return Err(is_sparse(name));
        }
        if self.multi().any(|field| &*field.name == name) {
            return Err(is_multi(name));
        }
        let found = self.iter().find(|field| &*field.name == name);
        found.ok_or_else(|| no_such_field(name, self.names()))
    }

    /// Returns the sparse field of a name; the first one without a name.
    pub fn named_sparse(&self, name: Option<&str>) -> Result<&Arc<SparseField>> {
        let Some(name) = name else { return self.sparse.first().ok_or_else(no_sparse_field) };
        if self.iter().any(|field| &*field.name == name) {
            return Err(is_dense(name));
        }
        if self.multi().any(|field| &*field.name == name) {
            return Err(is_multi(name));
        }
        let found = self.sparse().find(|field| &*field.name == name);
        found.ok_or_else(|| no_such_field(name, self.names()))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let sparse = self.sparse().map(|field| &*field.name);
        let multi = self.multi().map(|field| &*field.name);
        self.iter().map(|field| &*field.name).chain(sparse).chain(multi)
    }

    /// Returns the fields with another dense one behind them.
    #[must_use]
    pub fn with(&self, field: Arc<Field>) -> Self {
        let vectors = self.iter().cloned().chain([field]).collect();
        Self { vectors, ..self.clone() }
    }

    /// Returns the fields with another sparse one behind them.
    #[must_use]
    pub fn with_sparse(&self, field: Arc<SparseField>) -> Self {
        let sparse = self.sparse().cloned().chain([field]).collect();
        Self { sparse, ..self.clone() }
    }

    /// Returns the fields with another one of multi-vectors behind them.
    #[must_use]
    pub fn with_multi(&self, field: Arc<MultiField>) -> Self {
        let multi = self.multi().cloned().chain([field]).collect();
        Self { multi, ..self.clone() }
    }

    /// Returns the fields with another version of one of them.
    #[must_use]
    pub fn with_version(&self, version: &Arc<Field>) -> Self {
        let replace = |field: &Arc<Field>| match field.id == version.id {
            true => Arc::clone(version),
            false => Arc::clone(field),
        };
        Self { vectors: self.iter().map(replace).collect(), ..self.clone() }
    }

    /// Returns the fields with one of a later encoder in the place of another one, which comes last from now on.
    #[must_use]
    pub fn with_succession(&self, former: &Arc<Field>, later: &Arc<Field>) -> Self {
        let replace = |field: &Arc<Field>| match field.id == former.id {
            true => Arc::clone(later),
            false => Arc::clone(field),
        };
        let vectors = self.iter().map(replace).chain([Arc::clone(former)]).collect();
        Self { vectors, ..self.clone() }
    }

    /// Returns the fields without one of them, which is not the only one.
    #[must_use]
    pub fn without(&self, id: FieldId) -> Self {
        let vectors = self.iter().filter(|field| field.id != id).cloned().collect();
        let sparse = self.sparse().filter(|field| field.id != id).cloned().collect();
        let multi = self.multi().filter(|field| field.id != id).cloned().collect();
        Self { vectors, sparse, multi, ..self.clone() }
    }

    /// Returns the fields with what a schema says of words and of fusing.
    #[must_use]
    pub fn with_texts_of(&self, schema: &Schema) -> Self {
        let texts = schema.texts.iter().cloned().collect();
        let (hybrid, fits) = (schema.hybrid.clone().map(Arc::new), schema.fits.clone().into());
        Self { texts, hybrid, fits, ..self.clone() }
    }

    /// Returns the text fields, in their order.
    pub fn texts(&self) -> &[SchemaText] {
        &self.texts
    }

    /// Returns the text field of a name; the first one without a name.
    pub fn text(&self, name: Option<&str>) -> Result<&SchemaText> {
        let Some(name) = name else {
            let reason = "the collection has no text fields";
            let none = || Error::new(ErrorKind::FailedPrecondition, reason);
            return self.texts.first().ok_or_else(none);
        };
        let found = self.texts.iter().find(|text| text.config.name() == name);
        found.ok_or_else(|| no_such_text(name, self.texts.iter().map(|text| &text.config)))
    }

    /// Returns the fusion that was fitted under a name, or without one, if one was.
    pub fn hybrid(&self, name: Option<&str>) -> Option<&HybridFit> {
        match name {
            None => self.hybrid.as_deref(),
            Some(name) => self.fits.get(name),
        }
    }

    /// Returns the fusions that were fitted under names.
    pub fn named_fits(&self) -> &BTreeMap<String, HybridFit> {
        &self.fits
    }

    /// Whether a segment was begun before some text field was declared, and may lack its words.
    pub fn is_stale(&self, segment: SegmentId) -> bool {
        self.texts.iter().any(|text| segment < text.since)
    }

    /// Returns the shape of the collection.
    pub fn config(&self) -> CollectionConfig {
        let vectors = self.iter().map(|field| field.config.clone());
        let sparse = self.sparse().map(|field| field.config.clone());
        let texts = self.texts.iter().map(|text| text.config.clone());
        let multi = self.multi().map(|field| field.config.clone());
        CollectionConfig::from_fields(vectors, sparse, multi, texts.collect())
    }

    /// Names the field an error is about, where the collection has several.
    pub fn at(&self, field: &Field, error: Error) -> Error {
        self.at_name(&field.name, error)
    }

    /// Names the field of a name.
    pub fn at_name(&self, name: &str, error: Error) -> Error {
        if self.names().count() == 1 { error } else { at_field(name, &error) }
    }
}
