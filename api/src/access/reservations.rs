//! Room for points that are being written, so that batches of one moment do not pass a quota together.
//!
//! ```text
//!  batch ── held + reserved + new <= quota? ── yes ─▶ reserves ── is written ── lets go
//!                                           ├─ no, and held + new > quota ─▶ refused
//!                                           └─ no, because of others ─▶ waits for one of them, asks again
//! ```
//!
//! Between its commit and its letting go a batch counts twice, as held and as reserved. A batch that would fit but for
//! that waits a moment, and is not refused. Whoever waits holds nothing, and whoever holds does not wait here.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many points may be added by batches that are being written, by collection.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    reserved: Mutex<BTreeMap<String, u64>>,
    changed: Condvar,
}

/// How many points there may be, and how many there are.
pub(crate) struct Room<'a> {
    /// Points there may be.
    pub quota: u64,
    /// Counts those that are there.
    pub held: &'a dyn Fn() -> u64,
    /// Whether the quota is for a collection.
    pub covers: &'a dyn Fn(&str) -> bool,
}

/// What came of asking for room.
pub(crate) enum Outcome<'a> {
    /// There is room.
    Reserved(Reservation<'a>),
    /// There is none, whatever becomes of other batches.
    Full {
        /// Points that are there.
        held: u64,
    },
    /// Others had reserved what there is, and one of them is done now: it is worth asking again.
    Waited,
}

/// Room that is reserved until this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    reservations: &'a Reservations,
    collection: String,
    points: u64,
}

impl Reservations {
    /// Reserves room for points in a collection if there is some at once.
    pub(crate) fn try_reserve(
        &self,
        collection: &str,
        points: usize,
        room: &Room<'_>,
    ) -> Option<Reservation<'_>> {
        let mut reserved = self.lock();
        let free = room.quota.checked_sub((room.held)() + of(&reserved, room))?;
        (points as u64 <= free).then(|| self.add(&mut reserved, collection, points as u64))
    }

    /// Reserves room for points in a collection that are new; waits while it is others that have it reserved.
    pub(crate) fn reserve(&self, collection: &str, new: usize, room: &Room<'_>) -> Outcome<'_> {
        let mut reserved = self.lock();
        let (held, new) = ((room.held)(), new as u64);
        if new > 0 && held + new > room.quota {
            return Outcome::Full { held };
        }
        if new == 0 || held + of(&reserved, room) + new <= room.quota {
            return Outcome::Reserved(self.add(&mut reserved, collection, new));
        }
        drop(self.changed.wait(reserved).unwrap_or_else(PoisonError::into_inner));
        Outcome::Waited
    }

    fn add(
        &self,
        reserved: &mut BTreeMap<String, u64>,
        collection: &str,
        points: u64,
    ) -> Reservation<'_> {
        *reserved.entry(collection.to_owned()).or_default() += points;
        Reservation { reservations: self, collection: collection.to_owned(), points }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how many points are reserved where a quota is for.
fn of(reserved: &BTreeMap<String, u64>, room: &Room<'_>) -> u64 {
    reserved.iter().filter(|(name, _)| (room.covers)(name)).map(|(_, points)| points).sum()
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut reserved = self.reservations.lock();
        if let Some(points) = reserved.get_mut(&self.collection) {
            *points = points.saturating_sub(self.points);
            if *points == 0 {
                reserved.remove(&self.collection);
            }
        }
        drop(reserved);
        self.reservations.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn what_is_reserved_is_not_there_for_others_and_comes_back() {
        let reservations = Reservations::default();
        let room = |held: &'static dyn Fn() -> u64| Room {
            quota: 10,
            held,
            covers: &|name| name != "other",
        };
        let two = room(&|| 2);
        let other = reservations.try_reserve("other", 1_000, &room(&|| 0));
        assert!(other.is_none());
        let first = reservations.try_reserve("docs", 5, &two).unwrap();
        assert!(reservations.try_reserve("docs", 4, &two).is_none());
        let second = reservations.try_reserve("more", 3, &two).unwrap();
        assert!(reservations.try_reserve("docs", 1, &two).is_none());
        drop(first);
        let third = reservations.try_reserve("docs", 5, &two).unwrap();
        drop((second, third));
        assert!(reservations.lock().is_empty());
        // Nothing new takes no room, and what does not fit in any case does not wait.
        let (full, nine) = (room(&|| 12), room(&|| 9));
        assert!(matches!(reservations.reserve("docs", 0, &full), Outcome::Reserved(_)));
        assert!(matches!(reservations.reserve("docs", 2, &nine), Outcome::Full { held: 9 }));
    }

    #[test]
    fn a_batch_that_fits_but_for_another_waits_for_it() {
        let reservations = Reservations::default();
        let room = || Room { quota: 10, held: &|| 0, covers: &|_| true };
        let first = reservations.try_reserve("docs", 8, &room()).unwrap();
        let (asked, was_asked) = mpsc::channel();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let held = || {
                    // Under the lock, which the other lets go only by waiting.
                    asked.send(()).unwrap();
                    0
                };
                let room = Room { held: &held, ..room() };
                assert!(matches!(reservations.reserve("docs", 4, &room), Outcome::Waited));
                matches!(reservations.reserve("docs", 4, &room), Outcome::Reserved(_))
            });
            was_asked.recv().unwrap();
            drop(first);
            assert!(waiting.join().unwrap());
        });
    }
}
