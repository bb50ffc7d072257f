//! What a collection has to do besides what it is asked for: flush its memtable, and merge its
//! segments.
//!
//! After every change the collection looks whether there is such work, and if so asks for a
//! worker. A worker does one piece at a time: first a flush, because writers may wait for it, then a
//! merge, then the compaction of the store. Without workers the same pieces are done by whoever
//! calls [`Collection::settle`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bigrain_types::Cancel;
use parking_lot::Mutex;

use super::Collection;
use super::handle::Shared;
use super::merge::Choose;
use super::progress::Shown;
use crate::background::{Chores, Next};
use crate::memory::{Charge, Memory, Purpose};
use crate::merge_policy::{next_compaction, next_merge};
use crate::{ErrorKind, Result};

/// The store is compacted in the background when this part of the points and so many more have left
/// rows behind: it sees to the rest by itself.
const COMPACT_LATER: (f64, u64) = (0.5, 100_000);

/// The store is compacted by whoever waits for it when this part of the points has left rows behind.
const COMPACT_NOW: (f64, u64) = (0.05, 0);

/// A chore that failed is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What a collection keeps for its chores.
#[derive(Debug)]
pub(super) struct ChoreState {
    me: Weak<Shared>,
    /// What the active memtable takes.
    pub memtable: Charge,
    /// When the oldest point of the active memtable was written.
    oldest: Mutex<Option<Instant>>,
    /// Whether a worker was asked for and has not come yet.
    asked: AtomicBool,
    /// The flush that runs.
    pub flushing: Shown,
    /// The merge that runs.
    pub merging: Shown,
    /// Points that were deleted, replaced, flushed or moved since the store was compacted: each has
    /// left rows behind.
    churn: AtomicU64,
}

impl ChoreState {
    pub fn new(me: Weak<Shared>, memory: &Arc<Memory>) -> Self {
        let memtable = memory.charge(Purpose::Memtables, 0);
        let oldest = Mutex::new(None);
        let (flushing, merging) = (Shown::default(), Shown::default());
        let (asked, churn) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { me, memtable, oldest, asked, flushing, merging, churn }
    }

    /// Counts points that left rows behind in the store.
    pub fn churned(&self, points: u64) {
        self.churn.fetch_add(points, Ordering::Relaxed);
    }

    /// Forgets the age of a memtable that is flushed.
    pub fn forget_age(&self) {
        *self.oldest.lock() = None;
    }
}

impl Collection {
    /// Does now what background threads would do in time, and waits for what they are at: flushes a
    /// full memtable, merges until the policy is content, and has the store free what was deleted.
    ///
    /// # Errors
    ///
    /// `Io` when the disk refuses, `ResourceExhausted` when it is full; nothing is lost, and the rest
    /// is done another time.
    pub fn settle(&self) -> Result<()> {
        let shared = &*self.0;
        shared.run("settle", || {
            if shared.is_flush_due() {
                let _flush = shared.flush.lock();
                shared.flush_locked()?;
            }
            shared.merge_all(next_merge)
        })
    }

    /// Makes the collection as small on disk and as fast to search as it can be: flushes the
    /// memtable, and merges until no row is dead and no two segments fit into one. Rewrites most of
    /// the collection.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub fn compact(&self) -> Result<()> {
        self.flush()?;
        let shared = &*self.0;
        shared.run("compact", || shared.merge_all(next_compaction))
    }
}

impl Shared {
    fn merge_all(&self, choose: Choose) -> Result<()> {
        let never = Cancel::new();
        loop {
            let _merge = self.merge.lock();
            if !self.merge_locked(choose, &never)? {
                break;
            }
        }
        self.compact_store_from(COMPACT_NOW)?;
        Ok(())
    }

