//! What a row must be to become a point.

use bigrain_encoders::MAX_TEXT_BYTES;
use bigrain_engine::{
    CollectionConfig, MAX_PAYLOAD_BYTES, Metric, MultiVector, PayloadError, validate_vector,
};

use crate::input::{Content, InputError, Problem, Record};

/// Checks rows before they are encoded, so that a refusal names the row's place in its file.
#[derive(Clone, Debug)]
pub struct Door {
    config: CollectionConfig,
    encodes: bool,
}

impl Door {
    /// Returns the door of a collection; `encodes` says whether there is a model for texts.
    #[must_use]
    pub fn new(config: CollectionConfig, encodes: bool) -> Self {
        Self { config, encodes }
    }

    /// Refuses a row that the encoder or the collection would refuse.
    ///
    /// # Errors
    ///
    /// [`InputError`] with the row's place.
    pub fn check(&self, record: &Record) -> Result<(), InputError> {
        self.check_content(record)
            .and_then(|()| check_payload(record))
            .map_err(|problem| record.place.error(problem))
    }

    fn check_content(&self, record: &Record) -> Result<(), Problem> {
        let first = self.config.first();
        match &record.content {
            Content::Vector(vector) => {
                let first = first.ok_or(Problem::NoDenseField)?;
                Ok(validate_vector(vector, first.dims, first.metric)?)
            }
            Content::Text(_) if !self.encodes => Err(Problem::NoModel),
            Content::Text(_) if first.is_none() => Err(Problem::NoDenseField),
            Content::Text(text) => check_text(text),
            Content::Named { vectors, sparse, multi, .. } => {
                let first = first.filter(|_| self.encodes);
                let text = first.and_then(|first| record.text(&first.name));
                // In a sparse field a point may have a vector of zeros, which is none.
                let needs_one = self.config.sparse().is_empty();
                let is_empty = vectors.is_empty() && sparse.is_empty() && multi.is_empty();
                if needs_one && is_empty && text.is_none() {
                    return Err(Problem::Missing("with a vector".to_owned()));
                }
                text.map_or(Ok(()), check_text)?;
                sparse.iter().try_for_each(|(name, _)| self.check_sparse(name))?;
                multi.iter().try_for_each(|(name, vector)| self.check_multi(name, vector))?;
                vectors.iter().try_for_each(|(name, vector)| self.check_named(name, vector))
            }
        }
    }

    fn check_sparse(&self, name: &str) -> Result<(), Problem> {
        if self.config.sparse().iter().any(|field| field.name == name) {
            return Ok(());
        }
        Err(self.other_kind(name, "a sparse one"))
    }

    fn check_multi(&self, name: &str, vector: &MultiVector) -> Result<(), Problem> {
        let fields = self.config.multi();
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            return Err(self.other_kind(name, "a multi-vector"));
        };
        let (expected, actual) = (field.dims, vector.dims());
        if expected != actual {
            let reason =
                format!("dimension mismatch: collection has {expected}, tokens have {actual}");
            return Err(Problem::MultiVector { field: name.to_owned(), reason });
        }
        let is_zero = |token: &[f32]| token.iter().all(|&value| value == 0.0);
        if field.metric == Metric::Cosine
            && let Some(token) = vector.iter().position(is_zero)
        {
            let reason = format!("token {token} is zero under cosine: it has no direction");
            return Err(Problem::MultiVector { field: name.to_owned(), reason });
        }
        Ok(())
    }

    /// Says that a field takes other vectors than it got, or does not exist.
    fn other_kind(&self, name: &str, actual: &'static str) -> Problem {
        let is_multi = self.config.multi().iter().any(|field| field.name == name);
        let is_sparse = self.config.sparse().iter().any(|field| field.name == name);
        let expected = match (self.config.field_names().any(|known| known == name), is_multi) {
            (false, _) => return self.unknown(name),
            (true, true) => "a multi-vector",
            (true, false) if is_sparse => "a sparse vector",
            (true, false) => "a dense vector",
        };
        Problem::FieldKind { field: name.to_owned(), expected, actual }
    }

    fn unknown(&self, name: &str) -> Problem {
        let known: Vec<&str> = self.config.field_names().collect();
        Problem::UnknownField { name: name.to_owned(), known: known.join(", ") }
    }

    fn check_named(&self, name: &str, vector: &[f32]) -> Result<(), Problem> {
        let fields = self.config.fields();
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            return Err(self.other_kind(name, "a dense one"));
        };
        validate_vector(vector, field.dims, field.metric)
            .map_err(|error| Problem::FieldVector { field: name.to_owned(), error })
    }
}

