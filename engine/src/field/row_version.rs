//! The version of a collection's row in the manifest, beside what the row says.
//!
//! A row with something in it that programs of before would pass over, or take for damage, gets a
//! higher version. A program refuses a row of a version above its own by name, and serves the other
//! collections. Rows of before versions were written have none, which is version 1.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Result};

/// The version of rows without anything that came later.
pub(super) const FIRST: u32 = 1;

/// The version of rows with multi-vector fields, now or before.
pub(super) const MULTI_VECTORS: u32 = 2;

/// The version of rows with a learned binarizer.
pub(super) const LEARNED_BINARIZERS: u32 = 3;

/// The version of rows with a field whose segments may be of two versions of a learned binarizer.
pub(super) const COMPATIBLE_VERSIONS: u32 = 4;

/// The version of rows with a field that follows one of an earlier encoder, or once did.
pub(super) const SUCCESSIVE_ENCODERS: u32 = 5;

/// The newest version that this program reads.
const NEWEST: u32 = SUCCESSIVE_ENCODERS;

/// The name of the version in a row.
const NAME: &str = "version";

/// Returns the JSON text of a row of a version.
pub(super) fn write<T: Serialize>(row: &T, version: u32) -> Result<String> {
    #[derive(Serialize)]
    struct Versioned<'a, T> {
        version: u32,
        #[serde(flatten)]
        row: &'a T,
    }
    serde_json::to_string(&Versioned { version, row })
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}

/// Reads the JSON text of a row.
///
/// # Errors
///
/// `FailedPrecondition` for a row of a newer version; `Corruption` for what no version wrote.
pub(super) fn read<T: DeserializeOwned>(json: &str) -> Result<T> {
    let corrupt = |error: serde_json::Error| {
        Error::new(ErrorKind::Corruption, format!("stored configuration: {error}"))
    };
    let mut row: Map<String, Value> = serde_json::from_str(json).map_err(corrupt)?;
    let version = row.remove(NAME).map_or(Ok(1), serde_json::from_value::<u32>);
    let version = version.map_err(corrupt)?;
    if version > NEWEST {
        let reason = format!(
            "the collection has format version {version}, this program reads version {NEWEST}: \
             it was written by a newer version"
        );
        return Err(Error::new(ErrorKind::FailedPrecondition, reason));
    }
    serde_json::from_value(Value::Object(row)).map_err(corrupt)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        weight: f32,
    }

    #[test]
    fn a_newer_row_is_refused_by_its_version_whatever_else_it_says() {
        let error = read::<Row>(r#"{"version": 6, "unheard": "of"}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
        let error = error.to_string();
        assert!(error.contains("format version 6, this program reads version 5"), "{error}");
    }

    #[test]
    fn rows_with_and_without_a_version_are_read() {
        let row = Row { weight: 0.1 };
        let json = write(&row, FIRST).unwrap();
        assert_eq!(json, r#"{"version":1,"weight":0.1}"#);
        assert_eq!(read::<Row>(&json).unwrap(), row);
        assert_eq!(read::<Row>(r#"{"weight": 0.1}"#).unwrap(), row);
        for json in ["", "[]", r#"{"version": -1, "weight": 0.1}"#, r#"{"version": 1, "w": 0}"#] {
            assert_eq!(read::<Row>(json).unwrap_err().kind(), ErrorKind::Corruption, "{json}");
        }
    }
}
