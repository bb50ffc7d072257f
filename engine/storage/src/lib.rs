//! Bytes on disk, and getting them back after a crash.
//!
//! Two kinds of storage live here, and each crate above needs nothing else:
//!
//! - **Immutable files** ([`Directory`], [`BlockFileWriter`], [`BlockFile`]): the large arrays of a
//!   segment. A file is written once under a temporary name, made durable, and renamed; every
//!   4 KiB block of it has a checksum that is checked before its bytes are believed. A
//!   [`ScatterReader`] reads many places of them at a time, when they are not in memory.
//! - **The store** ([`Store`]): one RocksDB per data folder, for everything small that changes. One
//!   synced batch is the one commit point.
//!
//! A copy of both for backup is an [`Archive`].
//!
//! They meet in the manifest: a file exists for the engine when a committed [`SegmentRow`] names
//! it, with its length and the checksum of its footer. Whatever else lies in the folder is garbage
//! of an interrupted build.
//!
//! `docs/formats.md` draws every byte that this crate writes.

mod archive;
mod block_file;
pub mod codec;
mod directory;
mod footer;
mod format;
pub mod fs;
pub mod heap;
pub mod priority;
mod scatter;
mod store;

pub use archive::{Archive, ArchiveEntry, ArchiveError, ArchiveFolder, ArchiveWriter, EntrySink};
pub use block_file::{
    BLOCK_BYTES, BlockFile, BlockFileWriter, FileIdentity, OpenFileError, ReadError,
};
pub use directory::{
    Directory, DirectoryError, Entry, EntryKind, Fault, FaultyDirectory, FileReader, FileWriter,
    MappedBytes, MmapDirectory, RamDirectory, raise_descriptor_limit,
};
pub use footer::FooterError;
pub use format::{FileKind, OLDEST_STORE_VERSION, STORE_VERSION};
pub use scatter::{Extent, ScatterBatch, ScatterReader};
pub use store::{
    Batch, CollectionKey, CollectionRow, CountsRow, Family, FileRow, HeadRow, HeadRows, Location,
    PointRow, RawRow, RawRows, ReadView, RowKind, SegmentRow, Store, StoreConfig, StoreConfigError,
    StoreError, StoreMemory,
};
