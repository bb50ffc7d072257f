//! Reads a block file, believing nothing that has not been checked.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bigrain_types::Cancel;
use bytemuck::AnyBitPattern;

use super::residency::Residency;
use super::{BLOCK_BYTES, FileIdentity, OpenFileError, ReadError};
use crate::directory::{Directory, FileReader, MappedBytes};
use crate::footer::{FOOTER_BYTES, Footer, stored_crc};
use crate::format::FileKind;

/// Blocks read at once where many are checked.
const RUN_BLOCKS: usize = 16;
/// Bytes of the buffer on the stack for small reads: a row of 3,072 dimensions in f32, wherever it
/// lies in its blocks.
const SMALL_READ_BYTES: usize = 4 * BLOCK_BYTES;

/// An open block file, shared by any number of threads.
///
/// Offsets count from the start of the body.
#[derive(Debug)]
pub struct BlockFile {
    reader: Arc<dyn FileReader>,
    body_bytes: u64,
    footer_crc: u32,
    /// The checksum of each block.
    table: Vec<u32>,
    /// One bit per block: set once its bytes have matched its checksum.
    checked: Vec<AtomicU64>,
    residency: Residency,
}

impl BlockFile {
    /// Opens a file and checks everything about it except its body.
    ///
    /// # Errors
    ///
    /// [`OpenFileError`] when the file cannot be read, is of another kind or version, has a length
    /// that its footer does not imply, or has a damaged footer or table.
    pub fn open(
        directory: &dyn Directory,
        path: &Path,
        kind: FileKind,
    ) -> Result<Self, OpenFileError> {
        let reader: Arc<dyn FileReader> = directory.open(path)?.into();
        let path = || reader.path().to_owned();
        let actual = reader.len();
        let Some(table_end) = actual.checked_sub(FOOTER_BYTES as u64) else {
            return Err(OpenFileError::TooShort { path: path(), actual });
        };
        let mut footer_bytes = [0; FOOTER_BYTES];
        reader.read_at(table_end, &mut footer_bytes)?;
        let footer = Footer::from_bytes(&footer_bytes, kind)
            .map_err(|source| OpenFileError::Footer { path: path(), source })?;
        let body_bytes = footer.body_bytes;
        let blocks = body_bytes.div_ceil(BLOCK_BYTES as u64);
        if body_bytes.checked_add(4 * blocks) != Some(table_end) {
            return Err(OpenFileError::Length { path: path(), body_bytes, actual });
        }
        // The length was checked against the file's, so this allocates less than the file has.
        let mut table = vec![0u32; blocks as usize];
        reader.read_at(body_bytes, bytemuck::cast_slice_mut(&mut table))?;
        let (expected, actual) = (footer.table_crc, crc32c::crc32c(bytemuck::cast_slice(&table)));
        if expected != actual {
            let (path, offset) = (path(), body_bytes);
            return Err(OpenFileError::Table { path, offset, expected, actual });
        }
        let checked = (0..table.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let footer_crc = stored_crc(&footer_bytes);
        let residency = Residency::default();
        Ok(Self { reader, body_bytes, footer_crc, table, checked, residency })
    }

    /// Returns bytes of the body where they lie, in the memory map.
    ///
    /// Blocks that nobody has touched yet are read through pread and checked first, so a damaged
    /// block, or a file that lost its end before then, is an error. What is *not* caught is a file
    /// that another program truncates afterwards: touching a lost page of the returned slice ends
    /// the process with a signal. [`BlockFile::read_into`] has no such gap.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the range is out of bounds, a block is damaged, or the file cannot be
    /// read or is not mapped.
    pub fn read(&self, offset: u64, length: usize) -> Result<&[u8], ReadError> {
        let range = self.range(offset, length as u64)?;
        if range.is_empty() {
            return Ok(&[]);
        }
        self.check_blocks(self.blocks_of(&range))?;
        let map = self.reader.map()?;
        map.and_then(|map| map.get(range.start as usize..range.end as usize))
            .ok_or_else(|| ReadError::NotMapped { path: self.path() })
    }

    /// Returns bytes of the body where they lie, which keep the file open: for readers that cannot
    /// borrow from it. Checked as by [`BlockFile::read`].
    ///
    /// # Errors
    ///
    /// [`ReadError`] as [`BlockFile::read`].
    pub fn read_shared(&self, offset: u64, length: usize) -> Result<MappedBytes, ReadError> {
        let range = self.range(offset, length as u64)?;
        self.check_blocks(self.blocks_of(&range))?;
        MappedBytes::new(&self.reader, range.start as usize..range.end as usize)?
            .ok_or_else(|| ReadError::NotMapped { path: self.path() })
    }

    /// Returns `count` values of the body where they lie.
    ///
    /// # Errors
    ///
    /// [`ReadError`] as [`BlockFile::read`], and for an offset that is not aligned for `T`.
    pub fn slice<T: AnyBitPattern>(&self, offset: u64, count: usize) -> Result<&[T], ReadError> {
        let length = count.checked_mul(size_of::<T>());
        let bytes = self.read(offset, length.unwrap_or(usize::MAX))?;
        if bytes.is_empty() {
            return Ok(&[]);
        }
        bytemuck::try_cast_slice(bytes).map_err(|_| ReadError::Misaligned {
            path: self.path(),
            offset,
            alignment: align_of::<T>(),
        })
    }

    /// Copies bytes of the body, through pread, and checks every block they touch.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the range is out of bounds, a block is damaged, or the file cannot be
    /// read. `bytes` is then unspecified.
    pub fn read_into(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ReadError> {
        let range = self.range(offset, bytes.len() as u64)?;
        if range.is_empty() {
            return Ok(());
        }
        let blocks = self.blocks_of(&range);
        if self.bytes_of(&blocks) <= SMALL_READ_BYTES {
            return self.copy_through(&mut [0; SMALL_READ_BYTES], blocks, offset, bytes);
        }
        let mut buffer = vec![0; RUN_BLOCKS * BLOCK_BYTES];
        let mut filled = 0;
        for first in blocks.clone().step_by(RUN_BLOCKS) {
            let run = first..blocks.end.min(first + RUN_BLOCKS);
            let start = offset + filled as u64;
            let end = range.end.min((run.end * BLOCK_BYTES) as u64);
            let part = &mut bytes[filled..filled + (end - start) as usize];
            self.copy_through(&mut buffer, run, start, part)?;
            filled += part.len();
        }
        Ok(())
    }

    /// Reads and checks every block, also those that were checked before.
    ///
    /// # Errors
    ///
    /// [`ReadError`] for the first damaged block, or when the file cannot be read or the caller
    /// gave up.
    pub fn check_all(&self, cancel: &Cancel) -> Result<(), ReadError> {
        let mut buffer = vec![0; RUN_BLOCKS * BLOCK_BYTES];
        for first in (0..self.table.len()).step_by(RUN_BLOCKS) {
            cancel.check()?;
            let run = first..self.table.len().min(first + RUN_BLOCKS);
            self.read_blocks(run, &mut buffer)?;
        }
        Ok(())
    }

    /// Whether the body lies in the system's page cache, all but a page in fifty, so that reading it
    /// through the map waits for no disk. Judged by a sample of its pages, and anew every second.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        self.residency.of(&*self.reader, self.body_bytes, Instant::now())
    }

    /// Whether the pages of a few bytes of the body lie in memory now. Asks the system, once a page;
    /// after many that did, only now and then.
    #[must_use]
    pub fn is_cached(&self, offset: u64, length: usize) -> bool {
        let last = offset + (length as u64).saturating_sub(1);
        let pages = offset / BLOCK_BYTES as u64..=last / BLOCK_BYTES as u64;
        self.residency.of_pages(&*self.reader, pages)
    }

    /// Tells the system that reads go to and fro, so that it reads nothing ahead. A hint.
    pub fn expect_scattered_reads(&self) {
        self.reader.expect_scattered_reads();
    }

    /// Tells the system that some bytes of the body will be read soon, one after the other. A hint.
    pub fn fetch_ahead(&self, offset: u64, length: u64) {
        self.reader.fetch_ahead(offset, length.min(self.body_bytes.saturating_sub(offset)));
    }

    /// Returns the length of the body in bytes.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Returns which bytes this file holds, to be compared with what the manifest says.
    #[must_use]
    pub fn identity(&self) -> FileIdentity {
        FileIdentity { length: self.reader.len(), footer_crc: self.footer_crc }
    }

    /// Returns the bytes of memory this reader holds, without the map.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of_val(self) + size_of_val(&*self.table) + size_of_val(&*self.checked)
    }

