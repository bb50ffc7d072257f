//! Writing dense rows.

use std::path::Path;

use bigrain_storage::{BlockFileWriter, Directory, FileKind};
use bigrain_types::DenseFormat;

use super::HEADER_BYTES;
use super::row_encoder::RowEncoder;
use crate::IndexError;

/// Streams dense rows into a file.
#[derive(Debug)]
pub struct DenseWriter<'a> {
    file: BlockFileWriter<'a>,
    encoder: RowEncoder,
    dims: usize,
    rows: u64,
    written: u64,
}

impl<'a> DenseWriter<'a> {
    /// Begins a file of exactly `rows` rows of `dims` components, stored as `format`.
    ///
    /// # Errors
    ///
    /// [`IndexError::Write`] when the directory refuses.
    pub fn create(
        directory: &'a dyn Directory,
        path: &Path,
        rows: u64,
        dims: usize,
        format: DenseFormat,
    ) -> Result<Self, IndexError> {
        let mut file = BlockFileWriter::create(directory, path, FileKind::Dense)?;
        file.append(&rows.to_le_bytes())?;
        file.append(&(dims as u32).to_le_bytes())?;
        file.append(&[format_byte(format)])?;
        file.align_to(HEADER_BYTES)?;
        Ok(Self { file, encoder: RowEncoder::new(format), dims, rows, written: 0 })
    }

    /// Appends one row of finite components. Halves reach to 65,504; what is beyond is stored as
    /// that.
    ///
    /// # Errors
    ///
    /// [`IndexError::Write`] when the directory refuses.
    pub fn push(&mut self, row: &[f32]) -> Result<(), IndexError> {
        debug_assert_eq!(row.len(), self.dims, "row of another dimension");
        self.file.append(self.encoder.encode(row))?;
        self.written += 1;
        Ok(())
    }

    /// Makes the file durable and visible.
    ///
    /// # Errors
    ///
    /// [`IndexError::Write`] when the directory refuses.
    pub fn finish(self) -> Result<(), IndexError> {
        debug_assert_eq!(self.written, self.rows, "rows promised and written differ");
        self.file.finish()?;
        Ok(())
    }
}

/// Returns how a header says the format.
fn format_byte(format: DenseFormat) -> u8 {
    match format {
        DenseFormat::F16 => 1,
        DenseFormat::I8 => 2,
        DenseFormat::F32 | _ => 0,
    }
}

/// Returns the format that a header says, if it is one.
pub(super) fn format_of_byte(byte: u8) -> Option<DenseFormat> {
    let formats = [DenseFormat::F32, DenseFormat::F16, DenseFormat::I8];
    formats.into_iter().find(|&format| format_byte(format) == byte)
}
