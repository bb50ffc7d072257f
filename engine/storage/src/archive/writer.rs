//! Writes an archive from its start to its end.

use std::path::Path;

use super::header::{self, padding};
use super::{ArchiveError, CHECKSUMS, END_BYTES, checksum_line, last_line};
use crate::directory::Directory;
use crate::fs::AtomicFile;

/// Small writes are gathered up to this many bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// Writes an archive. It gets its name when it is complete and durable; dropped before, it leaves
/// nothing.
#[derive(Debug)]
pub struct ArchiveWriter<'d> {
    file: AtomicFile<'d>,
    buffer: Vec<u8>,
    position: u64,
    checksums: String,
}

/// Where the bytes of one entry go.
#[derive(Debug)]
pub struct EntrySink<'w, 'd> {
    writer: &'w mut ArchiveWriter<'d>,
    name: &'w str,
    length: u64,
    written: u64,
    hasher: blake3::Hasher,
}

impl<'d> ArchiveWriter<'d> {
    /// Starts an archive that will be called `path`.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`] when the temporary file cannot be created.
    pub fn create(directory: &'d dyn Directory, path: &Path) -> Result<Self, ArchiveError> {
        let file = AtomicFile::create(directory, path)?;
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Ok(Self { file, buffer, position: 0, checksums: String::new() })
    }

    /// Adds an entry of `length` bytes, which `write` gives to the sink.
    ///
    /// # Errors
    ///
    /// What `write` returns; [`ArchiveError::Refused`] for a name that no reader would take,
    /// [`ArchiveError::Length`] when `write` gave another number of bytes, [`ArchiveError::Io`].
    /// The archive cannot be completed any more.
    pub fn entry<E: From<ArchiveError>>(
        &mut self,
        name: &str,
        length: u64,
        write: impl FnOnce(&mut EntrySink<'_, 'd>) -> Result<(), E>,
    ) -> Result<(), E> {
        let header = header::write(name, length).map_err(|reason| {
            let (path, name) = (self.file.path().to_owned(), name.to_owned());
            ArchiveError::Refused { path, name, reason }
        })?;
        self.append(&header)?;
        let hasher = blake3::Hasher::new();
        let mut sink = EntrySink { writer: self, name, length, written: 0, hasher };
        write(&mut sink)?;
        sink.check_length(0)?;
        let hash = sink.hasher.finalize();
        self.checksums.push_str(&checksum_line(&hash, length, name));
        Ok(self.append(&[0; header::BLOCK_BYTES][..padding(length) as usize])?)
    }

    /// Adds an entry that is in memory.
    ///
    /// # Errors
    ///
    /// As [`ArchiveWriter::entry`].
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.entry(name, bytes.len() as u64, |sink| sink.append(bytes))
    }

    /// Adds the checksums and the end, makes the archive durable and gives it its name. Returns its
    /// length in bytes.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`].
    pub fn finish(mut self) -> Result<u64, ArchiveError> {
        let lines = std::mem::take(&mut self.checksums);
        let checksums = lines.clone() + &last_line(&lines);
        self.bytes(CHECKSUMS, checksums.as_bytes())?;
        self.append(&[0; END_BYTES as usize])?;
        self.file.append(&self.buffer)?;
        self.file.commit()?;
        Ok(self.position)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.file.append(&self.buffer)?;
            self.buffer.clear();
        }
        if bytes.len() > BUFFER_BYTES {
            self.file.append(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        self.position += bytes.len() as u64;
        Ok(())
    }
}

impl EntrySink<'_, '_> {
    /// Adds bytes to the entry.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Length`] past the announced length, [`ArchiveError::Io`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        if self.written + bytes.len() as u64 > self.length {
            self.check_length(bytes.len() as u64)?;
        }
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.writer.append(bytes)
    }

    fn check_length(&self, more: u64) -> Result<(), ArchiveError> {
        let (expected, actual) = (self.length, self.written + more);
        if expected == actual {
            return Ok(());
        }
        Err(ArchiveError::Length { name: self.name.to_owned(), expected, actual })
    }
}
