//! How rows get from their file to where they are scored.

use std::io;

use bigrain_storage::{ScatterBatch, ScatterReader};
use bigrain_types::VerifyIo;

use crate::dense::DenseReader;

/// How rows get from their file to where they are scored; one serves all searches of a process.
#[derive(Debug)]
pub struct RowIo {
    io: VerifyIo,
    scatter: ScatterReader,
}

impl RowIo {
    /// Prepares for `io`. With [`VerifyIo::Auto`] on a system without io_uring, threads read.
    ///
    /// # Errors
    ///
    /// The system's, when io_uring was asked for and there is none.
    pub fn open(io: VerifyIo) -> io::Result<Self> {
        let scatter = match io {
            VerifyIo::Uring => ScatterReader::uring().map_err(|error| without_uring(&error))?,
            VerifyIo::Pread => ScatterReader::pread(),
            VerifyIo::Auto | VerifyIo::Map | _ => ScatterReader::auto(),
        };
        Ok(Self { io, scatter })
    }

    /// Returns how rows were asked to be read.
    #[must_use]
    pub fn io(&self) -> VerifyIo {
        self.io
    }

    /// Whether reads go through io_uring.
    #[must_use]
    pub fn uses_uring(&self) -> bool {
        self.scatter.uses_uring()
    }

    /// Whether a file's rows are read rather than scored in its map.
    pub(super) fn reads(&self, rows: &DenseReader) -> bool {
        match self.io {
            VerifyIo::Map => false,
            VerifyIo::Uring | VerifyIo::Pread => true,
            VerifyIo::Auto | _ => !rows.file().is_resident(),
        }
    }

    pub(super) fn batch(&self) -> ScatterBatch<'_> {
        self.scatter.batch()
    }
}

fn without_uring(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("verify io uring: io_uring is not available: {error}"))
}
