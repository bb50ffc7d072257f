//! Filters as JSON.

use std::ops::Bound;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

use super::{
    Condition, FieldPath, FieldTest, Filter, FilterError, GeoBox, GeoPoint, GeoPolygon, GeoRadius,
    MAX_FILTER_BYTES, MAX_FILTER_DEPTH, MinShould, Moment, Number, Range, Scalar,
};

type Members = Map<String, Value>;
type Result<T> = std::result::Result<T, FilterError>;

/// The names of a range's ends.
const ENDS: [&str; 4] = ["gt", "gte", "lt", "lte"];

const NODE: &str = "must, should, must_not or min_should";
const LEAF: &str = "a condition with field, nested or ids";
const EXAMPLE: &str = r#"{"field": "year", "gte": 1990}"#;
const TEST: &str = "one of eq, in, not_in, prefix, contains, gt, gte, lt, lte, text, phrase, geo_box, \
                    geo_radius, geo_polygon, is_null, is_empty, exists, count";

impl Filter {
    /// Reads the JSON form of a filter.
    ///
    /// # Errors
    ///
    /// [`FilterError`], which says where in the JSON what was expected, or names the limit that was
    /// passed.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        if text.len() > MAX_FILTER_BYTES {
            let reason = format!("{} bytes of JSON, the limit is {MAX_FILTER_BYTES}", text.len());
            return Err(FilterError::new(reason));
        }
        let value: Value = serde_json::from_slice(text).map_err(|error| {
            FilterError::new(format!("no JSON: {error}; a filter is an object, such as {EXAMPLE}"))
        })?;
        Self::from_value(&value)
    }

    /// Reads a filter that was read as JSON already.
    ///
    /// # Errors
    ///
    /// As [`Filter::from_json`].
    pub fn from_value(value: &Value) -> Result<Self> {
        let filter = filter(value, 1)?;
        filter.validate()?;
        Ok(filter)
    }

    /// Returns the JSON form.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let list = |conditions: &[Condition]| -> Value {
            conditions.iter().map(condition_value).collect()
        };
        let mut members = Map::new();
        let lists = [("must", &self.must), ("should", &self.should), ("must_not", &self.must_not)];
        for (name, conditions) in lists {
            if !conditions.is_empty() {
                members.insert(name.to_owned(), list(conditions));
            }
        }
        if let Some(MinShould { conditions, count }) = &self.min_should {
            let enough = json!({ "count": count, "conditions": list(conditions) });
            members.insert("min_should".to_owned(), enough);
        }
        Value::Object(members)
    }

    /// Returns a text that is equal for filters that differ only in the order of their conditions
    /// and values.
    #[must_use]
    pub fn to_key(&self) -> String {
        let mut value = self.to_value();
        sort_lists(&mut value);
        value.to_string()
    }
}

/// Sorts every array: each of them is a set or a multiset.
fn sort_lists(value: &mut Value) {
    match value {
        Value::Array(values) => {
            values.iter_mut().for_each(sort_lists);
            values.sort_by_cached_key(Value::to_string);
        }
        Value::Object(members) => members.values_mut().for_each(sort_lists),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn filter(value: &Value, depth: usize) -> Result<Filter> {
    let members = object(value, &format!("a filter, such as {EXAMPLE}"))?;
    if depth > MAX_FILTER_DEPTH {
        let reason = format!("nested deeper than the limit of {MAX_FILTER_DEPTH}");
        return Err(FilterError::new(reason));
    }
    if is_leaf(members) {
        return Ok(Filter::new().must(condition(value, depth)?));
    }
    let mut filter = Filter::new();
    for (name, value) in members {
        let conditions = || conditions(value, depth);
        let read = match name.as_str() {
            "must" => conditions().map(|conditions| filter.must = conditions),
            "should" => conditions().map(|conditions| filter.should = conditions),
            "must_not" => conditions().map(|conditions| filter.must_not = conditions),
            "min_should" => min_should(value, depth).map(|enough| filter.min_should = Some(enough)),
            _ => return Err(unknown(name, &format!("{NODE}, or {LEAF}"))),
        };
        read.map_err(|error| error.in_member(name))?;
    }
    Ok(filter)
}

fn min_should(value: &Value, depth: usize) -> Result<MinShould> {
    let members = object(value, "an object with count and conditions")?;
    only(members, &["count", "conditions"])?;
    let count = member(members, "count", |value| {
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| wrong("a count", value))
    })?;
    let conditions = member(members, "conditions", |value| conditions(value, depth))?;
    Ok(MinShould { conditions, count })
}

fn conditions(value: &Value, depth: usize) -> Result<Vec<Condition>> {
    match value {
        Value::Array(values) => elements(values, |value| condition(value, depth)),
        Value::Object(_) => Ok(vec![condition(value, depth)?]),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(wrong("a condition or a list of conditions", value))
        }
    }
}

