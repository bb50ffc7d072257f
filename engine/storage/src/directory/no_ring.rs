//! What stands in for io_uring where there is none: a ring that cannot be opened.

use std::fs::File;
use std::io;

/// A ring that does not exist.
pub(crate) enum Ring {}

/// One read: `length` bytes of a file from `offset` on.
#[expect(dead_code, reason = "made for a ring and read by none")]
pub(crate) struct RingRead<'f> {
    pub file: &'f File,
    pub offset: u64,
    pub length: usize,
}

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
        _reads: &[RingRead<'_>],
        _buffers: &mut Vec<Vec<u64>>,
        _results: &mut Vec<i32>,
    ) -> io::Result<()> {
        match *self {}
    }
}
