//! Ctrl-C and SIGTERM: the first asks long work to stop, the second ends the process.

use std::io::{self, Write};
use std::process;

use anyhow::Context;
use bigrain_engine::Cancel;

/// What a shell reports for a process that Ctrl-C ended.
const KILLED: i32 = 130;

/// Makes Ctrl-C and SIGTERM raise the returned flag. Work that sees it stops between two units
/// of work, with everything it committed on disk. A second signal ends the process at once; that
/// loses nothing that was committed either.
///
/// # Errors
///
/// When a handler was installed before.
pub fn install() -> anyhow::Result<Cancel> {
    let cancel = Cancel::new();
    let raised = cancel.clone();
    ctrlc::set_handler(move || {
        if raised.is_cancelled() {
            process::exit(KILLED);
        }
        raised.cancel();
        let message = "\nstopping after the work in hand; press Ctrl-C again to stop at once";
        // Nobody may be listening any more, which is no reason not to stop.
        let _ = writeln!(io::stderr(), "{message}");
    })
    .context("listen for Ctrl-C")?;
    Ok(cancel)
}