fn is_leaf(members: &Members) -> bool {
    ["field", "nested", "ids"].iter().any(|name| members.contains_key(*name))
}

fn condition(value: &Value, depth: usize) -> Result<Condition> {
    let members = object(value, "a condition")?;
    if members.contains_key("field") {
        return field(members);
    }
    if members.contains_key("nested") {
        only(members, &["nested", "filter"])?;
        let path = member(members, "nested", path)?;
        let filter = Box::new(member(members, "filter", |value| filter(value, depth + 1))?);
        return Ok(Condition::Nested { path, filter });
    }
    if members.contains_key("ids") {
        only(members, &["ids"])?;
        let ids = member(members, "ids", |value| {
            let id = |value: &Value| {
                serde_json::from_value(value.clone())
                    .map_err(|error| FilterError::new(error.to_string()))
            };
            elements(array(value, "a list of point ids")?, id)
        })?;
        return Ok(Condition::Ids(ids));
    }
    filter(value, depth + 1).map(|filter| Condition::Filter(Box::new(filter)))
}

fn field(members: &Members) -> Result<Condition> {
    let path = member(members, "field", path)?;
    let mut tests = members.iter().filter(|(name, _)| *name != "field");
    let Some((name, value)) = tests.next() else {
        return Err(FilterError::new(format!("expected {TEST}")));
    };
    if ENDS.contains(&name.as_str()) {
        only(members, &["field", "gt", "gte", "lt", "lte"])?;
        return Ok(Condition::Field { path, test: value_range(members)? });
    }
    if let Some((other, _)) = tests.next() {
        let reason = format!("expected one test, got {name} and {other}");
        return Err(FilterError::new(reason));
    }
    let (test, holds) = test(name, value).map_err(|error| error.in_member(name))?;
    let condition = Condition::Field { path, test };
    if holds {
        return Ok(condition);
    }
    Ok(Condition::Filter(Box::new(Filter::new().must_not(condition))))
}

/// Reads a test, and whether it or its opposite is asked for.
fn test(name: &str, value: &Value) -> Result<(FieldTest, bool)> {
    let asked = || value.as_bool().ok_or_else(|| wrong("true or false", value));
    let text = || value.as_str().map(str::to_owned).ok_or_else(|| wrong("a string", value));
    let test = match name {
        "eq" => FieldTest::equals(scalar(value)?),
        "in" => FieldTest::In(elements(array(value, "a list of values")?, scalar)?),
        "not_in" => FieldTest::NotIn(elements(array(value, "a list of values")?, scalar)?),
        "prefix" => FieldTest::Prefix(text()?),
        "contains" => FieldTest::Contains(text()?),
        "text" => FieldTest::Text(text()?),
        "phrase" => FieldTest::Phrase(text()?),
        "geo_box" => FieldTest::GeoBox(geo_box(value)?),
        "geo_radius" => FieldTest::GeoRadius(geo_radius(value)?),
        "geo_polygon" => FieldTest::GeoPolygon(geo_polygon(value)?),
        "count" => FieldTest::Count(count_range(value)?),
        "is_null" => return Ok((FieldTest::IsNull, asked()?)),
        "exists" => return Ok((FieldTest::Exists, asked()?)),
        "is_empty" => return Ok((FieldTest::is_empty(), asked()?)),
        _ => return Err(FilterError::new(format!("unknown test, expected {TEST}"))),
    };
    Ok((test, true))
}

fn scalar(value: &Value) -> Result<Scalar> {
    Scalar::from_json(value).ok_or_else(|| match value {
        Value::Null => FilterError::new("expected a string, number or bool, got null: ask is_null"),
        Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => wrong("a string, number or bool", value),
    })
}

/// Reads the ends of a range of numbers or of times.
fn value_range(members: &Members) -> Result<FieldTest> {
    let is_text = |name: &&str| members.get(*name).is_some_and(Value::is_string);
    let expected = "a number, or a time as RFC 3339 spells it";
    if ENDS.iter().any(is_text) {
        let moment = |value: &Value| value.as_str().and_then(Moment::parse);
        return Ok(FieldTest::Moments(range(members, expected, moment)?));
    }
    Ok(FieldTest::Numbers(range(members, expected, Number::from_json)?))
}

