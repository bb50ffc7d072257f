//! How reading or writing a segment's files can fail.

use std::path::PathBuf;

use bigrain_binarize::BinarizerError;
use bigrain_storage::{DirectoryError, OpenFileError, ReadError};
use thiserror::Error;

/// A segment file that could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] DirectoryError),
    /// A file is missing, damaged at its end, or of another kind or version.
    #[error(transparent)]
    Open(#[from] OpenFileError),
    /// A block could not be read or does not match its checksum.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The metric has no codes.
    #[error(transparent)]
    Binarizer(#[from] BinarizerError),
    /// The checksums match but the contents contradict themselves.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl IndexError {
    /// Whether a file is sound and of a version that this program does not read.
    #[must_use]
    pub fn is_other_version(&self) -> bool {
        matches!(self, Self::Open(error) if error.is_other_version())
    }

    /// Whether stored bytes are at fault, rather than the system or the caller.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        match self {
            Self::Malformed { .. } => true,
            Self::Open(error) => error.is_damage(),
            Self::Read(error) => error.is_damage(),
            Self::Write(_) | Self::Binarizer(_) => false,
        }
    }

    /// Whether the caller gave up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Read(ReadError::Cancelled(_)))
    }
}
