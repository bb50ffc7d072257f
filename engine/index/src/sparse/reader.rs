//! An open `sparse.<field>`.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bigrain_storage::{BlockFile, Directory, FileKind};
use bigrain_types::{Offset, SparseView};
use bytemuck::AnyBitPattern;

use super::index::{InvertedList, SparseIndex, ValueBounds};
use super::layout::{COMPONENT_BYTES, HEADER_BYTES, Section, SparseLayout};
use crate::IndexError;

/// The sparse vectors of a segment, read where they lie.
#[derive(Debug)]
pub struct SparseReader {
    file: BlockFile,
    layout: SparseLayout,
    /// A bit for each list whose offsets were found to rise, once it was asked for.
    checked: Box<[AtomicU64]>,
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
        let SparseLayout { rows, terms, components, vectors } = layout;
        if layout.body_bytes() != Some(file.body_bytes()) {
            let reason = format!(
                "{} bytes for {components} components of {rows} rows in {terms} dimensions",
                file.body_bytes()
            );
            return Err(IndexError::Malformed { path: file.path(), reason });
        }
        if vectors > rows || u64::from(vectors) > components {
            let reason = format!("{components} components are no {vectors} vectors of {rows} rows");
            return Err(IndexError::Malformed { path: file.path(), reason });
        }
        let words = (terms as usize).div_ceil(64);
        let checked = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { file, layout, checked })
    }

    /// Returns the number of rows, those without a vector included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::from(self.layout.rows)
    }

    /// Returns the number of rows with a vector.
    #[must_use]
    pub fn vectors(&self) -> u64 {
        u64::from(self.layout.vectors)
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

    /// Returns the vector at an offset; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`IndexError`] past the last row, or when bytes fail a check or are no vector.
    pub fn vector(&self, offset: Offset) -> Result<Option<SparseView<'_>>, IndexError> {
        let Offset(offset) = offset;
        let range = self.row_range(offset)?;
        if range.is_empty() {
            return Ok(None);
        }
        let (dimensions, values) = self.pairs(Section::Rows, range)?;
        SparseView::new(dimensions, values)
            .map(Some)
            .map_err(|error| self.malformed(format!("row {offset}: {error}")))
    }

    /// Returns where the components of a row lie.
    fn row_range(&self, offset: u32) -> Result<Range<u64>, IndexError> {
        if offset >= self.layout.rows {
            return Err(self.malformed(format!("row {offset} of {}", self.layout.rows)));
        }
        self.range(Section::RowEnds, u64::from(offset))
    }

    /// Returns the list at a place of the dimensions.
    fn list_at(&self, at: usize) -> Result<InvertedList<'_>, IndexError> {
        let range = self.range(Section::ListEnds, at as u64)?;
        let (offsets, values) = self.pairs(Section::Lists, range)?;
        let (word, bit) = (&self.checked[at / 64], 1 << (at % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            let rises = offsets.is_sorted_by(|a, b| a < b);
            if !rises || offsets.last().is_some_and(|&last| last >= self.layout.rows) {
                return Err(self.malformed(format!("list {at} is not of rising rows")));
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        let [min, max] = self.slice::<[f32; 2]>(Section::Bounds, at as u64..at as u64 + 1)?[0];
        Ok(InvertedList { offsets, values, bounds: ValueBounds { min, max } })
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

    /// Returns numbers and values of some components that stand together.
    fn pairs(&self, section: Section, range: Range<u64>) -> Result<(&[u32], &[f32]), IndexError> {
        let count = (range.end - range.start) as usize;
        let at = self.start(section).saturating_add(range.start * COMPONENT_BYTES);
        let values = at.saturating_add(4 * count as u64);
        Ok((self.file.slice(at, count)?, self.file.slice(values, count)?))
    }

    fn slice<T: AnyBitPattern>(
        &self,
        section: Section,
        range: Range<u64>,
    ) -> Result<&[T], IndexError> {
        let at = self.start(section).saturating_add(range.start * size_of::<T>() as u64);
        Ok(self.file.slice(at, (range.end - range.start) as usize)?)
    }

    fn start(&self, section: Section) -> u64 {
        // The layout was found to fit the file when it was opened.
        self.layout.start(section).unwrap_or(u64::MAX)
    }

    fn malformed(&self, reason: String) -> IndexError {
        IndexError::Malformed { path: self.file.path(), reason }
    }
}

impl SparseIndex for SparseReader {
    fn list(&self, dimension: u32) -> Result<Option<InvertedList<'_>>, IndexError> {
        let terms = u64::from(self.layout.terms);
        let dimensions: &[u32] = self.slice(Section::Dimensions, 0..terms)?;
        dimensions.binary_search(&dimension).ok().map(|at| self.list_at(at)).transpose()
    }

    fn row(&self, offset: u32) -> Result<Option<SparseView<'_>>, IndexError> {
        self.vector(Offset(offset))
    }

    fn vectors(&self) -> u64 {
        self.vectors()
    }

    fn has_row(&self, offset: u32) -> Result<bool, IndexError> {
        Ok(!self.row_range(offset)?.is_empty())
    }
}
