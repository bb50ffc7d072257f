//! Folders of immutable files: the seam between the engine and a file system.
//!
//! [`Directory`] is what a segment needs of a file system, and its documentation is the contract
//! that all implementations are tested against:
//!
//! | implementation | for |
//! | --- | --- |
//! | [`MmapDirectory`] | a real folder; files are read by pread and through memory maps |
//! | [`RamDirectory`] | tests and scratch collections |
//! | [`FaultyDirectory`] | tests: fails at a chosen step, and forgets what was not fsynced |
//!
//! The trait has primitives only. The order that makes them safe (write, fsync, rename, fsync the
//! folder) is in [`crate::fs`].

#[cfg(test)]
mod contract;
#[expect(clippy::module_inception, reason = "named after the trait it defines")]
mod directory;
mod faulty;
mod handles;
mod mapped_bytes;
mod maps;
mod mmap;
mod ram;
#[cfg(not(target_os = "linux"))]
#[path = "no_ring.rs"]
mod ring;
#[cfg(target_os = "linux")]
mod ring;
mod ring_read;
#[cfg(not(target_os = "linux"))]
#[path = "no_space.rs"]
mod space;
#[cfg(target_os = "linux")]
mod space;
mod write_behind;

pub use directory::{Directory, DirectoryError, Entry, EntryKind, FileReader, FileWriter};
pub(crate) use directory::{end_of_read, parent_of};
pub use faulty::{Fault, FaultyDirectory};
pub use mapped_bytes::MappedBytes;
pub use mmap::MmapDirectory;
pub use ram::RamDirectory;
pub(crate) use ring::Ring;
pub(crate) use ring_read::RingRead;
pub use space::raise_descriptor_limit;
pub(crate) use space::{available_bytes, set_aside};
