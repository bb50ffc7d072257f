//! Who watches long work: hears how far it has come, and can stop it.

use std::fmt;

use bigrain_types::{Cancel, Cancelled};

/// How far long work has come, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all, at least [`Progress::done`]. An estimate: rows are not counted beforehand.
    pub total: u64,
}

/// Who watches long work: hears how far it has come, and can stop it.
///
/// ```
/// use bigrain_engine::{Cancel, Watch};
///
/// let cancel = Cancel::new(); // to be raised by another thread
/// let mut show = |progress: bigrain_engine::Progress| println!("{progress:?}");
/// let watch = Watch::new().with_cancel(&cancel).with_progress(&mut show);
/// # drop(watch);
/// ```
#[derive(Default)]
pub struct Watch<'a> {
    cancel: Cancel,
    report: Option<&'a mut dyn FnMut(Progress)>,
    progress: Progress,
}

impl<'a> Watch<'a> {
    /// Returns a watch that hears nothing and never stops the work.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the work be stopped from another thread.
    #[must_use]
    pub fn with_cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Hears how far the work has come, every few megabytes at most.
    #[must_use]
    pub fn with_progress(mut self, report: &'a mut dyn FnMut(Progress)) -> Self {
        self.report = Some(report);
        self
    }

    /// Returns the flag that stops the work.
    pub(crate) fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Says how much more work there is.
    pub(crate) fn expect(&mut self, bytes: u64) {
        self.progress.total += bytes;
    }

    /// Says that some of it is done.
    pub(crate) fn advance(&mut self, bytes: u64) -> Result<(), Cancelled> {
        self.progress.done += bytes;
        self.progress.total = self.progress.total.max(self.progress.done);
        if let Some(report) = &mut self.report {
            report(self.progress);
        }
        self.cancel.check()
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("progress", &self.progress).finish_non_exhaustive()
    }
}
