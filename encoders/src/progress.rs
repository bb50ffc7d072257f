//! How far a call to an encoder has come.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hears how far a call has come, as the share of its work that is done, 0 to 1. Default: nobody
/// does.
///
/// Meant for models that take seconds for one text. It is called from the encoder's threads, and
/// not always in order.
#[derive(Clone, Default)]
pub struct EncodeProgress(Option<Arc<dyn Fn(f64) + Send + Sync>>);

impl EncodeProgress {
    /// Calls `hear` after each step.
    pub fn new(hear: impl Fn(f64) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }

    /// Counts to `total` steps.
    pub(crate) fn steps(&self, total: usize) -> Steps<'_> {
        Steps { progress: self, total, done: AtomicUsize::new(0) }
    }
}

impl fmt::Debug for EncodeProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncodeProgress").field(&self.0.is_some()).finish()
    }
}

/// The steps of one call.
pub(crate) struct Steps<'a> {
    progress: &'a EncodeProgress,
    total: usize,
    done: AtomicUsize,
}

impl Steps<'_> {
    /// Says that `count` more are done.
    pub(crate) fn add(&self, count: usize) {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        if let Some(hear) = &self.progress.0 {
            hear(done as f64 / self.total.max(1) as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn shares_rise_to_one() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let progress = EncodeProgress::new(move |share| hears.lock().push(share));
        let steps = progress.steps(4);
        steps.add(1);
        steps.add(3);
        assert_eq!(*heard.lock(), [0.25, 1.0]);
        EncodeProgress::default().steps(0).add(1);
    }
}
