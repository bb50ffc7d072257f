//! The fields of a collection with their ids, as the store keeps them.

use std::collections::BTreeMap;

use bigrain_types::{FieldId, PointId, SegmentId, TextField};
use serde::{Deserialize, Serialize};

use super::collection_config::{check_field_count, no_such_field};
use super::{
    CollectionConfig, FieldConfig, LearnedBinarizer, MultiFieldConfig, SparseFieldConfig,
    row_version,
};
use crate::hybrid_fit::{MAX_FITS, check_fit_name};
use crate::{Error, ErrorKind, HybridFit, Result};

/// The fields of a collection with their ids: the JSON text in its manifest row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schema {
    /// The dense ones, by rising ids.
    pub fields: Vec<SchemaField>,
    /// The sparse ones in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sparse: Vec<SchemaSparse>,
    /// Those of multi-vectors in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub multi: Vec<SchemaMulti>,
    /// Whether there ever was one of these: rows of the head may have multi-vectors then, which programs
    /// of before cannot read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub had_multi: bool,
    /// The id of the next field: above all that were ever given out.
    pub next_field: FieldId,
    /// Payload fields that are searched by words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<SchemaText>,
    /// How results of vectors and words are fused, as far as that was fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hybrid: Option<HybridFit>,
    /// Other fitted fusions, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fits: BTreeMap<String, HybridFit>,
}

/// One field with its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaField {
    pub id: FieldId,
    /// What the field is called in file names; no other field of the collection ever was or will be
    /// called the same.
    pub file_stem: String,
    pub config: FieldConfig,
    /// The version of the learned binarizer before the present one, which segments may still be of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<LearnedBinarizer>,
    /// Whether segments of the former version stay as they are for now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub upgrade_paused: bool,
    /// The field of the encoder before, while any of its vectors may be left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<FieldId>,
    /// The field of a later encoder that this one's vectors go over to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<FieldId>,
    /// The id that it stands in the order of fields by, where that is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<FieldId>,
}

/// One sparse field with its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaSparse {
    pub id: FieldId,
    /// As that of a dense field.
    pub file_stem: String,
    pub config: SparseFieldConfig,
}

/// One multi-vector field with its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaMulti {
    pub id: FieldId,
    /// As that of a dense field.
    pub file_stem: String,
    pub config: MultiFieldConfig,
}

/// What the vectors of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Dense,
    Sparse,
    Multi,
    /// The field was dropped.
    Dropped,
}

/// A payload field that is searched by words, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaText {
    /// The first segment that was begun after the field was declared: it has the field's words, and
    /// so have all that follow.
    pub since: SegmentId,
    pub config: TextField,
}

impl SchemaField {
    /// Returns a field that nothing went before.
    pub(super) fn new(id: FieldId, file_stem: String, config: FieldConfig) -> Self {
        Self {
            id,
            file_stem,
            config,
            former: None,
            upgrade_paused: false,
            predecessor: None,
            successor: None,
            place: None,
        }
    }

    /// Whether the former version, if there is one, is the parent that the present one declares.
    fn is_declared(&self) -> bool {
        let Some(former) = &self.former else { return true };
        let present = self.config.binarizer.as_ref();
        present.is_some_and(|present| present.crossing(former).is_some())
    }
}

impl Schema {
    /// Gives ids to the fields of a new collection.
    pub fn new(config: CollectionConfig) -> Result<Self> {
        config.validate()?;
        let text = |config: &TextField| SchemaText { since: SegmentId(0), config: config.clone() };
        let texts = config.texts().iter().map(text).collect();
        let (fields, sparse, multi) = config.into_fields();
        // Fields are asked for before ids, so that none is lost.
        let mut ids = (0..).map(FieldId);
        let field = |(config, id): (FieldConfig, FieldId)| {
            let file_stem = config.name.clone();
            SchemaField::new(id, file_stem, config)
        };
        let fields: Vec<SchemaField> = fields.into_iter().zip(&mut ids).map(field).collect();
        let field = |(config, id): (SparseFieldConfig, FieldId)| SchemaSparse {
            id,
            file_stem: config.name.clone(),
            config,
        };
        let sparse: Vec<SchemaSparse> = sparse.into_iter().zip(&mut ids).map(field).collect();
        let field = |(config, id): (MultiFieldConfig, FieldId)| SchemaMulti {
            id,
            file_stem: config.name.clone(),
            config,
        };
        let multi: Vec<SchemaMulti> = multi.into_iter().zip(&mut ids).map(field).collect();
        let next_field = FieldId((fields.len() + sparse.len() + multi.len()) as u32);
        let had_multi = !multi.is_empty();
        let (hybrid, fits) = (None, BTreeMap::new());
        Ok(Self { fields, sparse, multi, had_multi, next_field, texts, hybrid, fits })
    }

