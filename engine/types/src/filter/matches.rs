//! What a filter means: the definition that every faster way is tested against.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Condition, FieldPath, FieldTest, Filter, GeoPoint, Moment, Number, Range, Scalar, words,
};
use crate::{Payload, PointId};

impl Filter {
    /// Whether a point matches.
    #[must_use]
    pub fn matches(&self, payload: &Payload, id: &PointId) -> bool {
        self.matches_object(payload.as_map(), id)
    }

    fn matches_object(&self, root: &Map<String, Value>, id: &PointId) -> bool {
        let holds = |condition: &Condition| condition.holds(root, id);
        self.must.iter().all(holds)
            && (self.should.is_empty() || self.should.iter().any(holds))
            && !self.must_not.iter().any(holds)
            && self.min_should.as_ref().is_none_or(|enough| {
                let held = enough.conditions.iter().filter(|condition| holds(condition));
                held.take(enough.count).count() == enough.count
            })
    }
}

impl Condition {
    fn holds(&self, root: &Map<String, Value>, id: &PointId) -> bool {
        match self {
            Self::Field { path, test } => test.holds(path, root),
            Self::Nested { path, filter } => any_value(path, root, &mut |value| {
                value.as_object().is_some_and(|object| filter.matches_object(object, id))
            }),
            Self::Ids(ids) => ids.contains(id),
            Self::Filter(filter) => filter.matches_object(root, id),
        }
    }
}

impl FieldTest {
    fn holds(&self, path: &FieldPath, root: &Map<String, Value>) -> bool {
        let some = |mut test: &dyn Fn(&Value) -> bool| any_value(path, root, &mut test);
        let text = |test: &dyn Fn(&str) -> bool| some(&|value| value.as_str().is_some_and(test));
        let place = |test: &dyn Fn(GeoPoint) -> bool| {
            some(&|value| GeoPoint::from_json(value).is_some_and(test))
        };
        match self {
            Self::In(scalars) => some(&|value| is_one_of(value, scalars)),
            Self::NotIn(scalars) => some(&|value| !value.is_null() && !is_one_of(value, scalars)),
            Self::Prefix(prefix) => text(&|value| value.starts_with(prefix.as_str())),
            Self::Contains(part) => text(&|value| value.contains(part.as_str())),
            Self::Numbers(range) => some(&|value| {
                Number::from_json(value).is_some_and(|number| range.contains(&number))
            }),
            Self::Moments(range) => {
                text(&|value| Moment::parse(value).is_some_and(|moment| range.contains(&moment)))
            }
            Self::Text(wanted) => text(&|value| has_words(value, wanted)),
            Self::Phrase(wanted) => text(&|value| has_phrase(value, wanted)),
            Self::GeoBox(region) => place(&|place| region.contains(place)),
            Self::GeoRadius(region) => place(&|place| region.contains(place)),
            Self::GeoPolygon(region) => place(&|place| region.contains(place)),
            Self::IsNull => some(&Value::is_null),
            Self::Exists => path.any(root, &mut |_| true),
            Self::Count(range) => counts(path, root, range),
        }
    }
}

/// Whether some value of a field passes: what its path reaches, or the elements where that is an
/// array.
pub(super) fn any_value(
    path: &FieldPath,
    root: &Map<String, Value>,
    test: &mut dyn FnMut(&Value) -> bool,
) -> bool {
    path.any(root, &mut |value| match value {
        Value::Array(elements) => elements.iter().any(&mut *test),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            test(value)
        }
    })
}

/// Whether a value is in a set; a small one is gone through, which needs no copy of the value.
fn is_one_of(value: &Value, scalars: &BTreeSet<Scalar>) -> bool {
    const SMALL: usize = 8;
    if scalars.len() <= SMALL {
        return scalars.iter().any(|scalar| scalar.equals(value));
    }
    Scalar::from_json(value).is_some_and(|scalar| scalars.contains(&scalar))
}

