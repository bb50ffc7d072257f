//! Copies a block file as it is, believing nothing that has not been checked.

use bigrain_types::Cancel;

use super::{BLOCK_BYTES, BlockFile, ReadError};
use crate::footer::{FOOTER_BYTES, footer_crc};

/// Blocks read at a time.
pub(super) const RUN_BLOCKS: usize = 256;

impl BlockFile {
    /// Gives every byte of the file to `sink`, in order: each block once it has matched its
    /// checksum, then the table and the footer once they have matched theirs.
    ///
    /// # Errors
    ///
    /// What `sink` returns; [`ReadError`] for damage, a file that cannot be read, or when the
    /// caller gave up.
    pub fn copy<E: From<ReadError>>(
        &self,
        cancel: &Cancel,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let blocks = self.body_bytes().div_ceil(BLOCK_BYTES as u64) as usize;
        let mut buffer = vec![0; RUN_BLOCKS.min(blocks) * BLOCK_BYTES];
        for first in (0..blocks).step_by(RUN_BLOCKS) {
            cancel.check().map_err(ReadError::from)?;
            let run = first..blocks.min(first + RUN_BLOCKS);
            let bytes = &mut buffer[..self.bytes_of(&run)];
            let read = self.reader().read_at((first * BLOCK_BYTES) as u64, bytes);
            read.map_err(ReadError::from)?;
            self.check(run, bytes)?;
            sink(bytes)?;
        }
        sink(&self.tail()?)
    }

    /// Returns the table of checksums and the footer.
    pub(super) fn tail(&self) -> Result<Vec<u8>, ReadError> {
        let offset = self.body_bytes();
        let mut tail = vec![0; (self.identity().length - offset) as usize];
        self.reader().read_at(offset, &mut tail)?;
        let Some((table, footer)) = tail.split_last_chunk::<FOOTER_BYTES>() else {
            return Err(ReadError::OutOfBounds {
                path: self.path(),
                offset,
                wanted: FOOTER_BYTES as u64,
                body_bytes: offset,
            });
        };
        // The footer states the table's checksum, and the manifest the footer's.
        let table_crc = crc32c::crc32c(table).to_le_bytes();
        let (expected, actual) = (self.identity().footer_crc, footer_crc(footer));
        if footer[12..16] != table_crc || expected != actual {
            return Err(ReadError::Checksum { path: self.path(), offset, expected, actual });
        }
        Ok(tail)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::block_file::BlockFileWriter;
    use crate::directory::{Directory, MmapDirectory};
    use crate::format::FileKind;

    #[test]
    fn a_scrub_names_every_damaged_block() {
        let root = tempfile::tempdir().unwrap();
        let directory = MmapDirectory::open(root.path()).unwrap();
        let path = Path::new("a");
        let mut writer = BlockFileWriter::create(&directory, path, FileKind::Dense).unwrap();
        writer.append(&[7; 700_000]).unwrap();
        writer.finish().unwrap();
        let file = BlockFile::open(&directory, path, FileKind::Dense).unwrap();
        let mut bytes = std::fs::read(root.path().join("a")).unwrap();
        for at in [5, 4096 * 66 + 1, 699_999] {
            bytes[at] ^= 1;
        }
        std::fs::write(root.path().join("a"), bytes).unwrap();
        let mut found = Vec::new();
        file.scrub(|_| Ok(()), |error| found.push(error)).unwrap();
        let offset = |error: &ReadError| {
            let ReadError::Checksum { offset, .. } = error else { panic!("{error}") };
            *offset
        };
        let offsets: Vec<u64> = found.iter().map(offset).collect();
        assert_eq!(offsets, [0, 4096 * 66, 699_999 / 4096 * 4096]);
    }

    #[test]
    fn a_copy_has_the_same_bytes_and_damage_is_not_copied() {
        let root = tempfile::tempdir().unwrap();
        let directory = MmapDirectory::open(root.path()).unwrap();
        let path = Path::new("a");
        for length in [0, 1, 4096, 600_000] {
            let body: Vec<u8> = (0..length as u32).map(|i| ((i * 31) >> 3) as u8).collect();
            let mut writer = BlockFileWriter::create(&directory, path, FileKind::Dense).unwrap();
            writer.append(&body).unwrap();
            writer.finish().unwrap();
            let healthy = std::fs::read(root.path().join("a")).unwrap();
            let file = BlockFile::open(&directory, path, FileKind::Dense).unwrap();
            let copy = || {
                let mut copy = Vec::new();
                file.copy(&Cancel::new(), |bytes| {
                    copy.extend_from_slice(bytes);
                    Ok::<(), ReadError>(())
                })
                .map(|()| copy)
            };
            assert_eq!(copy().unwrap(), healthy);
            for at in [0, healthy.len() / 2, healthy.len() - 32, healthy.len() - 1] {
                let mut damaged = healthy.clone();
                damaged[at] ^= 4;
                std::fs::write(root.path().join("a"), &damaged).unwrap();
                assert!(copy().is_err(), "{at} of {length}");
            }
            std::fs::write(root.path().join("a"), &healthy).unwrap();
            assert_eq!(copy().unwrap(), healthy);
        }
        assert!(directory.open(path).is_ok());
    }
}