    /// Reads what [`Schema::to_json`] wrote.
    pub fn from_json(json: &str) -> Result<Self> {
        let corrupt = |reason: String| {
            Error::new(ErrorKind::Corruption, format!("stored configuration: {reason}"))
        };
        let schema: Self = row_version::read(json)?;
        if schema.count() == 0 {
            return Err(corrupt("a collection has at least one field".into()));
        }
        schema.config().validate().map_err(|error| corrupt(error.to_string()))?;
        if !schema.successions_agree() {
            return Err(corrupt("fields that follow each other do not name each other".into()));
        }
        if !schema.fields.iter().all(SchemaField::is_declared) {
            return Err(corrupt(
                "a learned binarizer is not the next version of the former one".into(),
            ));
        }
        for fit in schema.hybrid.iter().chain(schema.fits.values()) {
            fit.check(&schema.config()).map_err(|error| corrupt(error.to_string()))?;
        }
        let dense: Vec<FieldId> = schema.fields.iter().map(|field| field.id).collect();
        let sparse: Vec<FieldId> = schema.sparse.iter().map(|field| field.id).collect();
        let multi: Vec<FieldId> = schema.multi.iter().map(|field| field.id).collect();
        let rise = |ids: &[FieldId]| ids.is_sorted_by(|a, b| a < b);
        if !rise(&dense) || !rise(&sparse) || !rise(&multi) {
            return Err(corrupt("field ids do not rise".into()));
        }
        let is_twice = |id: &FieldId| sparse.contains(id) || multi.contains(id);
        if dense.iter().any(is_twice) || sparse.iter().any(|id| multi.contains(id)) {
            return Err(corrupt("a field id is given out twice".into()));
        }
        if dense.iter().chain(&sparse).chain(&multi).any(|id| *id >= schema.next_field) {
            return Err(corrupt("a field id was never given out".into()));
        }
        if !schema.had_multi && !schema.multi.is_empty() {
            return Err(corrupt("a multi-vector field was never there".into()));
        }
        Ok(schema)
    }

    pub fn to_json(&self) -> Result<String> {
        let is_learned = |field: &SchemaField| field.config.binarizer.is_some();
        let is_upgraded = |field: &SchemaField| field.former.is_some();
        let version = match self.fields.iter().any(is_learned) {
            _ if self.has_succession() => row_version::SUCCESSIVE_ENCODERS,
            true if self.fields.iter().any(is_upgraded) => row_version::COMPATIBLE_VERSIONS,
            true => row_version::LEARNED_BINARIZERS,
            false if self.had_multi => row_version::MULTI_VECTORS,
            false => row_version::FIRST,
        };
        row_version::write(self, version)
    }

    /// Returns how many vector fields there are.
    fn count(&self) -> usize {
        self.fields.len() + self.sparse.len() + self.multi.len()
    }

    /// Returns the fields without their ids.
    pub fn config(&self) -> CollectionConfig {
        let fields = self.arranged().into_iter().map(|field| field.config.clone());
        let sparse = self.sparse.iter().map(|field| field.config.clone());
        let texts = self.texts.iter().map(|text| text.config.clone());
        let multi = self.multi.iter().map(|field| field.config.clone());
        CollectionConfig::from_fields(fields, sparse, multi, texts.collect())
    }

