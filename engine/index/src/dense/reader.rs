//! Reading dense rows where they lie.

use std::ops::Range;
use std::path::Path;

use bigrain_storage::{BlockFile, Directory, Extent, FileKind};
use bigrain_types::{DenseFormat, MAX_DIMS, Offset};

use super::writer::format_of_byte;
use super::{DenseRow, HEADER_BYTES, HEADER_USED};
use crate::IndexError;

/// Whoever reads rows one after the other has so many bytes of them fetched ahead.
const FETCHED_BYTES: u64 = 256 << 10;

/// Reads dense rows: one by one in the map, where each block is checked when it is first touched,
/// or as extents for a [`ScatterReader`](bigrain_storage::ScatterReader).
#[derive(Debug)]
pub struct DenseReader {
    file: BlockFile,
    rows: u64,
    dims: usize,
    format: DenseFormat,
}

impl DenseReader {
    /// Opens a file; reads only its header.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the file is missing, fails a check or contradicts itself.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, IndexError> {
        let file = BlockFile::open(directory, path, FileKind::Dense)?;
        file.expect_scattered_reads();
        let malformed = |reason| IndexError::Malformed { path: file.path(), reason };
        let mut header = [0; HEADER_USED];
        file.read_into(0, &mut header)?;
        let (rows, rest) = header.split_at(8);
        let rows = u64::from_le_bytes(rows.try_into().unwrap_or_default());
        let (dims, format) = rest.split_at(4);
        let dims = u32::from_le_bytes(dims.try_into().unwrap_or_default()) as usize;
        let Some(format) = format_of_byte(format[0]) else {
            return Err(malformed(format!("unknown component format {}", format[0])));
        };
        if dims == 0 || dims > MAX_DIMS {
            return Err(malformed(format!("{dims} dimensions")));
        }
        let expected = rows
            .checked_mul(format.row_bytes(dims) as u64)
            .and_then(|bytes| bytes.checked_add(u64::from(HEADER_BYTES)));
        if expected != Some(file.body_bytes()) {
            return Err(malformed(format!(
                "{} bytes for {rows} rows of {dims} {format}",
                file.body_bytes()
            )));
        }
        Ok(Self { file, rows, dims, format })
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

    /// Returns how components are stored.
    #[must_use]
    pub fn format(&self) -> DenseFormat {
        self.format
    }

    /// Returns the bytes of one row.
    #[must_use]
    pub fn row_bytes(&self) -> u64 {
        self.format.row_bytes(self.dims) as u64
    }

    /// Returns the file, for checks and sizes.
    #[must_use]
    pub fn file(&self) -> &BlockFile {
        &self.file
    }

    /// Returns the row at `offset`, in the map.
    ///
    /// # Errors
    ///
    /// [`IndexError`] past the last row, or when a block fails its check.
    #[inline]
    pub fn row(&self, offset: Offset) -> Result<DenseRow<'_>, IndexError> {
        let Extent { offset, length, .. } = self.extent(offset)?;
        self.row_in(self.file.read(offset, length)?)
    }

    /// Has the rows behind one fetched, every now and then, for whoever goes from row to row: the system is told that
    /// reads go to and fro, and reads nothing ahead by itself.
    pub fn fetch_ahead(&self, offset: Offset) {
        let rows = (FETCHED_BYTES / self.row_bytes()).max(1);
        if u64::from(offset.0).is_multiple_of(rows) {
            let from = u64::from(HEADER_BYTES) + u64::from(offset.0) * self.row_bytes();
            self.file.fetch_ahead(from, 2 * rows * self.row_bytes());
        }
    }

    /// Returns some rows one after another, in the map. Blocks not yet checked are read many at a
    /// time before the first row is given out, which suits whoever reads them all.
    ///
    /// # Errors
    ///
    /// [`IndexError`] past the last row, or when a block under any of the rows fails its check.
    pub fn rows_in(
        &self,
        offsets: Range<u32>,
    ) -> Result<impl Iterator<Item = DenseRow<'_>>, IndexError> {
        let count = offsets.len();
        let bytes: &[u8] = match offsets.clone().last() {
            None => &[],
            Some(last) => {
                self.extent(Offset(last))?;
                let first = self.extent(Offset(offsets.start))?;
                self.file.fetch_ahead(first.offset, (count * first.length) as u64);
                self.file.read(first.offset, count * first.length)?
            }
        };
        let rows = bytes.chunks_exact(self.format.row_bytes(self.dims));
        Ok(rows.filter_map(|row| DenseRow::from_bytes(self.format, row)))
    }

    /// Returns where the row at `offset` lies.
    ///
    /// # Errors
    ///
    /// [`IndexError::Malformed`] past the last row: whoever named it has read a wrong number.
    pub fn extent(&self, offset: Offset) -> Result<Extent<'_>, IndexError> {
        let row = u64::from(offset.0);
        if row >= self.rows {
            return Err(self.malformed(format!("row {row} of {}", self.rows)));
        }
        let offset = u64::from(HEADER_BYTES) + row * self.row_bytes();
        Ok(Extent { file: &self.file, offset, length: self.format.row_bytes(self.dims) })
    }

    /// Whether a row's pages lie in memory now.
    ///
    /// # Errors
    ///
    /// As [`DenseReader::extent`].
    pub(crate) fn is_cached(&self, offset: Offset) -> Result<bool, IndexError> {
        let Extent { file, offset, length } = self.extent(offset)?;
        Ok(file.is_cached(offset, length))
    }

    /// Reads the bytes of a row, wherever they were brought to.
    #[inline]
    pub(crate) fn row_in<'b>(&self, bytes: &'b [u8]) -> Result<DenseRow<'b>, IndexError> {
        DenseRow::from_bytes(self.format, bytes)
            .ok_or_else(|| self.malformed(format!("a row of {} bytes", bytes.len())))
    }

    fn malformed(&self, reason: String) -> IndexError {
        IndexError::Malformed { path: self.file.path(), reason }
    }
}

