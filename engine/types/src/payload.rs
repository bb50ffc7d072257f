//! Attributes stored with a point.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

/// The largest payload, as JSON text, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// How deep arrays and objects of a payload may lie in each other, itself included. What is stored
/// must be readable, and JSON readers stop at 128.
pub const MAX_PAYLOAD_DEPTH: usize = 100;

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
    /// Arrays and objects lie deeper in each other than [`MAX_PAYLOAD_DEPTH`].
    #[error("payload is nested deeper than the limit of {MAX_PAYLOAD_DEPTH}")]
    TooDeep,
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

    /// Adds or replaces the attributes of another payload.
    pub fn merge(&mut self, other: &Self) {
        self.0.extend(other.0.iter().map(|(key, value)| (key.clone(), value.clone())));
    }

    /// Removes one attribute, if it is there.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
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
    /// [`PayloadError`] past [`MAX_PAYLOAD_BYTES`] or [`MAX_PAYLOAD_DEPTH`].
    pub fn to_json(&self) -> Result<Vec<u8>, PayloadError> {
        if self.0.values().any(|value| is_deeper_than(value, MAX_PAYLOAD_DEPTH - 1)) {
            return Err(PayloadError::TooDeep);
        }
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

    /// Returns about how much memory it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        members_bytes(&self.0)
    }

    /// Returns the attributes.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

fn is_deeper_than(value: &Value, depth: usize) -> bool {
    let deeper = |value: &Value| is_deeper_than(value, depth - 1);
    match value {
        Value::Array(values) => depth == 0 || values.iter().any(deeper),
        Value::Object(map) => depth == 0 || map.values().any(deeper),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A map keeps its members in nodes of eleven; one alone may have any number of them, several are half
/// full at least.
const NODE_MEMBERS: usize = 11;
const LEAST_MEMBERS: usize = 6;

fn members_bytes(members: &Map<String, Value>) -> usize {
    let nodes = match members.len() {
        0 => 0,
        1..=NODE_MEMBERS => 1,
        more => more.div_ceil(LEAST_MEMBERS),
    };
    let node = NODE_MEMBERS * (size_of::<String>() + size_of::<Value>()) + ALLOCATION_BYTES;
    let member = |(name, value): (&String, &Value)| allocated(name.len()) + heap_bytes(value);
    nodes * node + members.iter().map(member).sum::<usize>()
}

/// What a value takes beside itself.
fn heap_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => allocated(text.len()),
        Value::Array(values) => {
            allocated(size_of_val(&**values)) + values.iter().map(heap_bytes).sum::<usize>()
        }
        Value::Object(members) => members_bytes(members),
    }
}

/// What an allocator adds to what it is asked for, and rounds up to.
const ALLOCATION_BYTES: usize = 16;

fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes.next_multiple_of(ALLOCATION_BYTES) + ALLOCATION_BYTES }
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
    fn what_is_stored_can_be_read() {
        let nested = |depth: usize| {
            let value = (0..depth).fold(Value::from(1), |inner, _| Value::Array(vec![inner]));
            Payload::new().with("a", value)
        };
        let deepest = nested(MAX_PAYLOAD_DEPTH - 1);
        assert_eq!(Payload::from_json(&deepest.to_json().unwrap()).unwrap(), deepest);
        let error = nested(MAX_PAYLOAD_DEPTH).to_json().unwrap_err();
        assert!(matches!(error, PayloadError::TooDeep), "{error}");
    }

    #[test]
    fn memory_counts_nodes_and_allocations() {
        let small = Payload::new().with("n", 1).memory_bytes();
        assert!((500..800).contains(&small), "{small}: a node of a map is some six hundred bytes");
        let with_text = Payload::new().with("n", "x".repeat(1000)).memory_bytes();
        assert!((small + 1000..small + 1040).contains(&with_text), "{with_text}");
        assert_eq!(Payload::new().memory_bytes(), 0);
    }

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
