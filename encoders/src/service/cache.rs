//! Embeddings of texts seen before.

use bigrain_types::EmbeddingSpaceId;
use lru::LruCache;
use parking_lot::Mutex;

use crate::embeddings::TextCount;
use crate::encoder::TextKind;

/// What an entry takes beside its values: key, links and the table.
const ENTRY_BYTES: usize = 160;

/// Embeddings by the hash of their text, within a number of bytes; those not asked for longest go first.
///
/// A key is made of the embedding space, the kind of text and the text, so one cache serves several
/// models.
#[derive(Debug)]
pub struct EmbeddingCache {
    limit_bytes: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Entries {
    bytes: usize,
    by_key: LruCache<CacheKey, CachedRow>,
}

/// The hash of a space, a kind and a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CacheKey([u8; 32]);

/// An embedding, and the size of its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CachedRow {
    pub(super) vector: Box<[f32]>,
    pub(super) count: TextCount,
}

impl CacheKey {
    pub(super) fn new(space: EmbeddingSpaceId, kind: TextKind, text: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        let kind = match kind {
            TextKind::Document => b"d",
            TextKind::Query => b"q",
        };
        hasher.update(space.as_bytes()).update(kind).update(text.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}

impl EmbeddingCache {
    /// A cache of at most `limit_bytes` bytes; of 0 it keeps nothing.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        let entries = Entries { bytes: 0, by_key: LruCache::unbounded() };
        Self { limit_bytes, entries: Mutex::new(entries) }
    }

    /// Bytes in use.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.entries.lock().bytes
    }

    /// Embeddings it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.lock().by_key.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get(&self, key: &CacheKey) -> Option<CachedRow> {
        if self.limit_bytes == 0 {
            return None;
        }
        self.entries.lock().by_key.get(key).cloned()
    }

    pub(super) fn put(&self, key: CacheKey, row: CachedRow) {
        let bytes = row.bytes();
        if bytes > self.limit_bytes {
            return;
        }
        let mut entries = self.entries.lock();
        entries.bytes += bytes;
        if let Some(old) = entries.by_key.put(key, row) {
            entries.bytes -= old.bytes();
        }
        while entries.bytes > self.limit_bytes
            && let Some((_, oldest)) = entries.by_key.pop_lru()
        {
            entries.bytes -= oldest.bytes();
        }
    }
}

impl CachedRow {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + size_of_val(&self.vector[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f32) -> CachedRow {
        CachedRow { vector: vec![value; 10].into(), count: TextCount::default() }
    }

    fn key(text: &str) -> CacheKey {
        CacheKey::new(EmbeddingSpaceId::from_bytes([1; 16]), TextKind::Query, text)
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let cache = EmbeddingCache::new(3 * (ENTRY_BYTES + 40));
        for (text, value) in [("a", 1.0), ("b", 2.0), ("c", 3.0)] {
            cache.put(key(text), row(value));
        }
        assert_eq!(cache.get(&key("a")), Some(row(1.0)));
        cache.put(key("d"), row(4.0));
        assert_eq!((cache.len(), cache.get(&key("b"))), (3, None));
        assert_eq!(cache.get(&key("a")), Some(row(1.0)));
        assert_eq!(cache.bytes(), 3 * (ENTRY_BYTES + 40));
        cache.put(key("a"), row(5.0));
        assert_eq!((cache.len(), cache.get(&key("a"))), (3, Some(row(5.0))));
        assert_eq!(cache.bytes(), 3 * (ENTRY_BYTES + 40));
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing_and_a_row_too_large_is_not_kept() {
        for limit in [0, ENTRY_BYTES] {
            let cache = EmbeddingCache::new(limit);
            cache.put(key("a"), row(1.0));
            assert!(cache.is_empty() && cache.get(&key("a")).is_none() && cache.bytes() == 0);
        }
    }

    #[test]
    fn space_and_kind_are_part_of_the_key() {
        let (one, two) =
            (EmbeddingSpaceId::from_bytes([1; 16]), EmbeddingSpaceId::from_bytes([2; 16]));
        let keys = [
            CacheKey::new(one, TextKind::Query, "a"),
            CacheKey::new(two, TextKind::Query, "a"),
            CacheKey::new(one, TextKind::Document, "a"),
            CacheKey::new(one, TextKind::Query, "b"),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[..i].iter().all(|b| a != b));
        }
    }
}
