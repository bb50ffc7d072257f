//! How the components of dense vectors are stored on disk.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the components of dense vectors are stored on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DenseFormat {
    /// 32-bit floats, as they came: verification is exact.
    #[default]
    F32,
    /// 16-bit floats: half the bytes, 11 significant bits.
    F16,
    /// 8-bit integers with a scale for each vector: a quarter of the bytes.
    I8,
}

impl DenseFormat {
    /// Returns the bytes of one vector of `dims` components, its scale included.
    #[must_use]
    pub fn row_bytes(self, dims: usize) -> usize {
        match self {
            Self::F32 => dims * 4,
            Self::F16 => dims * 2,
            Self::I8 => dims + 4,
        }
    }
}

impl fmt::Display for DenseFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "i8",
        })
    }
}

impl std::str::FromStr for DenseFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "i8" => Ok(Self::I8),
            other => Err(format!("unknown dense format {other:?}: expected f32, f16 or i8")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for format in [DenseFormat::F32, DenseFormat::F16, DenseFormat::I8] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("f64".parse::<DenseFormat>().is_err());
    }
}
