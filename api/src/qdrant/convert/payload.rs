//! Payloads, which are JSON here and a message of their own in Qdrant.

use std::collections::HashMap;

use bigrain_engine::Payload;
use q::value::Kind;
use qdrant_client::qdrant as q;
use serde_json::{Map, Number, Value};
use tonic::Status;

use crate::qdrant::error::wrong;

/// Reads a payload.
pub(in crate::qdrant) fn payload(fields: HashMap<String, q::Value>) -> Result<Payload, Status> {
    fields
        .into_iter()
        .try_fold(Payload::new(), |payload, (key, value)| Ok(payload.with(key, json_value(value)?)))
}

/// Writes a payload.
pub(in crate::qdrant) fn payload_message(
    payload: &Map<String, Value>,
) -> HashMap<String, q::Value> {
    payload.iter().map(|(key, value)| (key.clone(), value_message(value))).collect()
}

/// Reads a value. The decoder of messages bounds how deep it is nested.
pub(in crate::qdrant) fn json_value(value: q::Value) -> Result<Value, Status> {
    Ok(match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::IntegerValue(value)) => Value::from(value),
        Some(Kind::DoubleValue(value)) => Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| wrong(format!("payload has {value}: expected a finite number")))?,
        Some(Kind::StringValue(value)) => Value::String(value),
        Some(Kind::ListValue(list)) => {
            Value::Array(list.values.into_iter().map(json_value).collect::<Result<_, _>>()?)
        }
        Some(Kind::StructValue(object)) => {
            let members = object.fields.into_iter();
            let members = members.map(|(key, value)| Ok((key, json_value(value)?)));
            Value::Object(members.collect::<Result<_, Status>>()?)
        }
    })
}

/// Writes a value; an integer beyond 63 bits becomes the nearest float.
pub(in crate::qdrant) fn value_message(value: &Value) -> q::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Kind::IntegerValue(integer),
            None => Kind::DoubleValue(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => {
            Kind::ListValue(q::ListValue { values: values.iter().map(value_message).collect() })
        }
        Value::Object(members) => Kind::StructValue(q::Struct { fields: payload_message(members) }),
    };
    q::Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind_come_back() {
        let json = r#"{"a": [1, 2.5, null, "x", {"b": true, "c": []}], "d": {}}"#;
        let written: Value = serde_json::from_str(json).unwrap();
        assert_eq!(json_value(value_message(&written)).unwrap(), written);
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let nan = q::Value { kind: Some(Kind::DoubleValue(f64::NAN)) };
        assert!(json_value(nan).unwrap_err().message().contains("finite"));
    }
}
