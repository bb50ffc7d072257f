//! What is remembered for as long as there is memory for it.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use crate::memory::{Charge, Memory, Purpose};

/// The part of a cache that one entry may take, so that one does not empty it.
const LARGEST_PART: u64 = 4;

/// Values that would take time to find again, the least recently used forgotten first: where there are too
/// many, and where memory is wanted for something that cannot be forgotten.
pub(crate) struct MemoryCache<K, V> {
    capacity_bytes: u64,
    memory: Arc<Memory>,
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K, V> {
    /// Values with their bytes.
    values: LruCache<K, (V, u64)>,
    bytes: u64,
    charge: Charge,
}

impl<K: Hash + Eq, V: Clone> MemoryCache<K, V> {
    /// Returns an empty cache that holds at most `capacity_bytes`.
    pub fn new(capacity_bytes: u64, memory: &Arc<Memory>) -> Self {
        let charge = memory.charge(Purpose::Caches, 0);
        let entries = Entries { values: LruCache::unbounded(), bytes: 0, charge };
        Self { capacity_bytes, memory: Arc::clone(memory), entries: Mutex::new(entries) }
    }

    /// Returns a value, if it is remembered.
    pub fn get(&self, key: &K) -> Option<V> {
        self.entries.lock().values.get(key).map(|(value, _)| value.clone())
    }

    /// Remembers a value that takes so many bytes with all that belongs to it, unless they are too many.
    pub fn put(&self, key: K, value: V, bytes: u64) {
        if bytes > self.capacity_bytes / LARGEST_PART {
            return;
        }
        let mut entries = self.entries.lock();
        if let Some((_, old)) = entries.values.put(key, (value, bytes)) {
            entries.bytes -= old;
        }
        entries.bytes += bytes;
        self.shrink(&mut entries);
    }

    /// Puts another value, with its bytes, in the place of one that is remembered, if `change` wants that and
    /// the bytes are not too many.
    pub fn change(&self, key: &K, change: impl FnOnce(&V) -> Option<(V, u64)>) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.values.get_mut(key) else { return };
        let Some((value, bytes)) = change(&entry.0) else { return };
        if bytes > self.capacity_bytes / LARGEST_PART {
            return;
        }
        let (_, old) = std::mem::replace(entry, (value, bytes));
        entries.bytes = entries.bytes + bytes - old;
        self.shrink(&mut entries);
    }

    /// Forgets values until there is room in memory for `bytes`, or nothing is left.
    pub fn make_room(&self, bytes: u64) {
        let mut entries = self.entries.lock();
        while !self.memory.has_room(bytes) && entries.forget_oldest() {}
    }

    /// Forgets what is too much.
    fn shrink(&self, entries: &mut Entries<K, V>) {
        entries.charge.set(entries.bytes);
        while entries.bytes > self.capacity_bytes || !self.memory.has_room(0) {
            if !entries.forget_oldest() {
                break;
            }
        }
    }
}

impl<K: Hash + Eq, V> Entries<K, V> {
    /// Returns whether there was anything to forget.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, (_, bytes))) = self.values.pop_lru() else { return false };
        self.bytes -= bytes;
        self.charge.set(self.bytes);
        true
    }
}

impl<K, V> fmt::Debug for MemoryCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache")
            .field("capacity_bytes", &self.capacity_bytes)
            .finish_non_exhaustive()
    }
}
