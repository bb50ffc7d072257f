//! Records become points: read, encode and write, each beside the others.
//!
//! ```text
//!  reader thread          encoder thread             calling thread
//!  records ─► chunk ══2══► drop repeats, unchanged ══2══► upsert (synced), progress
//!                          encode texts
//! ```
//!
//! **Memory** is bounded: a chunk has a fixed number of rows and bytes, and at most two wait in
//! each channel, so input of any length takes the same room. The encoder is handed a whole chunk,
//! which it sorts by length and spreads over its threads.
//!
//! **Resuming** needs no state of its own. Every chunk is one durable commit, and an upsert of the
//! same row again changes nothing. When a collection already has points, a row that is there with
//! the same payload (which holds its text) or the same payload and vector is passed over without
//! encoding it, so that running the same command again goes on where the last run ended, however
//! it ended: finished, stopped with Ctrl-C, or killed.
//!
//! **Bad rows**, which the collection would refuse, are caught at the [`Door`] with their place in
//! the file. An id that comes again replaces the earlier row, as an upsert does.

mod chunk;
mod door;
mod pipeline;
mod report;

pub use door::Door;
pub use pipeline::{BadRows, Ingest, KnownRows};
pub use report::{IngestReport, MAX_BAD_ROWS_LISTED};
