//! How opening and reading a block file can fail.

use std::io::ErrorKind;
use std::path::PathBuf;

use bigrain_types::Cancelled;
use thiserror::Error;

use crate::directory::DirectoryError;
use crate::footer::{FOOTER_BYTES, FooterError};

/// A file that cannot be opened as a block file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenFileError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] DirectoryError),
    /// The file is shorter than a footer.
    #[error("{}: file has {actual} bytes, expected at least {FOOTER_BYTES}", path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        actual: u64,
    },
    /// The footer is damaged, or belongs to another kind or version of file.
    #[error("{}: {source}", path.display())]
    Footer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FooterError,
    },
    /// The file's length is not what its footer implies.
    #[error(
        "{}: file has {actual} bytes, a body of {body_bytes} bytes implies another length",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// The body's length in bytes, as the footer says.
        body_bytes: u64,
        /// The file's length in bytes.
        actual: u64,
    },
    /// The table of checksums does not match its own.
    #[error(
        "{}: table of checksums at {offset} is damaged: expected {expected:08x}, found {actual:08x}",
        path.display()
    )]
    Table {
        /// The file.
        path: PathBuf,
        /// Where the table begins.
        offset: u64,
        /// The checksum that the footer states.
        expected: u32,
        /// The checksum of the table as it is.
        actual: u32,
    },
}

impl OpenFileError {
    /// Whether stored bytes are at fault, rather than the system. A file that should be there and is
    /// gone was damaged too.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == ErrorKind::NotFound,
            Self::Footer { .. } => !self.is_other_version(),
            Self::TooShort { .. } | Self::Length { .. } | Self::Table { .. } => true,
        }
    }

    /// Whether the file is sound and of a version that this program does not read.
    #[must_use]
    pub fn is_other_version(&self) -> bool {
        matches!(self, Self::Footer { source: FooterError::Version { .. }, .. })
    }
}

/// Bytes that cannot be given out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read; it may have been truncated.
    #[error(transparent)]
    Io(#[from] DirectoryError),
    /// The range ends behind the body.
    #[error(
        "{}: read of {wanted} bytes at {offset}, the body has {body_bytes}",
        path.display()
    )]
    OutOfBounds {
        /// The file.
        path: PathBuf,
        /// Where the range starts.
        offset: u64,
        /// How many bytes were wanted.
        wanted: u64,
        /// The body's length in bytes.
        body_bytes: u64,
    },
    /// A block does not match its checksum.
    #[error(
        "{}: block at {offset} is damaged: expected checksum {expected:08x}, found {actual:08x}",
        path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Where the block begins.
        offset: u64,
        /// The checksum in the table.
        expected: u32,
        /// The checksum of the block as it is.
        actual: u32,
    },
    /// Values were asked for at an offset that is not aligned for their type.
    #[error("{}: values at {offset} are not aligned to {alignment}", path.display())]
    Misaligned {
        /// The file.
        path: PathBuf,
        /// Where the values start.
        offset: u64,
        /// The alignment that their type needs.
        alignment: usize,
    },
    /// The directory cannot show files as memory.
    #[error("{}: file is not mapped", path.display())]
    NotMapped {
        /// The file.
        path: PathBuf,
    },
    /// The caller gave up.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ReadError {
    /// Whether stored bytes are at fault, rather than the system or the caller.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == ErrorKind::UnexpectedEof,
            Self::Cancelled(_) => false,
            Self::OutOfBounds { .. }
            | Self::Checksum { .. }
            | Self::Misaligned { .. }
            | Self::NotMapped { .. } => true,
        }
    }
}
