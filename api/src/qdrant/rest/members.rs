//! Reading JSON: members are taken from an object one after the other, and what is left over is refused by name.
//!
//! Errors say where: each step on the way puts its name before them.
#![expect(
    clippy::needless_pass_by_value,
    reason = "what reads a value takes it, whether or not anything of it is kept"
)]

use serde_json::{Map, Value};
use tonic::Status;

use crate::qdrant::error::wrong;

/// What reading comes to.
pub(super) type Read<T> = Result<T, Status>;

/// The members of an object that are not read yet.
#[derive(Debug)]
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Returns the members of an object; none, of a body that is empty.
    pub(super) fn of(value: Value) -> Read<Self> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            Value::Null => Ok(Self(Map::new())),
            other => Err(expected("an object", &other)),
        }
    }

    /// Whether a member is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// Reads a member that may be absent or null.
    pub(super) fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Read<T>,
    ) -> Read<Option<T>> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some).map_err(|status| at(name, &status)),
        }
    }

    /// Reads a member that must be there.
    pub(super) fn need<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Read<T>) -> Read<T> {
        self.take(name, read)?.ok_or_else(|| wrong(format!("missing field `{name}`")))
    }

    /// Reads a list that may be absent.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        read: impl FnMut(Value) -> Read<T>,
    ) -> Read<Vec<T>> {
        Ok(self.take(name, |value| list(value, read))?.unwrap_or_default())
    }

    /// Passes over members that say how fast and not what.
    pub(super) fn pass_over(&mut self, names: &[&str]) {
        for name in names {
            self.0.remove(*name);
        }
    }

    /// Returns the members that are left.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.0
    }

    /// Refuses members that nobody has read.
    pub(super) fn end(self) -> Read<()> {
        match self.0.into_iter().find(|(_, value)| !value.is_null()) {
            Some((name, _)) => Err(wrong(format!("unknown field `{name}`"))),
            None => Ok(()),
        }
    }
}

/// Reads an object: `read` takes its members, and none may be left.
pub(super) fn object<T>(value: Value, read: impl FnOnce(&mut Members) -> Read<T>) -> Read<T> {
    let mut members = Members::of(value)?;
    let read = read(&mut members)?;
    members.end()?;
    Ok(read)
}

/// Reads a list.
pub(super) fn list<T>(value: Value, mut read: impl FnMut(Value) -> Read<T>) -> Read<Vec<T>> {
    match value {
        Value::Array(values) => {
            let each = values.into_iter().enumerate();
            each.map(|(position, value)| {
                read(value).map_err(|status| at(&format!("[{position}]"), &status))
            })
            .collect()
        }
        other => Err(expected("a list", &other)),
    }
}

/// Reads a list, which may be written without brackets if it has one element.
pub(super) fn one_or_list<T>(value: Value, mut read: impl FnMut(Value) -> Read<T>) -> Read<Vec<T>> {
    if value.is_array() { list(value, read) } else { Ok(vec![read(value)?]) }
}

/// Reads a string.
pub(super) fn string(value: Value) -> Read<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(expected("a string", &other)),
    }
}

/// Reads true or false.
pub(super) fn boolean(value: Value) -> Read<bool> {
    value.as_bool().ok_or_else(|| expected("true or false", &value))
}

/// Reads an integer that is not negative.
pub(super) fn unsigned<T: TryFrom<u64>>(value: Value) -> Read<T> {
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| expected("an unsigned integer", &value))
}

/// Reads an integer.
pub(super) fn integer(value: Value) -> Read<i64> {
    value.as_i64().ok_or_else(|| expected("an integer", &value))
}

/// Reads a number.
pub(super) fn double(value: Value) -> Read<f64> {
    value.as_f64().ok_or_else(|| expected("a number", &value))
}

/// Reads a number of 32 bits.
pub(super) fn float(value: Value) -> Read<f32> {
    double(value).map(|number| number as f32)
}

/// Reads anything, and keeps only that it is there.
pub(super) fn anything(_: Value) -> Read<()> {
    Ok(())
}

/// Returns the error that something else was expected.
pub(super) fn expected(what: &str, found: &Value) -> Status {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    wrong(format!("expected {what}, found {found}"))
}

fn at(name: &str, status: &Status) -> Status {
    Status::new(status.code(), format!("{name}: {}", status.message()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_say_where() {
        let read = |value| {
            object(value, |members| {
                members
                    .list("a", |value| object(value, |members| members.need("b", unsigned::<u32>)))
            })
        };
        assert_eq!(read(json!({"a": [{"b": 1}]})).unwrap(), [1]);
        let message = |value| read(value).unwrap_err().message().to_owned();
        assert_eq!(
            message(json!({"a": [{"b": 1}, {"b": "x"}]})),
            "a: [1]: b: expected an unsigned integer, found a string"
        );
        assert_eq!(message(json!({"a": [{}]})), "a: [0]: missing field `b`");
        assert_eq!(message(json!({"a": [], "c": 1})), "unknown field `c`");
        assert!(read(json!({"c": null})).unwrap().is_empty());
    }
}
