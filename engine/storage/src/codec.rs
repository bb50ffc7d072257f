//! Small values to bytes and back, through bincode.
//!
//! This is the only module that knows bincode. Integers are little-endian and of fixed width, a
//! sequence is its length as u64 and then its elements, an enum is its variant as u32 and then its
//! fields. The golden test below pins these bytes, so that another encoder with the same layout can
//! take bincode's place.
//!
//! For headers and rows of the store only. Arrays of numbers are stored as plain little-endian
//! bytes, and bytes from the network never come here.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The most bytes that decoding one value may ask for. A damaged length is refused before it is
/// used to allocate.
pub const MAX_VALUE_BYTES: usize = 64 << 20;

/// A value that has no bytes, or bytes that are no value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value cannot be written.
    #[error("value cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are not a value of the type asked for.
    #[error("bytes are not a {expected}: {reason}")]
    Decode {
        /// The type asked for.
        expected: &'static str,
        /// What bincode says.
        reason: String,
    },
    /// The value ends before its bytes do.
    #[error("bytes of a {expected} end at {used}, found {actual}")]
    Trailing {
        /// The type asked for.
        expected: &'static str,
        /// The bytes the value takes.
        used: usize,
        /// The bytes there are.
        actual: usize,
    },
}

/// Writes a value.
///
/// # Errors
///
/// [`CodecError::Encode`] when the type's `Serialize` refuses, or the value is larger than
/// [`MAX_VALUE_BYTES`].
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(value, config())
        .map_err(|error| CodecError::Encode(error.to_string()))?;
    if bytes.len() > MAX_VALUE_BYTES {
        let actual = bytes.len();
        return Err(CodecError::Encode(format!("{actual} bytes, the limit is {MAX_VALUE_BYTES}")));
    }
    Ok(bytes)
}

/// Reads a value that fills `bytes` to the last one.
///
/// # Errors
///
/// [`CodecError`] when the bytes are too short, too long or not a value of type `T`.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let expected = short_name::<T>();
    let (value, used) = bincode::serde::decode_from_slice(bytes, config())
        .map_err(|error| CodecError::Decode { expected, reason: error.to_string() })?;
    if used != bytes.len() {
        return Err(CodecError::Trailing { expected, used, actual: bytes.len() });
    }
    Ok(value)
}

/// The limit is what turns a hostile length into an error: without one, bincode 2.0.1 panics.
fn config() -> impl bincode::config::Config {
    bincode::config::legacy().with_limit::<MAX_VALUE_BYTES>()
}

fn short_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Empty,
        Pair(u8, u32),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        number: u64,
        text: String,
        kinds: Vec<Kind>,
        maybe: Option<u16>,
    }

    fn sample() -> Sample {
        Sample {
            number: 258,
            text: "né".into(),
            kinds: vec![Kind::Pair(7, 9), Kind::Empty],
            maybe: Some(3),
        }
    }

    #[test]
    fn bytes_are_what_they_were() {
        let golden = [
            2, 1, 0, 0, 0, 0, 0, 0, // number
            3, 0, 0, 0, 0, 0, 0, 0, b'n', 0xc3, 0xa9, // text
            2, 0, 0, 0, 0, 0, 0, 0, // two kinds
            1, 0, 0, 0, 7, 9, 0, 0, 0, // Pair(7, 9)
            0, 0, 0, 0, // Empty
            1, 3, 0, // Some(3)
        ];
        assert_eq!(to_bytes(&sample()).unwrap(), golden);
        assert_eq!(from_bytes::<Sample>(&golden).unwrap(), sample());
    }

    #[test]
    fn a_hostile_length_is_an_error() {
        let mut bytes = vec![0; 8];
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        let error = from_bytes::<Sample>(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("bytes are not a Sample"), "{error}");
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        let mut bytes = to_bytes(&sample()).unwrap();
        bytes.push(0);
        let error = from_bytes::<Sample>(&bytes).unwrap_err().to_string();
        assert_eq!(error, "bytes of a Sample end at 43, found 44");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(value) = from_bytes::<Sample>(&bytes) {
                prop_assert_eq!(to_bytes(&value).unwrap(), bytes);
            }
        }
    }
}