fn count_range(value: &Value) -> Result<Range<u64>> {
    let members = object(value, "an object with gt, gte, lt or lte")?;
    only(members, &ENDS)?;
    range(members, "a count", Value::as_u64)
}

fn range<T>(
    members: &Members,
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Range<T>> {
    let end = |name: &str| -> Result<Option<T>> {
        let Some(value) = members.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(expected, value).in_member(name))
    };
    let bound = |included: &str, excluded: &str| match (end(included)?, end(excluded)?) {
        (Some(_), Some(_)) => {
            Err(FilterError::new(format!("expected one of {included} and {excluded}, got both")))
        }
        (Some(end), None) => Ok(Bound::Included(end)),
        (None, Some(end)) => Ok(Bound::Excluded(end)),
        (None, None) => Ok(Bound::Unbounded),
    };
    Ok(Range { lower: bound("gte", "gt")?, upper: bound("lte", "lt")? })
}

fn geo_box(value: &Value) -> Result<GeoBox> {
    let members = object(value, "an object with top_left and bottom_right")?;
    only(members, &["top_left", "bottom_right"])?;
    GeoBox::new(member(members, "top_left", place)?, member(members, "bottom_right", place)?)
}

fn geo_polygon(value: &Value) -> Result<GeoPolygon> {
    let members = object(value, "an object with exterior, and perhaps interiors")?;
    only(members, &["exterior", "interiors"])?;
    let ring = |value: &Value| elements(array(value, "a list of places")?, place);
    let exterior = member(members, "exterior", ring)?;
    let interiors = match members.get("interiors") {
        Some(value) => elements(array(value, "a list of lists of places")?, ring)
            .map_err(|error| error.in_member("interiors"))?,
        None => Vec::new(),
    };
    GeoPolygon::new(exterior, interiors)
}

fn geo_radius(value: &Value) -> Result<GeoRadius> {
    let members = object(value, "an object with center and meters")?;
    only(members, &["center", "meters"])?;
    GeoRadius::new(member(members, "center", place)?, member(members, "meters", float)?)
}

fn place(value: &Value) -> Result<GeoPoint> {
    let members = object(value, "an object with lat and lon")?;
    only(members, &["lat", "lon"])?;
    GeoPoint::new(member(members, "lat", float)?, member(members, "lon", float)?)
}

fn float(value: &Value) -> Result<f64> {
    value.as_f64().ok_or_else(|| wrong("a number", value))
}

fn path(value: &Value) -> Result<FieldPath> {
    FieldPath::parse(
        value.as_str().ok_or_else(|| wrong("a path, such as \"authors[].name\"", value))?,
    )
}

fn object<'a>(value: &'a Value, expected: &str) -> Result<&'a Members> {
    value.as_object().ok_or_else(|| wrong(expected, value))
}

fn array<'a>(value: &'a Value, expected: &str) -> Result<&'a [Value]> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| wrong(expected, value))
}

fn elements<T, C: FromIterator<T>>(
    values: &[Value],
    read: impl Fn(&Value) -> Result<T>,
) -> Result<C> {
    let read = |(index, value)| read(value).map_err(|error: FilterError| error.in_element(index));
    values.iter().enumerate().map(read).collect()
}

fn member<T>(members: &Members, name: &str, read: impl FnOnce(&Value) -> Result<T>) -> Result<T> {
    let value = members.get(name).ok_or_else(|| FilterError::new(format!("{name} is missing")))?;
    read(value).map_err(|error| error.in_member(name))
}

fn only(members: &Members, known: &[&str]) -> Result<()> {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(unknown(name, &known.join(", "))),
        None => Ok(()),
    }
}

fn unknown(name: &str, expected: &str) -> FilterError {
    FilterError::new(format!("unknown member {name:?}, expected {expected}"))
}

fn wrong(expected: &str, actual: &Value) -> FilterError {
    let actual = match actual {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => actual.to_string(),
    };
    FilterError::new(format!("expected {expected}, got {actual}"))
}

fn condition_value(condition: &Condition) -> Value {
    match condition {
        Condition::Field { path, test } => {
            let mut members = test_members(test);
            members.insert("field".to_owned(), path.to_string().into());
            Value::Object(members)
        }
        Condition::Nested { path, filter } => {
            json!({ "nested": path.to_string(), "filter": filter.to_value() })
        }
        Condition::Ids(ids) => json!({ "ids": ids }),
        Condition::Filter(filter) => filter.to_value(),
    }
}

