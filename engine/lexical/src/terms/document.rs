//! The terms of one row.

use std::collections::BTreeMap;

use bigrain_types::filter::{GeoPoint, Moment, Number, words};
use bigrain_types::{Payload, PointId};
use serde_json::Value;

use super::{
    ID_PREFIX, MAX_TEXT_BYTES, MOMENT_PREFIXES, NUMBER_PREFIXES, PathKey, Tag, cell_of, hash_of,
    term,
};

/// Returns the terms of a row, each once, in order.
#[must_use]
pub fn document_terms(id: &PointId, payload: &Payload) -> Vec<Vec<u8>> {
    let mut document = Document::default();
    document.terms.push(term(&[ID_PREFIX], &id.to_key()));
    for (name, value) in payload.as_map() {
        document.add(&PathKey::default().member(name), value);
    }
    for (prefix, count) in std::mem::take(&mut document.counts) {
        document.terms.push(term(&prefix, &count.to_be_bytes()));
    }
    document.terms.sort_unstable();
    document.terms.dedup();
    document.terms
}

#[derive(Default)]
struct Document {
    terms: Vec<Vec<u8>>,
    /// What the values of each path count, by the prefix of its term.
    counts: BTreeMap<Vec<u8>, u64>,
}

impl Document {
    fn add(&mut self, path: &PathKey, value: &Value) {
        let mut count = 1;
        match value {
            Value::Null => {
                count = 0;
                self.terms.push(path.prefix(Tag::Null));
            }
            Value::Bool(bool) => self.push(path, Tag::Bool, &[u8::from(*bool)]),
            Value::Number(_) => self.add_number(path, value),
            Value::String(text) => self.add_text(path, text),
            Value::Array(elements) => {
                count = elements.len() as u64;
                let path = path.elements();
                elements.iter().for_each(|element| self.add(&path, element));
            }
            Value::Object(members) => {
                if let Some(place) = GeoPoint::from_json(value) {
                    self.push(path, Tag::Place, &cell_of(place));
                }
                for (name, value) in members {
                    self.add(&path.member(name), value);
                }
            }
        }
        *self.counts.entry(path.prefix(Tag::Count)).or_default() += count;
    }

    fn add_number(&mut self, path: &PathKey, value: &Value) {
        let Some(number) = Number::from_json(value) else { return };
        let key = number.to_key();
        self.push(path, Tag::Number, &key);
        self.add_prefixes(path, Tag::NumberPrefix, NUMBER_PREFIXES, &key);
    }

    fn add_text(&mut self, path: &PathKey, text: &str) {
        match text.as_bytes().split_at_checked(MAX_TEXT_BYTES) {
            Some((start, rest)) if !rest.is_empty() => {
                let value = [start, &hash_of(text.as_bytes())].concat();
                self.push(path, Tag::LongText, &value);
            }
            _ => self.push(path, Tag::Text, text.as_bytes()),
        }
        if let Some(moment) = Moment::parse(text) {
            let key = moment.to_key();
            self.push(path, Tag::Moment, &key);
            self.add_prefixes(path, Tag::MomentPrefix, MOMENT_PREFIXES, &key);
        }
        for word in words(text) {
            self.push(path, Tag::Word, word.as_bytes());
        }
    }

    fn add_prefixes(&mut self, path: &PathKey, tag: Tag, lengths: &[usize], key: &[u8]) {
        for &length in lengths {
            self.push(path, tag, &[&[length as u8], &key[..length]].concat());
        }
    }

    fn push(&mut self, path: &PathKey, tag: Tag, value: &[u8]) {
        self.terms.push(term(&path.prefix(tag), value));
    }
}
