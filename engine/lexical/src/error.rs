//! How writing or reading a lexical index can fail.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use bigrain_storage::{DirectoryError, OpenFileError, ReadError};
use tantivy::TantivyError;
use tantivy::directory::error::OpenReadError;
use thiserror::Error;

/// A lexical index that could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LexicalError {
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] DirectoryError),
    /// The file is missing, damaged at its end, or of another kind or version.
    #[error(transparent)]
    Open(#[from] OpenFileError),
    /// A block could not be read or does not match its checksum.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A block could not be read while tantivy was at it.
    #[error("{message}")]
    ReadWithin {
        /// What happened; names the file.
        message: String,
        /// Whether stored bytes are at fault.
        corrupt: bool,
    },
    /// The checksums match but the contents contradict themselves.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The index could not be built.
    #[error("build lexical index: {0}")]
    Build(String),
}

impl LexicalError {
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
            Self::ReadWithin { corrupt, .. } => *corrupt,
            Self::Write(_) | Self::Build(_) => false,
        }
    }

    /// Takes apart what tantivy reports about the file at `path`.
    pub(crate) fn of_tantivy(path: &Path, error: &TantivyError) -> Self {
        if let TantivyError::IoError(error) = &error {
            return Self::of_io(path, error);
        }
        if let TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) = &error {
            return Self::of_io(path, io_error);
        }
        Self::Malformed { path: path.to_owned(), reason: error.to_string() }
    }

    /// Takes apart an error that may have come through tantivy from a block file.
    pub(crate) fn of_io(path: &Path, error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| {
            let inner: &(dyn StdError + 'static) = inner;
            inner.downcast_ref::<ReadError>()
        });
        match inner {
            Some(read) => Self::ReadWithin { message: read.to_string(), corrupt: read.is_damage() },
            None => Self::Malformed { path: path.to_owned(), reason: error.to_string() },
        }
    }
}
