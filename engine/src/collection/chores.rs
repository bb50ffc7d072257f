//! What a collection has to do besides what it is asked for: flush its memtable, and merge its
//! segments.
//!
//! After every change the collection looks whether there is such work, and if so asks for a
//! worker. A worker does one piece at a time: first a flush, because writers may wait for it, then a
//! merge, then the compaction of the store. Without workers the same pieces are done by whoever
//! calls [`Collection::settle`].

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bigrain_types::Cancel;
use parking_lot::Mutex;

use super::handle::Shared;
use crate::background::{Chores, Next};
use crate::memory::Charge;
use crate::{ErrorKind, Result};

/// A chore that failed is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What a collection keeps for its chores.
#[derive(Debug)]
pub(super) struct ChoreState {
    me: Weak<Shared>,
    /// What the memtables take.
    memtables: Charge,
    /// When the oldest point of the active memtable was written.
    oldest: Mutex<Option<Instant>>,
    /// Whether a worker was asked for and has not come yet.
    asked: AtomicBool,
}

impl ChoreState {
    pub fn new(me: Weak<Shared>, memtables: Charge) -> Self {
        let (oldest, asked) = (Mutex::new(None), AtomicBool::new(false));
        Self { me, memtables, oldest, asked }
    }

    /// Forgets the age of a memtable that is flushed.
    pub fn forget_age(&self) {
        *self.oldest.lock() = None;
    }
}

impl Shared {
    /// Introduces the collection to the workers, and asks for one if there is work from the start.
    pub fn begin_chores(&self) {
        self.resources.appointments.introduce(self.chores.me.clone());
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
        let frozen = state.frozen.as_ref().map_or(0, |frozen| frozen.table.memory_bytes());
        self.chores.memtables.set((frozen + state.active.memory_bytes()) as u64);
        let is_empty = state.active.is_empty();
        drop(state);
        if !is_empty {
            self.note_age();
        }
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
        let is_short = || !self.resources.memory.has_room(0) && self.is_worth_flushing();
        self.is_fuller_than(1) || is_old() || is_short()
    }

    fn next_chore(&self, _cancel: &Cancel) -> Result<Next> {
        if self.is_flush_due()
            && let Some(_flush) = self.flush.try_lock()
        {
            self.flush_locked()?;
            return Ok(Next::Now);
        }
        Ok(Next::Never)
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
                _ => {
                    tracing::warn!(%error, "background work failed, will retry");
                    Next::After(RETRY_AFTER)
                }
            },
        }
    }
}
