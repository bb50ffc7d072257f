//! The threads encoders run on.

use std::fmt;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use thiserror::Error;

/// A handle on the threads encoders run on; clones share one pool.
///
/// Whoever starts the process makes one and hands it to each encoder. rayon's global pool is
/// never used.
#[derive(Clone)]
pub struct Runtime(Arc<ThreadPool>);

/// The threads could not be started.
#[derive(Debug, Error)]
#[error("start {threads} encoder threads")]
pub struct RuntimeError {
    threads: usize,
    #[source]
    source: ThreadPoolBuildError,
}

impl Runtime {
    /// Starts `threads` threads; 0 means one for each core.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the system refuses a thread.
    pub fn new(threads: usize) -> Result<Self, RuntimeError> {
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("encode-{index}"))
            .build()
            .map(|pool| Self(Arc::new(pool)))
            .map_err(|source| RuntimeError { threads, source })
    }

    /// Runs on threads that exist already.
    #[must_use]
    pub fn from_pool(pool: Arc<ThreadPool>) -> Self {
        Self(pool)
    }

    /// How many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.current_num_threads()
    }

    pub(crate) fn pool(&self) -> &ThreadPool {
        &self.0
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("threads", &self.threads()).finish()
    }
}
