//! Writing dense rows.

use std::path::Path;

use bigrain_storage::{BlockFileWriter, Directory, FileKind};

use super::{FORMAT_F32, HEADER_BYTES};
use crate::IndexError;

/// Streams dense rows into a file.
pub struct DenseWriter<'a> {
    file: BlockFileWriter<'a>,
    dims: usize,
    rows: u64,
    written: u64,
}

impl<'a> DenseWriter<'a> {
    /// Begins a file of exactly `rows` rows of `dims` components.
    ///
    /// # Errors
    ///
    /// [`IndexError::Write`] when the directory refuses.
    pub fn create(
        directory: &'a dyn Directory,
        path: &Path,
        rows: u64,
        dims: usize,
    ) -> Result<Self, IndexError> {
        let mut file = BlockFileWriter::create(directory, path, FileKind::Dense)?;
        file.append(&rows.to_le_bytes())?;
        file.append(&(dims as u32).to_le_bytes())?;
        file.append(&[FORMAT_F32])?;
        file.align_to(HEADER_BYTES)?;
        Ok(Self { file, dims, rows, written: 0 })
    }

    /// Appends one row.
    ///
    /// # Errors
    ///
    /// [`IndexError::Write`] when the directory refuses.
    pub fn push(&mut self, row: &[f32]) -> Result<(), IndexError> {
        debug_assert_eq!(row.len(), self.dims, "row of another dimension");
        self.file.append_slice(row)?;
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
