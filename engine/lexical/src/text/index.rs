//! The words of a segment's rows.

use std::path::Path;

use tantivy::SegmentReader;
use tantivy::fieldnorm::FieldNormReader;
use tantivy::schema::{Field, IndexRecordOption};

use super::TextSource;
use super::source::words_in;
use crate::LexicalError;
use crate::dictionary::{Cursor, Dictionary, guarded};

/// The words of a segment's rows, in one field.
pub struct TextIndex {
    words: Dictionary,
    lengths: FieldNormReader,
    documents: u64,
    tokens: u64,
}

impl TextIndex {
    /// Opens a field of a segment; sums up its lengths.
    pub(crate) fn open(
        segment: &SegmentReader,
        field: Field,
        path: &Path,
    ) -> Result<Self, LexicalError> {
        let words = Dictionary::open(segment, field, IndexRecordOption::WithFreqs, path)?;
        let lengths = guarded(path, || segment.get_fieldnorms_reader(field))?;
        let lengths = lengths.map_err(|error| LexicalError::of_tantivy(path, &error))?;
        if lengths.num_docs() != words.rows() {
            let reason = format!("{} lengths of {} rows", lengths.num_docs(), words.rows());
            return Err(words.malformed(reason));
        }
        let (mut documents, mut tokens) = (0, 0);
        for row in 0..lengths.num_docs() {
            let length = words_in(lengths.fieldnorm_id(row));
            documents += u64::from(length > 0);
            tokens += u64::from(length);
        }
        Ok(Self { words, lengths, documents, tokens })
    }

    /// Opens the posting list of a word; none if no row has it.
    pub(super) fn cursor(&self, word: &str) -> Result<Option<Cursor<'_>>, LexicalError> {
        self.words.find(word.as_bytes())?.map(|info| self.words.cursor(&info)).transpose()
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
        let info = self.words.find(word.as_bytes())?;
        Ok(info.map_or(0, |info| u64::from(info.doc_freq)))
    }

    fn each_posting(
        &self,
        word: &str,
        visit: &mut dyn FnMut(&[u32], &[u32]),
    ) -> Result<(), LexicalError> {
        match self.words.find(word.as_bytes())? {
            Some(info) => self.words.postings().each_block(&info, visit),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for TextIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextIndex").field("documents", &self.documents).finish_non_exhaustive()
    }
}
