//! A disk that is watched, fails when told to, and loses what was not synced.
//!
//! Every file of a data folder counts, whoever writes it: our own go through `Directory`, RocksDB's
//! through code that is not ours. What both have in common is the C library, so that is where a
//! [`Shim`] stands (`tests/shim/disk.c`): it makes one [`Record`] of everything that changes the
//! folder, in order, and lets a chosen step fail.
//!
//! From a record, [`Disk`] builds what a power cut at any point may have left:
//!
//! ```text
//!  events   create a | write a | write a | sync a | sync folder | write a | ...
//!  the cut ---------------------------------------------------------^
//!  left     what was synced, and of the rest anything from nothing to all:
//!           of names in one folder the first few changes, in order, as a journal keeps them;
//!           of writes any of their sectors, 512 bytes each, in any order
//! ```

mod disk;
mod record;
mod shim;

pub use disk::{Disk, Survival};
pub use record::{Event, Record};
pub use shim::{Control, Shim};
