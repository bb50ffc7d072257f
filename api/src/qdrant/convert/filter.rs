//! Filters.
//!
//! Qdrant's conditions have counterparts with the same meaning, but for four: `nested` looks at the elements of
//! arrays only, words that are no words match nothing, a box has no edges, and numbers are equal by their values
//! here, whether they are written as integers or not.

use std::collections::BTreeSet;
use std::ops::Bound;

use bigrain_engine::filter::{
    Condition, FieldTest, GeoBox, GeoPoint, GeoPolygon, GeoRadius, MinShould, Number, Range,
    Scalar, words,
};
use bigrain_engine::{Filter, PointId};
use q::condition::ConditionOneOf;
use q::r#match::MatchValue;
use qdrant_client::qdrant as q;
use tonic::Status;

use super::{moment_of, point_ids};
use crate::qdrant::error::{missing, unsupported, wrong};

/// Reads a filter, if there is one.
pub(in crate::qdrant) fn optional_filter(
    filter_message: Option<q::Filter>,
) -> Result<Option<Filter>, Status> {
    filter_message.map(filter).transpose()
}

/// Reads a filter.
pub(in crate::qdrant) fn filter(message: q::Filter) -> Result<Filter, Status> {
    let filter = read(message, 0)?;
    filter.validate().map_err(wrong)?;
    Ok(filter)
}

/// Returns the condition that a point's id is one of some.
pub(in crate::qdrant) fn has_ids(ids: BTreeSet<PointId>) -> Condition {
    Condition::Ids(ids)
}

fn read(message: q::Filter, depth: usize) -> Result<Filter, Status> {
    let all = |conditions: Vec<q::Condition>| -> Result<Vec<Condition>, Status> {
        conditions.into_iter().map(|condition| read_condition(condition, depth)).collect()
    };
    let min_should = message.min_should.map(|enough| {
        let count = usize::try_from(enough.min_count).unwrap_or(usize::MAX);
        if count == 0 {
            return Err(wrong("min_count value 0 is invalid: must be 1 or larger"));
        }
        Ok(MinShould { conditions: all(enough.conditions)?, count })
    });
    Ok(Filter {
        must: all(message.must)?,
        should: all(message.should)?,
        must_not: all(message.must_not)?,
        min_should: min_should.transpose()?,
    })
}

fn read_condition(message: q::Condition, depth: usize) -> Result<Condition, Status> {
    // The engine refuses deeper ones too, but after they were read.
    if depth > bigrain_engine::filter::MAX_FILTER_DEPTH {
        return Err(wrong("filter is nested too deep"));
    }
    let condition = message.condition_one_of.ok_or_else(|| missing("condition"))?;
    match condition {
        ConditionOneOf::Field(field) => field_condition(field),
        ConditionOneOf::IsEmpty(q::IsEmptyCondition { key }) => on(&key, FieldTest::is_empty()),
        ConditionOneOf::IsNull(q::IsNullCondition { key }) => on(&key, FieldTest::IsNull),
        ConditionOneOf::HasId(q::HasIdCondition { has_id }) => Ok(has_ids(point_ids(has_id)?)),
        ConditionOneOf::Filter(filter) => Ok(Condition::Filter(Box::new(read(filter, depth + 1)?))),
        ConditionOneOf::Nested(q::NestedCondition { key, filter }) => {
            let filter = filter.ok_or_else(|| missing("filter of nested"))?;
            let key = if key.ends_with("[]") { key } else { format!("{key}[]") };
            let path = key.parse().map_err(wrong)?;
            Ok(Condition::Nested { path, filter: Box::new(read(filter, depth + 1)?) })
        }
        ConditionOneOf::HasVector(_) => Err(unsupported("condition has_vector")),
        ConditionOneOf::Slice(_) => Err(unsupported("condition slice")),
    }
}

fn on(key: &str, test: FieldTest) -> Result<Condition, Status> {
    Condition::field(key, test).map_err(wrong)
}

/// Returns the condition that all of some hold.
fn all_of(conditions: Vec<Condition>) -> Condition {
    Condition::Filter(Box::new(Filter { must: conditions, ..Filter::new() }))
}

/// Returns the condition that one of some holds.
fn one_of(conditions: Vec<Condition>) -> Condition {
    Condition::Filter(Box::new(Filter { should: conditions, ..Filter::new() }))
}

/// Returns the condition that another does not hold.
fn not(condition: Condition) -> Condition {
    Condition::Filter(Box::new(Filter::new().must_not(condition)))
}

