//! The terms of a field and the rows that have them: the one door to what tantivy reads.
//!
//! tantivy trusts its files. Damage of a disk never comes to it, because every block is compared with
//! its checksum at the first touch; but of contents that contradict themselves under right checksums
//! (a slice that ends before it begins, a block behind the last) it panics. Here such a panic becomes
//! [`LexicalError::Malformed`], which names the file. Nothing but tantivy runs inside: a fault of ours
//! stays a panic.

use std::any::Any;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bigrain_types::filter::SortDirection;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::termdict::TermStreamer;
use tantivy::{InvertedIndexReader, SegmentReader};

use crate::LexicalError;

/// A range of terms.
pub(crate) type TermRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The terms of one field of a segment, and the rows that have them.
pub(crate) struct Dictionary {
    index: Arc<InvertedIndexReader>,
    /// What is read of posting lists.
    option: IndexRecordOption,
    rows: u32,
    path: PathBuf,
}

impl Dictionary {
    /// Opens the terms of a field in the file at `path`.
    pub fn open(
        segment: &SegmentReader,
        field: Field,
        option: IndexRecordOption,
        path: &Path,
    ) -> Result<Self, LexicalError> {
        let index = guarded(path, || segment.inverted_index(field))?;
        let index = index.map_err(|error| LexicalError::of_tantivy(path, &error))?;
        Ok(Self { index, option, rows: segment.max_doc(), path: path.to_owned() })
    }

    /// Returns how many rows there are.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Returns where the rows of a term are, if it is there.
    pub fn find(&self, term: &[u8]) -> Result<Option<TermInfo>, LexicalError> {
        let found = guarded(&self.path, || self.index.terms().get(term))?;
        found.map_err(|error| LexicalError::of_io(&self.path, &error))
    }

    /// Returns the terms of a range, one after the other.
    pub fn stream(
        &self,
        (lower, upper): TermRange,
        direction: SortDirection,
    ) -> Result<TermStream<'_>, LexicalError> {
        let open = || {
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
            range.into_stream()
        };
        let terms = guarded(&self.path, open)?;
        let terms = terms.map_err(|error| LexicalError::of_io(&self.path, &error))?;
        Ok(TermStream { terms, path: &self.path })
    }

    /// Returns a reader of posting lists.
    pub fn postings(&self) -> Postings<'_> {
        Postings { dictionary: self, open: None }
    }

    /// Opens the posting list of one term, to be walked and skipped through.
    pub fn cursor(&self, info: &TermInfo) -> Result<Cursor<'_>, LexicalError> {
        let Self { index, option, path, .. } = self;
        let open = || index.read_block_postings_from_terminfo(info, *option);
        let postings = guarded(path, open)?;
        let postings = postings.map_err(|error| LexicalError::of_io(path, &error))?;
        let cursor = Cursor { postings, dictionary: self };
        cursor.check()?;
        Ok(cursor)
    }

    /// Says that the file contradicts itself.
    pub fn malformed(&self, reason: String) -> LexicalError {
        LexicalError::Malformed { path: self.path.clone(), reason }
    }
}

/// Terms one after the other; before the first [`advance`](Self::advance) there is none.
pub(crate) struct TermStream<'a> {
    terms: TermStreamer<'a>,
    path: &'a Path,
}

impl TermStream<'_> {
    /// Goes to the next term; false behind the last.
    pub fn advance(&mut self) -> Result<bool, LexicalError> {
        guarded(self.path, || self.terms.advance())
    }

    /// Returns the term. It may begin with anything, whatever range was asked for: the order of terms
    /// is what the file says it is.
    pub fn key(&self) -> &[u8] {
        self.terms.key()
    }

    /// Returns where the term's rows are.
    pub fn value(&self) -> &TermInfo {
        self.terms.value()
    }
}

/// The posting lists of terms, read one after the other.
pub(crate) struct Postings<'a> {
    dictionary: &'a Dictionary,
    open: Option<BlockSegmentPostings>,
}

impl Postings<'_> {
    /// Calls `visit` with the rows of one term, rising, some at a time, and how often each has it
    /// where that was asked for. Every row is one of the segment.
    pub fn each_block(
        &mut self,
        info: &TermInfo,
        mut visit: impl FnMut(&[u32], &[u32]),
    ) -> Result<(), LexicalError> {
        let Dictionary { index, option, rows, path } = self.dictionary;
        let open = self.open.take();
        let opened = guarded(path, || match open {
            Some(mut postings) => {
                let reset = index.reset_block_postings_from_terminfo(info, &mut postings);
                reset.map(|()| postings)
            }
            None => index.read_block_postings_from_terminfo(info, *option),
        })?;
        let mut postings = opened.map_err(|error| LexicalError::of_io(path, &error))?;
        while let Some(&greatest) = postings.docs().iter().max() {
            if greatest >= *rows {
                return Err(self.dictionary.malformed(format!("row {greatest} of {rows}")));
            }
            visit(postings.docs(), postings.freqs());
            guarded(path, || postings.advance())?;
        }
        self.open = Some(postings);
        Ok(())
    }
}

/// One posting list, a block at a time.
pub(crate) struct Cursor<'a> {
    postings: BlockSegmentPostings,
    dictionary: &'a Dictionary,
}

impl Cursor<'_> {
    /// Returns the rows of the block, rising; none behind the last.
    pub fn rows(&self) -> &[u32] {
        self.postings.docs()
    }

    /// Returns how often each row of the block has the term.
    pub fn counts(&self) -> &[u32] {
        self.postings.freqs()
    }

    /// Returns how many rows have the term.
    pub fn len(&self) -> u32 {
        self.postings.doc_freq()
    }

    /// Goes to the next block. Every row of it is one of the segment.
    pub fn advance(&mut self) -> Result<(), LexicalError> {
        guarded(&self.dictionary.path, || self.postings.advance())?;
        self.check()
    }

    /// Goes to the block where a row would be, which must not lie before the one it went to last;
    /// returns how often the row has the term, if it does.
    pub fn count_of(&mut self, row: u32) -> Result<Option<u32>, LexicalError> {
        let at = guarded(&self.dictionary.path, || self.postings.seek(row))?;
        let found = self.rows().get(at).is_some_and(|&found| found == row);
        Ok(found.then(|| self.counts().get(at).copied()).flatten())
    }

    fn check(&self) -> Result<(), LexicalError> {
        let rows = self.dictionary.rows;
        match self.rows().iter().max() {
            Some(&greatest) if greatest >= rows => {
                Err(self.dictionary.malformed(format!("row {greatest} of {rows}")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Has tantivy read something of the file at `path`.
pub(crate) fn guarded<T>(path: &Path, read: impl FnOnce() -> T) -> Result<T, LexicalError> {
    // What was read is dropped: nobody sees it half done.
    catch_unwind(AssertUnwindSafe(read)).map_err(|panic| {
        let reason = format!("it contradicts itself: {}", message(&*panic));
        LexicalError::Malformed { path: path.to_owned(), reason }
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("tantivy gave it up")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_while_a_file_is_read_is_an_error_that_names_the_file() {
        let path = Path::new("a/lexical");
        assert_eq!(guarded(path, || 5).unwrap(), 5);
        let bytes = [1, 2, 3];
        for end in [4, 5] {
            let error = guarded(path, || bytes[..end].to_vec()).unwrap_err();
            assert!(error.is_corruption());
            let error = error.to_string();
            assert!(error.starts_with("a/lexical: it contradicts itself: range end"), "{error}");
        }
    }
}
