//! What stands in for io_uring where there is none: a ring that cannot be opened.

use std::io;

use super::ring_read::RingRead;

/// A ring that does not exist.
pub(crate) enum Ring {}

impl Ring {
    /// Refuses.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Cannot be called.
    ///
    /// # Errors
    ///
    /// None.
    pub fn read(
        &mut self,
        _reads: &[RingRead],
        _buffers: &mut Vec<Vec<u64>>,
        _results: &mut Vec<i32>,
    ) -> io::Result<()> {
        match *self {}
    }
}
