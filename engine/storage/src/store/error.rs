//! How the store can fail.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::StoreConfigError;
use super::reserve::is_out_of_space;
use crate::format::written_by;

/// A refusal of the store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The configuration is out of range.
    #[error(transparent)]
    Config(#[from] StoreConfigError),
    /// Another process, or another store of this one, has the data folder open.
    #[error("{}: data folder is in use by another process", path.display())]
    Locked {
        /// The data folder.
        path: PathBuf,
    },
    /// The folder was written by a program with another format.
    #[error(
        "{}: store has format version {found}, this program reads version {supported}{}",
        path.display(),
        written_by(*found, *supported)
    )]
    Version {
        /// The data folder.
        path: PathBuf,
        /// The folder's version.
        found: u32,
        /// The version this program reads.
        supported: u32,
    },
    /// A log of RocksDB is damaged before its end: what follows cannot be recovered.
    #[error("{}: log is damaged at {offset}: {reason}", path.display())]
    DamagedLog {
        /// The log.
        path: PathBuf,
        /// Where its good part ends, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// RocksDB found its files damaged or missing.
    #[error("{}: store is damaged: {reason}", path.display())]
    Damaged {
        /// The damaged file, or the data folder where the reason names the file.
        path: PathBuf,
        /// What RocksDB says.
        reason: String,
    },
    /// A row is not what this program writes.
    #[error("corrupt row in {family}, key {key}: {reason}")]
    Corrupt {
        /// The column family.
        family: &'static str,
        /// The key in hexadecimal.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk or a quota is full.
    #[error("{}: {operation}: disk is full: {reason}", path.display())]
    DiskFull {
        /// What was being done.
        operation: &'static str,
        /// The data folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file system refused.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// RocksDB refused.
    #[error("{}: {operation}: {reason}", path.display())]
    Backend {
        /// What was being done.
        operation: &'static str,
        /// The data folder.
        path: PathBuf,
        /// What RocksDB says.
        reason: String,
    },
    /// An earlier commit failed; the store takes no more until it is opened anew.
    #[error("{}: an earlier commit failed, reopen the store", path.display())]
    Poisoned {
        /// The data folder.
        path: PathBuf,
    },
    /// The batch holds a value that cannot be stored; nothing was written.
    #[error("batch holds a value that cannot be stored: {0}")]
    Encode(String),
    /// The collection's name is taken.
    #[error("collection {name:?} exists already")]
    CollectionExists {
        /// The name.
        name: String,
    },
    /// There is no such collection.
    #[error("no collection has key {key}")]
    UnknownCollection {
        /// The key.
        key: u32,
    },
    /// Every key of a collection was used once.
    #[error("no keys for collections are left")]
    TooManyCollections,
}

impl StoreError {
    pub(super) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_out_of_space(&source) {
            return Self::DiskFull { operation, path, reason: source.to_string() };
        }
        Self::Io { operation, path, source }
    }

    /// Sorts an error of RocksDB, which tells kinds apart by the start of its message. Where tables were
    /// read, [`tables::named`](super::tables::named) says which one is damaged.
    pub(super) fn rocks(operation: &'static str, path: &Path, error: &rocksdb::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        // RocksDB keeps the cause of an I/O error in its text only.
        if reason.contains("No space left on device") || reason.contains("quota exceeded") {
            // A sync that failed for lack of space has failed like any other.
            if reason.contains("While fsync") || reason.contains("While fdatasync") {
                return Self::Backend { operation, path, reason };
            }
            return Self::DiskFull { operation, path, reason };
        }
        // It never asks for a file that its manifest does not name: either may be the damaged one.
        if is_missing(&reason) || error.kind() == rocksdb::ErrorKind::Corruption {
            return Self::Damaged { path, reason };
        }
        Self::Backend { operation, path, reason }
    }
}

/// Whether a message of RocksDB speaks of a file that is not there.
pub(super) fn is_missing(reason: &str) -> bool {
    reason.contains("No such file or directory")
}
