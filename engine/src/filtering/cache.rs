//! Rows of segments that matched a filter.

use std::sync::Arc;

use bigrain_storage::CollectionKey;
use bigrain_types::SegmentId;
use lru::LruCache;
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use super::FilterKey;
use crate::memory::{Charge, Memory, Purpose};

/// What an entry takes beside its rows: its key, and its place in the table and the list.
const ENTRY_BYTES: u64 = 160;

/// What each 65,536 offsets of a bitmap take beside what is stored of them.
const CONTAINER_BYTES: u64 = 48;

/// The part of a cache that one entry may take, so that one filter does not empty it.
const LARGEST_PART: u64 = 4;

/// Which rows of which segment matched which filter, the least recently used forgotten first: where
/// there are too many, and where memory is wanted for something that cannot be forgotten.
///
/// Rows that were deleted when a filter was looked up may be missing: they stay deleted.
#[derive(Debug)]
pub(crate) struct FilterCache {
    capacity_bytes: u64,
    memory: Arc<Memory>,
    entries: Mutex<Entries>,
}

/// A segment of a collection, and a filter. No key of a collection and no id of a segment is used
/// twice, so an entry is never that of another segment.
type Key = (CollectionKey, SegmentId, FilterKey);

#[derive(Debug)]
struct Entries {
    rows: LruCache<Key, Arc<RoaringBitmap>>,
    bytes: u64,
    charge: Charge,
}

impl FilterCache {
    /// Returns an empty cache that holds at most `capacity_bytes`.
    pub fn new(capacity_bytes: u64, memory: &Arc<Memory>) -> Self {
        let charge = memory.charge(Purpose::Caches, 0);
        let entries = Entries { rows: LruCache::unbounded(), bytes: 0, charge };
        Self { capacity_bytes, memory: Arc::clone(memory), entries: Mutex::new(entries) }
    }

    /// Returns the rows of a segment that matched a filter, if they are remembered.
    pub fn get(
        &self,
        collection: CollectionKey,
        segment: SegmentId,
        filter: FilterKey,
    ) -> Option<Arc<RoaringBitmap>> {
        self.entries.lock().rows.get(&(collection, segment, filter)).map(Arc::clone)
    }

    /// Remembers the rows of a segment that match a filter, unless they are too many.
    pub fn put(
        &self,
        collection: CollectionKey,
        segment: SegmentId,
        filter: FilterKey,
        rows: &Arc<RoaringBitmap>,
    ) {
        let bytes = bytes_of(rows);
        if bytes > self.capacity_bytes / LARGEST_PART {
            return;
        }
        let mut entries = self.entries.lock();
        if let Some(old) = entries.rows.put((collection, segment, filter), Arc::clone(rows)) {
            entries.bytes -= bytes_of(&old);
        }
        entries.bytes += bytes;
        entries.charge.set(entries.bytes);
        while entries.bytes > self.capacity_bytes || !self.memory.has_room(0) {
            if !entries.forget_oldest() {
                break;
            }
        }
    }

    /// Forgets rows until there is room in memory for `bytes`, or nothing is left.
    pub fn make_room(&self, bytes: u64) {
        let mut entries = self.entries.lock();
        while !self.memory.has_room(bytes) && entries.forget_oldest() {}
    }
}

impl Entries {
    /// Returns whether there was anything to forget.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, oldest)) = self.rows.pop_lru() else { return false };
        self.bytes -= bytes_of(&oldest);
        self.charge.set(self.bytes);
        true
    }
}

fn bytes_of(rows: &RoaringBitmap) -> u64 {
    let containers = u64::from(rows.statistics().n_containers);
    rows.serialized_size() as u64 + containers * CONTAINER_BYTES + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use bigrain_types::Filter;

    use super::super::PreparedFilter;
    use super::*;

    #[test]
    fn the_least_recently_used_are_forgotten() {
        let key = PreparedFilter::new(&Filter::new()).unwrap().key();
        let rows = |count: u32| Arc::new(RoaringBitmap::from_iter((0..count).map(|row| row * 2)));
        let one = bytes_of(&rows(1000));
        let cache = FilterCache::new(5 * one, &Memory::new(None));
        let (collection, put) = (CollectionKey(1), |segment: u64, count: u32| {
            cache.put(CollectionKey(1), SegmentId(segment), key, &rows(count));
        });
        let has = |segment: u64| cache.get(collection, SegmentId(segment), key).is_some();
        for segment in 0..5 {
            put(segment, 1000);
        }
        assert!(has(0) && has(4));
        put(5, 1000);
        assert!(!has(1), "1 was used last of all");
        assert!(has(0) && has(5));
        put(5, 1000);
        assert!(has(2) && has(3), "the same entry takes its room once");
        put(6, 100_000);
        assert!(!has(6) && has(2), "too large to be kept");
        assert_eq!(cache.entries.lock().bytes, 5 * one);
    }

    #[test]
    fn rows_are_in_the_account_and_give_way() {
        let key = PreparedFilter::new(&Filter::new()).unwrap().key();
        let rows = Arc::new(RoaringBitmap::from_iter((0..1000).map(|row| row * 2)));
        let one = bytes_of(&rows);
        let memory = Memory::new(Some(10 * one));
        let cache = FilterCache::new(1 << 30, &memory);
        let put = |segment: u64| cache.put(CollectionKey(1), SegmentId(segment), key, &rows);
        (0..4).for_each(put);
        assert_eq!(memory.info().caches, 4 * one);
        let _write = memory.charge(Purpose::Memtables, 8 * one);
        cache.make_room(one);
        assert_eq!(memory.info().caches, one);
        put(7);
        put(8);
        assert_eq!(memory.info().caches, 2 * one, "it takes what is left");
        cache.make_room(3 * one);
        assert_eq!(memory.info().caches, 0);
        drop(cache);
        assert_eq!(memory.info().used(), 8 * one);
    }
}
