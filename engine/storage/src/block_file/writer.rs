//! Writes a block file from its start to its end.

use std::path::Path;

use bytemuck::NoUninit;

use super::BLOCK_BYTES;
use crate::directory::{Directory, DirectoryError};
use crate::footer::{FOOTER_BYTES, Footer, stored_crc};
use crate::format::FileKind;
use crate::fs::AtomicFile;

/// Bytes collected before they go to the file: whole blocks.
const BUFFER_BYTES: usize = 16 * BLOCK_BYTES;

/// Writes a block file: appends to the body, then finishes with table and footer.
///
/// Memory is 64 KiB and 4 bytes per block. Dropped before [`BlockFileWriter::finish`], it leaves no
/// file.
///
/// ```
/// use std::path::Path;
/// use bigrain_storage::{BlockFile, BlockFileWriter, FileKind, RamDirectory};
///
/// let directory = RamDirectory::new();
/// let path = Path::new("dense.text");
/// let mut writer = BlockFileWriter::create(&directory, path, FileKind::Dense)?;
/// writer.append(b"head")?;
/// writer.align_to(4096)?;
/// writer.append_slice(&[1.0f32, 2.0])?;
/// let identity = writer.finish()?;
///
/// let file = BlockFile::open(&directory, path, FileKind::Dense)?;
/// assert_eq!(file.identity(), identity);
/// assert_eq!(file.slice::<f32>(4096, 2)?, [1.0, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BlockFileWriter<'d> {
    file: AtomicFile<'d>,
    kind: FileKind,
    /// The end of the body that is not yet in the file.
    buffer: Vec<u8>,
    /// Bytes of the body that are in the file: a multiple of the block size until the end.
    written: u64,
    table: Vec<u32>,
}

/// Which bytes a file holds: its length, and the checksum at the top of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// Length of the file in bytes.
    pub length: u64,
    /// CRC32C of its footer.
    pub footer_crc: u32,
}

impl<'d> BlockFileWriter<'d> {
    /// Starts a file of a kind.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when the temporary file cannot be created.
    pub fn create(
        directory: &'d dyn Directory,
        path: &Path,
        kind: FileKind,
    ) -> Result<Self, DirectoryError> {
        let file = AtomicFile::create(directory, path)?;
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Ok(Self { file, kind, buffer, written: 0, table: Vec::new() })
    }

    /// Appends bytes to the body.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`]; the file cannot be finished any more.
    pub fn append(&mut self, mut bytes: &[u8]) -> Result<(), DirectoryError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER_BYTES - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            if self.buffer.len() == BUFFER_BYTES {
                self.write_buffer()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Appends plain values as they lie in memory, which is little-endian.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], as [`BlockFileWriter::append`].
    pub fn append_slice<T: NoUninit>(&mut self, values: &[T]) -> Result<(), DirectoryError> {
        self.append(bytemuck::cast_slice(values))
    }

    /// Appends zeros until the body's length is a multiple of `alignment` bytes.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], as [`BlockFileWriter::append`].
    pub fn align_to(&mut self, alignment: u32) -> Result<(), DirectoryError> {
        let alignment = u64::from(alignment.max(1));
        let mut missing = (alignment - self.position() % alignment) % alignment;
        while missing > 0 {
            let part = missing.min(BLOCK_BYTES as u64);
            self.append(&[0; BLOCK_BYTES][..part as usize])?;
            missing -= part;
        }
        Ok(())
    }

    /// Returns the length of the body so far: where the next byte will be.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Writes table and footer, makes the file durable and gives it its name.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`]; the file must not be relied on.
    pub fn finish(mut self) -> Result<FileIdentity, DirectoryError> {
        self.write_buffer()?;
        let table: &[u8] = bytemuck::cast_slice(&self.table);
        let table_crc = crc32c::crc32c(table);
        let footer = Footer { kind: self.kind, body_bytes: self.written, table_crc }.to_bytes();
        self.file.append(table)?;
        self.file.append(&footer)?;
        let length = self.written + (table.len() + FOOTER_BYTES) as u64;
        self.file.commit()?;
        Ok(FileIdentity { length, footer_crc: stored_crc(&footer) })
    }

    fn write_buffer(&mut self) -> Result<(), DirectoryError> {
        self.table.extend(self.buffer.chunks(BLOCK_BYTES).map(crc32c::crc32c));
        if !self.buffer.is_empty() {
            self.file.append(&self.buffer)?;
        }
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::RamDirectory;

    fn bytes_of(directory: &RamDirectory, path: &Path) -> Vec<u8> {
        directory.open(path).unwrap().map().unwrap().unwrap().to_vec()
    }

    #[test]
    fn bytes_are_what_they_were() {
        let directory = RamDirectory::new();
        let path = Path::new("ids");
        let mut writer = BlockFileWriter::create(&directory, path, FileKind::Ids).unwrap();
        writer.append(b"abc").unwrap();
        let identity = writer.finish().unwrap();
        let bytes = bytes_of(&directory, path);
        let golden = [
            b'a', b'b', b'c', // body
            0xb7, 0x3f, 0x4b, 0x36, // CRC32C("abc") = 364b3fb7
            3, 0, 0, 0, 0, 0, 0, 0, // body length
            0, 16, 0, 0, // block size
        ];
        assert_eq!(bytes[..golden.len()], golden);
        assert_eq!(identity.length, bytes.len() as u64);
        assert_eq!(bytes.len(), 3 + 4 + 32);
    }

    #[test]
    fn how_bytes_are_appended_does_not_matter() {
        let directory = RamDirectory::new();
        let body: Vec<u8> = (0..200_000u32).map(|i| ((i * 31) >> 3) as u8).collect();
        let mut files = Vec::new();
        for (i, part) in [1, 7, 4096, 65_536, 200_000].into_iter().enumerate() {
            let path = i.to_string();
            let path = Path::new(&path);
            let mut writer = BlockFileWriter::create(&directory, path, FileKind::Codes).unwrap();
            for part in body.chunks(part) {
                writer.append(part).unwrap();
            }
            assert_eq!(writer.position(), 200_000);
            writer.finish().unwrap();
            files.push(bytes_of(&directory, path));
        }
        assert!(files.iter().all(|file| *file == files[0]));
    }

    #[test]
    fn alignment_pads_with_zeros() {
        let directory = RamDirectory::new();
        let path = Path::new("a");
        let mut writer = BlockFileWriter::create(&directory, path, FileKind::Codes).unwrap();
        for (alignment, position) in [(4096, 0), (0, 0), (1, 0)] {
            writer.align_to(alignment).unwrap();
            assert_eq!(writer.position(), position);
        }
        writer.append(b"x").unwrap();
        for (alignment, position) in [(1, 1), (8, 8), (8, 8), (4096, 4096), (10_000, 10_000)] {
            writer.align_to(alignment).unwrap();
            assert_eq!(writer.position(), position);
        }
        writer.finish().unwrap();
        let bytes = bytes_of(&directory, path);
        assert!(bytes[1..10_000].iter().all(|&byte| byte == 0));
    }
}