fn test_members(test: &FieldTest) -> Members {
    let one = |name: &str, value: Value| Map::from_iter([(name.to_owned(), value)]);
    match test {
        FieldTest::In(scalars) => one("in", scalars.iter().map(Scalar::to_json).collect()),
        FieldTest::NotIn(scalars) => one("not_in", scalars.iter().map(Scalar::to_json).collect()),
        FieldTest::Prefix(prefix) => one("prefix", prefix.as_str().into()),
        FieldTest::Contains(part) => one("contains", part.as_str().into()),
        FieldTest::Numbers(range) => range_members(range, |number| number.to_json()),
        FieldTest::Moments(range) => range_members(range, |moment| moment.to_string().into()),
        FieldTest::Text(text) => one("text", text.as_str().into()),
        FieldTest::Phrase(text) => one("phrase", text.as_str().into()),
        FieldTest::GeoBox(region) => {
            let (top_left, bottom_right) = (region.top_left(), region.bottom_right());
            let corners = json!({
                "top_left": place_value(top_left), "bottom_right": place_value(bottom_right)
            });
            one("geo_box", corners)
        }
        FieldTest::GeoRadius(region) => one(
            "geo_radius",
            json!({ "center": place_value(region.center()), "meters": region.meters() }),
        ),
        FieldTest::GeoPolygon(region) => {
            let ring = |ring: &[GeoPoint]| ring.iter().map(|&place| place_value(place)).collect();
            let interiors: Vec<Value> = region.interiors().iter().map(|hole| ring(hole)).collect();
            let exterior: Value = ring(region.exterior());
            one("geo_polygon", json!({ "exterior": exterior, "interiors": interiors }))
        }
        FieldTest::IsNull => one("is_null", true.into()),
        FieldTest::Exists => one("exists", true.into()),
        FieldTest::Count(range) => {
            one("count", Value::Object(range_members(range, |count| (*count).into())))
        }
    }
}

fn range_members<T>(range: &Range<T>, value: impl Fn(&T) -> Value) -> Members {
    let mut members = Map::new();
    let mut end = |name: &str, end: &T| members.insert(name.to_owned(), value(end));
    match &range.lower {
        Bound::Included(least) => drop(end("gte", least)),
        Bound::Excluded(below) => drop(end("gt", below)),
        Bound::Unbounded => {}
    }
    match &range.upper {
        Bound::Included(greatest) => drop(end("lte", greatest)),
        Bound::Excluded(above) => drop(end("lt", above)),
        Bound::Unbounded => {}
    }
    members
}