    /// Makes a learned binarizer that of a dense field, in place of its parent.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` where the field's binarizer is not the parent that training has declared.
    pub fn upgrade(&mut self, id: FieldId, binarizer: LearnedBinarizer) -> Result<&SchemaField> {
        let field = self.dense_mut(id)?;
        let refuse = |reason: String| Err(Error::new(ErrorKind::FailedPrecondition, reason));
        let name = &field.config.name;
        let Some(present) = field.config.binarizer.take() else {
            return refuse(format!(
                "field {name:?} has no learned binarizer: only a version of one can follow it"
            ));
        };
        if binarizer.translation().is_some() {
            return refuse(format!(
                "the binarizer was trained for the vectors of another encoder: field {name:?} goes over to that \
                 one as a whole"
            ));
        }
        if binarizer.crossing(&present).is_none() {
            let parent = binarizer.parent().map_or("no version".to_owned(), |id| id.to_string());
            return refuse(format!(
                "the binarizer was trained to follow {parent}, field {name:?} has {}",
                present.id()
            ));
        }
        field.config = field.config.clone().with_binarizer(binarizer);
        field.config.validate()?;
        (field.former, field.upgrade_paused) = (Some(present), false);
        Ok(field)
    }

    /// Says whether segments of the former version of a field stay as they are.
    pub fn pause_upgrade(&mut self, id: FieldId, paused: bool) -> Result<&SchemaField> {
        let field = self.dense_mut(id)?;
        field.upgrade_paused = paused && field.former.is_some();
        Ok(field)
    }

    pub(super) fn dense_mut(&mut self, id: FieldId) -> Result<&mut SchemaField> {
        let dropped = || Error::new(ErrorKind::NotFound, "the field was dropped");
        self.fields.iter_mut().find(|field| field.id == id).ok_or_else(dropped)
    }

    /// Returns what the vectors of a field are; nothing for an id that was never given out.
    pub fn kind(&self, id: FieldId) -> Option<FieldKind> {
        if self.fields.iter().any(|field| field.id == id) {
            Some(FieldKind::Dense)
        } else if self.sparse.iter().any(|field| field.id == id) {
            Some(FieldKind::Sparse)
        } else if self.multi.iter().any(|field| field.id == id) {
            Some(FieldKind::Multi)
        } else {
            (id < self.next_field).then_some(FieldKind::Dropped)
        }
    }

    /// Refuses a stored vector whose field never was, or is of the other kind.
    pub fn check_stored(&self, field: FieldId, kind: FieldKind, id: &PointId) -> Result<()> {
        let reason = match self.kind(field) {
            Some(found) if found == kind || found == FieldKind::Dropped => return Ok(()),
            Some(_) => format!("stored vector of {id} is not of the kind of field {field}"),
            None => format!("stored vector of {id} is of field {field}, which never was"),
        };
        Err(Error::new(ErrorKind::Corruption, reason))
    }

    /// Adds a dense field behind the others.
    pub fn add(&mut self, config: FieldConfig) -> Result<&SchemaField> {
        config.validate()?;
        let (id, file_stem) = self.give_id(&config.name)?;
        self.fields.push(SchemaField::new(id, file_stem, config));
        Ok(&self.fields[self.fields.len() - 1])
    }

    /// Adds a sparse field behind the others.
    pub fn add_sparse(&mut self, config: SparseFieldConfig) -> Result<&SchemaSparse> {
        config.validate()?;
        let (id, file_stem) = self.give_id(&config.name)?;
        self.sparse.push(SchemaSparse { id, file_stem, config });
        Ok(&self.sparse[self.sparse.len() - 1])
    }

    /// Adds a multi-vector field behind the others.
    pub fn add_multi(&mut self, config: MultiFieldConfig) -> Result<&SchemaMulti> {
        config.validate()?;
        let (id, file_stem) = self.give_id(&config.name)?;
        self.multi.push(SchemaMulti { id, file_stem, config });
        self.had_multi = true;
        Ok(&self.multi[self.multi.len() - 1])
    }

