//! Names of vectors: Qdrant has an unnamed one, fields here always have a name.
//!
//! The unnamed vector is the field `vector`, the first one of collections that name none. A vector that *is*
//! called so gets an underscore, and so does one whose name ends like that of such a field:
//!
//! | in Qdrant | field |
//! | --- | --- |
//! | (unnamed) | `vector` |
//! | `vector` | `vector_` |
//! | `vector_` | `vector__` |
//! | any other | the same |

use bigrain_engine::DEFAULT_FIELD;

/// Returns the field of a vector.
pub(super) fn field_of(vector: &str) -> String {
    match vector {
        "" => DEFAULT_FIELD.to_owned(),
        name if is_like_default(name) => format!("{name}_"),
        name => name.to_owned(),
    }
}

/// Returns the vector of a field.
pub(super) fn vector_of(field: &str) -> String {
    match field {
        DEFAULT_FIELD => String::new(),
        name if is_like_default(name) => name[..name.len() - 1].to_owned(),
        name => name.to_owned(),
    }
}

/// Whether a name is that of the first field, with any number of underscores.
fn is_like_default(name: &str) -> bool {
    name.strip_prefix(DEFAULT_FIELD).is_some_and(|rest| rest.bytes().all(|byte| byte == b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_field_of_its_own_and_comes_back() {
        let names = ["", "vector", "vector_", "vector__", "vectors", "text", "vector_a"];
        let fields: Vec<String> = names.iter().map(|name| field_of(name)).collect();
        assert_eq!(fields[0], "vector");
        for (at, field) in fields.iter().enumerate() {
            assert_eq!(vector_of(field), names[at]);
            assert!(!fields[..at].contains(field), "{field}");
        }
    }
}
