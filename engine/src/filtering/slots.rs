//! Slots of a memtable that match a filter.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bigrain_types::{Payload, PointId};
use lru::LruCache;
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use super::{FilterKey, PreparedFilter};

/// Filters that one memtable remembers. A memtable has few slots: at most some kilobytes each.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// What a remembered filter takes beside its slots.
const ENTRY_BYTES: usize = 192;

/// Which slots of a memtable matched which filter. What a slot holds never changes, so only slots
/// that were added since are looked at.
#[derive(Debug)]
pub(crate) struct SlotFilters(Mutex<LruCache<FilterKey, Matched>>);

/// The slots that match among the first `looked_at`.
#[derive(Clone, Debug, Default)]
struct Matched {
    slots: Arc<RoaringBitmap>,
    looked_at: usize,
}

impl SlotFilters {
    /// Returns the slots whose points match a filter, dead ones included.
    pub fn matching(
        &self,
        filter: &PreparedFilter,
        ids: &[PointId],
        payloads: &[Arc<Payload>],
    ) -> Arc<RoaringBitmap> {
        let mut matched = self.0.lock().get(&filter.key()).cloned().unwrap_or_default();
        if matched.looked_at == ids.len() {
            return matched.slots;
        }
        let fresh = matched.looked_at..ids.len();
        let new = fresh.filter(|&slot| filter.filter().matches(&payloads[slot], &ids[slot]));
        Arc::make_mut(&mut matched.slots).extend(new.map(|slot| slot as u32));
        matched.looked_at = ids.len();
        let slots = Arc::clone(&matched.slots);
        self.0.lock().put(filter.key(), matched);
        slots
    }
}

impl SlotFilters {
    /// Returns about how much memory it takes.
    pub fn memory_bytes(&self) -> usize {
        let remembered = self.0.lock();
        remembered.iter().map(|(_, matched)| ENTRY_BYTES + matched.slots.serialized_size()).sum()
    }
}

impl Default for SlotFilters {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}
