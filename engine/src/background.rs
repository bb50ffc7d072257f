//! Threads that flush and merge while callers do other things.
//!
//! ```text
//!  collection: "I have work" ──┐
//!  collection: "in 60 s I may" ─┴─> appointments, by time ──> worker ──> do_chore()
//!                                        ^                                 │
//!                                        └── now, or later, or never ──────┘
//! ```
//!
//! There is one list of appointments for all collections of an engine and a fixed number of
//! workers, so that however many collections there are, only so many threads build at a time. A
//! *chore* is one flush or one merge; after it the collection says when it wants to be asked
//! again, and goes to the end of the list.
//!
//! Workers never keep a collection open: they hold it for one chore. The last handle of an engine
//! that goes away cancels the chores that run and waits for the workers, so that afterwards the
//! data folder is closed. Without threads everything works too: flushes run on the thread of the
//! writer that fills a memtable, and merges when somebody asks for them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bigrain_storage::priority;
use bigrain_types::Cancel;
use parking_lot::{Condvar, Mutex};

use crate::{Error, Result};

/// Something with work to be done in the background.
pub(crate) trait Chores: Send + Sync + fmt::Debug {
    /// Does one piece of work, if there is any.
    fn do_chore(&self, cancel: &Cancel) -> Next;
}

/// When somebody wants to be asked for chores again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// There is more to do.
    Now,
    /// There may be more to do after this time.
    After(Duration),
    /// Not before the next [`Appointments::add`].
    Never,
}

/// The workers of an engine. Dropping it stops them.
pub(crate) struct Background {
    appointments: Arc<Appointments>,
    cancel: Cancel,
    workers: Vec<JoinHandle<()>>,
}

/// Who is to be asked for chores, and when. Outlives the workers, and is then ignored.
#[derive(Default)]
pub(crate) struct Appointments {
    book: Mutex<Book>,
    changed: Condvar,
}

#[derive(Default)]
struct Book {
    /// By time, and by the order in which they were made.
    due: BTreeMap<(Instant, u64), Weak<dyn Chores>>,
    made: u64,
    /// Everybody who may have chores.
    known: Vec<Weak<dyn Chores>>,
    /// Chores that run.
    running: usize,
    /// Those who want no chore to begin.
    pauses: usize,
    workers: usize,
    stopped: bool,
}

/// Keeps background work from beginning, until it is dropped.
#[derive(Debug)]
#[must_use = "work goes on when this is dropped"]
pub struct BackgroundPause(Arc<Appointments>);

impl Background {
    /// Starts `count` workers; with none, nobody keeps appointments.
    ///
    /// # Errors
    ///
    /// `Io` when the system starts no thread.
    pub fn start(count: usize) -> Result<Self> {
        let appointments = Arc::new(Appointments::default());
        appointments.book.lock().workers = count;
        let mut background = Self { appointments, cancel: Cancel::new(), workers: Vec::new() };
        for index in 0..count {
            let (appointments, cancel) =
                (Arc::clone(&background.appointments), background.cancel.clone());
            let worker = std::thread::Builder::new()
                .name(format!("bigrain-chores-{index}"))
                .spawn(move || {
                    priority::give_way();
                    appointments.work(&cancel);
                })
                .map_err(Error::no_threads)?;
            background.workers.push(worker);
        }
        Ok(background)
    }

    /// Returns the list of appointments.
    pub fn appointments(&self) -> &Arc<Appointments> {
        &self.appointments
    }

    /// Lets no chore begin until the pause ends, and waits for those that run.
    pub fn pause(&self) -> BackgroundPause {
        let mut book = self.appointments.book.lock();
        book.pauses += 1;
        while book.running > 0 {
            self.appointments.changed.wait(&mut book);
        }
        drop(book);
        BackgroundPause(Arc::clone(&self.appointments))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.appointments.book.lock().stopped = true;
        self.appointments.changed.notify_all();
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a background thread panicked");
            }
        }
    }
}

impl Drop for BackgroundPause {
    fn drop(&mut self) {
        self.0.book.lock().pauses -= 1;
        self.0.changed.notify_all();
    }
}

impl Appointments {
    /// Whether there are workers, who may pause.
    pub fn have_workers(&self) -> bool {
        let book = self.book.lock();
        book.workers > 0 && !book.stopped
    }

    /// Whether anybody keeps them now: there are workers, and they do not pause.
    pub fn are_kept(&self) -> bool {
        let book = self.book.lock();
        book.workers > 0 && book.pauses == 0 && !book.stopped
    }

    /// Makes an appointment.
    pub fn add(&self, who: Weak<dyn Chores>, wait: Duration) {
        let mut book = self.book.lock();
        if book.workers == 0 || book.stopped {
            return;
        }
        let at = (Instant::now() + wait, book.made);
        book.made += 1;
        book.due.insert(at, who);
        drop(book);
        self.changed.notify_all();
    }

