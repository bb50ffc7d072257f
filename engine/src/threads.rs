//! The engine's threads, and which of them go first.

use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// How much nicer the threads of the background are than those that searches and writes run on. Where
/// all cores are busy they get a third of what the others get: a search waits less for the end of
/// their time slices, and flushes and merges go on, however much is searched. (At ten steps they got
/// a tenth, and beside searches on all cores a flush took a minute.)
const NICER: i32 = 5;

/// Makes the calling thread give way to others from now on.
pub(crate) fn give_way() {
    // Linux knows the niceness of a thread, other systems that of a process only.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICER) {
        tracing::debug!(%error, "background threads are as nice as others");
    }
}

/// The threads that encode and scan, shared by all collections of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Threads(Arc<ThreadPool>);

impl Threads {
    /// Starts `count` threads; 0 means one for each core.
    pub fn start(count: usize) -> Result<Self> {
        Self::start_with(count, || {})
    }

    /// Starts `count` threads that give way to others.
    pub fn start_in_background(count: usize) -> Result<Self> {
        Self::start_with(count, give_way)
    }

    fn start_with(count: usize, begin: fn()) -> Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|index| format!("bigrain-{index}"))
            .start_handler(move |_| begin())
            .build()
            .map_err(Error::no_threads)?;
        Ok(Self(Arc::new(pool)))
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.current_num_threads()
    }

    /// Runs work on the threads and waits for it.
    ///
    /// A thread of *another* rayon pool that waits for this one would run jobs of its own pool
    /// meanwhile; such a job may be a write that wants a lock this thread holds. Those threads wait
    /// through a thread of their own, which blocks and steals nothing.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        if rayon::current_thread_index().is_none() {
            return self.0.install(work);
        }
        let joined = std::thread::scope(|scope| scope.spawn(|| self.0.install(work)).join());
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
