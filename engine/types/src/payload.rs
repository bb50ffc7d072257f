//! Attributes stored with a point.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

/// The largest payload, as JSON text, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// Attributes stored with a point: a JSON object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Payload(Map<String, Value>);

/// A payload that is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The text is not a JSON object.
    #[error("payload is not a JSON object: {0}")]
    NotAnObject(#[from] serde_json::Error),
    /// The text is longer than [`MAX_PAYLOAD_BYTES`].
    #[error("payload has {actual} bytes of JSON, the limit is {MAX_PAYLOAD_BYTES}")]
    TooLarge {
        /// Its length.
        actual: usize,
    },
}

impl Payload {
    /// Returns a payload without attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces one attribute.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// Reads the text of a JSON object.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the text is not a JSON object or is too large.
    pub fn from_json(text: &[u8]) -> Result<Self, PayloadError> {
        if text.len() > MAX_PAYLOAD_BYTES {
            return Err(PayloadError::TooLarge { actual: text.len() });
        }
        Ok(serde_json::from_slice(text)?)
    }

    /// Returns the payload as JSON text.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLarge`] past [`MAX_PAYLOAD_BYTES`].
    pub fn to_json(&self) -> Result<Vec<u8>, PayloadError> {
        let text = serde_json::to_vec(&self.0)?;
        if text.len() > MAX_PAYLOAD_BYTES {
            return Err(PayloadError::TooLarge { actual: text.len() });
        }
        Ok(text)
    }

    /// Returns one attribute.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Returns one attribute if it is a string.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    /// Whether there are no attributes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the attributes.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl From<Map<String, Value>> for Payload {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_payloads() {
        assert!(Payload::from_json(b"[1]").is_err());
        assert!(Payload::from_json(b"{\"a\":").is_err());
        let payload = Payload::new().with("title", "flow").with("year", 1958);
        let json = payload.to_json().unwrap();
        assert_eq!(Payload::from_json(&json).unwrap(), payload);
        assert_eq!(payload.text("title"), Some("flow"));
    }
}
