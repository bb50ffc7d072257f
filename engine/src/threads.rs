//! The engine's threads.

use std::sync::Arc;

use bigrain_storage::priority;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// The threads that encode and scan, shared by all collections of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Threads(Arc<ThreadPool>);

impl Threads {
    /// Starts `count` threads; 0 means one for each core.
    pub fn start(count: usize) -> Result<Self> {
        Self::build(count, ThreadPoolBuilder::new().thread_name(|at| format!("bigrain-{at}")))
    }

    /// Starts `count` threads for some kind of work that gives way to all others.
    pub fn start_builders(work: &'static str, count: usize) -> Result<Self> {
        let name = move |at| format!("bigrain-{work}-{at}");
        let builder = ThreadPoolBuilder::new().thread_name(name);
        Self::build(count, builder.start_handler(|_| priority::give_way()))
    }

    fn build(count: usize, builder: ThreadPoolBuilder) -> Result<Self> {
        let pool = builder.num_threads(count).build().map_err(Error::no_threads)?;
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
