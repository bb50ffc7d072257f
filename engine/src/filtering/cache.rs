//! Rows of segments that matched a filter.

use std::sync::Arc;

use bigrain_storage::CollectionKey;
use bigrain_types::SegmentId;
use roaring::RoaringBitmap;

use super::FilterKey;
use crate::memory::Memory;
use crate::memory_cache::MemoryCache;

/// What an entry takes beside its rows: its key, and its place in the table and the list.
const ENTRY_BYTES: u64 = 160;

/// What each 65,536 offsets of a bitmap take beside what is stored of them.
const CONTAINER_BYTES: u64 = 48;

/// Which rows of which segment matched which filter.
///
/// Rows that were deleted when a filter was looked up may be missing: they stay deleted.
#[derive(Debug)]
pub(crate) struct FilterCache(MemoryCache<Key, Arc<RoaringBitmap>>);

/// A segment of a collection, and a filter. No key of a collection and no id of a segment is used
/// twice, so an entry is never that of another segment.
type Key = (CollectionKey, SegmentId, FilterKey);

impl FilterCache {
    /// Returns an empty cache that holds at most `capacity_bytes`.
    pub fn new(capacity_bytes: u64, memory: &Arc<Memory>) -> Self {
        Self(MemoryCache::new(capacity_bytes, memory))
    }

    /// Returns the rows of a segment that matched a filter, if they are remembered.
    pub fn get(
        &self,
        collection: CollectionKey,
        segment: SegmentId,
        filter: FilterKey,
    ) -> Option<Arc<RoaringBitmap>> {
        self.0.get(&(collection, segment, filter))
    }

    /// Remembers the rows of a segment that match a filter, unless they are too many.
    pub fn put(
        &self,
        collection: CollectionKey,
        segment: SegmentId,
        filter: FilterKey,
        rows: &Arc<RoaringBitmap>,
    ) {
        self.0.put((collection, segment, filter), Arc::clone(rows), bytes_of(rows));
    }

    /// Forgets rows until there is room in memory for `bytes`, or nothing is left.
    pub fn make_room(&self, bytes: u64) {
        self.0.make_room(bytes);
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
    use crate::memory::Purpose;

    #[test]
    fn the_least_recently_used_are_forgotten() {
        let key = PreparedFilter::new(&Filter::new()).unwrap().key();
        let rows = |count: u32| Arc::new(RoaringBitmap::from_iter((0..count).map(|row| row * 2)));
        let one = bytes_of(&rows(1000));
        let memory = Memory::new(None);
        let cache = FilterCache::new(5 * one, &memory);
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
        assert_eq!(memory.info().caches, 5 * one);
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