    /// Gives out the id of a new field, and what it is called in file names.
    pub(super) fn give_id(&mut self, name: &str) -> Result<(FieldId, String)> {
        if self.names().any(|known| known == name) {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("field {name:?} exists")));
        }
        check_field_count(self.count() + 1)?;
        let id = self.next_field;
        let next = id.0.checked_add(1);
        self.next_field = FieldId(next.ok_or_else(|| Error::invalid("field ids are used up"))?);
        // '@' is in no name, and no other field has this id.
        Ok((id, format!("{name}@{id}")))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let sparse = self.sparse.iter().map(|field| &*field.config.name);
        let multi = self.multi.iter().map(|field| &*field.config.name);
        self.fields.iter().map(|field| &*field.config.name).chain(sparse).chain(multi)
    }

    /// Declares a text field behind the others; the next segment will be `since`.
    pub fn add_text(&mut self, config: TextField, since: SegmentId) -> Result<()> {
        let name = config.name();
        if self.texts.iter().any(|known| known.config.name() == name) {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("text field {name} exists")));
        }
        self.texts.push(SchemaText { since, config });
        let added = self.config().validate();
        if added.is_err() {
            self.texts.pop();
        }
        added
    }

    /// Removes a text field, and the fusion that was fitted for it.
    pub fn remove_text(&mut self, name: &str) -> Result<()> {
        let found = self.texts.iter().position(|known| known.config.name() == name);
        let Some(found) = found else {
            return Err(Error::new(ErrorKind::NotFound, format!("no such text field {name:?}")));
        };
        self.texts.remove(found);
        self.forget_fits(|fit| fit.text.field == name);
        Ok(())
    }

    /// Keeps a fitted fusion in place of the one before of its name, or without one, or forgets it.
    pub fn set_hybrid(&mut self, name: Option<&str>, fit: Option<HybridFit>) -> Result<()> {
        if let Some(fit) = &fit {
            fit.check(&self.config())?;
        }
        match (name, fit) {
            (None, fit) => self.hybrid = fit,
            (Some(name), Some(fit)) => {
                check_fit_name(name)?;
                if !self.fits.contains_key(name) && self.fits.len() >= MAX_FITS {
                    return Err(Error::invalid(format!("{MAX_FITS} fitted fusions are the limit")));
                }
                self.fits.insert(name.to_owned(), fit);
            }
            (Some(name), None) => {
                if self.fits.remove(name).is_none() {
                    let reason = format!("no fusion was fitted under the name {name:?}");
                    return Err(Error::new(ErrorKind::NotFound, reason));
                }
            }
        }
        Ok(())
    }

    fn forget_fits(&mut self, is_gone: impl Fn(&HybridFit) -> bool) {
        self.hybrid.take_if(|fit| is_gone(fit));
        self.fits.retain(|_, fit| !is_gone(fit));
    }

    /// Removes a field; returns its id.
    pub fn remove(&mut self, name: &str) -> Result<FieldId> {
        if !self.names().any(|known| known == name) {
            return Err(no_such_field(name, self.names()));
        }
        if self.count() == 1 {
            let reason =
                format!("field {name:?} is the collection's only one: drop the collection");
            return Err(Error::new(ErrorKind::FailedPrecondition, reason));
        }
        self.check_no_predecessor(name)?;
        self.forget_fits(|fit| fit.vector.field == name);
        if let Some(at) = self.fields.iter().position(|field| field.config.name == name) {
            let id = self.fields.remove(at).id;
            self.end_succession(id);
            return Ok(id);
        }
        if let Some(at) = self.sparse.iter().position(|field| field.config.name == name) {
            return Ok(self.sparse.remove(at).id);
        }
        match self.multi.iter().position(|field| field.config.name == name) {
            Some(at) => Ok(self.multi.remove(at).id),
            None => Err(no_such_field(name, self.names())),
        }
    }
}

#[cfg(test)]
mod tests {
    use bigrain_types::Metric;

    use super::*;

    fn field(name: &str) -> FieldConfig {
        FieldConfig::new(name, 3, Metric::Dot)
    }

