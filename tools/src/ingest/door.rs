//! What a row must be to become a point.

use bigrain_encoders::MAX_TEXT_BYTES;
use bigrain_engine::{CollectionConfig, MAX_PAYLOAD_BYTES, Metric, PayloadError, validate_vector};

use crate::input::{Content, InputError, Problem, Record};

/// Checks rows before they are encoded, so that a refusal names the row's place in its file.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    dims: usize,
    metric: Metric,
    encodes: bool,
}

impl Door {
    /// Returns the door of a collection; `encodes` says whether there is a model for texts.
    #[must_use]
    pub fn new(config: &CollectionConfig, encodes: bool) -> Self {
        Self { dims: config.dims, metric: config.metric, encodes }
    }

    /// Refuses a row that the encoder or the collection would refuse.
    ///
    /// # Errors
    ///
    /// [`InputError`] with the row's place.
    pub fn check(&self, record: &Record) -> Result<(), InputError> {
        self.check_content(&record.content)
            .and_then(|()| check_payload(record))
            .map_err(|problem| record.place.error(problem))
    }

    fn check_content(&self, content: &Content) -> Result<(), Problem> {
        match content {
            Content::Vector(vector) => Ok(validate_vector(vector, self.dims, self.metric)?),
            Content::Text(_) if !self.encodes => Err(Problem::NoModel),
            Content::Text(text) if text.trim().is_empty() => Err(Problem::EmptyText),
            Content::Text(text) if text.len() > MAX_TEXT_BYTES => {
                Err(Problem::LongText { actual: text.len(), limit: MAX_TEXT_BYTES })
            }
            Content::Text(_) => Ok(()),
        }
    }
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

    use bigrain_engine::{Payload, PointId};

    use super::*;
    use crate::input::{At, Place};

    fn refusal(encodes: bool, content: Content, payload: Payload) -> String {
        let file: Arc<Path> = Arc::from(Path::new("in"));
        let place = Place::new(&file, At::Line(4));
        let record = Record { place, id: PointId::from(1), content, payload, position: 0 };
        let door = Door::new(&CollectionConfig::new(2, Metric::Cosine), encodes);
        door.check(&record).map_or_else(|error| error.to_string(), |()| "welcome".to_owned())
    }

    #[test]
    fn rows_are_refused_with_their_place() {
        let text = |text: &str| Content::Text(text.to_owned());
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
