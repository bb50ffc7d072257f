//! How dense rows reach verification.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How dense rows reach verification. Results do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum VerifyIo {
    /// Each file as suits it: through the map while it is in memory, and else by reads of many rows
    /// at a time, with io_uring where the system has it.
    #[default]
    Auto,
    /// Always through the map. Rows that are not in memory are waited for one after another.
    Map,
    /// Always by reads through io_uring; refused where the system has none.
    Uring,
    /// Always by reads of a few threads.
    Pread,
}

impl fmt::Display for VerifyIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Map => "map",
            Self::Uring => "uring",
            Self::Pread => "pread",
        })
    }
}

impl std::str::FromStr for VerifyIo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "map" => Ok(Self::Map),
            "uring" => Ok(Self::Uring),
            "pread" => Ok(Self::Pread),
            other => Err(format!("unknown io {other:?}: expected auto, map, uring or pread")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for io in [VerifyIo::Auto, VerifyIo::Map, VerifyIo::Uring, VerifyIo::Pread] {
            assert_eq!(io.to_string().parse(), Ok(io));
        }
        assert!("mmap".parse::<VerifyIo>().is_err());
    }
}