fn check_text(text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::EmptyText);
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(Problem::LongText { actual: text.len(), limit: MAX_TEXT_BYTES });
    }
    Ok(())
}

/// Measures the payload as text only when it could be too large, since that costs writing it out.
fn check_payload(record: &Record) -> Result<(), Problem> {
    let strings = record.payload.as_map().values().filter_map(|value| value.as_str());
    let small = strings.map(str::len).sum::<usize>() < MAX_PAYLOAD_BYTES / 8
        && record.payload.as_map().values().all(|value| !value.is_array() && !value.is_object());
    if small {
        return Ok(());
    }
    record.payload.to_json().map(drop).map_err(|error: PayloadError| Problem::from(error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use bigrain_engine::{FieldConfig, Metric, Payload, PointId, SparseFieldConfig, SparseVector};

    use super::*;
    use crate::input::{At, Place};

    fn refusal(encodes: bool, content: Content, payload: Payload) -> String {
        let file: Arc<Path> = Arc::from(Path::new("in"));
        let place = Place::new(&file, At::Line(4));
        let record = Record { place, id: PointId::from(1), content, payload, position: 0 };
        let config = CollectionConfig::of(FieldConfig::new("a", 2, Metric::Cosine))
            .with_field(FieldConfig::new("b", 1, Metric::L2));
        // A point without a vector is welcome where there are sparse fields.
        let is_empty = matches!(&record.content, Content::Named { text: None, vectors, sparse, .. }
            if vectors.is_empty() && sparse.is_empty());
        let config =
            if is_empty { config } else { config.with_sparse(SparseFieldConfig::new("s")) };
        let door = Door::new(config, encodes);
        door.check(&record).map_or_else(|error| error.to_string(), |()| "welcome".to_owned())
    }

    #[test]
    fn rows_are_refused_with_their_place() {
        let text = |text: &str| Content::Text(text.to_owned());
        let named = |text: Option<&str>, vectors: &[(&str, &[f32])]| Content::Named {
            text: text.map(str::to_owned),
            vectors: vectors.iter().map(|(name, v)| ((*name).to_owned(), v.to_vec())).collect(),
            sparse: Vec::new(),
            multi: Vec::new(),
        };
        let sparse = |name: &str| Content::Named {
            text: None,
            vectors: Vec::new(),
            sparse: vec![(name.to_owned(), SparseVector::default())],
            multi: Vec::new(),
        };
        for (encodes, content, expected) in [
            (true, text("x"), "welcome"),
            (true, Content::Vector(vec![1.0, 0.0]), "welcome"),
            (true, text(" \t"), "in line 4: text is empty"),
            (false, text("x"), "in line 4: text without a model to encode it: pass --model DIR"),
            (
                true,
                Content::Vector(vec![1.0]),
                "in line 4: dimension mismatch: collection has 2, vector has 1",
            ),
            (false, named(Some(" "), &[("b", &[7.0])]), "welcome"),
            (true, named(Some(" "), &[("a", &[1.0, 0.0])]), "welcome"),
            (true, named(Some(" "), &[("b", &[7.0])]), "in line 4: text is empty"),
            (true, named(None, &[]), "in line 4: no field with a vector"),
            (
                false,
                named(None, &[("b", &[7.0, 8.0])]),
                "in line 4: field \"b\": dimension mismatch: collection has 1, vector has 2",
            ),
            (
                false,
                named(None, &[("c", &[7.0])]),
                "in line 4: no such field \"c\": the collection has a, b, s: pass --field c to add it",
            ),
            (false, sparse("s"), "welcome"),
            (
                false,
                sparse("b"),
                "in line 4: field \"b\": expected a dense vector, got a sparse one",
            ),
            (
                false,
                named(None, &[("s", &[7.0])]),
                "in line 4: field \"s\": expected a sparse vector, got a dense one",
            ),
        ] {
            assert_eq!(refusal(encodes, content, Payload::new()), expected);
        }
        assert!(
            refusal(true, text(&"x".repeat(MAX_TEXT_BYTES + 1)), Payload::new())
                .contains("in line 4: text has")
        );
        let big = Payload::new().with("a", "x".repeat(MAX_PAYLOAD_BYTES));
        assert!(refusal(true, text("x"), big).contains("payload has"));
    }
}
