//! The user's id of a point.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

/// The longest string id, in bytes of UTF-8.
pub const MAX_POINT_ID_BYTES: usize = 512;

/// The user's id of a point, stable for ever: a number, a UUID, or any other string.
///
/// `42` and `"42"` are different ids. A string that spells a UUID *is* that UUID, however it is
/// spelled, so the two spellings below name one point.
///
/// ```
/// use bigrain_types::PointId;
///
/// let lower = PointId::parse("936da01f-9abd-4d9d-80c7-02af85c822a8")?;
/// let upper = PointId::parse("936DA01F9ABD4D9D80C702AF85C822A8")?;
/// assert_eq!(lower, upper);
/// assert_ne!(PointId::from(42), PointId::parse("42")?);
/// # Ok::<(), bigrain_types::PointIdError>(())
/// ```
///
/// Ids order numbers first, then UUIDs, then strings; [`PointId::to_key`] keeps that order in
/// its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointId(Repr);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    Number(u64),
    Uuid(Uuid),
    Text(Box<str>),
}

/// A text or key that is not a point id.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PointIdError {
    /// The empty string.
    #[error("point id is empty")]
    Empty,
    /// A string above [`MAX_POINT_ID_BYTES`].
    #[error("point id has {0} bytes, the limit is {MAX_POINT_ID_BYTES}")]
    TooLong(usize),
    /// Bytes that [`PointId::to_key`] did not write.
    #[error("stored point id is malformed")]
    BadKey,
}

const NUMBER: u8 = 1;
const UUID: u8 = 2;
const TEXT: u8 = 3;

impl PointId {
    /// Reads a string id; one that spells a UUID becomes that UUID.
    ///
    /// # Errors
    ///
    /// [`PointIdError`] for an empty string or one above [`MAX_POINT_ID_BYTES`].
    pub fn parse(text: &str) -> Result<Self, PointIdError> {
        if text.is_empty() {
            return Err(PointIdError::Empty);
        }
        if text.len() > MAX_POINT_ID_BYTES {
            return Err(PointIdError::TooLong(text.len()));
        }
        Ok(Self(Uuid::try_parse(text).map_or_else(|_| Repr::Text(text.into()), Repr::Uuid)))
    }

    /// Returns the number, if the id is one.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        match self.0 {
            Repr::Number(number) => Some(number),
            Repr::Uuid(_) | Repr::Text(_) => None,
        }
    }

    /// Returns bytes that sort as ids do: a tag, then a big-endian number, 16 bytes, or UTF-8.
    #[must_use]
    pub fn to_key(&self) -> Vec<u8> {
        let (tag, body): (u8, &[u8]) = match &self.0 {
            Repr::Number(number) => (NUMBER, &number.to_be_bytes()),
            Repr::Uuid(uuid) => (UUID, uuid.as_bytes()),
            Repr::Text(text) => (TEXT, text.as_bytes()),
        };
        let mut key = Vec::with_capacity(1 + body.len());
        key.push(tag);
        key.extend_from_slice(body);
        key
    }

    /// Reads what [`PointId::to_key`] wrote.
    ///
    /// # Errors
    ///
    /// [`PointIdError`] for any other bytes.
    pub fn from_key(key: &[u8]) -> Result<Self, PointIdError> {
        let (&tag, body) = key.split_first().ok_or(PointIdError::BadKey)?;
        let bad = |_| PointIdError::BadKey;
        match tag {
            NUMBER => Ok(Self(Repr::Number(u64::from_be_bytes(body.try_into().map_err(bad)?)))),
            UUID => Ok(Self(Repr::Uuid(Uuid::from_bytes(body.try_into().map_err(bad)?)))),
            TEXT => {
                let text = std::str::from_utf8(body).map_err(|_| PointIdError::BadKey)?;
                match Self::parse(text)? {
                    id @ Self(Repr::Text(_)) => Ok(id),
                    Self(_) => Err(PointIdError::BadKey),
                }
            }
            _ => Err(PointIdError::BadKey),
        }
    }
}

impl From<u64> for PointId {
    fn from(number: u64) -> Self {
        Self(Repr::Number(number))
    }
}

impl From<Uuid> for PointId {
    fn from(uuid: Uuid) -> Self {
        Self(Repr::Uuid(uuid))
    }
}

impl TryFrom<&str> for PointId {
    type Error = PointIdError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text)
    }
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Number(number) => write!(f, "{number}"),
            Repr::Uuid(uuid) => write!(f, "{uuid}"),
            Repr::Text(text) => f.write_str(text),
        }
    }
}

/// A number in JSON is a number id, a string is a string id or a UUID.
impl Serialize for PointId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Repr::Number(number) => serializer.serialize_u64(*number),
            Repr::Uuid(_) | Repr::Text(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for PointId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;

        impl Visitor<'_> for IdVisitor {
            type Value = PointId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a point id: an unsigned number or a string")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<PointId, E> {
                Ok(PointId::from(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<PointId, E> {
                u64::try_from(number)
                    .map(PointId::from)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PointId, E> {
                PointId::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(IdVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_their_spellings_differ() {
        assert_ne!(PointId::from(42), PointId::parse("42").unwrap());
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(PointId::parse(""), Err(PointIdError::Empty));
        assert!(PointId::parse(&"x".repeat(512)).is_ok());
        assert_eq!(PointId::parse(&"x".repeat(513)), Err(PointIdError::TooLong(513)));
    }

    #[test]
    fn json_tells_numbers_from_strings() {
        let ids: Vec<PointId> = serde_json::from_str(r#"[7, "7", "a/b"]"#).unwrap();
        assert_eq!(ids[0], PointId::from(7));
        assert_eq!(serde_json::to_string(&ids).unwrap(), r#"[7,"7","a/b"]"#);
        for bad in ["-1", "1.5", "null", "\"\""] {
            assert!(serde_json::from_str::<PointId>(bad).is_err(), "{bad}");
        }
    }

    fn ids() -> impl Strategy<Value = PointId> {
        prop_oneof![
            any::<u64>().prop_map(PointId::from),
            any::<u128>().prop_map(|bits| PointId::from(Uuid::from_u128(bits))),
            "\\PC{1,40}".prop_filter_map("valid", |text| PointId::parse(&text).ok()),
        ]
    }

    proptest! {
        #[test]
        fn keys_round_trip_and_keep_the_order(a in ids(), b in ids()) {
            prop_assert_eq!(&PointId::from_key(&a.to_key()).unwrap(), &a);
            prop_assert_eq!(a.cmp(&b), a.to_key().cmp(&b.to_key()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(key in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(id) = PointId::from_key(&key) {
                prop_assert_eq!(id.to_key(), key);
            }
        }
    }
}
