//! The values of a field, as conditions see them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::matches::any_value;
use super::{FieldPath, Scalar, SortDirection, SortKey};
use crate::Payload;

impl FieldPath {
    /// Calls `visit` with every value of the field: what its path reaches, or the elements where
    /// that is an array.
    pub fn each_value(&self, payload: &Payload, visit: &mut dyn FnMut(&Value)) {
        any_value(self, payload.as_map(), &mut |value| {
            visit(value);
            false
        });
    }

    /// Returns the strings, numbers and bools among the values of the field, each once: those for
    /// which an `eq` holds.
    #[must_use]
    pub fn scalars(&self, payload: &Payload) -> BTreeSet<Scalar> {
        let mut scalars = BTreeSet::new();
        self.each_value(payload, &mut |value| scalars.extend(Scalar::from_json(value)));
        scalars
    }

    /// Returns by what a point is sorted: its least value where small ones come first, its greatest
    /// where large ones do; nothing if none of its values can be sorted.
    #[must_use]
    pub fn sort_key(&self, payload: &Payload, direction: SortDirection) -> Option<SortKey> {
        let mut first: Option<SortKey> = None;
        self.each_value(payload, &mut |value| {
            let Some(key) = SortKey::of(value) else { return };
            if first.as_ref().is_none_or(|first| direction.compare(&key, first).is_lt()) {
                first = Some(key);
            }
        });
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: &str) -> Payload {
        Payload::from_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn scalars_are_the_values_that_equal_something() {
        let payload = payload(r#"{"a": ["x", 1, 1.0, null, true, [2], {"b": 3}, "x"], "s": 5}"#);
        let scalars = |path: &str| -> Vec<String> {
            let path = FieldPath::parse(path).unwrap();
            path.scalars(&payload).iter().map(|scalar| scalar.to_json().to_string()).collect()
        };
        assert_eq!(scalars("a"), ["true", "1", "\"x\""]);
        assert_eq!(scalars("a[]"), ["true", "1", "2", "\"x\""]);
        assert_eq!(scalars("s"), ["5"]);
        assert_eq!(scalars("none"), Vec::<String>::new());
    }

    #[test]
    fn a_point_is_sorted_by_the_value_that_comes_first() {
        let payload = payload(r#"{"a": [3, 1, 2], "n": null}"#);
        let key =
            |path: &str, direction| FieldPath::parse(path).unwrap().sort_key(&payload, direction);
        assert_eq!(key("a", SortDirection::Ascending), SortKey::of(&Value::from(1)));
        assert_eq!(key("a", SortDirection::Descending), SortKey::of(&Value::from(3)));
        assert_eq!(key("n", SortDirection::Ascending), None);
    }
}
