//! What points are sorted by.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Moment, Number};

/// How much of a text counts when points are sorted, in bytes.
pub const MAX_SORT_TEXT_BYTES: usize = 256;

/// A value of a payload as bytes that sort as values do: bools, then numbers, then times, then
/// other texts.
///
/// Numbers are compared exactly and times as instants, whatever their spelling; texts byte for byte,
/// up to their first [`MAX_SORT_TEXT_BYTES`].
///
/// ```
/// use bigrain_types::filter::SortKey;
/// use serde_json::json;
///
/// let sorted = [json!(false), json!(-2), json!(1.5), json!("2024-05-01"), json!("apple")];
/// let keys: Vec<SortKey> = sorted.iter().filter_map(SortKey::of).collect();
/// assert!(keys.len() == 5 && keys.is_sorted());
/// assert_eq!(SortKey::of(&json!(null)), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortKey {
    kind: SortKind,
    bytes: Vec<u8>,
}

/// What kind of value a [`SortKey`] is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SortKind {
    /// `false`, then `true`.
    Bool,
    /// A number.
    Number,
    /// A text that spells a time.
    Moment,
    /// Any other text.
    Text,
}

/// Which values come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortDirection {
    /// Small ones.
    #[default]
    Ascending,
    /// Large ones.
    Descending,
}

impl SortKind {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Bool, Self::Number, Self::Moment, Self::Text];
}

impl SortKey {
    /// Returns the key of a value; nothing for null, arrays and objects.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        let (kind, bytes) = match value {
            Value::Bool(bool) => (SortKind::Bool, vec![u8::from(*bool)]),
            Value::Number(_) => (SortKind::Number, Number::from_json(value)?.to_key().to_vec()),
            Value::String(text) => match Moment::parse(text) {
                Some(moment) => (SortKind::Moment, moment.to_key().to_vec()),
                None => (SortKind::Text, text.as_bytes().to_vec()),
            },
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some(Self::new(kind, bytes))
    }

    /// Returns the key of such bytes: one byte for a bool, [`Number::to_key`], [`Moment::to_key`], or
    /// the text, which is cut.
    #[must_use]
    pub fn new(kind: SortKind, mut bytes: Vec<u8>) -> Self {
        bytes.truncate(MAX_SORT_TEXT_BYTES);
        Self { kind, bytes }
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> SortKind {
        self.kind
    }

    /// Returns the bytes, which sort as values of the kind do.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl SortDirection {
    /// Returns which of two values comes first.
    pub fn compare<T: Ord>(self, a: &T, b: &T) -> Ordering {
        match self {
            Self::Ascending => a.cmp(b),
            Self::Descending => b.cmp(a),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spelling_does_not_matter_and_kinds_keep_apart() {
        let key = |value: Value| SortKey::of(&value);
        assert_eq!(key(json!(1)), key(json!(1.0)));
        assert_eq!(key(json!("2024-02-29T12:00:00Z")), key(json!("2024-02-29T14:00:00+02:00")));
        assert!(key(json!("1")) > key(json!(2)));
        assert!(key(json!("1999-01-01")) < key(json!("1")));
        let long = "x".repeat(MAX_SORT_TEXT_BYTES);
        assert_eq!(key(json!(long.clone() + "a")), key(json!(long + "b")));
    }

    #[test]
    fn descending_turns_the_order_around() {
        assert_eq!(SortDirection::Ascending.compare(&1, &2), Ordering::Less);
        assert_eq!(SortDirection::Descending.compare(&1, &2), Ordering::Greater);
    }
}
