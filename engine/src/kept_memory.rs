//! What the allocator keeps of what was freed, in the account.
//!
//! Blocks that are freed between others that live stay with the process: with a budget of 48 MiB, 5 to 8 MiB
//! did. Nobody can use them for something larger, so they take room as if they were in use. The allocator is asked
//! how many they are, now and then; it counts pages that it has given back as well, so at most an eighth of the budget
//! is charged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bigrain_storage::heap;
use parking_lot::Mutex;

use crate::memory::{Charge, Memory, Purpose};

/// The part of the budget that is charged, at most.
const MOST_PART: u64 = 8;

/// The allocator is not asked more often than this: it walks all that was freed.
const INTERVAL: Duration = Duration::from_millis(20);

/// What is kept, as far as it is known. Nothing where memory has no budget.
#[derive(Debug)]
pub(crate) struct KeptMemory {
    charge: Charge,
    most: u64,
    next_look: Mutex<Option<Instant>>,
}

impl KeptMemory {
    /// Begins with nothing.
    pub fn new(budget: Option<u64>, memory: &Arc<Memory>) -> Self {
        let charge = memory.charge(Purpose::Kept, 0);
        let next_look = Mutex::new(budget.map(|_| Instant::now()));
        Self { charge, most: budget.unwrap_or(0) / MOST_PART, next_look }
    }

    /// Asks the allocator, unless it was asked a moment ago.
    pub fn look(&self) {
        let mut next_look = self.next_look.lock();
        let now = Instant::now();
        if next_look.is_some_and(|next| next <= now) {
            *next_look = Some(now + INTERVAL);
            self.charge.set(heap::kept().min(self.most));
        }
    }

    /// Has all that can be given back to the system, and charges what is left.
    pub fn give_back(&self) {
        let mut next_look = self.next_look.lock();
        if next_look.is_some() {
            heap::give_back();
            *next_look = Some(Instant::now());
        }
        drop(next_look);
        self.look();
    }
}
