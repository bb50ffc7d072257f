//! The words of a segment's rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{InvertedIndexReader, SegmentReader};

use super::TextSource;
use super::source::words_in;
use crate::LexicalError;

/// The words of a segment's rows, in one field.
pub struct TextIndex {
    words: Arc<InvertedIndexReader>,
    lengths: FieldNormReader,
    documents: u64,
    tokens: u64,
    path: PathBuf,
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
        Ok(Self { words, lengths, documents, tokens, path: path.to_owned() })
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
        let failed = |error| LexicalError::of_io(&self.path, &error);
        let Some(info) = self.words.terms().get(word).map_err(failed)? else { return Ok(()) };
        let option = IndexRecordOption::WithFreqs;
        let postings = self.words.read_block_postings_from_terminfo(&info, option);
        let mut postings = postings.map_err(failed)?;
        while let Some(&last) = postings.docs().last() {
            if last >= self.rows() {
                let reason = format!("row {last} of {}", self.rows());
                return Err(LexicalError::Malformed { path: self.path.clone(), reason });
            }
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
