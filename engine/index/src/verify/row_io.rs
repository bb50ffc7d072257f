//! How rows get from their file to where they are scored.

use std::io;

use bigrain_storage::{BlockFile, ScatterBatch, ScatterReader};
use bigrain_types::VerifyIo;

/// How rows get from their file to where they are scored; one serves all searches of a process.
#[derive(Debug)]
pub struct RowIo {
    io: VerifyIo,
    scatter: ScatterReader,
}

/// How the rows of one file are to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In the map.
    Map,
    /// In the map where a row's pages are in memory, else read: a file that is too large for memory
    /// still has most of what is searched for there.
    Ask,
    /// Read.
    Read,
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

    /// Says for people how verification gets a file's rows: as the file lies in memory now.
    #[must_use]
    pub fn describe(&self, rows: &BlockFile) -> &'static str {
        match (self.way(rows), self.scatter.uses_uring()) {
            (Way::Map, _) => "map",
            (Way::Ask, true) => "map where in memory, else io_uring",
            (Way::Ask, false) => "map where in memory, else pool of threads",
            (Way::Read, true) => "io_uring",
            (Way::Read, false) => "pool of threads",
        }
    }

    /// Returns how a file's rows are to be had.
    pub(crate) fn way(&self, rows: &BlockFile) -> Way {
        match self.io {
            VerifyIo::Map => Way::Map,
            VerifyIo::Uring | VerifyIo::Pread => Way::Read,
            VerifyIo::Auto | _ if rows.is_resident() => Way::Map,
            VerifyIo::Auto | _ => Way::Ask,
        }
    }

    pub(crate) fn batch(&self) -> ScatterBatch<'_> {
        self.scatter.batch()
    }
}

fn without_uring(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("verify io uring: io_uring is not available: {error}"))
}