    /// Introduces the collection to the workers, and asks for one if there is work from the start.
    pub fn begin_chores(&self) {
        self.resources.appointments.introduce(self.chores.me.clone());
        if self.resources.appointments.have_workers() && self.churn_due(COMPACT_LATER).is_some() {
            self.ask_for_chores();
        }
        self.note_change();
    }

    /// Asks a worker to come, unless one was asked already.
    pub fn ask_for_chores(&self) {
        if !self.chores.asked.swap(true, Ordering::AcqRel) {
            self.resources.appointments.add(self.chores.me.clone(), Duration::ZERO);
        }
    }

    /// Looks at what a write, flush or merge has changed.
    pub fn note_change(&self) {
        let state = self.state.read();
        state.charge_memtables(&self.chores.memtable);
        let is_empty = state.active.is_empty();
        drop(state);
        if self.resources.appointments.have_workers() && self.is_merge_due(next_merge) {
            self.ask_for_chores();
        }
        if !is_empty {
            self.note_age();
        }
    }

    /// Looks at what a search has remembered of the memtables: words, and slots that match.
    pub fn note_remembered(&self) {
        self.state.read().charge_memtables(&self.chores.memtable);
    }

    /// Remembers when a memtable got its first point, and asks for a worker when it is due.
    fn note_age(&self) {
        let Some(age) = self.flush_age() else { return };
        let mut oldest = self.chores.oldest.lock();
        if oldest.is_none() {
            *oldest = Some(Instant::now());
            self.resources.appointments.add(self.chores.me.clone(), age);
        }
    }

    fn flush_age(&self) -> Option<Duration> {
        let seconds = self.resources.limits.flush_age_seconds;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    fn is_flush_due(&self) -> bool {
        let is_old = || {
            let oldest = *self.chores.oldest.lock();
            let age = oldest.map(|oldest| oldest.elapsed());
            self.flush_age().is_some_and(|limit| age.is_some_and(|age| age >= limit))
        };
        let is_short =
            || !self.resources.memory.has_room(self.flush_bytes()) && self.is_worth_flushing();
        self.is_fuller_than(1) || is_old() || is_short()
    }

    /// Returns the points that left rows behind in the store if they are more than a share of those
    /// that live and a number.
    fn churn_due(&self, (share, least): (f64, u64)) -> Option<u64> {
        let churn = self.chores.churn.load(Ordering::Relaxed);
        let live = self.state.read().live;
        (churn > 0 && churn as f64 >= live as f64 * share + least as f64).then_some(churn)
    }

    fn compact_store_from(&self, from: (f64, u64)) -> Result<()> {
        if let Some(churn) = self.churn_due(from) {
            self.resources.store.compact(self.key)?;
            self.chores.churn.fetch_sub(churn, Ordering::Relaxed);
        }
        Ok(())
    }

    fn next_chore(&self, cancel: &Cancel) -> Result<Next> {
        if self.is_flush_due()
            && let Some(_flush) = self.flush.try_lock()
        {
            self.flush_locked()?;
            return Ok(Next::Now);
        }
        if let Some(_merge) = self.merge.try_lock()
            && self.merge_locked(next_merge, cancel)?
        {
            return Ok(Next::Now);
        }
        self.compact_store_from(COMPACT_LATER)?;
        Ok(if self.is_merge_due(next_merge) { Next::After(RETRY_AFTER) } else { Next::Never })
    }
}

impl Chores for Shared {
    fn do_chore(&self, cancel: &Cancel) -> Next {
        self.chores.asked.store(false, Ordering::Release);
        match self.run("tidy", || self.next_chore(cancel)) {
            Ok(next) => next,
            Err(error) => match error.kind() {
                ErrorKind::Cancelled
                | ErrorKind::NotFound
                | ErrorKind::Corruption
                | ErrorKind::Poisoned => Next::Never,
                ErrorKind::Io | ErrorKind::ResourceExhausted | _ => {
                    tracing::warn!(%error, "background work failed, will retry");
                    Next::After(RETRY_AFTER)
                }
            },
        }
    }
}
