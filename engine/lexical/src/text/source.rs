//! Rows whose words are counted.

use tantivy::fieldnorm::FieldNormReader;

use crate::LexicalError;

/// Rows whose words are counted: of a segment, or in memory.
pub trait TextSource {
    /// Returns the number of rows, those without words included.
    fn rows(&self) -> u32;

    /// Returns how long a row is, as a byte (exact up to 40 words, rounded down above); 0 for a row
    /// without words.
    fn length(&self, row: u32) -> u8;

    /// Returns the number of rows with words.
    fn documents(&self) -> u64;

    /// Returns the sum of all lengths, in words.
    fn tokens(&self) -> u64;

    /// Returns the number of rows with a word.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when a block is damaged or cannot be read.
    fn rows_with(&self, word: &str) -> Result<u64, LexicalError>;

    /// Calls `visit` with the rows that have a word, rising, and how often each has it; some at a
    /// time.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when a block is damaged or cannot be read.
    fn each_posting(
        &self,
        word: &str,
        visit: &mut dyn FnMut(&[u32], &[u32]),
    ) -> Result<(), LexicalError>;
}

/// Returns the byte for a length in words; rounded down above 40.
pub(super) fn length_of(words: u32) -> u8 {
    FieldNormReader::fieldnorm_to_id(words)
}

/// Returns the words that the byte of a length stands for.
pub(super) fn words_in(length: u8) -> u32 {
    FieldNormReader::id_to_fieldnorm(length)
}
