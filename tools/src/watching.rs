//! Long work of the engine, watched: shown on standard error, stopped by Ctrl-C.

use bigrain_engine::{Cancel, Progress as Done, Watch};

use crate::progress::Progress;

/// Runs work of the engine; shows how far it has come, and stops it when `cancel` is raised.
/// `progress` counts mebibytes.
///
/// # Errors
///
/// What the work returns.
pub fn watching<T, E>(
    mut progress: Progress,
    cancel: &Cancel,
    work: impl FnOnce(&mut Watch<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let mut shown = 0;
    let mut show = |Done { done, total, .. }: Done| {
        let mebibytes = done >> 20;
        progress.set_end(total);
        progress.advance(mebibytes - shown, done);
        shown = mebibytes;
    };
    let result = work(&mut Watch::new().with_cancel(cancel).with_progress(&mut show));
    progress.finish();
    result
}