fn counts(path: &FieldPath, root: &Map<String, Value>, range: &Range<u64>) -> bool {
    let mut count = 0;
    path.any(root, &mut |value| {
        count += match value {
            Value::Array(elements) => elements.len() as u64,
            Value::Null => 0,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => 1,
        };
        false
    });
    range.contains(&count)
}

fn has_words(text: &str, wanted: &str) -> bool {
    words(wanted).all(|word| words(text).any(|found| found == word))
}

/// Whether a text has all words of another, one after the other; none has those of a text without words.
fn has_phrase(text: &str, wanted: &str) -> bool {
    let (wanted, found): (Vec<String>, Vec<String>) =
        (words(wanted).collect(), words(text).collect());
    !wanted.is_empty() && found.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: &str, payload: &str) -> bool {
        let filter = Filter::from_json(filter.as_bytes()).unwrap();
        let payload = Payload::from_json(payload.as_bytes()).unwrap();
        filter.matches(&payload, &PointId::from(7))
    }

    /// Filters that hold, and filters that do not, for one payload.
    fn check(payload: &str, hold: &[&str], fail: &[&str]) {
        for filter in hold {
            assert!(matches(filter, payload), "{filter} for {payload}");
        }
        for filter in fail {
            assert!(!matches(filter, payload), "{filter} for {payload}");
        }
    }

    #[test]
    fn equality_keeps_types_apart() {
        check(
            r#"{"s": "12", "n": 12, "f": 12.0, "t": true, "big": 9007199254740993, "z": -0.0}"#,
            &[
                r#"{"field": "s", "eq": "12"}"#,
                r#"{"field": "n", "eq": 12.0}"#,
                r#"{"field": "f", "eq": 12}"#,
                r#"{"field": "f", "in": ["x", 12]}"#,
                r#"{"field": "t", "eq": true}"#,
                r#"{"field": "big", "eq": 9007199254740993}"#,
                r#"{"field": "big", "gt": 9007199254740992}"#,
                r#"{"field": "z", "eq": 0}"#,
                r#"{"field": "s", "prefix": "1"}"#,
                r#"{"field": "s", "prefix": ""}"#,
            ],
            &[
                r#"{"field": "s", "eq": 12}"#,
                r#"{"field": "n", "eq": "12"}"#,
                r#"{"field": "t", "eq": 1}"#,
                r#"{"field": "t", "eq": "true"}"#,
                r#"{"field": "big", "eq": 9007199254740992}"#,
                r#"{"field": "big", "eq": 9007199254740992.0}"#,
                r#"{"field": "n", "prefix": "1"}"#,
                r#"{"field": "s", "gte": 0}"#,
                r#"{"field": "none", "eq": 1}"#,
                r#"{"field": "s", "in": []}"#,
            ],
        );
    }

    #[test]
    fn any_element_of_an_array_is_enough() {
        check(
            r#"{"tags": ["a", "b", 3], "deep": [["x"]], "o": [{"k": 1}, {"k": [2, 3]}]}"#,
            &[
                r#"{"field": "tags", "eq": "b"}"#,
                r#"{"field": "tags[]", "eq": "b"}"#,
                r#"{"field": "tags", "gte": 3}"#,
                r#"{"field": "deep[]", "eq": "x"}"#,
                r#"{"field": "o[].k", "eq": 3}"#,
                r#"{"must": [{"field": "tags", "eq": "a"}, {"field": "tags", "eq": 3}]}"#,
            ],
            &[
                r#"{"field": "tags", "eq": "c"}"#,
                r#"{"field": "deep", "eq": "x"}"#,
                r#"{"field": "o.k", "eq": 1}"#,
                r#"{"field": "tags[][]", "eq": "a"}"#,
            ],
        );
    }

    #[test]
    fn null_empty_missing_and_counts_differ() {
        check(
            r#"{"null": null, "empty": [], "nulls": [null, null], "one": 1, "o": [{"k": [1, 2]}, {"k": 3}]}"#,
            &[
                r#"{"field": "null", "is_null": true}"#,
                r#"{"field": "null", "exists": true}"#,
                r#"{"field": "null", "is_empty": true}"#,
                r#"{"field": "empty", "is_empty": true}"#,
                r#"{"field": "empty", "exists": true}"#,
                r#"{"field": "nulls", "is_null": true}"#,
                r#"{"field": "nulls", "is_empty": false}"#,
                r#"{"field": "nulls", "count": {"gte": 2, "lte": 2}}"#,
                r#"{"field": "missing", "is_empty": true}"#,
                r#"{"field": "missing", "exists": false}"#,
                r#"{"field": "missing", "count": {"lt": 1}}"#,
                r#"{"field": "one", "count": {"gt": 0}}"#,
                r#"{"field": "o[].k", "count": {"gte": 3, "lt": 4}}"#,
            ],
            &[
                r#"{"field": "missing", "is_null": true}"#,
                r#"{"field": "missing", "exists": true}"#,
                r#"{"field": "empty", "is_null": true}"#,
                r#"{"field": "one", "is_empty": true}"#,
                r#"{"field": "one", "is_null": true}"#,
                r#"{"field": "o", "count": {"gt": 2}}"#,
            ],
        );
    }

    #[test]
    fn times_compare_as_instants() {
        check(
            r#"{"at": "2024-02-29T12:00:00+02:00", "day": "2024-03-01", "text": "2024", "n": 2024}"#,
            &[
                r#"{"field": "at", "gte": "2024-02-29T10:00:00Z", "lte": "2024-02-29T10:00:00Z"}"#,
                r#"{"field": "at", "lt": "2024-02-29T10:00:00.000000001Z"}"#,
                r#"{"field": "day", "gte": "2024-03-01T00:00:00Z"}"#,
            ],
            &[
                r#"{"field": "at", "gt": "2024-02-29T10:00:00Z"}"#,
                r#"{"field": "at", "eq": "2024-02-29T10:00:00Z"}"#,
                r#"{"field": "text", "gte": "2020-01-01"}"#,
                r#"{"field": "n", "gte": "2020-01-01"}"#,
            ],
        );
    }

    #[test]
    fn places_are_inside_or_not() {
        check(
            r#"{"home": {"lat": 52.5, "lon": 13.4, "name": "x"}, "all": [{"lat": 0, "lon": 0}, {"lat": 1}]}"#,
            &[
                r#"{"field": "home", "geo_radius": {"center": {"lat": 52.52, "lon": 13.405}, "meters": 3000}}"#,
                r#"{"field": "home", "geo_box": {"top_left": {"lat": 53, "lon": 13}, "bottom_right": {"lat": 52, "lon": 14}}}"#,
                r#"{"field": "all", "geo_radius": {"center": {"lat": 0, "lon": 0}, "meters": 0}}"#,
            ],
            &[
                r#"{"field": "home", "geo_radius": {"center": {"lat": 52.52, "lon": 13.405}, "meters": 1000}}"#,
                r#"{"field": "home.lat", "geo_radius": {"center": {"lat": 52.52, "lon": 13.405}, "meters": 1e9}}"#,
                r#"{"field": "all[]", "geo_box": {"top_left": {"lat": 3, "lon": 1}, "bottom_right": {"lat": 1, "lon": 2}}}"#,
            ],
        );
    }

    #[test]
    fn all_words_must_be_in_one_value() {
        check(
            r#"{"title": "The Quick, brown FOX", "parts": ["red fox", "quick dog"], "n": 1}"#,
            &[
                r#"{"field": "title", "text": "fox quick"}"#,
                r#"{"field": "title", "text": "...!"}"#,
                r#"{"field": "parts", "text": "FOX red"}"#,
            ],
            &[
                r#"{"field": "title", "text": "quick foxes"}"#,
                r#"{"field": "parts", "text": "fox quick"}"#,
                r#"{"field": "n", "text": "1"}"#,
                r#"{"field": "n", "text": ""}"#,
            ],
        );
    }

    #[test]
    fn other_values_phrases_parts_and_polygons() {
        let square = |low: f64, high: f64| {
            let corners = [(low, low), (low, high), (high, high), (high, low), (low, low)];
            let corners = corners.map(|(lat, lon)| format!(r#"{{"lat": {lat}, "lon": {lon}}}"#));
            format!("[{}]", corners.join(","))
        };
        let within = |exterior: String, interiors: String| {
            let region = format!(r#"{{"exterior": {exterior}, "interiors": {interiors}}}"#);
            format!(r#"{{"field": "home", "geo_polygon": {region}}}"#)
        };
        check(
            r#"{"n": 1, "tags": ["a", "b"], "null": null, "title": "The quick, brown fox", "home": {"lat": 5, "lon": 6}}"#,
            &[
                r#"{"field": "n", "not_in": [2, "x"]}"#,
                r#"{"field": "tags", "not_in": ["a"]}"#,
                r#"{"field": "title", "phrase": "QUICK brown"}"#,
                r#"{"field": "title", "contains": "ick, b"}"#,
                r#"{"field": "title", "contains": ""}"#,
                &within(square(0.0, 10.0), "[]".to_owned()),
                &within(square(0.0, 10.0), format!("[{}]", square(0.0, 4.0))),
            ],
            &[
                r#"{"field": "n", "not_in": [1.0]}"#,
                r#"{"field": "tags", "not_in": ["a", "b"]}"#,
                r#"{"field": "null", "not_in": [1]}"#,
                r#"{"field": "missing", "not_in": [1]}"#,
                r#"{"field": "title", "phrase": "quick fox"}"#,
                r#"{"field": "title", "phrase": "..."}"#,
                r#"{"field": "title", "contains": "QUICK"}"#,
                r#"{"field": "n", "contains": "1"}"#,
                &within(square(0.0, 4.0), "[]".to_owned()),
                &within(square(0.0, 10.0), format!("[{}]", square(4.0, 8.0))),
            ],
        );
    }

    #[test]
    fn nested_filters_look_at_one_object_at_a_time() {
        check(
            r#"{"items": [{"color": "red", "size": 1}, {"color": "blue", "size": 2}, "red"],
                "box": {"in": [{"a": 1, "b": [{"c": 1}, {"c": 2}]}]}}"#,
            &[
                r#"{"nested": "items", "filter": {"must": [{"field": "color", "eq": "red"}, {"field": "size", "eq": 1}]}}"#,
                r#"{"nested": "items", "filter": {"must_not": [{"field": "color", "eq": "red"}]}}"#,
                r#"{"nested": "items[]", "filter": {"field": "size", "eq": 2}}"#,
                r#"{"nested": "box", "filter": {"nested": "in", "filter": {"field": "b[].c", "eq": 2}}}"#,
                r#"{"nested": "box", "filter": {}}"#,
            ],
            &[
                r#"{"nested": "items", "filter": {"must": [{"field": "color", "eq": "red"}, {"field": "size", "eq": 2}]}}"#,
                r#"{"nested": "items", "filter": {"must_not": [{"field": "size", "gte": 1}]}}"#,
                r#"{"nested": "none", "filter": {}}"#,
            ],
        );
    }

    #[test]
    fn nodes_ask_for_all_one_none_or_enough() {
        let enough = |count: usize| {
            format!(
                r#"{{"min_should": {{"count": {count}, "conditions": [
                    {{"field": "a", "eq": 1}}, {{"field": "b", "eq": 1}}, {{"field": "c", "eq": 1}}
                ]}}}}"#
            )
        };
        check(
            r#"{"a": 1, "b": 1}"#,
            &[
                "{}",
                &enough(0),
                &enough(2),
                r#"{"should": [{"field": "a", "eq": 2}, {"field": "b", "eq": 1}]}"#,
                r#"{"ids": [7, "x"]}"#,
                r#"{"must": {"should": {"field": "a", "eq": 1}}, "must_not": {"ids": ["7"]}}"#,
            ],
            &[
                &enough(3),
                &enough(4),
                r#"{"should": [{"field": "a", "eq": 2}]}"#,
                r#"{"ids": ["7"]}"#,
                r#"{"must": [{"field": "a", "eq": 1}], "must_not": [{"field": "b", "eq": 1}]}"#,
            ],
        );
    }
}
