//! Reading many small places of large files at a time.
//!
//! A disk answers one read in some hundred microseconds, and sixty-four reads at once in little
//! more. Reads through a memory map come one after another, because a thread stops at each page that
//! is missing. So whoever knows many places beforehand hands them over together:
//!
//! ```text
//!  extents  (file, offset, length)          what is wanted, in any order
//!     │  plan: blocks under them, neighbours and doubles joined
//!  runs     (file, blocks)                  what is read: whole blocks, each once
//!     │  ring: one system call for all          ┐ whichever this system has
//!     │  pool: preads of a few threads          ┘
//!     │  check: every block against its checksum
//!  bytes of each extent
//! ```
//!
//! What the ring leaves unfinished (a short read, an error) is read again by a plain pread, so there
//! is one place where errors get their names. Nothing here reads through a map, so a file that lost
//! its end is an error and not a signal.

mod batch;
mod plan;
mod pread_pool;
mod reader;
#[cfg(test)]
mod tests;

pub use batch::{Extent, ScatterBatch};
pub use reader::ScatterReader;