fn field_condition(field: q::FieldCondition) -> Result<Condition, Status> {
    let key = &*field.key;
    let mut conditions = Vec::new();
    if let Some(matched) = field.r#match {
        conditions.push(match_condition(key, matched)?);
    }
    if let Some(q::Range { lt, gt, gte, lte }) = field.range {
        let number = |float: f64| {
            Number::from_f64(float).ok_or_else(|| wrong(format!("range of {key}: {float}")))
        };
        conditions.push(on(key, FieldTest::Numbers(range([gt, gte, lt, lte], &number)?))?);
    }
    if let Some(q::DatetimeRange { lt, gt, gte, lte }) = field.datetime_range {
        let moment = |time| moment_of(&time);
        conditions.push(on(key, FieldTest::Moments(range([gt, gte, lt, lte], &moment)?))?);
    }
    if let Some(q::ValuesCount { lt, gt, gte, lte }) = field.values_count {
        conditions.push(on(key, FieldTest::Count(range([gt, gte, lt, lte], &Ok)?))?);
    }
    if let Some(region) = field.geo_bounding_box {
        conditions.push(on(key, inside(place(region.top_left)?, place(region.bottom_right)?)?)?);
    }
    if let Some(region) = field.geo_radius {
        let region = GeoRadius::new(place(region.center)?, region.radius.into()).map_err(wrong)?;
        conditions.push(on(key, FieldTest::GeoRadius(region))?);
    }
    if let Some(region) = field.geo_polygon {
        let ring = |line: q::GeoLineString| -> Result<Vec<GeoPoint>, Status> {
            line.points.into_iter().map(|point| place(Some(point))).collect()
        };
        let exterior = ring(region.exterior.ok_or_else(|| missing("exterior of a polygon"))?)?;
        let interiors = region.interiors.into_iter().map(ring).collect::<Result<_, _>>()?;
        let region = GeoPolygon::new(exterior, interiors).map_err(wrong)?;
        conditions.push(on(key, FieldTest::GeoPolygon(region))?);
    }
    for (wanted, test) in
        [(field.is_empty, FieldTest::is_empty()), (field.is_null, FieldTest::IsNull)]
    {
        if let Some(wanted) = wanted {
            let condition = on(key, test)?;
            conditions.push(if wanted { condition } else { not(condition) });
        }
    }
    match conditions.len() {
        0 => Err(wrong(format!("condition on {key:?} says nothing"))),
        1 => Ok(conditions.remove(0)),
        _ => Ok(all_of(conditions)),
    }
}

fn match_condition(key: &str, message: q::Match) -> Result<Condition, Status> {
    let test = match message.match_value.ok_or_else(|| missing("match value"))? {
        MatchValue::Keyword(text) => FieldTest::equals(&*text),
        MatchValue::Integer(integer) => FieldTest::equals(integer),
        MatchValue::Boolean(bool) => FieldTest::equals(bool),
        MatchValue::Keywords(texts) => FieldTest::In(scalars(texts.strings)),
        MatchValue::Integers(integers) => FieldTest::In(scalars(integers.integers)),
        MatchValue::Prefix(prefix) => FieldTest::Prefix(prefix),
        MatchValue::Text(text) => some_words(text),
        MatchValue::TextAny(text) => {
            let each = words(&text).map(|word| on(key, FieldTest::Text(word)));
            let each: Vec<Condition> = each.collect::<Result<_, _>>()?;
            if each.is_empty() {
                return on(key, nothing());
            }
            return Ok(one_of(each));
        }
        MatchValue::ExceptKeywords(texts) => FieldTest::NotIn(scalars(texts.strings)),
        MatchValue::ExceptIntegers(integers) => FieldTest::NotIn(scalars(integers.integers)),
        MatchValue::Phrase(text) => FieldTest::Phrase(text),
        MatchValue::Substring(part) => FieldTest::Contains(part),
    };
    on(key, test)
}

/// Returns the test for places between two corners. The edges do not belong to a box of Qdrant's, so it begins and
/// ends at the next numbers.
fn inside(top_left: GeoPoint, bottom_right: GeoPoint) -> Result<FieldTest, Status> {
    GeoBox::new(top_left, bottom_right).map_err(wrong)?;
    let (top, bottom) = (top_left.lat().next_down(), bottom_right.lat().next_up());
    let (left, right) = (top_left.lon().next_up(), bottom_right.lon().next_down());
    let crosses = top_left.lon() > bottom_right.lon();
    if top < bottom || (left > right && !crosses) {
        return Ok(nothing());
    }
    // One that begins or ends at the antimeridian has that side alone.
    let (left, right) = match (left > 180.0, right < -180.0) {
        (true, true) => return Ok(nothing()),
        (true, false) => (-180.0, right),
        (false, true) => (left, 180.0),
        (false, false) => (left, right),
    };
    let corner = |lat, lon| GeoPoint::new(lat, lon).map_err(wrong);
    let region = GeoBox::new(corner(top, left)?, corner(bottom, right)?).map_err(wrong)?;
    Ok(FieldTest::GeoBox(region))
}

/// Returns the test for all words of a text; there is none that a text without words passes.
fn some_words(text: String) -> FieldTest {
    if words(&text).next().is_none() { nothing() } else { FieldTest::Text(text) }
}

/// Returns the test that nothing passes.
fn nothing() -> FieldTest {
    FieldTest::In(BTreeSet::new())
}

fn scalars<T: IntoScalar>(values: Vec<T>) -> BTreeSet<Scalar> {
    values.into_iter().map(IntoScalar::into_scalar).collect()
}

