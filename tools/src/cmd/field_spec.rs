//! `--field`: a vector field and its shape, in one word.

use std::fmt::Display;
use std::fs;
use std::str::FromStr;

use bigrain_engine::{DenseFormat, FieldConfig, LearnedBinarizer, Levels, Metric};

use super::flags::parse_levels;
use crate::failure::Usage;

/// A vector field and what is stated of its shape: `image,dims=512,metric=dot,levels=1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSpec {
    /// What the field is called.
    pub name: String,
    /// Components of its vectors.
    pub dims: Option<usize>,
    /// How they are compared.
    pub metric: Option<Metric>,
    /// Bits a dimension of their codes.
    pub levels: Option<Levels>,
    /// How they are stored on disk.
    pub dense: Option<DenseFormat>,
    /// Lists of codes in each segment.
    pub lists: Option<u32>,
    /// What makes the codes in place of the rotation.
    pub binarizer: Option<LearnedBinarizer>,
}

impl FieldSpec {
    /// Takes what is not stated from another spec.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            name: self.name,
            dims: self.dims.or(other.dims),
            metric: self.metric.or(other.metric),
            levels: self.levels.or(other.levels),
            dense: self.dense.or(other.dense),
            lists: self.lists.or(other.lists),
            binarizer: self.binarizer.or_else(|| other.binarizer.clone()),
        }
    }

    /// Returns the shape of a new field; `dims` are those of a vector at hand.
    ///
    /// # Errors
    ///
    /// When the dimensions are neither stated nor known from a vector.
    pub fn config(&self, dims: Option<usize>) -> Result<FieldConfig, Usage> {
        let name = &self.name;
        let dims = self.dims.or(dims).ok_or_else(|| {
            Usage::new(format!("dims of field {name:?} are unknown: pass --field {name},dims=N"))
        })?;
        let mut config = FieldConfig::new(name, dims, self.metric.unwrap_or(Metric::Cosine));
        if let Some(binarizer) = &self.binarizer {
            config = config.with_binarizer(binarizer.clone());
        }
        if let Some(levels) = self.levels {
            config = config.with_levels(levels);
        }
        if let Some(dense) = self.dense {
            config = config.with_dense(dense);
        }
        if let Some(lists) = self.lists {
            config = config.with_lists(lists);
        }
        Ok(config)
    }

    /// Refuses a spec that states another shape than a field has.
    ///
    /// # Errors
    ///
    /// When one is stated; `of` names what has the field.
    pub fn check(&self, config: &FieldConfig, of: &str) -> Result<(), Usage> {
        let lists = |lists: Option<u32>| lists.map_or("default".to_owned(), |n| n.to_string());
        let levels = |levels: Levels| levels.get().to_string();
        let text = |value: Option<&dyn Display>| value.map(ToString::to_string);
        let binarizer = |binarizer: &LearnedBinarizer| binarizer.id().to_string();
        let has_binarizer = config.binarizer.as_ref().map_or("rotation".to_owned(), binarizer);
        for (what, has, asked) in [
            ("dims", config.dims.to_string(), text(self.dims.as_ref().map(|v| v as _))),
            ("metric", config.metric.to_string(), text(self.metric.as_ref().map(|v| v as _))),
            ("levels", levels(config.levels), self.levels.map(levels)),
            ("dense", config.dense.to_string(), text(self.dense.as_ref().map(|v| v as _))),
            ("lists", lists(config.lists), text(self.lists.as_ref().map(|v| v as _))),
            ("binarizer", has_binarizer, self.binarizer.as_ref().map(binarizer)),
        ] {
            if let Some(asked) = asked.filter(|asked| *asked != has) {
                return Err(Usage::new(format!(
                    "{of} has {what} {has}, {what} {asked} was asked for"
                )));
            }
        }
        Ok(())
    }
}

impl FromStr for FieldSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(',');
        let name = words.next().unwrap_or_default().to_owned();
        let mut spec = Self { name, ..Self::default() };
        for word in words {
            let known = "dims=, metric=, levels=, dense=, lists= or binarizer=";
            let (key, value) =
                word.split_once('=').ok_or_else(|| format!("expected {known}, got {word:?}"))?;
            let bad = |error: &dyn Display| format!("{key}: {error}");
            match key {
                "dims" => spec.dims = Some(value.parse().map_err(|error| bad(&error))?),
                "metric" => spec.metric = Some(value.parse().map_err(|error| bad(&error))?),
                "levels" => spec.levels = Some(parse_levels(value).map_err(|error| bad(&error))?),
                "dense" => spec.dense = Some(value.parse().map_err(|error| bad(&error))?),
                "lists" => spec.lists = Some(value.parse().map_err(|error| bad(&error))?),
                "binarizer" => {
                    spec.binarizer = Some(read_binarizer(value).map_err(|error| bad(&error))?);
                }
                _ => return Err(format!("expected {known}, got {word:?}")),
            }
        }
        Ok(spec)
    }
}

/// Reads a file that `bigrain train binarizer` wrote, named by an argument.
pub(super) fn read_binarizer(path: &str) -> Result<LearnedBinarizer, String> {
    let bytes = fs::read(path).map_err(|error| format!("read {path}: {error}"))?;
    LearnedBinarizer::from_bytes(&bytes).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_says_what_it_states_and_takes_the_rest_from_defaults() {
        let spec: FieldSpec = "image,metric=l2,levels=1".parse().unwrap();
        let defaults = FieldSpec { levels: Some(Levels::TWO), lists: Some(7), ..spec.clone() };
        let config = spec.clone().or(&defaults).config(Some(5)).unwrap();
        let expected =
            FieldConfig::new("image", 5, Metric::L2).with_levels(Levels::ONE).with_lists(7);
        assert_eq!(config, expected);
        assert!(spec.config(None).unwrap_err().to_string().contains("--field image,dims=N"));
        spec.check(&config, "it").unwrap();
        let other: FieldSpec = "image,dims=6".parse().unwrap();
        let error = other.check(&config, "field \"image\"").unwrap_err();
        assert_eq!(error.to_string(), "field \"image\" has dims 5, dims 6 was asked for");
    }

    #[test]
    fn what_is_no_spec_is_named() {
        for (text, expected) in [
            ("a,dims=x", "dims: invalid digit"),
            ("a,levels=9", "levels: levels out of range"),
            ("a,bits=1", "got \"bits=1\""),
            ("a,l2", "got \"l2\""),
            ("a,binarizer=/no/such", "binarizer: read /no/such"),
        ] {
            let error = text.parse::<FieldSpec>().unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
