//! The words of rows in memory.

use std::collections::HashMap;
use std::mem::size_of;

use bigrain_types::{Payload, TextField};

use super::source::{length_of, words_in};
use super::{Analyzer, QueryWords, TextSource};
use crate::LexicalError;

/// The words of rows in memory, in one field; it only grows.
#[derive(Debug)]
pub struct TextTable {
    analyzer: Analyzer,
    lengths: Vec<u8>,
    postings: HashMap<String, Postings>,
    documents: u64,
    tokens: u64,
    bytes: usize,
}

/// What a word takes beside its letters: its entry in a table that is three quarters full, and three
/// allocations, of which two have room for four rows.
const WORD_BYTES: usize = size_of::<(String, Postings)>() * 4 / 3 + 96;

/// What one more row takes, in arrays that are three quarters full.
const POSTING_BYTES: usize = 2 * size_of::<u32>() * 4 / 3;

/// The rows that have one word.
#[derive(Debug, Default)]
struct Postings {
    /// Rising.
    rows: Vec<u32>,
    counts: Vec<u32>,
}

/// A row that has a word of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowWords {
    /// The row.
    pub row: u32,
    /// Its length, as [`TextSource::length`].
    pub length: u8,
    /// How often it has each word of the query.
    pub counts: Vec<u32>,
}

impl TextTable {
    /// Returns a table without rows.
    #[must_use]
    pub fn new(field: &TextField) -> Self {
        Self {
            analyzer: Analyzer::new(field),
            lengths: Vec::new(),
            postings: HashMap::new(),
            documents: 0,
            tokens: 0,
            bytes: 0,
        }
    }

    /// Returns the field.
    #[must_use]
    pub fn field(&self) -> &TextField {
        self.analyzer.field()
    }

    /// Adds the next row.
    pub fn add(&mut self, payload: &Payload) {
        let row = self.lengths.len() as u32;
        let Self { analyzer, postings, bytes, .. } = self;
        let mut words = 0;
        analyzer.words_of(payload, &mut |word| {
            words += 1;
            let Some(found) = postings.get_mut(word) else {
                *bytes += word.len() + WORD_BYTES;
                postings.insert(word.to_owned(), Postings { rows: vec![row], counts: vec![1] });
                return;
            };
            match (found.rows.last(), found.counts.last_mut()) {
                (Some(&last), Some(count)) if last == row => *count += 1,
                _ => {
                    *bytes += POSTING_BYTES;
                    found.rows.push(row);
                    found.counts.push(1);
                }
            }
        });
        let length = length_of(words);
        self.lengths.push(length);
        self.documents += u64::from(words > 0);
        self.tokens += u64::from(words_in(length));
    }

    /// Returns about how much memory the words take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.lengths.len()
    }

    /// Returns those of some rows that have a word of a query, rising.
    #[must_use]
    pub fn rows_of(&self, words: &QueryWords, among: impl Fn(u32) -> bool) -> Vec<RowWords> {
        let mut found: HashMap<u32, Vec<u32>> = HashMap::new();
        for (at, (word, _)) in words.iter().enumerate() {
            let Some(Postings { rows, counts }) = self.postings.get(word) else { continue };
            for (&row, &count) in rows.iter().zip(counts).filter(|(row, _)| among(**row)) {
                found.entry(row).or_insert_with(|| vec![0; words.len()])[at] = count;
            }
        }
        let with_length = |(row, counts)| RowWords { row, length: self.length(row), counts };
        let mut found: Vec<RowWords> = found.into_iter().map(with_length).collect();
        found.sort_unstable_by_key(|found| found.row);
        found
    }
}

impl TextSource for TextTable {
    fn rows(&self) -> u32 {
        self.lengths.len() as u32
    }

    fn length(&self, row: u32) -> u8 {
        self.lengths[row as usize]
    }

    fn documents(&self) -> u64 {
        self.documents
    }

    fn tokens(&self) -> u64 {
        self.tokens
    }

    fn rows_with(&self, word: &str) -> Result<u64, LexicalError> {
        Ok(self.postings.get(word).map_or(0, |found| found.rows.len() as u64))
    }

    fn each_posting(
        &self,
        word: &str,
        visit: &mut dyn FnMut(&[u32], &[u32]),
    ) -> Result<(), LexicalError> {
        if let Some(Postings { rows, counts }) = self.postings.get(word) {
            visit(rows, counts);
        }
        Ok(())
    }
}