/// A value of a list that is matched.
trait IntoScalar {
    /// Returns the value as conditions have it.
    fn into_scalar(self) -> Scalar;
}

impl IntoScalar for String {
    fn into_scalar(self) -> Scalar {
        Scalar::Text(self)
    }
}

impl IntoScalar for i64 {
    fn into_scalar(self) -> Scalar {
        self.into()
    }
}

/// Reads the ends of a range: above, at least, below, at most. Where two say the same end, both must hold,
/// so the tighter one does.
fn range<M, T: Ord>(
    [gt, gte, lt, lte]: [Option<M>; 4],
    read: &impl Fn(M) -> Result<T, Status>,
) -> Result<Range<T>, Status> {
    let end = |value: Option<M>| value.map(read).transpose();
    let lower = match (end(gt)?, end(gte)?) {
        (Some(above), Some(least)) if least > above => Bound::Included(least),
        (Some(above), _) => Bound::Excluded(above),
        (None, Some(least)) => Bound::Included(least),
        (None, None) => Bound::Unbounded,
    };
    let upper = match (end(lt)?, end(lte)?) {
        (Some(below), Some(greatest)) if greatest < below => Bound::Included(greatest),
        (Some(below), _) => Bound::Excluded(below),
        (None, Some(greatest)) => Bound::Included(greatest),
        (None, None) => Bound::Unbounded,
    };
    Ok(Range { lower, upper })
}

fn place(point: Option<q::GeoPoint>) -> Result<GeoPoint, Status> {
    let point = point.ok_or_else(|| missing("geo point"))?;
    GeoPoint::new(point.lat, point.lon).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use bigrain_engine::Payload;

    use super::*;

    fn field(key: &str) -> q::FieldCondition {
        q::FieldCondition { key: key.to_owned(), ..Default::default() }
    }

    fn holds(condition: q::FieldCondition, payload: &str) -> bool {
        let condition = q::Condition { condition_one_of: Some(ConditionOneOf::Field(condition)) };
        let filter = filter(q::Filter { must: vec![condition], ..Default::default() }).unwrap();
        let payload = Payload::from_json(payload.as_bytes()).unwrap();
        filter.matches(&payload, &PointId::from(1))
    }

    #[test]
    fn the_tighter_end_of_a_range_counts() {
        let both = |gt, gte| {
            let range = q::Range { gt: Some(gt), gte: Some(gte), ..Default::default() };
            holds(q::FieldCondition { range: Some(range), ..field("a") }, r#"{"a": 5}"#)
        };
        assert!(both(4.0, 5.0));
        assert!(!both(5.0, 4.0));
        assert!(!both(5.0, 5.0));
    }

    #[test]
    fn a_condition_may_ask_for_the_opposite() {
        let present = q::FieldCondition { is_empty: Some(false), ..field("a") };
        assert!(holds(present.clone(), r#"{"a": 1}"#));
        assert!(!holds(present, "{}"));
    }

    #[test]
    fn one_word_of_some_is_enough_and_no_word_matches_nothing() {
        let any = |text: &str| {
            let value = MatchValue::TextAny(text.to_owned());
            let matched = q::Match { match_value: Some(value) };
            let condition = q::FieldCondition { r#match: Some(matched), ..field("a") };
            holds(condition, r#"{"a": "The quick fox"}"#)
        };
        assert!(any("slow FOX"));
        assert!(!any("slow dog"));
        assert!(!any("..."));
    }

    #[test]
    fn the_edges_of_a_box_are_outside() {
        let within = |lat: f64, lon: f64, left: f64, right: f64| {
            let corner = |lat, lon| Some(q::GeoPoint { lat, lon });
            let region =
                q::GeoBoundingBox { top_left: corner(2.0, left), bottom_right: corner(1.0, right) };
            let condition = q::FieldCondition { geo_bounding_box: Some(region), ..field("a") };
            holds(condition, &format!(r#"{{"a": {{"lat": {lat}, "lon": {lon}}}}}"#))
        };
        assert!(within(1.5, 3.5, 3.0, 4.0));
        for (lat, lon) in [(1.0, 3.5), (2.0, 3.5), (1.5, 3.0), (1.5, 4.0)] {
            assert!(!within(lat, lon, 3.0, 4.0), "{lat} {lon}");
        }
        // Across the antimeridian, and of no width.
        assert!(within(1.5, 179.0, 170.0, -170.0) && within(1.5, -179.0, 170.0, -170.0));
        assert!(!within(1.5, 170.0, 170.0, -170.0) && !within(1.5, 0.0, 170.0, -170.0));
        assert!(!within(1.5, 3.0, 3.0, 3.0));
        assert!(within(1.5, -179.0, 180.0, -170.0) && !within(1.5, 180.0, 180.0, -170.0));
    }

    #[test]
    fn a_condition_that_says_nothing_is_refused() {
        let empty = q::Condition { condition_one_of: Some(ConditionOneOf::Field(field("a"))) };
        let error = filter(q::Filter { must: vec![empty], ..Default::default() }).unwrap_err();
        assert!(error.message().contains("says nothing"), "{error:?}");
    }
}
