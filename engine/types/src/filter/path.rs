//! Paths into a payload.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::FilterError;
use crate::Payload;

/// The longest path, in bytes as it is written.
const MAX_PATH_BYTES: usize = 1024;

/// A path into a payload, such as `authors[].name`; see [the grammar](crate::filter).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath(Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// To the member of an object.
    Member(String),
    /// To every element of an array.
    Elements,
}

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// [`FilterError`] for an empty or too long path, an empty name, or quotes that do not close.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_PATH_BYTES {
            let reason = format!("path has {} bytes, the limit is {MAX_PATH_BYTES}", text.len());
            return Err(FilterError::new(reason));
        }
        let bad =
            |expected: &str| FilterError::new(format!("bad path {text:?}: expected {expected}"));
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = take_name(rest).ok_or_else(|| bad("a name"))?;
            steps.push(Step::Member(name));
            rest = after;
            while let Some(after) = rest.strip_prefix("[]") {
                steps.push(Step::Elements);
                rest = after;
            }
            if rest.is_empty() {
                return Ok(Self(steps));
            }
            rest = rest.strip_prefix('.').ok_or_else(|| bad("a '.' or '[]' behind a name"))?;
        }
    }

    /// Returns the steps; the first is a member of the payload.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Calls `visit` with every text that the path reaches, those in an array at its end included.
    pub fn each_text(&self, payload: &Payload, visit: &mut dyn FnMut(&str)) {
        self.any(payload.as_map(), &mut |value| {
            match value {
                Value::String(text) => visit(text),
                Value::Array(elements) => {
                    elements.iter().filter_map(Value::as_str).for_each(&mut *visit)
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
            }
            false
        });
    }

    /// Calls `visit` with every value that the path reaches, until it returns true; returns whether
    /// it did.
    pub(super) fn any(
        &self,
        root: &Map<String, Value>,
        visit: &mut dyn FnMut(&Value) -> bool,
    ) -> bool {
        match self.0.split_first() {
            Some((Step::Member(name), rest)) => {
                root.get(name).is_some_and(|value| any_below(value, rest, visit))
            }
            Some((Step::Elements, _)) | None => false,
        }
    }
}

fn any_below(value: &Value, steps: &[Step], visit: &mut dyn FnMut(&Value) -> bool) -> bool {
    match (steps.split_first(), value) {
        (None, value) => visit(value),
        (Some((Step::Member(name), rest)), Value::Object(members)) => {
            members.get(name).is_some_and(|value| any_below(value, rest, visit))
        }
        (Some((Step::Elements, rest)), Value::Array(elements)) => {
            elements.iter().any(|value| any_below(value, rest, visit))
        }
        (Some(_), _) => false,
    }
}

/// Splits a name, quoted or not, off the front.
fn take_name(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        let mut names = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let name = names.next()?.ok()?;
        return Some((name, &text[names.byte_offset()..]));
    }
    let end = text.find(['.', '[', ']', '"']).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

impl TryFrom<String> for FieldPath {
    type Error = FilterError;

    fn try_from(text: String) -> Result<Self, FilterError> {
        Self::parse(&text)
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.to_string()
    }
}

impl FromStr for FieldPath {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Elements => f.write_str("[]")?,
                Step::Member(name) => {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    if name.is_empty() || name.contains(['.', '[', ']', '"']) {
                        write!(f, "{}", Value::from(name.as_str()))?;
                    } else {
                        f.write_str(name)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reached(path: &str, payload: &str) -> Vec<String> {
        let root: Map<String, Value> = serde_json::from_str(payload).unwrap();
        let mut found = Vec::new();
        FieldPath::parse(path).unwrap().any(&root, &mut |value| {
            found.push(value.to_string());
            false
        });
        found
    }

    #[test]
    fn paths_reach_what_their_steps_fit() {
        let payload = r#"{"a": {"b": [1, {"c": 2}, {"c": [3]}, []]}, "x.y": 4, "": 5}"#;
        assert_eq!(reached("a.b[]", payload), ["1", r#"{"c":2}"#, r#"{"c":[3]}"#, "[]"]);
        assert_eq!(reached("a.b[].c", payload), ["2", "[3]"]);
        assert_eq!(reached("a.b[].c[]", payload), ["3"]);
        assert_eq!(reached(r#""x.y""#, payload), ["4"]);
        assert_eq!(reached(r#""""#, payload), ["5"]);
        for nothing in ["x.y", "a.b.c", "a[]", "b", "a.b[][]"] {
            assert_eq!(reached(nothing, payload), Vec::<String>::new(), "{nothing}");
        }
    }

    #[test]
    fn bad_paths_are_refused() {
        for path in ["", ".", "a.", ".a", "a..b", "a[", "a[0]", "[]", "a[]b", "\"a", "a\"b\"", "a]"]
        {
            assert!(FieldPath::parse(path).is_err(), "{path}");
        }
        assert!(FieldPath::parse(&"x".repeat(MAX_PATH_BYTES + 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_path_is_written_as_it_is_read(
            steps in prop::collection::vec(prop_oneof![
                3 => "\\PC{0,6}|[a-z.\\[\\]\"]{1,5}".prop_map(Step::Member),
                1 => Just(Step::Elements),
            ], 0..6),
        ) {
            let mut path = vec![Step::Member("a".into())];
            path.extend(steps);
            let path = FieldPath(path);
            prop_assert_eq!(FieldPath::parse(&path.to_string()).unwrap(), path);
        }

        #[test]
        fn any_text_is_a_path_or_refused(text in "[a-z.\\[\\]\"\\\\]{0,12}") {
            if let Ok(path) = FieldPath::parse(&text) {
                prop_assert_eq!(FieldPath::parse(&path.to_string()).unwrap(), path);
            }
        }
    }
}
