//! What encoding gives: vectors, and what they cost.

use std::ops::{AddAssign, Range};
use std::time::Duration;

/// Embeddings of several texts, in the order of the texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    dims: usize,
    data: Vec<f32>,
    stats: EncodeStats,
    counts: Vec<TextCount>,
}

/// The size of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextCount {
    /// Tokens encoded.
    pub(crate) tokens: u32,
    /// Whether the text was longer than that.
    pub(crate) truncated: bool,
}

/// What one call encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeStats {
    /// Texts encoded.
    pub texts: u64,
    /// Tokens encoded, special tokens included and truncated ones not.
    pub tokens: u64,
    /// Texts that were longer than the encoder reads; what is beyond is not in their embedding.
    pub truncated: u64,
    /// Time spent splitting texts into tokens.
    pub tokenize: Duration,
    /// Time spent in the model and in pooling.
    pub forward: Duration,
}

impl Embeddings {
    /// Wraps `data`, rows of `dims` values one after the other.
    pub(crate) fn new(dims: usize, data: Vec<f32>, stats: EncodeStats) -> Self {
        debug_assert!(data.len().is_multiple_of(dims.max(1)));
        Self { dims, data, stats, counts: Vec::new() }
    }

    /// Adds the sizes of the texts, one for each row.
    pub(crate) fn with_counts(mut self, counts: Vec<TextCount>) -> Self {
        debug_assert_eq!(counts.len(), self.rows());
        self.counts = counts;
        self
    }

    /// The sizes of some of the texts; of an encoder that tells none, even shares of the whole.
    pub(crate) fn counts(&self, rows: Range<usize>) -> Vec<TextCount> {
        if let Some(counts) = self.counts.get(rows.clone()) {
            return counts.to_vec();
        }
        let tokens = self.stats.tokens / self.rows().max(1) as u64;
        vec![TextCount { tokens: tokens as u32, truncated: false }; rows.len()]
    }

    /// Values of one embedding.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// How many embeddings.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.data.len() / self.dims.max(1)
    }

    /// The embedding of one text, or `None` past the last.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<&[f32]> {
        self.data.chunks_exact(self.dims.max(1)).nth(row)
    }

    /// The embeddings one by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.dims.max(1))
    }

    /// All values, row by row.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// Gives the values away, row by row.
    #[must_use]
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// What it took.
    #[must_use]
    pub fn stats(&self) -> EncodeStats {
        self.stats
    }
}

impl EncodeStats {
    /// Counts one more text.
    pub(crate) fn count(&mut self, text: TextCount) {
        self.texts += 1;
        self.tokens += u64::from(text.tokens);
        self.truncated += u64::from(text.truncated);
    }
}

impl AddAssign for EncodeStats {
    fn add_assign(&mut self, other: Self) {
        self.texts += other.texts;
        self.tokens += other.tokens;
        self.truncated += other.truncated;
        self.tokenize += other.tokenize;
        self.forward += other.forward;
    }
}
