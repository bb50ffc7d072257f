//! `ids`: which point lies at an offset.
//!
//! ```text
//! ┌──────────┬───────────────────────────┬─────────────────────────┐
//! │ rows u64 │ ends: rows × u64          │ keys, one after another │
//! └──────────┴───────────────────────────┴─────────────────────────┘
//! ```
//!
//! `ends[i]` is where key `i` ends, counted from the start of the keys; key `i` begins where key
//! `i - 1` ends. A key is [`PointId::to_key`].

use std::borrow::Borrow;
use std::path::Path;

use bigrain_storage::{BlockFile, BlockFileWriter, Directory, FileKind, ReadError};
use bigrain_types::{Offset, PointId};

use crate::IndexError;

const ROWS_BYTES: u64 = 8;
const END_BYTES: u64 = 8;

/// Writes the ids of a segment, in offset order.
///
/// # Errors
///
/// [`IndexError::Write`] when the directory refuses, and the first error among `ids`.
pub fn write<I: Borrow<PointId>>(
    directory: &dyn Directory,
    path: &Path,
    ids: impl ExactSizeIterator<Item = Result<I, IndexError>>,
) -> Result<(), IndexError> {
    let rows = ids.len() as u64;
    let mut ends = Vec::with_capacity(ids.len() * END_BYTES as usize);
    let mut keys = Vec::new();
    for id in ids {
        keys.extend_from_slice(&id?.borrow().to_key());
        ends.extend_from_slice(&(keys.len() as u64).to_le_bytes());
    }
    let mut writer = BlockFileWriter::create(directory, path, FileKind::Ids)?;
    writer.append(&rows.to_le_bytes())?;
    writer.append(&ends)?;
    writer.append(&keys)?;
    writer.finish()?;
    Ok(())
}

/// Reads ids where they lie.
#[derive(Debug)]
pub struct IdsReader {
    file: BlockFile,
    rows: u64,
}

impl IdsReader {
    /// Opens `ids`; reads only its header.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the file is missing, fails a check or is too short for its rows.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, IndexError> {
        let file = BlockFile::open(directory, path, FileKind::Ids)?;
        let mut rows = [0; ROWS_BYTES as usize];
        file.read_into(0, &mut rows)?;
        let rows = u64::from_le_bytes(rows);
        let table = rows.checked_mul(END_BYTES).and_then(|bytes| bytes.checked_add(ROWS_BYTES));
        if table.is_none_or(|table| table > file.body_bytes()) {
            return Err(IndexError::Malformed {
                path: file.path(),
                reason: format!("{rows} rows do not fit {} bytes", file.body_bytes()),
            });
        }
        Ok(Self { file, rows })
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the file, for checks and sizes.
    #[must_use]
    pub fn file(&self) -> &BlockFile {
        &self.file
    }

    /// Returns the id of the point at `offset`.
    ///
    /// # Errors
    ///
    /// [`IndexError`] past the last row, or when the bytes fail a check or are no id.
    pub fn get(&self, offset: Offset) -> Result<PointId, IndexError> {
        let row = u64::from(offset.0);
        if row >= self.rows {
            return Err(self.malformed(format!("row {row} of {}", self.rows)));
        }
        // The end of the row before, which lies beside it, is this row's start.
        let (start, end) = match row.checked_sub(1) {
            None => (0, read_u64(&self.file, ROWS_BYTES)?),
            Some(before) => {
                let mut ends = [[0; END_BYTES as usize]; 2];
                let at = ROWS_BYTES + before * END_BYTES;
                let bytes = self.file.read(at, size_of_val(&ends))?;
                ends.as_flattened_mut().copy_from_slice(bytes);
                let [start, end] = ends.map(u64::from_le_bytes);
                (start, end)
            }
        };
        let keys = ROWS_BYTES + self.rows * END_BYTES;
        if start > end || end > self.file.body_bytes() - keys {
            return Err(self.malformed(format!("key of row {row} lies at {start}..{end}")));
        }
        let key = self.file.read(keys + start, (end - start) as usize)?;
        PointId::from_key(key).map_err(|error| self.malformed(format!("row {row}: {error}")))
    }

    fn malformed(&self, reason: String) -> IndexError {
        IndexError::Malformed { path: self.file.path(), reason }
    }
}

fn read_u64(file: &BlockFile, at: u64) -> Result<u64, ReadError> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(file.read(at, 8)?);
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use bigrain_storage::RamDirectory;

    use super::*;

    #[test]
    fn ids_come_back_in_order() {
        let ids: Vec<PointId> = (0..300)
            .map(|i| match i % 3 {
                0 => PointId::from(i),
                1 => PointId::parse(&format!("doc/{i}")).unwrap(),
                _ => PointId::parse(&format!("936da01f-9abd-4d9d-80c7-{i:012x}")).unwrap(),
            })
            .collect();
        let directory = RamDirectory::new();
        write(&directory, Path::new("ids"), ids.iter().map(Ok)).unwrap();
        let reader = IdsReader::open(&directory, Path::new("ids")).unwrap();
        assert_eq!(reader.rows(), 300);
        for (offset, id) in ids.iter().enumerate() {
            assert_eq!(&reader.get(Offset(offset as u32)).unwrap(), id);
        }
        assert!(reader.get(Offset(300)).is_err());
    }

    #[test]
    fn no_ids_is_a_file_too() {
        let directory = RamDirectory::new();
        write(&directory, Path::new("ids"), std::iter::empty::<Result<PointId, _>>()).unwrap();
        assert_eq!(IdsReader::open(&directory, Path::new("ids")).unwrap().rows(), 0);
    }

    #[test]
    fn impossible_row_counts_are_refused() {
        for body in [&u64::MAX.to_le_bytes()[..], &2_u64.to_le_bytes()[..]] {
            let directory = RamDirectory::new();
            let mut writer =
                BlockFileWriter::create(&directory, Path::new("ids"), FileKind::Ids).unwrap();
            writer.append(body).unwrap();
            writer.finish().unwrap();
            let error = IdsReader::open(&directory, Path::new("ids")).unwrap_err();
            assert!(error.is_corruption(), "{error}");
        }
    }
}
