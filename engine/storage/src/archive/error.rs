//! What can be wrong with an archive.

use std::path::PathBuf;

use bigrain_types::Cancelled;
use thiserror::Error;

use crate::directory::DirectoryError;

/// A refusal of an archive.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] DirectoryError),
    /// The file ends too early.
    #[error("{}: archive is cut off: it ends at {at}, {within}", path.display())]
    Truncated {
        /// The archive.
        path: PathBuf,
        /// Its length in bytes.
        at: u64,
        /// What ends there.
        within: String,
    },
    /// Bytes that are no header of an entry, no padding or no end.
    #[error("{}: archive is damaged at {offset}: {reason}", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// An entry that no archive of this program has.
    #[error("{}: archive holds {name:?}, which is refused: {reason}", path.display())]
    Refused {
        /// The archive.
        path: PathBuf,
        /// The entry's name.
        name: String,
        /// Why.
        reason: String,
    },
    /// An entry's bytes are not those that were written.
    #[error("{}: {name} is damaged: expected checksum {expected}, found {actual}", path.display())]
    Checksum {
        /// The archive.
        path: PathBuf,
        /// The entry's name.
        name: String,
        /// The checksum in the list.
        expected: String,
        /// The checksum of the bytes.
        actual: String,
    },
    /// There is no such entry.
    #[error("{}: archive holds no {name}", path.display())]
    Missing {
        /// The archive.
        path: PathBuf,
        /// The entry's name.
        name: String,
    },
    /// Less or more was written to an entry than was announced. A defect of the caller.
    #[error("{name}: announced {expected} bytes, wrote {actual}")]
    Length {
        /// The entry's name.
        name: String,
        /// The length in its header.
        expected: u64,
        /// What was written, or would have been.
        actual: u64,
    },
    /// The caller gave up.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ArchiveError {
    /// Whether the archive's own bytes are to blame.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        match self {
            Self::Truncated { .. }
            | Self::Damaged { .. }
            | Self::Refused { .. }
            | Self::Checksum { .. }
            | Self::Missing { .. } => true,
            Self::Io(_) | Self::Length { .. } | Self::Cancelled(_) => false,
        }
    }
}
