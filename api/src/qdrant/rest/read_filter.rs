//! Filters from JSON.

use q::condition::ConditionOneOf;
use q::r#match::MatchValue;
use qdrant_client::qdrant as q;
use serde_json::Value;

use super::members::{
    Members, Read, boolean, double, expected, float, list, object, one_or_list, string, unsigned,
};
use super::read_points::point_id;
use crate::qdrant::error::wrong;

/// Reads a filter.
pub(super) fn filter(value: Value) -> Read<q::Filter> {
    object(value, filter_members)
}

fn filter_members(members: &mut Members) -> Read<q::Filter> {
    let mut conditions = |name: &str| {
        let read = members.take(name, |value| one_or_list(value, condition))?;
        Read::Ok(read.unwrap_or_default())
    };
    let (should, must, must_not) =
        (conditions("should")?, conditions("must")?, conditions("must_not")?);
    let min_should = members.take("min_should", |value| {
        object(value, |members| {
            Ok(q::MinShould {
                conditions: members.need("conditions", |value| list(value, condition))?,
                min_count: members.need("min_count", unsigned)?,
            })
        })
    })?;
    Ok(q::Filter { should, must, must_not, min_should })
}

fn condition(value: Value) -> Read<q::Condition> {
    let condition = object(value, |members| {
        let keyed = |value| object(value, |members| members.need("key", string));
        if members.has("key") {
            return field(members).map(ConditionOneOf::Field);
        }
        if let Some(key) = members.take("is_empty", keyed)? {
            return Ok(ConditionOneOf::IsEmpty(q::IsEmptyCondition { key }));
        }
        if let Some(key) = members.take("is_null", keyed)? {
            return Ok(ConditionOneOf::IsNull(q::IsNullCondition { key }));
        }
        if let Some(has_id) = members.take("has_id", |value| list(value, point_id))? {
            return Ok(ConditionOneOf::HasId(q::HasIdCondition { has_id }));
        }
        if let Some(has_vector) = members.take("has_vector", string)? {
            return Ok(ConditionOneOf::HasVector(q::HasVectorCondition { has_vector }));
        }
        if let Some(nested) = members.take("nested", nested)? {
            return Ok(ConditionOneOf::Nested(nested));
        }
        if let Some(slice) = members.take("slice", slice)? {
            return Ok(ConditionOneOf::Slice(slice));
        }
        filter_members(members).map(ConditionOneOf::Filter)
    })?;
    Ok(q::Condition { condition_one_of: Some(condition) })
}

fn nested(value: Value) -> Read<q::NestedCondition> {
    object(value, |members| {
        let key = members.need("key", string)?;
        Ok(q::NestedCondition { key, filter: Some(members.need("filter", filter)?) })
    })
}

fn slice(value: Value) -> Read<q::SliceCondition> {
    object(value, |members| {
        let total = members.need("total", unsigned)?;
        Ok(q::SliceCondition { total, index: members.need("index", unsigned)? })
    })
}

fn field(members: &mut Members) -> Read<q::FieldCondition> {
    let mut condition = q::FieldCondition {
        key: members.need("key", string)?,
        r#match: members.take("match", matched)?,
        geo_bounding_box: members.take("geo_bounding_box", |value| {
            object(value, |members| {
                let top_left = Some(members.need("top_left", place)?);
                let bottom_right = Some(members.need("bottom_right", place)?);
                Ok(q::GeoBoundingBox { top_left, bottom_right })
            })
        })?,
        geo_radius: members.take("geo_radius", |value| {
            object(value, |members| {
                let center = Some(members.need("center", place)?);
                Ok(q::GeoRadius { center, radius: members.need("radius", float)? })
            })
        })?,
        geo_polygon: members.take("geo_polygon", |value| {
            object(value, |members| {
                let exterior = Some(members.need("exterior", line)?);
                Ok(q::GeoPolygon { exterior, interiors: members.list("interiors", line)? })
            })
        })?,
        values_count: members.take("values_count", |value| {
            object(value, |members| {
                Ok(q::ValuesCount {
                    lt: members.take("lt", unsigned)?,
                    gt: members.take("gt", unsigned)?,
                    gte: members.take("gte", unsigned)?,
                    lte: members.take("lte", unsigned)?,
                })
            })
        })?,
        is_empty: members.take("is_empty", boolean)?,
        is_null: members.take("is_null", boolean)?,
        ..Default::default()
    };
    match members.take("range", range)? {
        Some(Ends::Numbers(range)) => condition.range = Some(range),
        Some(Ends::Times(range)) => condition.datetime_range = Some(range),
        None => {}
    }
    Ok(condition)
}

fn place(value: Value) -> Read<q::GeoPoint> {
    object(value, |members| {
        let lon = members.need("lon", double)?;
        Ok(q::GeoPoint { lon, lat: members.need("lat", double)? })
    })
}

