//! Rows of terms.

use std::io;
use std::ops::Bound;
use std::path::Path;

use bigrain_types::filter::SortDirection;
use roaring::RoaringBitmap;
use tantivy::InvertedIndexReader;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::termdict::TermStreamer;

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
            if let Some(info) = self.find(&term)? {
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
            let mut terms = self.stream((lower, upper), SortDirection::Ascending)?;
            while terms.advance() {
                if test(terms.key()) {
                    union.add(terms.value())?;
                }
            }
        }
        Ok(union.rows.finish())
    }

    /// Returns the terms of a range, one after the other.
    pub(super) fn stream(
        &self,
        (lower, upper): TermRange,
        direction: SortDirection,
    ) -> Result<TermStreamer<'_>, LexicalError> {
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
        let range = match direction {
            SortDirection::Ascending => range,
            SortDirection::Descending => range.backward(),
        };
        range.into_stream().map_err(|error| self.failed(&error))
    }

    /// Returns where the rows of a term are, if it is there.
    pub(super) fn find(&self, term: &[u8]) -> Result<Option<TermInfo>, LexicalError> {
        self.index.terms().get(term).map_err(|error| self.failed(&error))
    }

    /// Returns how many rows there are.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    fn failed(&self, error: &io::Error) -> LexicalError {
        LexicalError::of_io(self.path, error)
    }

    pub(super) fn malformed(&self, reason: String) -> LexicalError {
        LexicalError::Malformed { path: self.path.to_owned(), reason }
    }
}

/// The rows of several terms.
struct Union<'a> {
    postings: Postings<'a>,
    rows: RowBits,
}

impl<'a> Union<'a> {
    fn new(terms: &'a Terms<'a>) -> Self {
        Self { postings: Postings::new(terms), rows: RowBits::new(terms.rows) }
    }

    /// Adds the rows of one term.
    fn add(&mut self, info: &TermInfo) -> Result<(), LexicalError> {
        let Self { postings, rows } = self;
        postings.each_block(info, &mut |block| rows.extend(block))
    }
}

/// The posting lists of terms, read one after the other.
pub(super) struct Postings<'a> {
    terms: &'a Terms<'a>,
    open: Option<BlockSegmentPostings>,
}

impl<'a> Postings<'a> {
    pub fn new(terms: &'a Terms<'a>) -> Self {
        Self { terms, open: None }
    }

    /// Calls `visit` with the rows of one term, rising, some at a time.
    pub fn each_block(
        &mut self,
        info: &TermInfo,
        visit: &mut dyn FnMut(&[u32]) -> Result<(), NoSuchRow>,
    ) -> Result<(), LexicalError> {
        let index = self.terms.index;
        let opened = match self.open.take() {
            Some(mut postings) => {
                index.reset_block_postings_from_terminfo(info, &mut postings).map(|()| postings)
            }
            None => index.read_block_postings_from_terminfo(info, IndexRecordOption::Basic),
        };
        let mut postings = opened.map_err(|error| self.terms.failed(&error))?;
        while !postings.docs().is_empty() {
            visit(postings.docs()).map_err(|NoSuchRow(row)| {
                self.terms.malformed(format!("row {row} of {}", self.terms.rows))
            })?;
            postings.advance();
        }
        self.open = Some(postings);
        Ok(())
    }

    /// Returns those of some rows that have a term.
    pub fn among(
        &mut self,
        rows: &RowBits,
        info: &TermInfo,
    ) -> Result<RoaringBitmap, LexicalError> {
        let mut found = RoaringBitmap::new();
        self.each_block(info, &mut |block| {
            for &row in block {
                if rows.contains(row)? {
                    found.insert(row);
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}