    #[test]
    fn ids_and_file_stems_are_never_used_twice() {
        let mut schema =
            Schema::new(CollectionConfig::of(field("a")).with_field(field("b"))).unwrap();
        let mut stems: Vec<String> =
            schema.fields.iter().map(|field| field.file_stem.clone()).collect();
        for id in 2..5 {
            schema.remove("b").unwrap();
            let added = schema.add(field("b")).unwrap();
            assert_eq!(added.id, FieldId(id));
            stems.push(added.file_stem.clone());
            schema = Schema::from_json(&schema.to_json().unwrap()).unwrap();
        }
        assert_eq!(stems, ["a", "b", "b@2", "b@3", "b@4"]);
    }

    #[test]
    fn dense_and_sparse_fields_share_ids() {
        let sparse = SparseFieldConfig::new;
        let config = CollectionConfig::of(field("a")).with_sparse(sparse("s"));
        let mut schema = Schema::new(config.clone()).unwrap();
        assert_eq!(schema.sparse[0].id, FieldId(1));
        assert_eq!(schema.add(field("b")).unwrap().id, FieldId(2));
        assert_eq!(schema.add_sparse(sparse("t")).unwrap().file_stem, "t@3");
        assert_eq!(schema.add_sparse(sparse("b")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(schema.add(field("s")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(schema.remove("s").unwrap(), FieldId(1));
        let kinds = [0, 1, 3, 4].map(|id| schema.kind(FieldId(id)));
        let [dense, dropped, sparse] =
            [FieldKind::Dense, FieldKind::Dropped, FieldKind::Sparse].map(Some);
        assert_eq!(kinds, [dense, dropped, sparse, None]);
        schema = Schema::from_json(&schema.to_json().unwrap()).unwrap();
        assert_eq!(schema.config().field_names().collect::<Vec<_>>(), ["a", "b", "t"]);
        for name in ["a", "b"] {
            schema.remove(name).unwrap();
        }
        assert_eq!(schema.remove("t").unwrap_err().kind(), ErrorKind::FailedPrecondition);
        schema = Schema::from_json(&schema.to_json().unwrap()).unwrap();
        assert!(schema.fields.is_empty());
        let mut twice = Schema::new(config).unwrap();
        twice.sparse[0].id = FieldId(0);
        let error = Schema::from_json(&twice.to_json().unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("a field id is given out twice"), "{error}");
    }

    #[test]
    fn rows_have_the_version_of_what_was_ever_in_them() {
        let multi = MultiFieldConfig::new("m", 4, Metric::Cosine);
        let mut schema = Schema::new(CollectionConfig::of(field("a"))).unwrap();
        assert!(schema.to_json().unwrap().starts_with(r#"{"version":1,"#));
        assert_eq!(schema.add_multi(multi.clone()).unwrap().file_stem, "m@1");
        assert_eq!(schema.kind(FieldId(1)), Some(FieldKind::Multi));
        assert_eq!(schema.add(field("m")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(schema.remove("m").unwrap(), FieldId(1));
        let json = schema.to_json().unwrap();
        assert!(json.starts_with(r#"{"version":2,"#), "{json}");
        schema = Schema::from_json(&json).unwrap();
        assert!(schema.had_multi && schema.config().multi().is_empty());
        let mut never = Schema::new(CollectionConfig::of_multi(multi)).unwrap();
        assert_eq!(Schema::from_json(&never.to_json().unwrap()).unwrap(), never);
        never.had_multi = false;
        assert!(Schema::from_json(&never.to_json().unwrap()).is_err());
    }

    #[test]
    fn the_last_field_and_known_names_are_refused() {
        let mut schema = Schema::new(CollectionConfig::of(field("a"))).unwrap();
        assert_eq!(schema.add(field("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(schema.remove("b").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(schema.remove("a").unwrap_err().kind(), ErrorKind::FailedPrecondition);
    }

    #[test]
    fn json_that_no_schema_wrote_is_corruption() {
        let mut schema =
            Schema::new(CollectionConfig::of(field("a")).with_field(field("b"))).unwrap();
        for next in [0, 1] {
            schema.next_field = FieldId(next);
            let error = Schema::from_json(&schema.to_json().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        }
        for json in ["", "{}", r#"{"fields":[],"next_field":0}"#, r#"{"dims":3,"metric":"dot"}"#] {
            let error = Schema::from_json(json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{json}: {error}");
        }
    }
}
