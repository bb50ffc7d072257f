//! Backups: everything that some collections hold at one moment, in one archive.
//!
//! ```text
//! bigrain.json                      what the archive holds; its format
//! 0/collection.json                 the first collection: name, aliases, schema, counts, segments
//! 0/locations.000000 ..             its rows in the store, in parts
//! 0/payloads.000000 ..
//! 0/head.000000 ..
//! 0/tombstones.000000 ..
//! 0/segments/<id>/<file>            the files of its segments, byte for byte
//! 1/collection.json                 the second
//! checksums.txt                     see bigrain_storage's archives
//! ```
//!
//! The store is copied as rows, not as files of RocksDB: a backup of one collection of many holds that
//! one only, a backup can be checked without unpacking it, and what comes from an archive, which may
//! be anybody's, is read by code that distrusts it. Rows come from one view of the store and segments
//! are immutable, so nobody waits while a backup is written, and it holds what was committed at the
//! moment it began, and nothing else.
//!
//! Whoever reads an archive goes through three doors: the archive itself (every byte has its
//! checksum), the plan ([`Plan`](plan::Plan): every entry is one that some collection names, and the
//! other way round), and the check of all rows and files (`crate::check`). A restore passes all three
//! before the folder gets its name.

mod contents;
mod parts;
mod plan;
mod restore;
mod unfinished;
mod verify;
mod write;

pub use contents::{BackupContents, BackupFormat, SavedCollection};
pub use restore::restore;
pub use verify::verify;
pub(crate) use write::write;
