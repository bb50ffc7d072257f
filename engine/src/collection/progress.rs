//! How far a flush or a merge is, for people.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::info::{FlushInfo, MergeInfo};

/// Steps that a vector takes: it is clustered, read when it is encoded, and again when it is written.
const STEPS_PER_VECTOR: u64 = 3;

/// How far a segment is built.
#[derive(Debug)]
pub(super) struct Progress {
    /// That become one.
    segments: u64,
    rows: u64,
    steps: u64,
    done: AtomicU64,
}

impl Progress {
    /// Of a segment of so many rows with so many vectors, made of some segments, or of a memtable.
    pub fn new(segments: usize, rows: u64, vectors: u64) -> Self {
        let steps = STEPS_PER_VECTOR * vectors;
        Self { segments: segments as u64, rows, steps, done: AtomicU64::new(0) }
    }

    /// Counts steps.
    pub fn advance(&self, steps: u64) {
        self.done.fetch_add(steps, Ordering::Relaxed);
    }

    /// Returns what people want to know of a merge.
    pub fn merge_info(&self) -> MergeInfo {
        MergeInfo { segments: self.segments, rows: self.rows, percent: self.percent() }
    }

    /// Returns what people want to know of a flush.
    pub fn flush_info(&self) -> FlushInfo {
        FlushInfo { rows: self.rows, percent: self.percent() }
    }

    /// Returns how much is done, of a hundred.
    fn percent(&self) -> u8 {
        let done = self.done.load(Ordering::Relaxed).min(self.steps);
        (done * 100 / self.steps.max(1)) as u8
    }
}

/// The work of one kind that goes on, if some does.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Option<Arc<Progress>>>);

/// A piece of work that is shown for as long as this lives.
pub(super) struct ShownWork<'a> {
    shown: &'a Shown,
    progress: Arc<Progress>,
}

impl Shown {
    /// Shows a piece of work and how far it is.
    pub fn begin(&self, progress: Progress) -> ShownWork<'_> {
        let progress = Arc::new(progress);
        *self.0.lock() = Some(Arc::clone(&progress));
        ShownWork { shown: self, progress }
    }

    /// Returns the work that goes on.
    pub fn now(&self) -> Option<Arc<Progress>> {
        self.0.lock().clone()
    }
}

impl Deref for ShownWork<'_> {
    type Target = Progress;

    fn deref(&self) -> &Progress {
        &self.progress
    }
}

impl Drop for ShownWork<'_> {
    fn drop(&mut self) {
        *self.shown.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_shown_while_it_lasts_and_never_past_its_end() {
        let shown = Shown::default();
        assert!(shown.now().is_none());
        let work = shown.begin(Progress::new(2, 10, 20));
        work.advance(30);
        let info = shown.now().unwrap().merge_info();
        assert_eq!((info.segments, info.rows, info.percent), (2, 10, 50));
        // Calibration reads some vectors once more.
        work.advance(90);
        assert_eq!(shown.now().unwrap().flush_info().percent, 100);
        drop(work);
        assert!(shown.now().is_none());
        assert_eq!(Progress::new(1, 0, 0).flush_info().percent, 0);
    }
}
