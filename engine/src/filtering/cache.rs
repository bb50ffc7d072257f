//! Rows of segments that matched a filter.

use std::sync::Arc;

use bigrain_index::RowMask;
use bigrain_storage::CollectionKey;
use bigrain_types::{FieldId, SegmentId};
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
pub(crate) struct FilterCache(MemoryCache<Key, Arc<Entry>>);

/// A segment of a collection, and a filter. No key of a collection and no id of a segment is used
/// twice, so an entry is never that of another segment.
type Key = (CollectionKey, SegmentId, FilterKey);

/// What is remembered of a filter in a segment.
#[derive(Debug)]
struct Entry {
    rows: Arc<RoaringBitmap>,
    /// The same rows by their positions in fields whose codes were scanned for them.
    masks: Vec<(FieldId, Arc<RowMask>)>,
}

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
        self.0.get(&(collection, segment, filter)).map(|entry| Arc::clone(&entry.rows))
    }

    /// Returns those rows as a mask of a field's positions, if that is remembered.
    pub fn mask(
        &self,
        collection: CollectionKey,
        segment: SegmentId,
        filter: FilterKey,
        field: FieldId,
    ) -> Option<Arc<RowMask>> {
        let entry = self.0.get(&(collection, segment, filter))?;
        entry.masks.iter().find(|(of, _)| *of == field).map(|(_, mask)| Arc::clone(mask))
    }

    /// Remembers the rows of a segment that match a filter, unless they are too many.
    pub fn put(
        &self,
        collection: CollectionKey,
        segment: SegmentId,
        filter: FilterKey,
        rows: &Arc<RoaringBitmap>,
    ) {
        let entry = Entry { rows: Arc::clone(rows), masks: Vec::new() };
        let bytes = entry.bytes();
        self.0.put((collection, segment, filter), Arc::new(entry), bytes);
    }

    /// Remembers the mask of a field beside the very rows it was made of, if these are remembered.
    pub fn put_mask(
        &self,
        collection: CollectionKey,
        segment: SegmentId,
        filter: FilterKey,
        rows: &Arc<RoaringBitmap>,
        (field, mask): (FieldId, &Arc<RowMask>),
    ) {
        self.0.change(&(collection, segment, filter), |entry| {
            if !Arc::ptr_eq(&entry.rows, rows) {
                return None;
            }
            let others = entry.masks.iter().filter(|(of, _)| *of != field).cloned();
            let masks = others.chain([(field, Arc::clone(mask))]).collect();
            let entry = Entry { rows: Arc::clone(rows), masks };
            let bytes = entry.bytes();
            Some((Arc::new(entry), bytes))
        });
    }

    /// Forgets rows until there is room in memory for `bytes`, or nothing is left.
    pub fn make_room(&self, bytes: u64) {
        self.0.make_room(bytes);
    }
}

impl Entry {
    fn bytes(&self) -> u64 {
        let masks = self.masks.iter().map(|(_, mask)| mask.memory_bytes() as u64);
        bytes_of(&self.rows) + masks.sum::<u64>()
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
    fn masks_are_remembered_with_the_rows_they_were_made_of() {
        let key = PreparedFilter::new(&Filter::new()).unwrap().key();
        let (collection, segment) = (CollectionKey(1), SegmentId(1));
        let rows = Arc::new(RoaringBitmap::from_iter(0..100));
        let mask = Arc::new(RowMask::new(200, 0..100));
        let one = bytes_of(&rows) + mask.memory_bytes() as u64;
        let memory = Memory::new(None);
        let cache = FilterCache::new(8 * one, &memory);
        let put = |field| cache.put_mask(collection, segment, key, &rows, (field, &mask));
        let has = |field| cache.mask(collection, segment, key, field).is_some();
        put(FieldId(1));
        assert!(!has(FieldId(1)), "rows are not remembered");
        cache.put(collection, segment, key, &rows);
        put(FieldId(1));
        assert!(has(FieldId(1)) && !has(FieldId(2)));
        assert_eq!(memory.info().caches, one);
        put(FieldId(1));
        assert_eq!(memory.info().caches, one, "the same mask takes its room once");
        cache.put(collection, segment, key, &Arc::new((*rows).clone()));
        put(FieldId(1));
        assert!(!has(FieldId(1)), "rows that were looked up again may be others");
        assert_eq!(memory.info().caches, bytes_of(&rows));
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
