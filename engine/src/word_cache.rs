//! What is known of words that many rows of a segment have.

use std::sync::Arc;

use bigrain_lexical::text::{KeptPeaks, Peaks};
use bigrain_storage::CollectionKey;
use bigrain_types::{SegmentId, TextField};

use crate::memory::Memory;
use crate::memory_cache::MemoryCache;
use crate::{Error, ErrorKind, Result};

/// What an entry takes beside its peaks: its key, and its place in the table and the list.
const ENTRY_BYTES: u64 = 160;

/// Where words of which segment count most.
#[derive(Debug)]
pub(crate) struct WordCache(MemoryCache<Key, Arc<Peaks>>);

/// A segment of a collection, and a word of a text field.
type Key = (CollectionKey, SegmentId, [u8; 32]);

/// The name by which the cache knows a text field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextKey([u8; 32]);

/// The words of one field of one segment.
pub(crate) struct SegmentWords<'a> {
    pub cache: &'a WordCache,
    pub collection: CollectionKey,
    pub segment: SegmentId,
    pub field: TextKey,
}

impl TextKey {
    /// Returns the same for fields that are declared alike.
    pub fn new(field: &TextField) -> Result<Self> {
        let json = serde_json::to_vec(field)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        Ok(Self(*blake3::hash(&json).as_bytes()))
    }
}

impl WordCache {
    /// Returns an empty cache that holds at most `capacity_bytes`.
    pub fn new(capacity_bytes: u64, memory: &Arc<Memory>) -> Self {
        Self(MemoryCache::new(capacity_bytes, memory))
    }

    /// Forgets words until there is room in memory for `bytes`, or nothing is left.
    pub fn make_room(&self, bytes: u64) {
        self.0.make_room(bytes);
    }
}

impl SegmentWords<'_> {
    fn key(&self, word: &str) -> Key {
        let word = blake3::keyed_hash(&self.field.0, word.as_bytes());
        (self.collection, self.segment, *word.as_bytes())
    }
}

impl KeptPeaks for SegmentWords<'_> {
    fn get(&self, word: &str) -> Option<Arc<Peaks>> {
        self.cache.0.get(&self.key(word))
    }

    fn put(&self, word: &str, peaks: &Arc<Peaks>) {
        let bytes = peaks.memory_bytes() as u64 + ENTRY_BYTES;
        self.cache.0.put(self.key(word), Arc::clone(peaks), bytes);
    }
}
