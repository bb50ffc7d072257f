//! Rows of terms.

use bigrain_types::filter::SortDirection;
use roaring::RoaringBitmap;
use tantivy::postings::TermInfo;

use super::row_bits::RowBits;
use crate::LexicalError;
use crate::dictionary::{Dictionary, Postings, TermRange};

/// The terms of a segment's payloads and the rows that have them.
pub(crate) struct Terms<'a>(pub &'a Dictionary);

impl Terms<'_> {
    /// Returns all rows.
    pub(super) fn all(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.0.rows());
        all
    }

    /// Returns the rows that have one of some terms.
    pub(super) fn any_of(
        &self,
        terms: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<RoaringBitmap, LexicalError> {
        let mut union = Union::new(self.0);
        for term in terms {
            if let Some(info) = self.0.find(&term)? {
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
        let mut union = Union::new(self.0);
        for range in ranges {
            let mut terms = self.0.stream(range, SortDirection::Ascending)?;
            while terms.advance()? {
                if test(terms.key()) {
                    union.add(terms.value())?;
                }
            }
        }
        Ok(union.rows.finish())
    }
}

/// The rows of several terms.
struct Union<'a> {
    postings: Postings<'a>,
    rows: RowBits,
}

impl<'a> Union<'a> {
    fn new(terms: &'a Dictionary) -> Self {
        Self { postings: terms.postings(), rows: RowBits::new(terms.rows()) }
    }

    /// Adds the rows of one term.
    fn add(&mut self, info: &TermInfo) -> Result<(), LexicalError> {
        let Self { postings, rows } = self;
        postings.each_block(info, |block, _| rows.extend(block))
    }
}

/// Returns those of some rows that have a term.
pub(super) fn among(
    postings: &mut Postings<'_>,
    rows: &RowBits,
    info: &TermInfo,
) -> Result<RoaringBitmap, LexicalError> {
    let mut found = RoaringBitmap::new();
    postings.each_block(info, |block, _| {
        found.extend(block.iter().copied().filter(|&row| rows.contains(row)));
    })?;
    Ok(found)
}
