//! A file as a slice of bytes.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// A read-only map of a whole file.
#[derive(Debug)]
pub(crate) struct MappedFile(Mmap);

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// Whoever truncates the file while it is mapped ends the process: the map must be dropped as
    /// soon as its bytes are copied, as [`super::Tensors`]' users do.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        #[expect(unsafe_code, reason = "mapping a file is unsafe in itself")]
        // SAFETY: the map is private to this process and read-only, and its bytes are only read as
        // integers and floats, for which every bit pattern is valid. Another process that writes
        // to a checkpoint while it is read can change the values seen, which the checks on
        // shapes and finite values bound, as for any file read twice.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self(map))
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