    /// Makes somebody known, to be woken with all others.
    pub fn introduce(&self, who: Weak<dyn Chores>) {
        let mut book = self.book.lock();
        if book.workers > 0 {
            book.known.retain(|known| known.strong_count() > 0);
            book.known.push(who);
        }
    }

    /// Asks everybody for chores now.
    pub fn wake_all(&self) {
        let known = self.book.lock().known.clone();
        known.into_iter().for_each(|who| self.add(who, Duration::ZERO));
    }

    /// What a worker does.
    fn work(&self, cancel: &Cancel) {
        while let Some(who) = self.next() {
            let next = who.upgrade().map_or(Next::Never, |chores| chores.do_chore(cancel));
            self.book.lock().running -= 1;
            match next {
                Next::Now => self.add(who, Duration::ZERO),
                Next::After(wait) => self.add(who, wait),
                Next::Never => {}
            }
            self.changed.notify_all();
        }
    }

    /// Waits for the next appointment; nothing when the engine closes.
    fn next(&self) -> Option<Weak<dyn Chores>> {
        let mut book = self.book.lock();
        loop {
            if book.stopped {
                return None;
            }
            let first = book.due.first_key_value().map(|(&(at, _), _)| at);
            match first {
                Some(at) if book.pauses == 0 && at <= Instant::now() => {
                    book.running += 1;
                    return book.due.pop_first().map(|(_, who)| who);
                }
                Some(at) if book.pauses == 0 => {
                    self.changed.wait_until(&mut book, at);
                }
                Some(_) | None => self.changed.wait(&mut book),
            }
        }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Appointments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = self.book.lock();
        let (due, running) = (book.due.len(), book.running);
        f.debug_struct("Appointments").field("due", &due).field("running", &running).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Says when it begins a chore, and ends it when it is told what comes next.
    #[derive(Debug)]
    struct Told {
        begun: Sender<()>,
        next: Mutex<Receiver<Next>>,
    }

    impl Chores for Told {
        fn do_chore(&self, _cancel: &Cancel) -> Next {
            self.begun.send(()).unwrap();
            self.next.lock().recv().unwrap()
        }
    }

    fn told() -> (Arc<Told>, Sender<Next>, Receiver<()>) {
        let (begun, has_begun) = channel();
        let (next, receiver) = channel();
        (Arc::new(Told { begun, next: Mutex::new(receiver) }), next, has_begun)
    }

    fn weak(told: &Arc<Told>) -> Weak<dyn Chores> {
        let weak: Weak<Told> = Arc::downgrade(told);
        weak
    }

    #[test]
    fn a_chore_is_done_as_often_as_it_wants_and_a_later_one_waits() {
        let background = Background::start(1).unwrap();
        let (told_now, next, begun) = told();
        let (told_later, _next, later_begun) = told();
        background.appointments().add(weak(&told_later), Duration::from_secs(3600));
        background.appointments().add(weak(&told_now), Duration::ZERO);
        for _ in 0..3 {
            begun.recv().unwrap();
            next.send(Next::Now).unwrap();
        }
        begun.recv().unwrap();
        next.send(Next::Never).unwrap();
        drop(background);
        assert!(begun.try_recv().is_err() && later_begun.try_recv().is_err());
    }

    #[test]
    fn a_pause_waits_for_what_runs_and_lets_nothing_begin() {
        let background = Background::start(2).unwrap();
        let (told, next, begun) = told();
        background.appointments().add(weak(&told), Duration::ZERO);
        begun.recv().unwrap();
        let pause = std::thread::scope(|scope| {
            let pausing = scope.spawn(|| background.pause());
            // It may begin some times more before the pause does.
            while !pausing.is_finished() {
                next.send(Next::Now).unwrap();
                std::thread::yield_now();
            }
            pausing.join().unwrap()
        });
        assert!(!background.appointments().are_kept());
        while begun.try_recv().is_ok() {}
        assert_eq!(background.appointments().book.lock().running, 0);
        drop(pause);
        begun.recv().unwrap();
        next.send(Next::Never).unwrap();
        assert!(background.appointments().are_kept());
    }

    #[test]
    fn who_is_gone_is_passed_over_and_without_workers_nobody_is_asked() {
        let none = Background::start(0).unwrap();
        let (told, next, begun) = told();
        none.appointments().add(weak(&told), Duration::ZERO);
        assert!(!none.appointments().are_kept());
        drop(none);
        assert!(begun.try_recv().is_err());
        let one = Background::start(1).unwrap();
        let gone = weak(&told);
        drop((told, next));
        one.appointments().add(gone, Duration::ZERO);
        drop(one);
        assert!(begun.recv().is_err());
    }
}
