//! Places in the order of a scroll.

use std::fmt;
use std::str::FromStr;

use bigrain_types::PointId;
use bigrain_types::filter::{SortKey, SortKind};

use crate::{Error, Result};

/// Where the next page of a scroll begins; opaque, and as durable as the points.
///
/// Pages go in the order of ids, or of values and then ids, and a cursor is a place in that order. So
/// it holds over restarts and whatever is written meanwhile: every point that exists from the first
/// page to the last, and whose value stays, is in exactly one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The value before which the page begins, where values are ordered; nothing in it is behind all
    /// values, among the points that have none.
    key: Option<Option<SortKey>>,
    id: PointId,
}

/// The first byte of a cursor's text, where only the id follows.
const BY_ID: u8 = 1;

/// The first byte of a cursor's text, where a kind of value follows, the length of the value as a
/// u16, its bytes, and the id.
const BY_VALUE: u8 = 2;

/// Stands for the kind of value of points that have none.
const NO_VALUE: u8 = u8::MAX;

impl Cursor {
    /// Returns the place behind a point in the order of ids, whether it exists or not.
    #[must_use]
    pub fn after(id: PointId) -> Self {
        Self { key: None, id }
    }

    /// Returns the place behind a point in the order of values.
    pub(crate) fn behind(key: Option<SortKey>, id: PointId) -> Self {
        Self { key: Some(key), id }
    }

    /// Returns the value, if values are ordered.
    pub(crate) fn key(&self) -> Option<Option<&SortKey>> {
        self.key.as_ref().map(Option::as_ref)
    }

    pub(crate) fn id(&self) -> &PointId {
        &self.id
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = match &self.key {
            None => vec![BY_ID],
            Some(None) => vec![BY_VALUE, NO_VALUE, 0, 0],
            Some(Some(key)) => {
                // Keys are cut long before their length could exceed two bytes.
                let [high, low] = (key.bytes().len() as u16).to_be_bytes();
                [&[BY_VALUE, key.kind() as u8, high, low], key.bytes()].concat()
            }
        };
        bytes.extend(self.id.to_key());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let id = |key: &[u8]| PointId::from_key(key).ok();
        match bytes {
            [BY_ID, rest @ ..] => Some(Self::after(id(rest)?)),
            [BY_VALUE, NO_VALUE, 0, 0, rest @ ..] => Some(Self::behind(None, id(rest)?)),
            [BY_VALUE, kind, high, low, rest @ ..] => {
                let kind = SortKind::ALL.into_iter().find(|known| *known as u8 == *kind)?;
                let length = u16::from_be_bytes([*high, *low]);
                let (value, rest) = rest.split_at_checked(usize::from(length))?;
                let key = SortKey::new(kind, value.to_vec());
                (key.bytes().len() == value.len()).then_some(())?;
                Some(Self::behind(Some(key), id(rest)?))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().into_iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)
        };
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let cursor = bytes.filter(|_| rest.is_empty()).and_then(|bytes| Self::from_bytes(&bytes));
        cursor
            .ok_or_else(|| Error::invalid("malformed cursor: expected the next of an earlier page"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    proptest! {
        #[test]
        fn cursors_survive_as_text(number in any::<u64>(), text in "\\PC{1,40}") {
            for id in [PointId::from(number), PointId::parse(&text).unwrap()] {
                let keys = [Value::from(text.as_str()), Value::from(number), Value::Null];
                let by_value = keys.map(|value| Cursor::behind(SortKey::of(&value), id.clone()));
                for cursor in by_value.into_iter().chain([Cursor::after(id)]) {
                    prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
                }
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(|01|0201000[0-9])[0-9a-fA-Fé]{0,40}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text.to_lowercase());
            }
        }
    }
}
