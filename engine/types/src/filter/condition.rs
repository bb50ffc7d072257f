//! What a field or an id must be.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{FieldPath, Filter, FilterError, GeoBox, GeoPolygon, GeoRadius, Moment, Number, Range};
use crate::PointId;

/// A leaf of a filter, or a filter in a filter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// A field passes a test.
    Field {
        /// Where in the payload.
        path: FieldPath,
        /// What its values must be.
        test: FieldTest,
    },
    /// One object of a field matches a whole filter, whose paths begin at that object.
    Nested {
        /// The object, or the array of objects.
        path: FieldPath,
        /// What one of them must match.
        filter: Box<Filter>,
    },
    /// The point's id is one of these.
    Ids(BTreeSet<PointId>),
    /// A filter matches.
    Filter(Box<Filter>),
}

/// What the values of a field must be; see [the table](crate::filter).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldTest {
    /// Some value equals one of these.
    In(BTreeSet<Scalar>),
    /// Some value is there, is not null, and equals none of the given.
    NotIn(BTreeSet<Scalar>),
    /// Some value is a string that begins with this one.
    Prefix(String),
    /// Some value is a string that has the given one somewhere in it, byte for byte.
    Contains(String),
    /// Some value is a number in the range, which has at least one end.
    Numbers(Range<Number>),
    /// Some value is a string that spells a time in the range, which has at least one end.
    Moments(Range<Moment>),
    /// Some value is a string with all words of this one. A text without words holds for every string.
    Text(String),
    /// Some value is a string that has all words of the given one, one after the other. A text without words
    /// is none that anything has.
    Phrase(String),
    /// Some value is a place in the box.
    GeoBox(GeoBox),
    /// Some value is a place within the distance.
    GeoRadius(GeoRadius),
    /// Some value is a place inside.
    GeoPolygon(GeoPolygon),
    /// Some value is null.
    IsNull,
    /// The path reaches something.
    Exists,
    /// The count of the path lies in the range.
    Count(Range<u64>),
}

/// A value that others are compared with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(String),
}

impl Condition {
    /// Asks that the field at `path` passes a test.
    ///
    /// # Errors
    ///
    /// [`FilterError`] for a bad path.
    pub fn field(path: &str, test: FieldTest) -> Result<Self, FilterError> {
        Ok(Self::Field { path: FieldPath::parse(path)?, test })
    }
}

impl FieldTest {
    /// Asks for a value equal to this one.
    #[must_use]
    pub fn equals(value: impl Into<Scalar>) -> Self {
        Self::In(BTreeSet::from([value.into()]))
    }

    /// Asks for a field without values: its count is 0.
    #[must_use]
    pub fn is_empty() -> Self {
        Self::Count(Range::between(0, 0))
    }

    /// Whether it is a range of values without ends: numbers and times have no such thing in JSON.
    pub(super) fn is_endless(&self) -> bool {
        match self {
            Self::Numbers(range) => range.is_endless(),
            Self::Moments(range) => range.is_endless(),
            Self::In(_)
            | Self::NotIn(_)
            | Self::Prefix(_)
            | Self::Contains(_)
            | Self::Text(_)
            | Self::Phrase(_)
            | Self::GeoBox(_)
            | Self::GeoRadius(_)
            | Self::GeoPolygon(_)
            | Self::IsNull
            | Self::Exists
            | Self::Count(_) => false,
        }
    }
}

impl Scalar {
    /// Reads a value of JSON; nothing for null, arrays and objects.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(bool) => Some(Self::Bool(*bool)),
            Value::Number(_) => Number::from_json(value).map(Self::Number),
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Returns the value of JSON that reads as this one.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Bool(bool) => Value::Bool(*bool),
            Self::Number(number) => number.to_json(),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }

    /// Whether a value of JSON is this one.
    #[must_use]
    pub fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Bool(bool), Value::Bool(other)) => bool == other,
            (Self::Number(number), Value::Number(_)) => Number::from_json(value) == Some(*number),
            (Self::Text(text), Value::String(other)) => text == other,
            (Self::Bool(_) | Self::Number(_) | Self::Text(_), _) => false,
        }
    }
}

impl From<bool> for Scalar {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<i64> for Scalar {
    fn from(integer: i64) -> Self {
        Self::Number(integer.into())
    }
}

impl From<Number> for Scalar {
    fn from(number: Number) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
