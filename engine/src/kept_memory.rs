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

/// What is kept, as far as it is known.
#[derive(Debug)]
pub(crate) struct KeptMemory {
    charge: Charge,
    /// Nothing where memory has no budget: nobody is asked then.
    most: u64,
    next_look: Mutex<Instant>,
}

impl KeptMemory {
    /// Begins with nothing.
    pub fn new(budget: Option<u64>, memory: &Arc<Memory>) -> Self {
        let charge = memory.charge(Purpose::Kept, 0);
        let most = budget.unwrap_or(0) / MOST_PART;
        Self { charge, most, next_look: Mutex::new(Instant::now()) }
    }

    /// Asks the allocator, unless it was asked a moment ago.
    pub fn look(&self) {
        if self.most == 0 {
            return;
        }
        let mut next_look = self.next_look.lock();
        let now = Instant::now();
        if *next_look <= now {
            *next_look = now + INTERVAL;
            self.set();
        }
    }

    /// Has all that can be given back to the system, and charges what is left.
    pub fn give_back(&self) {
        if self.most > 0 {
            heap::give_back();
            self.set();
        }
    }

    fn set(&self) {
        self.charge.set(heap::kept().min(self.most));
    }
}
