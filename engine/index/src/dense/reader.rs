//! Reading dense rows where they lie.

use std::path::Path;

use bigrain_storage::{BlockFile, Directory, FileKind};
use bigrain_types::{MAX_DIMS, Offset};

use super::{FORMAT_F32, HEADER_BYTES};
use crate::IndexError;

/// Reads dense rows; each block is checked when it is first touched.
#[derive(Debug)]
pub struct DenseReader {
    file: BlockFile,
    rows: u64,
    dims: usize,
}

impl DenseReader {
    /// Opens a file; reads only its header.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the file is missing, fails a check or contradicts itself.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, IndexError> {
        let file = BlockFile::open(directory, path, FileKind::Dense)?;
        let malformed = |reason| IndexError::Malformed { path: file.path(), reason };
        let header = file.read(0, 13)?;
        let (rows, rest) = header.split_at(8);
        let rows = u64::from_le_bytes(rows.try_into().unwrap_or_default());
        let (dims, format) = rest.split_at(4);
        let dims = u32::from_le_bytes(dims.try_into().unwrap_or_default()) as usize;
        if format[0] != FORMAT_F32 {
            return Err(malformed(format!("unknown component format {}", format[0])));
        }
        if dims == 0 || dims > MAX_DIMS {
            return Err(malformed(format!("{dims} dimensions")));
        }
        let expected = rows
            .checked_mul(dims as u64 * 4)
            .and_then(|bytes| bytes.checked_add(u64::from(HEADER_BYTES)));
        if expected != Some(file.body_bytes()) {
            return Err(malformed(format!(
                "{} bytes for {rows} rows of {dims}",
                file.body_bytes()
            )));
        }
        Ok(Self { file, rows, dims })
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the components per row.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Returns the bytes of one row.
    #[must_use]
    pub fn row_bytes(&self) -> u64 {
        self.dims as u64 * 4
    }

    /// Returns the file, for checks and sizes.
    #[must_use]
    pub fn file(&self) -> &BlockFile {
        &self.file
    }

    /// Returns the row at `offset`, in the map where the platform allows it.
    ///
    /// # Errors
    ///
    /// [`IndexError`] past the last row, or when a block fails its check.
    pub fn row(&self, offset: Offset) -> Result<&[f32], IndexError> {
        let row = u64::from(offset.0);
        if row >= self.rows {
            return Err(IndexError::Malformed {
                path: self.file.path(),
                reason: format!("row {row} of {}", self.rows),
            });
        }
        let at = u64::from(HEADER_BYTES) + row * self.row_bytes();
        Ok(self.file.slice(at, self.dims)?)
    }
}

#[cfg(test)]
mod tests {
    use bigrain_storage::{BlockFileWriter, RamDirectory};

    use super::super::DenseWriter;
    use super::*;

    #[test]
    fn rows_come_back() {
        for (rows, dims) in [(0, 3), (1, 1), (1, 7), (33, 64), (100, 384)] {
            let directory = RamDirectory::new();
            let row = |i: u64| (0..dims).map(|d| (i * 1000 + d as u64) as f32).collect::<Vec<_>>();
            let mut writer =
                DenseWriter::create(&directory, Path::new("dense.v"), rows, dims).unwrap();
            (0..rows).for_each(|i| writer.push(&row(i)).unwrap());
            writer.finish().unwrap();
            let reader = DenseReader::open(&directory, Path::new("dense.v")).unwrap();
            assert_eq!((reader.rows(), reader.dims()), (rows, dims));
            for i in 0..rows {
                assert_eq!(reader.row(Offset(i as u32)).unwrap(), row(i));
            }
            assert!(reader.row(Offset(rows as u32)).is_err());
        }
    }

    #[test]
    fn a_header_that_contradicts_the_length_is_refused() {
        for (rows, dims, format) in [(1_u64, 4_u32, 0_u8), (u64::MAX, 4, 0), (0, 0, 0), (0, 4, 9)] {
            let directory = RamDirectory::new();
            let mut writer =
                BlockFileWriter::create(&directory, Path::new("d"), FileKind::Dense).unwrap();
            writer.append(&rows.to_le_bytes()).unwrap();
            writer.append(&dims.to_le_bytes()).unwrap();
            writer.append(&[format]).unwrap();
            writer.align_to(HEADER_BYTES).unwrap();
            writer.finish().unwrap();
            let error = DenseReader::open(&directory, Path::new("d")).unwrap_err();
            assert!(error.is_corruption(), "{error}");
        }
    }
}
