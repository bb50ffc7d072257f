//! How the components of dense vectors are stored on disk.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the components of dense vectors are stored on disk.
///
/// What is stored is what is scored and what is given back: with fewer bits than `F32`, the vector
/// after rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DenseFormat {
    /// 32-bit floats, as they came: verification is exact.
    #[default]
    F32,
    /// 16-bit floats: half the bytes, 11 significant bits, components up to 65,504.
    F16,
    /// 8-bit integers with a scale for each vector: a quarter of the bytes. A component is off by at
    /// most 1/254 of the vector's largest.
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

    /// Returns the largest magnitude that a component may have.
    #[must_use]
    pub fn max_component(self) -> f32 {
        match self {
            Self::F16 => 65_504.0,
            Self::F32 | Self::I8 => f32::MAX,
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