fn place_value(place: GeoPoint) -> Value {
    json!({ "lat": place.lat(), "lon": place.lon() })
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        Filter::from_json(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_place_and_what_was_expected() {
        for (text, expected) in [
            (
                r#"{"must": [{"field": "a", "eq": 1}, {"field": "b", "gte": "x"}]}"#,
                "filter at must[1].gte: expected a number, or a time as RFC 3339 spells it, got \"x\"",
            ),
            (
                r#"{"should": {"field": "a", "in": [1, [2]]}}"#,
                "filter at should.in[1]: expected a string, number or bool, got a list",
            ),
            (
                r#"{"field": "a", "eq": null}"#,
                "filter at eq: expected a string, number or bool, got null: ask is_null",
            ),
            (
                r#"{"field": "a..b", "eq": 1}"#,
                "filter at field: bad path \"a..b\": expected a name",
            ),
            (
                r#"{"must": {"nested": "a", "filter": {"must": [{"field": "b"}]}}}"#,
                "filter at must.filter.must[0]: expected one of eq, in, not_in, prefix, contains, gt, \
              gte, lt, lte, text, phrase, geo_box, geo_radius, geo_polygon, is_null, is_empty, exists, count",
            ),
            (
                r#"{"must": [{"ids": [1, -2]}]}"#,
                "filter at must[0].ids[1]: invalid value: integer `-2`, expected a point id: an unsigned \
              number or a string",
            ),
            (
                r#"{"all": []}"#,
                "filter: unknown member \"all\", expected must, should, must_not or min_should, or a condition with field, nested or ids",
            ),
            (
                r#"{"field": "a", "gt": 1, "gte": 1}"#,
                "filter: expected one of gte and gt, got both",
            ),
            (
                r#"{"field": "a", "eq": 1, "exists": true}"#,
                "filter: expected one test, got eq and exists",
            ),
            (
                r#"{"field": "a", "geo_radius": {"center": {"lat": 100, "lon": 0}, "meters": 1}}"#,
                "filter at geo_radius.center: lat out of range: expected -90 to 90, got 100",
            ),
            (r#"{"min_should": {"count": 1}}"#, "filter at min_should: conditions is missing"),
            (
                r#"[1]"#,
                r#"filter: expected a filter, such as {"field": "year", "gte": 1990}, got a list"#,
            ),
            (
                r#"{"field": "a", "gte": 1, "lt": "2024-01-01"}"#,
                "filter at gte: expected a number, or a time as RFC 3339 spells it, got 1",
            ),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
        assert!(error("{").starts_with("filter: no JSON"));
    }

    #[test]
    fn depth_is_limited_before_anything_is_built() {
        let deep = format!("{}{}", r#"{"must":"#.repeat(60), "{}".to_owned() + &"}".repeat(60));
        assert!(error(&deep).contains("deeper than the limit of 16"), "{}", error(&deep));
    }

    #[test]
    fn keys_do_not_depend_on_order() {
        let read = |text: &str| Filter::from_json(text.as_bytes()).unwrap();
        let a = read(r#"{"must": [{"field": "a", "in": [1, 2]}, {"field": "b", "eq": "x"}]}"#);
        let b = read(r#"{"must": [{"in": ["x"], "field": "b"}, {"field": "a", "in": [2.0, 1]}]}"#);
        assert_eq!(a.to_key(), b.to_key());
        assert_ne!(a.to_key(), read(r#"{"must": [{"field": "a", "in": [1, 2]}]}"#).to_key());
    }

    fn leaves() -> impl Strategy<Value = Value> {
        let scalar = || {
            prop_oneof![
                any::<bool>().prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Value::from),
                "[a-z]{0,3}".prop_map(Value::from),
            ]
        };
        let path = || prop::sample::select(vec!["a", "b[]", "a.b", "\"x.y\""]);
        prop_oneof![
            (path(), scalar()).prop_map(|(path, value)| json!({"field": path, "eq": value})),
            (path(), any::<f64>(), any::<i64>()).prop_filter("finite", |x| x.1.is_finite())
                .prop_map(|(path, a, b)| json!({"field": path, "gt": a, "lte": b})),
            path().prop_map(|path| json!({"field": path, "gte": "2024-01-01T10:00:00+03:00"})),
            (path(), any::<bool>()).prop_map(|(path, asked)| json!({"field": path, "is_null": asked})),
            path().prop_map(|path| json!({"field": path, "count": {"lt": 4}})),
            (path(), -90.0..90.0_f64, 0.0..1e7_f64).prop_map(|(path, lat, meters)| json!(
                {"field": path, "geo_radius": {"center": {"lat": lat, "lon": 2.0 * lat}, "meters": meters}}
            )),
            (path(), scalar()).prop_map(|(path, value)| json!({"field": path, "not_in": [value]})),
            (path(), "[a-z ]{0,6}").prop_map(|(path, text)| json!({"field": path, "phrase": text})),
            (path(), "[a-z ]{0,6}").prop_map(|(path, text)| json!({"field": path, "contains": text})),
            (path(), -80.0..80.0_f64).prop_map(|(path, lat)| {
                let place = |lat: f64, lon: f64| json!({"lat": lat, "lon": lon});
                let ring = [place(lat, 1.0), place(lat, 2.0), place(lat + 1.0, 2.0), place(lat, 1.0)];
                json!({"field": path, "geo_polygon": {"exterior": ring, "interiors": [ring]}})
            }),
            Just(json!({"ids": [1, "b", "936da01f-9abd-4d9d-80c7-02af85c822a8"]})),
        ]
    }

    fn filters() -> impl Strategy<Value = Value> {
        leaves().prop_recursive(3, 24, 4, |inner| {
            let list = || prop::collection::vec(inner.clone(), 1..4);
            prop_oneof![
                (list(), list()).prop_map(|(a, b)| json!({"must": a, "must_not": b})),
                list().prop_map(|a| json!({"should": a})),
                (list(), 0..4_u64)
                    .prop_map(|(a, n)| json!({"min_should": {"count": n, "conditions": a}})),
                inner.clone().prop_map(|a| json!({"nested": "o[]", "filter": a})),
            ]
        })
    }

    proptest! {
        #[test]
        fn filters_are_written_as_they_are_read(value in filters()) {
            let filter = Filter::from_value(&value).unwrap();
            let text = serde_json::to_vec(&filter).unwrap();
            prop_assert_eq!(&Filter::from_json(&text).unwrap(), &filter);
            prop_assert_eq!(Filter::from_json(&text).unwrap().to_key(), filter.to_key());
        }

        #[test]
        fn any_bytes_are_read_or_refused(value in filters(), at in 0..400_usize, byte in any::<u8>()) {
            let mut text = value.to_string().into_bytes();
            let at = at % text.len();
            text[at] = byte;
            let _ = Filter::from_json(&text);
        }
    }
}
