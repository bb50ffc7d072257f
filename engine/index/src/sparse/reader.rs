//! An open `sparse.<field>`.

use std::ops::Range;
use std::path::Path;

use bigrain_storage::{BlockFile, Directory, FileKind};
use bigrain_types::{Offset, SparseVector};
use bytemuck::AnyBitPattern;

use super::layout::{HEADER_BYTES, Section, SparseLayout};
use crate::IndexError;

/// The sparse vectors of a segment, read where they lie.
#[derive(Debug)]
pub struct SparseReader {
    file: BlockFile,
    layout: SparseLayout,
}

/// The rows that use one dimension.
#[derive(Clone, Copy, Debug)]
pub(super) struct InvertedList<'a> {
    /// Rising.
    pub offsets: &'a [u32],
    pub values: &'a [f32],
}

impl SparseReader {
    /// Opens the file; reads only its header.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the file is missing, fails a check or has not the length its header states.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, IndexError> {
        let file = BlockFile::open(directory, path, FileKind::Sparse)?;
        let mut header = [0; HEADER_BYTES];
        file.read_into(0, &mut header)?;
        let layout = SparseLayout::from_bytes(header);
        if layout.body_bytes() != Some(file.body_bytes()) {
            let SparseLayout { rows, terms, components } = layout;
            let reason = format!(
                "{} bytes for {components} components of {rows} rows in {terms} dimensions",
                file.body_bytes()
            );
            return Err(IndexError::Malformed { path: file.path(), reason });
        }
        Ok(Self { file, layout })
    }

    /// Returns the number of rows, those without a vector included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::from(self.layout.rows)
    }

    /// Returns the number of values that are not zero, of all rows.
    #[must_use]
    pub fn components(&self) -> u64 {
        self.layout.components
    }

    /// Returns the file, for checks and sizes.
    #[must_use]
    pub fn file(&self) -> &BlockFile {
        &self.file
    }

    /// Returns the vector at an offset; `None` where there is none, or one of zeros only.
    ///
    /// # Errors
    ///
    /// [`IndexError`] past the last row, or when bytes fail a check or are no vector.
    pub fn row(&self, offset: Offset) -> Result<Option<SparseVector>, IndexError> {
        if offset.0 >= self.layout.rows {
            return Err(self.malformed(format!("row {} of {}", offset.0, self.layout.rows)));
        }
        let range = self.range(Section::RowEnds, u64::from(offset.0))?;
        if range.is_empty() {
            return Ok(None);
        }
        let dimensions: &[u32] = self.slice(Section::RowDimensions, range.clone())?;
        let values: &[f32] = self.slice(Section::RowValues, range)?;
        SparseVector::new(dimensions.to_vec(), values.to_vec())
            .map(Some)
            .map_err(|error| self.malformed(format!("row {}: {error}", offset.0)))
    }

    /// Returns the dimensions in use, rising.
    pub(super) fn dimensions(&self) -> Result<&[u32], IndexError> {
        self.slice(Section::Dimensions, 0..u64::from(self.layout.terms))
    }

    /// Returns the list of the dimension at a place of [`Self::dimensions`].
    pub(super) fn list(&self, at: usize) -> Result<InvertedList<'_>, IndexError> {
        let range = self.range(Section::ListEnds, at as u64)?;
        let offsets: &[u32] = self.slice(Section::ListOffsets, range.clone())?;
        if !offsets.is_sorted() || offsets.last().is_some_and(|&last| last >= self.layout.rows) {
            return Err(self.malformed(format!("list {at} is not of rising rows")));
        }
        Ok(InvertedList { offsets, values: self.slice(Section::ListValues, range)? })
    }

    /// Returns the range of components that the `at`-th entry of a section of ends covers.
    fn range(&self, ends: Section, at: u64) -> Result<Range<u64>, IndexError> {
        let end = |at: u64| Ok::<u64, IndexError>(self.slice::<u64>(ends, at..at + 1)?[0]);
        let range = if at == 0 { 0 } else { end(at - 1)? }..end(at)?;
        if range.start > range.end || range.end > self.layout.components {
            return Err(self.malformed(format!("{ends:?} {at} is {range:?}")));
        }
        Ok(range)
    }

    fn slice<T: AnyBitPattern>(
        &self,
        section: Section,
        range: Range<u64>,
    ) -> Result<&[T], IndexError> {
        // The layout was found to fit the file when it was opened.
        let start = self.layout.start(section).unwrap_or(u64::MAX);
        let at = start.saturating_add(range.start * size_of::<T>() as u64);
        Ok(self.file.slice(at, (range.end - range.start) as usize)?)
    }

    fn malformed(&self, reason: String) -> IndexError {
        IndexError::Malformed { path: self.file.path(), reason }
    }
}
