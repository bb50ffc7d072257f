//! Filters: which points a search may return, by their payloads and ids.
//!
//! A [`Filter`] is a tree. Its leaves are [`Condition`]s on a *field*, a path into the payload; its
//! nodes say how many of their conditions must hold. [`Filter::matches`] *is* the meaning of a
//! filter. An index may answer faster, and must answer the same.
//!
//! # Paths
//!
//! | path | reaches |
//! | --- | --- |
//! | `a` | the member `a` of the payload |
//! | `a.b` | the member `b` of the object `a` |
//! | `a[]` | every element of the array `a` |
//! | `a[].b` | the member `b` of every element of `a` that is an object |
//! | `"x.y"."z[]"` | names that hold dots, brackets or quotes stand in quotes, as JSON strings |
//!
//! A step that does not fit (a member of a string, elements of an object, a name that is not there)
//! reaches nothing; that is no error. A path may reach many values, one, or none.
//!
//! # Conditions
//!
//! The *values* of a field are those that its path reaches; where one of them is an array, its
//! elements stand in its place, once. So `tags` and `tags[]` mean the same for a list of words.
//!
//! | condition | holds when |
//! | --- | --- |
//! | `eq`, `in` | some value is a string, number or bool equal to (one of) the given |
//! | `not_in` | some value is there, is not null, and equals none of the given |
//! | `prefix` | some value is a string that begins with the given one, byte for byte |
//! | `gt` `gte` `lt` `lte`, numbers | some value is a number in the range |
//! | `gt` `gte` `lt` `lte`, times | some value is a string that spells a time ([`Moment`]) in the range |
//! | `text` | some value is a string that has all the given words ([`words`](fn@words)) |
//! | `phrase` | some value is a string that has the given words one after the other |
//! | `contains` | some value is a string that has the given one in it, byte for byte |
//! | `geo_box`, `geo_radius`, `geo_polygon` | some value is an object whose `lat` and `lon` are a place inside |
//! | `is_null` | some value is null |
//! | `exists` | the path reaches anything, null and empty arrays included |
//! | `count` | the *count* of the path is in the range |
//! | `is_empty` | the count of the path is 0 |
//! | `nested` | some object, reached by the path or an element of an array that is, matches a whole filter |
//! | `ids` | the point's id is one of the given |
//!
//! - The **count** of a path is a sum over what it reaches: an array counts its elements, null counts
//!   0, anything else 1. A path that reaches nothing has count 0.
//! - A **missing field** or a value of **another type** makes a condition false, never an error: a
//!   range of numbers does not hold for `"12"`, `eq: 1` not for `true`.
//! - **Numbers** compare by their exact values, whatever their spelling: `1` equals `1.0`, and
//!   2^53 + 1 does not equal 2^53 as a float ([`Number`]). JSON has no NaN and no infinities, and
//!   filters refuse them.
//! - **Strings** compare byte for byte: no case folding, no Unicode normalisation, no trimming. A
//!   string never equals a number or a time.
//!
//! # Nodes
//!
//! A [`Filter`] holds when all of `must` hold, at least one of `should` (if there are any), none of
//! `must_not`, and enough of `min_should`. The empty filter holds for every point.
//!
//! # JSON
//!
//! ```
//! use bigrain_types::{Filter, Payload, PointId};
//!
//! let filter = Filter::from_json(br#"{
//!     "must": [
//!         {"field": "year", "gte": 1990, "lt": 2000},
//!         {"nested": "authors", "filter": {"must": [
//!             {"field": "name", "eq": "Ada"},
//!             {"field": "role", "in": ["editor", "lead"]}
//!         ]}}
//!     ],
//!     "must_not": {"field": "tags", "eq": "draft"}
//! }"#)?;
//! let payload = Payload::from_json(
//!     br#"{"year": 1995, "authors": [{"name": "Ada", "role": "lead"}], "tags": ["maths"]}"#,
//! )?;
//! assert!(filter.matches(&payload, &PointId::from(1)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A list of one may be written without its brackets, and a filter of one condition as that
//! condition. `false` for `exists`, `is_null` or `is_empty` asks for the opposite.

mod condition;
mod error;
mod geo;
mod geo_polygon;
mod json;
mod matches;
mod moment;
mod node;
mod number;
mod path;
mod range;
mod sort_key;
mod values;
mod words;

pub use condition::{Condition, FieldTest, Scalar};
pub use error::FilterError;
pub use geo::{GeoBox, GeoPoint, GeoRadius};
pub use geo_polygon::GeoPolygon;
pub use moment::Moment;
pub use node::{
    Filter, MAX_FILTER_BYTES, MAX_FILTER_CONDITIONS, MAX_FILTER_DEPTH, MAX_FILTER_VALUES, MinShould,
};
pub use number::Number;
pub use path::{FieldPath, Step};
pub use range::Range;
pub use sort_key::{MAX_SORT_TEXT_BYTES, SortDirection, SortKey, SortKind};
pub use words::{MAX_WORD_BYTES, words};
