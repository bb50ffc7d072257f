//! The fields of a collection with their ids, as the store keeps them.

use std::collections::BTreeMap;

use bigrain_types::{FieldId, SegmentId, TextField};
use serde::{Deserialize, Serialize};

use super::collection_config::{check_field_count, no_such_field};
use super::{CollectionConfig, FieldConfig};
use crate::hybrid_fit::{MAX_FITS, check_fit_name};
use crate::{Error, ErrorKind, HybridFit, Result};

/// The fields of a collection with their ids: the JSON text in its manifest row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schema {
    /// In their order, the first being the default. Never empty.
    pub fields: Vec<SchemaField>,
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

impl Schema {
    /// Gives ids to the fields of a new collection.
    pub fn new(config: CollectionConfig) -> Result<Self> {
        config.validate()?;
        let text = |config: &TextField| SchemaText { since: SegmentId(0), config: config.clone() };
        let texts = config.texts().iter().map(text).collect();
        let fields = config.into_fields().into_iter().zip(0..);
        let field = |(config, id): (FieldConfig, u32)| SchemaField {
            id: FieldId(id),
            file_stem: config.name.clone(),
            config,
        };
        let fields: Vec<SchemaField> = fields.map(field).collect();
        let next_field = FieldId(fields.len() as u32);
        Ok(Self { fields, next_field, texts, hybrid: None, fits: BTreeMap::new() })
    }

    /// Reads what [`Schema::to_json`] wrote.
    pub fn from_json(json: &str) -> Result<Self> {
        let corrupt = |reason: String| {
            Error::new(ErrorKind::Corruption, format!("stored configuration: {reason}"))
        };
        let schema: Self =
            serde_json::from_str(json).map_err(|error| corrupt(error.to_string()))?;
        if schema.fields.is_empty() {
            return Err(corrupt("a collection has at least one field".into()));
        }
        schema.config().validate().map_err(|error| corrupt(error.to_string()))?;
        for fit in schema.hybrid.iter().chain(schema.fits.values()) {
            fit.check(&schema.config()).map_err(|error| corrupt(error.to_string()))?;
        }
        let ids = || schema.fields.iter().map(|field| field.id);
        if !ids().is_sorted_by(|a, b| a < b) {
            return Err(corrupt("field ids do not rise".into()));
        }
        if ids().any(|id| id >= schema.next_field) {
            return Err(corrupt("a field id was never given out".into()));
        }
        Ok(schema)
    }

    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
    }

    /// Returns the fields without their ids.
    pub fn config(&self) -> CollectionConfig {
        let fields = self.fields.iter().map(|field| field.config.clone());
        let texts = self.texts.iter().map(|text| text.config.clone());
        CollectionConfig::from_fields(fields, texts.collect())
    }

    /// Adds a field behind the others.
    pub fn add(&mut self, config: FieldConfig) -> Result<&SchemaField> {
        config.validate()?;
        if self.fields.iter().any(|field| field.config.name == config.name) {
            let reason = format!("field {:?} exists", config.name);
            return Err(Error::new(ErrorKind::AlreadyExists, reason));
        }
        check_field_count(self.fields.len() + 1)?;
        let id = self.next_field;
        let next = id.0.checked_add(1);
        self.next_field = FieldId(next.ok_or_else(|| Error::invalid("field ids are used up"))?);
        // '@' is in no name, and no other field has this id.
        let file_stem = format!("{}@{id}", config.name);
        self.fields.push(SchemaField { id, file_stem, config });
        Ok(&self.fields[self.fields.len() - 1])
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
        let names = || self.fields.iter().map(|field| &*field.config.name);
        let Some(position) = names().position(|known| known == name) else {
            return Err(no_such_field(name, names()));
        };
        if self.fields.len() == 1 {
            let reason =
                format!("field {name:?} is the collection's only one: drop the collection");
            return Err(Error::new(ErrorKind::FailedPrecondition, reason));
        }
        self.forget_fits(|fit| fit.vector.field == name);
        Ok(self.fields.remove(position).id)
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