fn line(value: Value) -> Read<q::GeoLineString> {
    object(value, |members| {
        Ok(q::GeoLineString { points: members.need("points", |value| list(value, place))? })
    })
}

/// The ends of a range: numbers or times.
enum Ends {
    Numbers(q::Range),
    Times(q::DatetimeRange),
}

fn range(value: Value) -> Read<Ends> {
    let is_time = value.as_object().is_some_and(|ends| ends.values().any(Value::is_string));
    object(value, |members| {
        if is_time {
            return Ok(Ends::Times(q::DatetimeRange {
                lt: members.take("lt", time)?,
                gt: members.take("gt", time)?,
                gte: members.take("gte", time)?,
                lte: members.take("lte", time)?,
            }));
        }
        Ok(Ends::Numbers(q::Range {
            lt: members.take("lt", double)?,
            gt: members.take("gt", double)?,
            gte: members.take("gte", double)?,
            lte: members.take("lte", double)?,
        }))
    })
}

/// Reads a time; one without a zone is of UTC.
fn time(value: Value) -> Read<prost_types::Timestamp> {
    let text = string(value)?;
    text.parse().map_err(|_| wrong(format!("{text:?} is not a time as RFC 3339 spells them")))
}

fn matched(value: Value) -> Read<q::Match> {
    let value = object(value, |members| {
        if let Some(value) = members.take("value", scalar)? {
            return Ok(value);
        }
        if let Some(text) = members.take("text", string)? {
            return Ok(MatchValue::Text(text));
        }
        if let Some(text) = members.take("text_any", string)? {
            return Ok(MatchValue::TextAny(text));
        }
        if let Some(phrase) = members.take("phrase", string)? {
            return Ok(MatchValue::Phrase(phrase));
        }
        if let Some(prefix) = members.take("prefix", string)? {
            return Ok(MatchValue::Prefix(prefix));
        }
        if let Some(part) = members.take("substring", string)? {
            return Ok(MatchValue::Substring(part));
        }
        if let Some(any) = members.take("any", some)? {
            return Ok(match any {
                Values::Texts(strings) => MatchValue::Keywords(q::RepeatedStrings { strings }),
                Values::Integers(integers) => {
                    MatchValue::Integers(q::RepeatedIntegers { integers })
                }
            });
        }
        if let Some(except) = members.take("except", some)? {
            return Ok(match except {
                Values::Texts(strings) => {
                    MatchValue::ExceptKeywords(q::RepeatedStrings { strings })
                }
                Values::Integers(integers) => {
                    MatchValue::ExceptIntegers(q::RepeatedIntegers { integers })
                }
            });
        }
        Err(wrong("expected value, any, except, text, text_any, phrase, prefix or substring"))
    })?;
    Ok(q::Match { match_value: Some(value) })
}

fn scalar(value: Value) -> Read<MatchValue> {
    match value {
        Value::String(text) => Ok(MatchValue::Keyword(text)),
        Value::Bool(bool) => Ok(MatchValue::Boolean(bool)),
        other => {
            let integer = other.as_i64().map(MatchValue::Integer);
            integer.ok_or_else(|| expected("a string, an integer or a bool", &other))
        }
    }
}

/// Values of one type.
enum Values {
    Texts(Vec<String>),
    Integers(Vec<i64>),
}

fn some(value: Value) -> Read<Values> {
    let first = value.as_array().and_then(|values| values.first());
    if first.is_some_and(Value::is_number) {
        return list(value, super::members::integer).map(Values::Integers);
    }
    list(value, string).map(Values::Texts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_one_needs_no_brackets() {
        let one = json!({"must": {"key": "a", "match": {"value": 1}}});
        let many = json!({"must": [{"key": "a", "match": {"value": 1}}]});
        assert_eq!(filter(one).unwrap(), filter(many).unwrap());
    }

    #[test]
    fn ranges_are_of_numbers_or_of_times() {
        let of = |range: Value| {
            let read = filter(json!({"must": [{"key": "a", "range": range}]})).unwrap();
            match read.must[0].condition_one_of.clone() {
                Some(ConditionOneOf::Field(field)) => field,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of(json!({"gte": 1, "lt": 2.5})).range.unwrap().lt, Some(2.5));
        let naive = of(json!({"gt": "2024-02-29T10:00:00"})).datetime_range.unwrap().gt;
        assert_eq!(naive, "2024-02-29T10:00:00Z".parse().ok());
    }

    #[test]
    fn unknown_conditions_are_named() {
        let error = filter(json!({"must": [{"like": "a"}]})).unwrap_err();
        assert_eq!(error.message(), "must: [0]: unknown field `like`");
    }
}
