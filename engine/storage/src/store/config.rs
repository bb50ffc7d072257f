//! How much memory the store may use.

use serde::{Deserialize, Serialize};
use thiserror::Error;

const MIB: u64 = 1 << 20;

/// How much memory the store may use, and when its log is cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Bytes of uncompressed blocks, indexes and filters kept in memory, for all families
    /// together. Default 64 MiB, at least 1 MiB.
    pub block_cache_bytes: u64,
    /// Bytes of recent writes kept in memory, for all families together. Default 64 MiB, at least
    /// 1 MiB.
    pub write_buffer_bytes: u64,
    /// Bytes of log after which RocksDB writes its memory out and drops old logs: bounds what is
    /// read when the store opens. Default 256 MiB, at least 1 MiB.
    pub max_log_bytes: u64,
    /// Files of RocksDB kept open. Default 512, at least 64.
    pub max_open_files: u32,
    /// Threads that write memory out and compact. Default 2, at least 1.
    pub background_threads: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            block_cache_bytes: 64 * MIB,
            write_buffer_bytes: 64 * MIB,
            max_log_bytes: 256 * MIB,
            max_open_files: 512,
            background_threads: 2,
        }
    }
}

/// A field of [`StoreConfig`] out of range.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{field} out of range: expected {minimum} to {maximum}, got {actual}")]
pub struct StoreConfigError {
    field: &'static str,
    minimum: u64,
    maximum: u64,
    actual: u64,
}

impl StoreConfig {
    /// Checks every field.
    ///
    /// # Errors
    ///
    /// [`StoreConfigError`] names the first field that is out of range.
    pub fn validate(&self) -> Result<(), StoreConfigError> {
        let memory = (MIB, u64::from(u32::MAX) * MIB);
        let fields = [
            ("block_cache_bytes", self.block_cache_bytes, memory),
            ("write_buffer_bytes", self.write_buffer_bytes, memory),
            ("max_log_bytes", self.max_log_bytes, memory),
            ("max_open_files", u64::from(self.max_open_files), (64, 1 << 20)),
            ("background_threads", u64::from(self.background_threads), (1, 256)),
        ];
        for (field, actual, (minimum, maximum)) in fields {
            if !(minimum..=maximum).contains(&actual) {
                return Err(StoreConfigError { field, minimum, maximum, actual });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_a_bad_field_is_named() {
        assert_eq!(StoreConfig::default().validate(), Ok(()));
        let config = StoreConfig { background_threads: 0, ..StoreConfig::default() };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "background_threads out of range: expected 1 to 256, got 0"
        );
    }
}
