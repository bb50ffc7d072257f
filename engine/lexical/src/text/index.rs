//! The words of a segment's rows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::BlockSegmentPostings;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{InvertedIndexReader, SegmentReader};

use super::TextSource;
use super::best::Peaks;
use super::source::words_in;
use crate::LexicalError;

/// Words that are remembered of each segment; few have so many rows that it matters.
const MAX_PEAKS: usize = 4096;

/// The words of a segment's rows, in one field.
pub struct TextIndex {
    words: Arc<InvertedIndexReader>,
    lengths: FieldNormReader,
    documents: u64,
    tokens: u64,
    path: PathBuf,
    /// What is known of words that many rows have.
    peaks: Mutex<HashMap<String, Arc<Peaks>>>,
}

impl TextIndex {
    /// Opens a field of a segment; sums up its lengths.
    pub(crate) fn open(
        segment: &SegmentReader,
        field: Field,
        path: &Path,
    ) -> Result<Self, LexicalError> {
        let failed = |error: tantivy::TantivyError| LexicalError::of_tantivy(path, &error);
        let words = segment.inverted_index(field).map_err(failed)?;
        let lengths = segment.get_fieldnorms_reader(field).map_err(failed)?;
        if lengths.num_docs() != segment.max_doc() {
            let reason = format!("{} lengths of {} rows", lengths.num_docs(), segment.max_doc());
            return Err(LexicalError::Malformed { path: path.to_owned(), reason });
        }
        let (mut documents, mut tokens) = (0, 0);
        for row in 0..lengths.num_docs() {
            let length = words_in(lengths.fieldnorm_id(row));
            documents += u64::from(length > 0);
            tokens += u64::from(length);
        }
        let (path, peaks) = (path.to_owned(), Mutex::default());
        Ok(Self { words, lengths, documents, tokens, path, peaks })
    }

    /// Opens the posting list of a word; none if no row has it.
    pub(super) fn postings(
        &self,
        word: &str,
    ) -> Result<Option<BlockSegmentPostings>, LexicalError> {
        let failed = |error| LexicalError::of_io(&self.path, &error);
        let Some(info) = self.words.terms().get(word).map_err(failed)? else { return Ok(None) };
        let option = IndexRecordOption::WithFreqs;
        let postings = self.words.read_block_postings_from_terminfo(&info, option);
        postings.map(Some).map_err(failed)
    }

    /// Refuses a block of rows that the segment does not have.
    pub(super) fn check(&self, postings: &BlockSegmentPostings) -> Result<(), LexicalError> {
        match postings.docs().last() {
            Some(&last) if last >= self.rows() => {
                let reason = format!("row {last} of {}", self.rows());
                Err(LexicalError::Malformed { path: self.path.clone(), reason })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Returns where a word counts most; the first who asks goes through its rows.
    pub(super) fn peaks(&self, word: &str) -> Result<Arc<Peaks>, LexicalError> {
        let kept = || self.peaks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peaks) = kept().get(word) {
            return Ok(Arc::clone(peaks));
        }
        let peaks = Arc::new(Peaks::of(self, word)?);
        let mut kept = kept();
        if kept.len() >= MAX_PEAKS {
            kept.clear();
        }
        kept.insert(word.to_owned(), Arc::clone(&peaks));
        Ok(peaks)
    }
}

impl TextSource for TextIndex {
    fn rows(&self) -> u32 {
        self.lengths.num_docs()
    }

    fn length(&self, row: u32) -> u8 {
        self.lengths.fieldnorm_id(row)
    }

    fn documents(&self) -> u64 {
        self.documents
    }

    fn tokens(&self) -> u64 {
        self.tokens
    }

    fn rows_with(&self, word: &str) -> Result<u64, LexicalError> {
        let info = self.words.terms().get(word);
        let info = info.map_err(|error| LexicalError::of_io(&self.path, &error))?;
        Ok(info.map_or(0, |info| u64::from(info.doc_freq)))
    }

    fn each_posting(
        &self,
        word: &str,
        visit: &mut dyn FnMut(&[u32], &[u32]),
    ) -> Result<(), LexicalError> {
        let Some(mut postings) = self.postings(word)? else { return Ok(()) };
        while !postings.docs().is_empty() {
            self.check(&postings)?;
            visit(postings.docs(), postings.freqs());
            postings.advance();
        }
        Ok(())
    }
}

impl std::fmt::Debug for TextIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextIndex").field("documents", &self.documents).finish_non_exhaustive()
    }
}
