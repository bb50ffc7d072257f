//! The store: everything small that changes, in one RocksDB per data folder.
//!
//! RocksDB is the log and the key-value store; this project writes no log of its own. What this
//! module adds is types instead of bytes, one way to commit, and distrust.
//!
//! # Families
//!
//! ```text
//! points      [collection] 0 [point id]          -> PointRow: sequence number, location
//!             [collection] 1 [point id]          -> payload, JSON text
//! head        [collection] [point id]            -> HeadRow: sequence number, vectors by field
//! tombstones  [collection] [segment] [offset]    -> nothing
//! manifest    [collection] c                     -> CollectionRow
//!             [collection] n                     -> CountsRow
//!             [collection] s [segment]           -> SegmentRow
//! meta        format | next-collection | name/.. -> u32
//! ```
//!
//! Numbers in keys are big-endian, so that key order is number order and a collection is one range
//! of every family. Location and payload of a point are separate rows because a flush or merge
//! moves every point it touches: it rewrites some 30 bytes of each, not the payload.
//!
//! # Invariants
//!
//! - **One commit point.** A [`Batch`] is one RocksDB write batch, synced before
//!   [`Store::commit`] returns: all of it is there after a crash, or none.
//! - **Failure is final.** After a failed sync, or a write that failed for another reason than a full
//!   disk, what is on disk is unknown until recovery has read the log again, so the store is
//!   poisoned: every later commit is refused until it is opened anew. Reads go on.
//! - **A full disk is not.** What takes space is refused before it is tried ([`Store::admit`]), and room
//!   is kept for deletes (`reserve`). A batch that runs out of space all the same is not there, and
//!   batches are taken again when there is space.
//! - **One process.** A lock on the data folder is held for as long as the store is open.
//! - **Stored bytes are checked.** A malformed row is [`StoreError::Corrupt`], naming family and
//!   key; a damaged log is [`StoreError::DamagedLog`] (see `log`, which closes gaps in
//!   RocksDB's own recovery).
//!
//! # Adding a row
//!
//! A key in `keys.rs`, a value in `rows.rs`, a `put` in `batch.rs`, a read in `view.rs`, a line in
//! the picture above and in `docs/formats.md`.

mod batch;
mod config;
mod error;
mod folder_lock;
mod keys;
mod log;
mod raw;
mod reserve;
mod rocks;
mod rows;
mod scan;
mod settings;
mod tables;
#[cfg(test)]
mod tests;
mod view;

pub use batch::Batch;
pub use config::{StoreConfig, StoreConfigError};
pub use error::StoreError;
pub use keys::{CollectionKey, Family};
pub use raw::{RawRow, RawRows, RowKind};
pub use rocks::{Store, StoreMemory};
pub use rows::{CollectionRow, CountsRow, FileRow, HeadRow, Location, PointRow, SegmentRow};
pub use scan::HeadRows;
pub use view::ReadView;
