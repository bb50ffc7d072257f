//! Checking what is stored: every byte, and that everything agrees with everything else.
//!
//! ```text
//!  every block of every file of every segment      against its checksum
//!  every row of the store                          RocksDB's checksums, and its own form
//!  location -> ids file, at its offset             the same id; one point a row; none that is dead
//!  row of a segment -> location or tombstone       every row is either
//!  location <-> payload, location <-> head         one each, none left over
//!  locations                                       as many as the counts say
//! ```
//!
//! Points, payloads and heads lie in the store in one order, that of their ids, so they are joined
//! in one pass: memory is a bit or two a row. The same check runs over an open data folder, over a
//! closed one, and over a backup in its archive. It changes nothing.
//!
//! *Damage* is what must not be: something is lost or wrong. An *orphan* is what nobody needs any
//! more: it takes room, and goes when the folder is opened or a merge comes by.

mod collection;
mod engine;
mod finding;
mod folder;
mod report;
mod rows;

pub(crate) use collection::{Subject, check_collection};
pub(crate) use engine::check_engine;
pub(crate) use finding::Findings;
pub use finding::{Finding, FindingKind, MAX_FINDINGS};
pub use folder::check_folder;
pub(crate) use folder::{OWN_NAMES, check_store, open_segment};
pub use report::{CheckReport, CollectionCheck};
pub(crate) use rows::{RowSource, StoreRows};
