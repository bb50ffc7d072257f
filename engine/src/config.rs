//! What a caller decides about an engine: its resources, and the limits of requests.

use bigrain_types::{SearchParams, VerifyIo};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The longest collection name, in bytes.
pub const MAX_COLLECTION_NAME_BYTES: usize = 255;

/// The most points of one upsert, and the most ids of one delete or get.
pub const MAX_POINTS_PER_BATCH: usize = 10_000;

/// The most rows of one segment: offsets are `u32`, and a segment is rewritten as a whole.
const MAX_FLUSH_ROWS: usize = 1 << 24;

/// The most rows of a segment that merging may be allowed, and the fewest: small ones are for tests.
const MAX_SEGMENT_ROWS: usize = 1 << 30;
const MIN_SEGMENT_ROWS: usize = 16;

/// The most threads of an engine: far past any use, and far below what would stall a machine.
const MAX_THREADS: usize = 1024;

/// The fewest bytes of a memtable worth a segment.
const MIN_FLUSH_BYTES: usize = 1 << 20;

/// The resources of an [`Engine`](crate::Engine).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Threads that encode and scan; 0 is one per core. Default 0.
    pub threads: usize,
    /// A memtable of this many points becomes a segment. Default 65,536.
    pub flush_rows: usize,
    /// A memtable of this many bytes becomes a segment. Default 64 MiB: with 256 MiB, searches beside writes of 784
    /// dimensions take a fifth longer, and 7 % more points are written.
    pub flush_bytes: usize,
    /// A memtable whose first point is this old becomes a segment, if there are background threads;
    /// 0 is never. Default 0: points in a memtable are as safe, and small segments serve nobody.
    pub flush_age_seconds: u64,
    /// Threads that flush and merge in the background; with 0, the writer that fills a memtable
    /// flushes it, and merges run only when asked for. Default half of the cores. Builds take no
    /// other threads than these, so this is their share of the machine.
    pub background_threads: usize,
    /// A segment does not grow beyond this many rows by merging. Default 4,194,304.
    pub max_segment_rows: usize,
    /// Bytes of memory for memtables, codes, builds and the store's caches together; past it writes
    /// are refused until there is room, and searches and deletes go on. Default none.
    pub memory_budget_bytes: Option<u64>,
    /// The store's cache of blocks read from disk, in bytes. Default 64 MiB.
    pub block_cache_bytes: u64,
    /// The store's write buffer, in bytes. Default 32 MiB.
    pub write_buffer_bytes: u64,
    /// Rows that matched filters, kept to answer the same filters again, in bytes at most: where memory
    /// is short they give way. What is known of words that many rows have may take a sixteenth of it
    /// more. Default 64 MiB.
    pub filter_cache_bytes: u64,
    /// How dense rows reach verification. Default auto: through the map while a file is in memory,
    /// and else by reads of many rows at a time, with io_uring where the system has it.
    pub verify_io: VerifyIo,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            threads: 0,
            flush_rows: 1 << 16,
            flush_bytes: 64 << 20,
            flush_age_seconds: 0,
            background_threads: half_of_the_cores(),
            max_segment_rows: 1 << 22,
            memory_budget_bytes: None,
            block_cache_bytes: 64 << 20,
            write_buffer_bytes: 32 << 20,
            filter_cache_bytes: 64 << 20,
            verify_io: VerifyIo::Auto,
        }
    }
}

fn half_of_the_cores() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 2).max(1)
}

impl EngineConfig {
    /// Returns what the store may take for itself: while one write buffer is written out, another one
    /// is filled.
    pub(crate) fn store_bytes(&self) -> u64 {
        self.block_cache_bytes + 2 * self.write_buffer_bytes
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// An error of kind [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the value.
    pub fn validate(&self) -> Result<()> {
        if self.flush_rows == 0 || self.flush_rows > MAX_FLUSH_ROWS {
            return Err(Error::invalid(format!(
                "flush_rows out of range: expected 1 to {MAX_FLUSH_ROWS}, got {}",
                self.flush_rows
            )));
        }
        for (name, threads) in
            [("threads", self.threads), ("background_threads", self.background_threads)]
        {
            if threads > MAX_THREADS {
                return Err(Error::invalid(format!(
                    "{name} out of range: expected 0 to {MAX_THREADS}, got {threads}"
                )));
            }
        }
        if self.max_segment_rows < MIN_SEGMENT_ROWS || self.max_segment_rows > MAX_SEGMENT_ROWS {
            return Err(Error::invalid(format!(
                "max_segment_rows out of range: expected {MIN_SEGMENT_ROWS} to {MAX_SEGMENT_ROWS}, got {}",
                self.max_segment_rows
            )));
        }
        let least = self.store_bytes();
        if let Some(budget) = self.memory_budget_bytes.filter(|&budget| budget <= least) {
            return Err(Error::invalid(format!(
                "memory_budget_bytes out of range: expected more than {least} (block_cache_bytes and \
                 twice write_buffer_bytes), got {budget}"
            )));
        }
        if self.flush_bytes < MIN_FLUSH_BYTES {
            return Err(Error::invalid(format!(
                "flush_bytes out of range: expected at least {MIN_FLUSH_BYTES}, got {}",
                self.flush_bytes
            )));
        }
        Ok(())
    }
}

/// Refuses more points or ids than one request may have.
pub(crate) fn check_batch(len: usize) -> Result<()> {
    if len > MAX_POINTS_PER_BATCH {
        return Err(Error::invalid(format!(
            "batch of {len} exceeds the limit of {MAX_POINTS_PER_BATCH}: split it"
        )));
    }
    Ok(())
}

/// Refuses a limit that no search or page may have.
pub(crate) fn check_limit(limit: usize) -> Result<usize> {
    Ok(SearchParams::new(limit)?.limit())
}

/// Refuses names that are empty, too long, or awkward in a URL or a shell.
pub(crate) fn check_collection_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty()
        || name.len() > MAX_COLLECTION_NAME_BYTES
        || name.starts_with('.')
        || !name.bytes().all(allowed)
    {
        return Err(Error::invalid(format!(
            "bad collection name {name:?}: expected 1 to {MAX_COLLECTION_NAME_BYTES} letters, \
             digits, '_', '-' or '.', not starting with '.'"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_names_are_refused() {
        for name in ["", ".hidden", "a b", "a/b", "ä", &"x".repeat(256)] {
            assert!(check_collection_name(name).is_err(), "{name:?}");
        }
        assert!(check_collection_name("docs-2024_v1.1").is_ok());
    }

    #[test]
    fn bad_values_are_named() {
        let config = EngineConfig { flush_rows: 0, ..EngineConfig::default() };
        assert!(config.validate().unwrap_err().to_string().contains("flush_rows"));
        let config = EngineConfig { threads: 1_000_000, ..EngineConfig::default() };
        assert!(config.validate().unwrap_err().to_string().contains("threads"));
    }
}
