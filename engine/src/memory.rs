//! Who holds how much memory, and whether there is room for more.
//!
//! What lasts is *charged*: a memtable, the codes of a segment that serves, the store's caches, a
//! build, a write on its way. A charge is given back when what it stands for is dropped. Codes count from the moment
//! their segment serves, whether or not a search has brought them into memory yet: a search must
//! never be refused for want of memory, so the room is kept free for it.
//!
//! Against the budget stands what may wait: writes are refused with a hint to try again, merges are
//! put off. Flushes are not, because they free more than they take, and neither are deletes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// After this time a write that found no room may find some.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What memory is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The store's cache and write buffers, and what the caches of filters and words hold.
    Caches,
    /// Recent writes, those on their way to the store included.
    Memtables,
    /// Codes and lists of segments.
    Codes,
    /// Segments that are being built.
    Builds,
    /// What the allocator keeps of what was freed.
    Kept,
}

/// The memory of an engine, by what it is taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// The most it may be; nothing where there is no limit.
    pub budget: Option<u64>,
    /// The store's cache and write buffers, at their largest, and what the caches of filters and words hold.
    /// The latter give way to writes and merges.
    pub caches: u64,
    /// Recent writes, those on their way to the store included.
    pub memtables: u64,
    /// Codes and lists of segments, when all of them are resident, and the checksums of their files.
    pub codes: u64,
    /// Segments that are being built.
    pub builds: u64,
    /// What the allocator keeps of what was freed, in pieces, as far as it is known; an eighth of the budget at most.
    pub kept: u64,
}

impl MemoryInfo {
    /// Returns the sum of all purposes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.caches + self.memtables + self.codes + self.builds + self.kept
    }
}

/// The memory of one engine.
#[derive(Debug)]
pub(crate) struct Memory {
    budget: Option<u64>,
    used: [AtomicU64; 5],
}

/// Some memory in use; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    memory: Arc<Memory>,
    purpose: Purpose,
    bytes: AtomicU64,
}

impl Memory {
    /// Returns an account without charges.
    pub fn new(budget: Option<u64>) -> Arc<Self> {
        Arc::new(Self { budget, used: Default::default() })
    }

    /// Charges memory, whether there is room for it or not.
    pub fn charge(self: &Arc<Self>, purpose: Purpose, bytes: u64) -> Charge {
        let charge = Charge { memory: Arc::clone(self), purpose, bytes: AtomicU64::new(0) };
        charge.set(bytes);
        charge
    }

    /// Charges memory if there is room for it.
    pub fn try_charge(self: &Arc<Self>, purpose: Purpose, bytes: u64) -> Option<Charge> {
        let charge = self.charge(purpose, bytes);
        // Of two that ask at once for the last room both may be refused; none is let in wrongly.
        self.has_room(0).then_some(charge)
    }

    /// Whether there is room for more.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.budget.is_none_or(|budget| self.info().used().saturating_add(bytes) <= budget)
    }

    /// Refuses a write that there is no room for.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`, with a hint when to try again.
    pub fn admit(&self, bytes: u64) -> Result<()> {
        if self.has_room(bytes) {
            return Ok(());
        }
        let info = self.info();
        let (used, budget) = (info.used(), info.budget.unwrap_or_default());
        let reason = format!(
            "memory budget is reached: {bytes} bytes do not fit, {used} of {budget} are in use"
        );
        Err(Error::new(ErrorKind::ResourceExhausted, reason).retry_after(RETRY_AFTER))
    }

    /// Returns what is in use.
    pub fn info(&self) -> MemoryInfo {
        let used = |purpose: Purpose| self.used[purpose as usize].load(Ordering::Relaxed);
        MemoryInfo {
            budget: self.budget,
            caches: used(Purpose::Caches),
            memtables: used(Purpose::Memtables),
            codes: used(Purpose::Codes),
            builds: used(Purpose::Builds),
            kept: used(Purpose::Kept),
        }
    }
}

impl Charge {
    /// Sets how much it is.
    pub fn set(&self, bytes: u64) {
        let used = &self.memory.used[self.purpose as usize];
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        if bytes >= before {
            used.fetch_add(bytes - before, Ordering::Relaxed);
        } else {
            used.fetch_sub(before - bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_come_and_go() {
        let memory = Memory::new(Some(100));
        let store = memory.charge(Purpose::Caches, 40);
        let codes = memory.charge(Purpose::Codes, 30);
        codes.set(50);
        assert_eq!(memory.info().used(), 90);
        assert!(memory.try_charge(Purpose::Builds, 11).is_none());
        let build = memory.try_charge(Purpose::Builds, 10).unwrap();
        let error = memory.admit(1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
        assert_eq!(error.retry_hint(), Some(RETRY_AFTER));
        assert!(error.to_string().contains("1 bytes do not fit, 100 of 100"), "{error}");
        codes.set(5);
        drop((store, build));
        assert_eq!(memory.info(), MemoryInfo { budget: Some(100), codes: 5, ..Default::default() });
        memory.admit(95).unwrap();
    }

    #[test]
    fn without_a_budget_there_is_always_room() {
        let memory = Memory::new(None);
        let _charge = memory.charge(Purpose::Memtables, u64::MAX / 2);
        memory.admit(u64::MAX).unwrap();
        assert!(memory.try_charge(Purpose::Builds, 1 << 40).is_some());
    }
}
