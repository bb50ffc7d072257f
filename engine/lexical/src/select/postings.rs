//! Rows of terms.

use std::io;
use std::ops::Bound;
use std::path::Path;

use roaring::RoaringBitmap;
use tantivy::InvertedIndexReader;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;

use super::row_bits::{NoSuchRow, RowBits};
use crate::LexicalError;

/// A range of terms.
pub(super) type TermRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The terms of a segment and the rows that have them.
pub(crate) struct Terms<'a> {
    index: &'a InvertedIndexReader,
    rows: u32,
    path: &'a Path,
}

impl<'a> Terms<'a> {
    pub fn new(index: &'a InvertedIndexReader, rows: u32, path: &'a Path) -> Self {
        Self { index, rows, path }
    }

    /// Returns all rows.
    pub(super) fn all(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.rows);
        all
    }

    /// Returns the rows that have one of some terms.
    pub(super) fn any_of(
        &self,
        terms: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<RoaringBitmap, LexicalError> {
        let mut union = Union::new(self);
        for term in terms {
            let info = self.index.terms().get(&term).map_err(|error| self.failed(&error))?;
            if let Some(info) = info {
                union.add(&info)?;
            }
        }
        Ok(union.rows.finish())
    }

    /// Returns the rows that have a term in one of some ranges.
    pub(super) fn in_ranges(
        &self,
        ranges: impl IntoIterator<Item = TermRange>,
    ) -> Result<RoaringBitmap, LexicalError> {
        self.in_ranges_where(ranges, |_| true)
    }

    /// Returns the rows that have a term in one of some ranges for which `test` is true.
    pub(super) fn in_ranges_where(
        &self,
        ranges: impl IntoIterator<Item = TermRange>,
        test: impl Fn(&[u8]) -> bool,
    ) -> Result<RoaringBitmap, LexicalError> {
        let mut union = Union::new(self);
        for (lower, upper) in ranges {
            let range = self.index.terms().range();
            let range = match lower {
                Bound::Included(least) => range.ge(least),
                Bound::Excluded(below) => range.gt(below),
                Bound::Unbounded => range,
            };
            let range = match upper {
                Bound::Included(greatest) => range.le(greatest),
                Bound::Excluded(above) => range.lt(above),
                Bound::Unbounded => range,
            };
            let mut terms = range.into_stream().map_err(|error| self.failed(&error))?;
            while terms.advance() {
                if test(terms.key()) {
                    union.add(terms.value())?;
                }
            }
        }
        Ok(union.rows.finish())
    }

    fn failed(&self, error: &io::Error) -> LexicalError {
        LexicalError::of_io(self.path, error)
    }
}

/// The rows of several terms.
struct Union<'a> {
    terms: &'a Terms<'a>,
    rows: RowBits,
    postings: Option<BlockSegmentPostings>,
}

impl<'a> Union<'a> {
    fn new(terms: &'a Terms<'a>) -> Self {
        Self { terms, rows: RowBits::new(terms.rows), postings: None }
    }

    /// Adds the rows of one term.
    fn add(&mut self, info: &TermInfo) -> Result<(), LexicalError> {
        let index = self.terms.index;
        let opened = match self.postings.take() {
            Some(mut postings) => {
                index.reset_block_postings_from_terminfo(info, &mut postings).map(|()| postings)
            }
            None => index.read_block_postings_from_terminfo(info, IndexRecordOption::Basic),
        };
        let mut postings = opened.map_err(|error| self.terms.failed(&error))?;
        while !postings.docs().is_empty() {
            self.rows.extend(postings.docs()).map_err(|NoSuchRow(row)| {
                LexicalError::Malformed {
                    path: self.terms.path.to_owned(),
                    reason: format!("row {row} of {}", self.terms.rows),
                }
            })?;
            postings.advance();
        }
        self.postings = Some(postings);
        Ok(())
    }
}
