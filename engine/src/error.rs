//! The one error that leaves the engine.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use bigrain_index::IndexError;
use bigrain_lexical::LexicalError;
use bigrain_storage::{ArchiveError, DirectoryError, ReadError, StoreError};
use bigrain_types::{
    Cancelled, FilterError, PayloadError, PointIdError, SearchParamsError, SpaceIdError,
    SparseVectorError, VectorError,
};

use crate::FusionError;

/// The result of an engine operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong and stays wrong.
    InvalidArgument,
    /// What the request names does not exist.
    NotFound,
    /// What the request would create exists.
    AlreadyExists,
    /// A right request in the wrong state, such as a vector of another dimension or space.
    FailedPrecondition,
    /// A condition of a write did not hold: read again, and decide anew.
    Aborted,
    /// A limit was reached.
    ResourceExhausted,
    /// The caller gave up.
    Cancelled,
    /// Stored bytes fail a check.
    Corruption,
    /// The system refused a read or write.
    Io,
    /// An earlier write or sync failed; reopen the data folder.
    Poisoned,
    /// A defect of bigrain.
    Internal,
}

/// What went wrong, while doing what.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    doing: String,
    message: String,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, doing: String::new(), message, retry_after: None, source: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    fn caused(kind: ErrorKind, source: impl StdError + Send + Sync + 'static) -> Self {
        let message = source.to_string();
        Self { source: Some(Box::new(source)), ..Self::new(kind, message) }
    }

    /// Says that the system starts no thread.
    pub(crate) fn no_threads(error: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Io, format!("start threads: {error}"))
    }

    /// Says what was being done; the innermost statement stays.
    pub(crate) fn doing(mut self, doing: impl FnOnce() -> String) -> Self {
        if self.doing.is_empty() {
            self.doing = doing();
        }
        self
    }

    /// Says when the same request may succeed.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Returns after what time the same request may succeed, where the engine has an idea.
    #[must_use]
    pub fn retry_hint(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// Adds what was being done to an error on its way out.
pub(crate) trait Doing<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().doing(doing))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.doing.is_empty() {
            write!(f, "{}: ", self.doing)?;
        }
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The message already is the source's text; what lies below it is what adds something.
        self.source.as_deref().and_then(|source| source.source())
    }
}

macro_rules! invalid_argument {
    ($($error:ty),+) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::caused(ErrorKind::InvalidArgument, error)
            }
        })+
    };
}

invalid_argument!(
    FilterError,
    PayloadError,
    PointIdError,
    SearchParamsError,
    SpaceIdError,
    SparseVectorError
);

impl From<VectorError> for Error {
    fn from(error: VectorError) -> Self {
        let kind = if matches!(error, VectorError::Dimension { .. }) {
            ErrorKind::FailedPrecondition
        } else {
            ErrorKind::InvalidArgument
        };
        Self::caused(kind, error)
    }
}

impl From<Cancelled> for Error {
    fn from(error: Cancelled) -> Self {
        Self::caused(ErrorKind::Cancelled, error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::caused(ErrorKind::Io, error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Corrupt { .. }
            | StoreError::Damaged { .. }
            | StoreError::DamagedLog { .. } => ErrorKind::Corruption,
            StoreError::Locked { .. } | StoreError::Version { .. } => ErrorKind::FailedPrecondition,
            StoreError::Poisoned { .. } => ErrorKind::Poisoned,
            StoreError::DiskFull { .. } => ErrorKind::ResourceExhausted,
            StoreError::Config(_) | StoreError::Encode(_) => ErrorKind::InvalidArgument,
            StoreError::CollectionExists { .. } => ErrorKind::AlreadyExists,
            StoreError::UnknownCollection { .. } => ErrorKind::NotFound,
            StoreError::TooManyCollections => ErrorKind::ResourceExhausted,
            StoreError::Io { .. } | StoreError::Backend { .. } | _ => ErrorKind::Io,
        };
        Self::caused(kind, error)
    }
}

impl From<IndexError> for Error {
    fn from(error: IndexError) -> Self {
        let disk_full = matches!(&error, IndexError::Write(error) if error.is_disk_full());
        let kind = if error.is_corruption() {
            ErrorKind::Corruption
        } else if error.is_other_version() {
            ErrorKind::FailedPrecondition
        } else if error.is_cancelled() {
            ErrorKind::Cancelled
        } else if disk_full {
            ErrorKind::ResourceExhausted
        } else {
            ErrorKind::Io
        };
        Self::caused(kind, error)
    }
}

impl From<LexicalError> for Error {
    fn from(error: LexicalError) -> Self {
        let disk_full = matches!(&error, LexicalError::Write(error) if error.is_disk_full());
        let kind = if error.is_corruption() {
            ErrorKind::Corruption
        } else if error.is_other_version() {
            ErrorKind::FailedPrecondition
        } else if disk_full {
            ErrorKind::ResourceExhausted
        } else if matches!(error, LexicalError::Build(_)) {
            ErrorKind::Internal
        } else {
            ErrorKind::Io
        };
        Self::caused(kind, error)
    }
}

impl From<FusionError> for Error {
    fn from(error: FusionError) -> Self {
        Self::caused(ErrorKind::InvalidArgument, error)
    }
}

impl From<DirectoryError> for Error {
    fn from(error: DirectoryError) -> Self {
        IndexError::from(error).into()
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        IndexError::from(error).into()
    }
}

impl From<ArchiveError> for Error {
    fn from(error: ArchiveError) -> Self {
        let kind = match error {
            ArchiveError::Io(error) => return error.into(),
            ArchiveError::Cancelled(error) => return error.into(),
            ArchiveError::Truncated { .. }
            | ArchiveError::Damaged { .. }
            | ArchiveError::Refused { .. }
            | ArchiveError::Checksum { .. }
            | ArchiveError::Missing { .. } => ErrorKind::Corruption,
            ArchiveError::Length { .. } | _ => ErrorKind::Internal,
        };
        Self::caused(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_doing_stays() {
        let error = Error::invalid("limit is 0").doing(|| "search \"a\"".into());
        let error = error.doing(|| "elsewhere".into());
        assert_eq!(error.to_string(), "search \"a\": limit is 0");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn a_wrong_dimension_is_a_failed_precondition() {
        let error = Error::from(VectorError::Dimension { expected: 3, actual: 2 });
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    }
}
