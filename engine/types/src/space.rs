//! Who made a vector or a code: ids that keep vectors of different models apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is not a space id.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("bad space id {0:?}: expected 32 hexadecimal digits")]
pub struct SpaceIdError(String);

macro_rules! space_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps the first 16 bytes of a hash.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = SpaceIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let bad = || SpaceIdError(text.to_owned());
                if text.len() != 32 || !text.is_ascii() {
                    return Err(bad());
                }
                let mut bytes = [0; 16];
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
                    *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
                }
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $name {
            type Error = SpaceIdError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

space_id! {
    /// Names an embedding space: a hash of weights, pooling, pad policy, normalisation, prefixes
    /// and dims. Only vectors of one space may be compared.
    EmbeddingSpaceId
}

space_id! {
    /// Names a code space: a hash of a binarizer's parameters. Only codes of one space may be
    /// compared, unless training declared the pair compatible.
    CodeSpaceId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_as_text() {
        let id = EmbeddingSpaceId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<EmbeddingSpaceId>(&json).unwrap(), id);
    }

    #[test]
    fn bad_texts_are_refused() {
        for text in
            ["", "12", "zz23456789abcdef0123456789abcdef", "é123456789abcdef0123456789abcde"]
        {
            assert!(text.parse::<CodeSpaceId>().is_err(), "{text:?}");
        }
    }
}