    /// Returns the file's name, for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.reader.path().to_owned()
    }

    /// Returns what reads the bytes, checked or not.
    pub(crate) fn reader(&self) -> &Arc<dyn FileReader> {
        &self.reader
    }

    /// Returns the numbers of the blocks under a range of the body.
    pub(crate) fn blocks_under(
        &self,
        offset: u64,
        length: usize,
    ) -> Result<Range<usize>, ReadError> {
        Ok(self.blocks_of(&self.range(offset, length as u64)?))
    }

    /// Returns how many bytes of the body lie in some blocks; the last block may be short.
    pub(crate) fn bytes_of(&self, blocks: &Range<usize>) -> usize {
        let start = (blocks.start * BLOCK_BYTES) as u64;
        let end = ((blocks.end * BLOCK_BYTES) as u64).min(self.body_bytes);
        end.saturating_sub(start) as usize
    }

    /// Compares the bytes of some blocks, wherever they were read to, with their checksums.
    pub(crate) fn check(&self, blocks: Range<usize>, bytes: &[u8]) -> Result<(), ReadError> {
        for (block, bytes) in blocks.zip(bytes.chunks(BLOCK_BYTES)) {
            let (expected, actual) = (self.table[block], crc32c::crc32c(bytes));
            if expected != actual {
                let offset = (block * BLOCK_BYTES) as u64;
                return Err(ReadError::Checksum { path: self.path(), offset, expected, actual });
            }
            // The bit guards no other memory: whoever sees it reads the file itself.
            self.checked[block / 64].fetch_or(1 << (block % 64), Ordering::Relaxed);
        }
        Ok(())
    }

    fn range(&self, offset: u64, wanted: u64) -> Result<Range<u64>, ReadError> {
        let end = offset.checked_add(wanted).filter(|&end| end <= self.body_bytes);
        end.map(|end| offset..end).ok_or_else(|| ReadError::OutOfBounds {
            path: self.path(),
            offset,
            wanted,
            body_bytes: self.body_bytes,
        })
    }

    /// Returns the numbers of the blocks that a range in bounds touches.
    fn blocks_of(&self, range: &Range<u64>) -> Range<usize> {
        let block = BLOCK_BYTES as u64;
        let end = if range.is_empty() { range.start / block } else { range.end.div_ceil(block) };
        (range.start / block) as usize..end as usize
    }

    /// Checks the blocks that have not been checked yet.
    fn check_blocks(&self, blocks: Range<usize>) -> Result<(), ReadError> {
        let mut next = blocks.start;
        while let Some(first) = self.next_unchecked(next..blocks.end) {
            let limit = blocks.end.min(first + RUN_BLOCKS);
            let end = (first..limit).find(|&block| self.is_checked(block)).unwrap_or(limit);
            self.check_run(first..end)?;
            next = end;
        }
        Ok(())
    }

    /// Returns the first block that has not been checked yet. Asks 64 at a time: a search looks at
    /// whole arrays of blocks that were all checked long ago.
    fn next_unchecked(&self, blocks: Range<usize>) -> Option<usize> {
        let mut block = blocks.start;
        while block < blocks.end {
            let left = !self.checked[block / 64].load(Ordering::Relaxed) >> (block % 64);
            if left != 0 {
                let found = block + left.trailing_zeros() as usize;
                return (found < blocks.end).then_some(found);
            }
            block = (block / 64 + 1) * 64;
        }
        None
    }

    fn check_run(&self, blocks: Range<usize>) -> Result<(), ReadError> {
        if self.bytes_of(&blocks) <= SMALL_READ_BYTES {
            return self.read_blocks(blocks, &mut [0; SMALL_READ_BYTES]).map(drop);
        }
        let mut buffer = vec![0; blocks.len() * BLOCK_BYTES];
        self.read_blocks(blocks, &mut buffer).map(drop)
    }

    /// Reads some blocks into `buffer`, checks them, and copies the part of the body at `offset`.
    fn copy_through(
        &self,
        buffer: &mut [u8],
        blocks: Range<usize>,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), ReadError> {
        let skip = offset as usize - blocks.start * BLOCK_BYTES;
        let read = self.read_blocks(blocks, buffer)?;
        bytes.copy_from_slice(&read[skip..skip + bytes.len()]);
        Ok(())
    }

    /// Reads some blocks through pread into the start of `buffer` and checks each of them.
    fn read_blocks<'b>(
        &self,
        blocks: Range<usize>,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], ReadError> {
        let bytes = &mut buffer[..self.bytes_of(&blocks)];
        self.reader.read_at((blocks.start * BLOCK_BYTES) as u64, bytes)?;
        self.check(blocks, bytes)?;
        Ok(bytes)
    }

    fn is_checked(&self, block: usize) -> bool {
        self.checked[block / 64].load(Ordering::Relaxed) & (1 << (block % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::ErrorKind;

    use proptest::prelude::*;

    use super::*;
    use crate::block_file::BlockFileWriter;
    use crate::directory::{MmapDirectory, RamDirectory};

    const NAME: &str = "codes.text";
    const KIND: FileKind = FileKind::Codes;

    fn body(length: usize) -> Vec<u8> {
        (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
    }

    fn write(directory: &dyn Directory, body: &[u8]) -> FileIdentity {
        let mut writer = BlockFileWriter::create(directory, Path::new(NAME), KIND).unwrap();
        writer.append(body).unwrap();
        writer.finish().unwrap()
    }

    fn open(directory: &dyn Directory) -> Result<BlockFile, OpenFileError> {
        BlockFile::open(directory, Path::new(NAME), KIND)
    }

    /// Returns a directory whose file consists of exactly these bytes.
    fn raw(bytes: &[u8]) -> RamDirectory {
        let directory = RamDirectory::new();
        directory.create(Path::new(NAME)).unwrap().append(bytes).unwrap();
        directory
    }

    fn raw_bytes(body: &[u8]) -> Vec<u8> {
        let directory = RamDirectory::new();
        write(&directory, body);
        directory.open(Path::new(NAME)).unwrap().map().unwrap().unwrap().to_vec()
    }

    /// Opens a file, reads all of it both ways, and returns the first complaint.
    fn read_everything(directory: &dyn Directory) -> Result<Vec<u8>, String> {
        let file = open(directory).map_err(|error| error.to_string())?;
        let length = file.body_bytes() as usize;
        let mut copied = vec![0; length];
        file.read_into(0, &mut copied).map_err(|error| error.to_string())?;
        let mapped = file.read(0, length).map_err(|error| error.to_string())?;
        assert_eq!(mapped, copied);
        Ok(copied)
    }

    #[test]
    fn bodies_round_trip_around_every_boundary() {
        let folder = tempfile::tempdir().unwrap();
        let mapped = MmapDirectory::open(folder.path()).unwrap();
        for directory in [&RamDirectory::new() as &dyn Directory, &mapped] {
            for length in [0, 1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 300_000] {
                let body = body(length);
                let identity = write(directory, &body);
                assert_eq!(open(directory).unwrap().identity(), identity);
                assert!(read_everything(directory).unwrap() == body, "{length}");
            }
        }
    }

    #[test]
    fn nothing_is_read_from_anywhere_in_the_body_and_its_end() {
        let directory = RamDirectory::new();
        write(&directory, &body(5000));
        let file = open(&directory).unwrap();
        for offset in [0, 16, 4096, 5000] {
            file.read_into(offset, &mut []).unwrap();
            assert!(file.read(offset, 0).unwrap().is_empty());
        }
        assert!(file.read_into(5001, &mut []).is_err());
    }

    #[test]
    fn reads_past_the_body_are_refused() {
        let directory = RamDirectory::new();
        write(&directory, &body(100));
        let file = open(&directory).unwrap();
        assert!(file.read(100, 0).unwrap().is_empty());
        for (offset, length) in [(0, 101), (100, 1), (101, 0), (u64::MAX, 2), (1, usize::MAX)] {
            let error = file.read(offset, length).unwrap_err();
            assert!(matches!(error, ReadError::OutOfBounds { .. }), "{offset} {length}: {error}");
        }
        let error = file.read_into(90, &mut [0; 11]).unwrap_err().to_string();
        assert_eq!(error, "codes.text: read of 11 bytes at 90, the body has 100");
    }

    #[test]
    fn values_are_read_where_they_lie() {
        let directory = RamDirectory::new();
        let path = Path::new(NAME);
        let mut writer = BlockFileWriter::create(&directory, path, KIND).unwrap();
        writer.append_slice(&[1.5f32, -2.0, 3.0]).unwrap();
        writer.append_slice(&[7u64]).unwrap();
        writer.finish().unwrap();
        let file = open(&directory).unwrap();
        assert_eq!(file.slice::<f32>(4, 2).unwrap(), [-2.0, 3.0]);
        assert!(file.slice::<u64>(0, 0).unwrap().is_empty());
        let error = file.slice::<u64>(12, 1).unwrap_err().to_string();
        assert_eq!(error, "codes.text: values at 12 are not aligned to 8");
        assert!(matches!(
            file.slice::<u64>(0, usize::MAX / 4).unwrap_err(),
            ReadError::OutOfBounds { .. }
        ));
    }

    #[test]
    fn opening_does_not_read_the_body() {
        let mut bytes = raw_bytes(&body(3 * 4096));
        bytes[5000] ^= 1;
        let directory = raw(&bytes);
        let file = open(&directory).unwrap();
        assert!(file.read(0, 4096).is_ok());
        assert!(file.read(8192, 4096).is_ok());
        let error = file.read(4000, 200).unwrap_err();
        assert!(matches!(error, ReadError::Checksum { offset: 4096, .. }), "{error}");
        assert!(error.to_string().starts_with("codes.text: block at 4096 is damaged"), "{error}");
        let error = file.check_all(&Cancel::new()).unwrap_err();
        assert!(matches!(error, ReadError::Checksum { offset: 4096, .. }), "{error}");
    }

    #[test]
    fn a_check_can_be_cancelled() {
        let directory = RamDirectory::new();
        write(&directory, &body(10));
        let cancel = Cancel::new();
        cancel.cancel();
        let error = open(&directory).unwrap().check_all(&cancel).unwrap_err();
        assert!(matches!(error, ReadError::Cancelled(_)));
    }

    #[test]
    fn a_file_truncated_under_its_map_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let directory = MmapDirectory::open(folder.path()).unwrap();
        write(&directory, &body(10 * 4096));
        let file = open(&directory).unwrap();
        assert!(file.read(0, 10).is_ok());
        let truncated = OpenOptions::new().write(true).open(folder.path().join(NAME)).unwrap();
        truncated.set_len(4096 + 7).unwrap();
        for error in [
            file.read(4096, 4096).unwrap_err(),
            file.read_into(9 * 4096, &mut [0; 10]).unwrap_err(),
            file.check_all(&Cancel::new()).unwrap_err(),
        ] {
            let ReadError::Io(error) = error else { panic!("{error}") };
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            assert!(error.to_string().contains(NAME), "{error}");
        }
    }

    #[test]
    fn every_flipped_bit_is_found_and_named() {
        let body = body(4096 + 900);
        let bytes = raw_bytes(&body);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = read_everything(&raw(&damaged)).unwrap_err();
            assert!(error.starts_with("codes.text: "), "bit {bit}: {error}");
            if bit / 8 < body.len() {
                let block = bit / 8 / 4096 * 4096;
                assert!(error.contains(&format!("block at {block} is damaged")), "{error}");
            }
        }
    }

    #[test]
    fn a_file_cut_at_any_length_is_refused_and_named() {
        let bytes = raw_bytes(&body(4096 + 900));
        for length in 0..bytes.len() {
            let error = read_everything(&raw(&bytes[..length])).unwrap_err();
            assert!(error.starts_with("codes.text: "), "length {length}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open(&raw(&bytes)).is_err());
        }

        #[test]
        fn a_footer_that_lies_about_the_length_is_refused(
            body_bytes: u64, table_crc: u32, before in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut bytes = before;
            bytes.extend(Footer { kind: KIND, body_bytes, table_crc }.to_bytes());
            prop_assert!(open(&raw(&bytes)).is_err());
        }

        #[test]
        fn any_range_reads_the_same_both_ways(start in 0usize..100_000, length in 0usize..90_000) {
            let body = body(100_000);
            let directory = RamDirectory::new();
            write(&directory, &body);
            let file = open(&directory).unwrap();
            let length = length.min(body.len() - start);
            let mut copied = vec![0; length];
            file.read_into(start as u64, &mut copied).unwrap();
            prop_assert!(copied == body[start..start + length]);
            prop_assert!(file.read(start as u64, length).unwrap() == copied);
        }
    }
}
