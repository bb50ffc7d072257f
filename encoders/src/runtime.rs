//! What encoders run on: threads, and a device if there is one.

use std::fmt;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use thiserror::Error;

use crate::device::EncoderDevice;

/// A handle on the threads encoders run on, and on the device that runs their models if there is one; clones share
/// both.
///
/// Whoever starts the process makes one and hands it to each encoder. rayon's global pool is
/// never used.
#[derive(Clone)]
pub struct Runtime {
    pool: Arc<ThreadPool>,
    device: Option<Arc<dyn EncoderDevice>>,
}

/// The most threads of a runtime: far past any use, and far below what would stall a machine.
pub const MAX_THREADS: usize = 1024;

/// The threads could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// More than [`MAX_THREADS`] were asked for.
    #[error("threads out of range: expected 0 to {MAX_THREADS}, got {0}")]
    TooMany(usize),
    /// The system refused a thread.
    #[error("start {threads} encoder threads")]
    Start {
        /// How many were asked for.
        threads: usize,
        /// What the system says.
        #[source]
        source: ThreadPoolBuildError,
    },
}

impl Runtime {
    /// Starts `threads` threads; 0 means one for each core.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] above [`MAX_THREADS`], or when the system refuses a thread.
    pub fn new(threads: usize) -> Result<Self, RuntimeError> {
        if threads > MAX_THREADS {
            return Err(RuntimeError::TooMany(threads));
        }
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("encode-{index}"))
            .build()
            .map(|pool| Self::from_pool(Arc::new(pool)))
            .map_err(|source| RuntimeError::Start { threads, source })
    }

    /// Runs on threads that exist already.
    #[must_use]
    pub fn from_pool(pool: Arc<ThreadPool>) -> Self {
        Self { pool, device: None }
    }

    /// Has encoders that are opened with it run models on a device, where that takes them.
    #[must_use]
    pub fn with_device(self, device: Arc<dyn EncoderDevice>) -> Self {
        Self { device: Some(device), ..self }
    }

    /// How many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    pub(crate) fn pool(&self) -> &ThreadPool {
        &self.pool
    }

    pub(crate) fn device(&self) -> Option<&dyn EncoderDevice> {
        self.device.as_deref()
    }

    /// Says that the device, if there is one, does nothing for a model.
    pub(crate) fn leave_out_device(&self, why: &str) {
        if let Some(device) = &self.device {
            tracing::warn!(device = device.name(), why, "the CPU encodes");
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.device.as_ref().map(|device| device.name());
        f.debug_struct("Runtime")
            .field("threads", &self.threads())
            .field("device", &device)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_threads_are_refused_by_name() {
        let error = Runtime::new(1_000_000).unwrap_err();
        assert_eq!(error.to_string(), "threads out of range: expected 0 to 1024, got 1000000");
    }
}