#[cfg(test)]
mod tests {
    use bigrain_storage::{BlockFileWriter, RamDirectory};
    use bigrain_types::Metric;
    use proptest::prelude::*;

    use super::super::DenseWriter;
    use super::*;

    const FORMATS: [DenseFormat; 3] = [DenseFormat::F32, DenseFormat::F16, DenseFormat::I8];

    fn path() -> &'static Path {
        Path::new("dense.v")
    }

    /// Writes rows of small integers, which every format stores exactly where the row's largest
    /// is 127.
    fn written(directory: &RamDirectory, rows: u64, dims: usize, format: DenseFormat) {
        let mut writer = DenseWriter::create(directory, path(), rows, dims, format).unwrap();
        (0..rows).for_each(|i| writer.push(&integers(i, dims)).unwrap());
        writer.finish().unwrap();
    }

    fn integers(row: u64, dims: usize) -> Vec<f32> {
        let value = |d: usize| ((row * 31 + d as u64 * 7) % 255) as f32 - 127.0;
        let mut values: Vec<f32> = (0..dims).map(value).collect();
        values[0] = 127.0;
        values
    }

    #[test]
    fn rows_come_back_one_by_one_and_together() {
        for format in FORMATS {
            for (rows, dims) in [(0, 3), (1, 1), (1, 7), (33, 64), (100, 383)] {
                let directory = RamDirectory::new();
                written(&directory, rows, dims, format);
                let reader = DenseReader::open(&directory, path()).unwrap();
                assert_eq!((reader.rows(), reader.dims()), (rows, dims));
                assert_eq!(reader.format(), format);
                for i in 0..rows {
                    assert_eq!(
                        reader.row(Offset(i as u32)).unwrap().to_vec(),
                        integers(i, dims),
                        "{format}"
                    );
                }
                assert!(reader.row(Offset(rows as u32)).is_err());
                let range = rows as u32 / 3..rows as u32;
                let together: Vec<_> =
                    reader.rows_in(range.clone()).unwrap().map(|row| row.to_vec()).collect();
                let expected: Vec<_> = range.map(|i| integers(u64::from(i), dims)).collect();
                assert_eq!(together, expected);
                assert!(reader.rows_in(0..rows as u32 + 1).is_err());
            }
        }
    }

    #[test]
    fn stored_rows_are_scored_as_they_read() {
        for format in FORMATS {
            let directory = RamDirectory::new();
            written(&directory, 5, 100, format);
            let reader = DenseReader::open(&directory, path()).unwrap();
            let query: Vec<f32> = (0..100).map(|i| (i as f32 * 0.37).sin()).collect();
            for offset in (0..5).map(Offset) {
                let row = reader.row(offset).unwrap();
                let vector = DenseRow::F32(&row.to_vec());
                for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
                    let (a, b) =
                        (row.similarity(metric, &query), vector.similarity(metric, &query));
                    assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{format} {metric}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn a_header_that_contradicts_the_length_is_refused() {
        let headers =
            [(1_u64, 4_u32, 0_u8), (u64::MAX, 4, 0), (0, 0, 0), (0, 4, 9), (u64::MAX, 4, 2)];
        for (rows, dims, format) in headers {
            let directory = RamDirectory::new();
            let mut writer = BlockFileWriter::create(&directory, path(), FileKind::Dense).unwrap();
            writer.append(&rows.to_le_bytes()).unwrap();
            writer.append(&dims.to_le_bytes()).unwrap();
            writer.append(&[format]).unwrap();
            writer.align_to(HEADER_BYTES).unwrap();
            writer.finish().unwrap();
            let error = DenseReader::open(&directory, path()).unwrap_err();
            assert!(error.is_corruption(), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(
            rows in prop_oneof![0..5_u64, any::<u64>()],
            dims in prop_oneof![0..9_u32, any::<u32>()],
            format: u8,
            rest in prop::collection::vec(any::<u8>(), 0..100),
            aligned: bool,
        ) {
            let directory = RamDirectory::new();
            let mut writer =
                BlockFileWriter::create(&directory, path(), FileKind::Dense).unwrap();
            writer.append(&rows.to_le_bytes()).unwrap();
            writer.append(&dims.to_le_bytes()).unwrap();
            writer.append(&[format % 4]).unwrap();
            writer.align_to(if aligned { HEADER_BYTES } else { 1 }).unwrap();
            writer.append(&rest).unwrap();
            writer.finish().unwrap();
            if let Ok(reader) = DenseReader::open(&directory, path()) {
                prop_assert!(reader.rows() == 0 || reader.row(Offset(0)).is_ok());
                prop_assert!(reader.row(Offset(reader.rows() as u32)).is_err());
            }
        }
    }
}
