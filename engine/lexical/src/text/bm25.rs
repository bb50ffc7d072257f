//! The formula.

use roaring::RoaringBitmap;

use super::source::words_in;
use super::{QueryWords, TextSource};
use crate::LexicalError;

/// How fast a word that is repeated counts no more.
const K1: f32 = 1.2;

/// How much a long row is held against it.
const B: f32 = 0.75;

/// What is counted over all sources before a row is scored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextStatistics {
    /// Live rows with any word.
    pub documents: u64,
    /// The sum of their lengths, in words.
    pub tokens: u64,
    /// Live rows with each word of the query.
    pub with_word: Vec<u64>,
}

/// The formula with the statistics of one query.
#[derive(Clone, Debug)]
pub struct Bm25 {
    words: Vec<WeighedWord>,
    /// The norm of each length.
    norms: Vec<f32>,
}

/// A word of a query.
#[derive(Clone, Debug)]
pub(super) struct WeighedWord {
    pub word: String,
    /// More than it can add to any row.
    pub weight: f32,
}

impl TextStatistics {
    /// Adds the rows of a source that are not dead.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when a block is damaged or cannot be read.
    pub fn add(
        &mut self,
        source: &dyn TextSource,
        words: &QueryWords,
        dead: &RoaringBitmap,
    ) -> Result<(), LexicalError> {
        let dead_lengths = dead.iter().take_while(|&row| row < source.rows());
        let dead_lengths = dead_lengths.map(|row| words_in(source.length(row)));
        let (mut documents, mut tokens) = (source.documents(), source.tokens());
        for length in dead_lengths.filter(|length| *length > 0) {
            documents -= 1;
            tokens -= u64::from(length);
        }
        self.documents += documents;
        self.tokens += tokens;
        self.with_word.resize(words.len(), 0);
        for (count, (word, _)) in self.with_word.iter_mut().zip(words.iter()) {
            *count += live_rows_with(source, word, dead)?;
        }
        Ok(())
    }
}

fn live_rows_with(
    source: &dyn TextSource,
    word: &str,
    dead: &RoaringBitmap,
) -> Result<u64, LexicalError> {
    if dead.is_empty() {
        return source.rows_with(word);
    }
    let mut live = 0;
    source.each_posting(word, &mut |rows, _| {
        live += rows.iter().filter(|row| !dead.contains(**row)).count() as u64;
    })?;
    Ok(live)
}

impl Bm25 {
    /// Prepares the scoring of rows.
    #[must_use]
    pub fn new(query: &QueryWords, statistics: &TextStatistics) -> Self {
        let TextStatistics { documents, tokens, with_word } = statistics;
        let mean = *tokens as f32 / (*documents).max(1) as f32;
        let norm = |length| K1 * (1.0 - B + B * words_in(length) as f32 / mean.max(1.0));
        let weighed = query.iter().zip(with_word).map(|((word, count), &rows)| WeighedWord {
            word: word.to_owned(),
            weight: count as f32 * (K1 + 1.0) * idf(rows, *documents),
        });
        Self { words: weighed.collect(), norms: (0..=u8::MAX).map(norm).collect() }
    }

    /// Returns the score of every row of a source: above 0 for those that have a word of the query.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when a block is damaged or cannot be read.
    pub fn scores(&self, source: &dyn TextSource) -> Result<Vec<f32>, LexicalError> {
        let mut scores = vec![0.0; source.rows() as usize];
        for WeighedWord { word, weight } in &self.words {
            source.each_posting(word, &mut |rows, counts| {
                for (&row, &count) in rows.iter().zip(counts) {
                    scores[row as usize] += self.part(*weight, source.length(row), count);
                }
            })?;
        }
        Ok(scores)
    }

    /// Returns the score of one row, by its length and how often it has each word of the query.
    #[must_use]
    pub fn score(&self, length: u8, counts: &[u32]) -> f32 {
        let parts = self.words.iter().zip(counts).filter(|(_, count)| **count > 0);
        parts.map(|(word, &count)| self.part(word.weight, length, count)).sum()
    }

    /// Returns the words of the query.
    pub(super) fn words(&self) -> &[WeighedWord] {
        &self.words
    }

    /// Returns what a word of some weight adds to a row.
    #[inline]
    pub(super) fn part(&self, weight: f32, length: u8, count: u32) -> f32 {
        let count = count as f32;
        weight * (count / (count + self.norms[length as usize]))
    }
}

/// Returns how much a word, or a dimension of sparse vectors, tells that so many of all rows have: above 0.
#[must_use]
pub fn idf(rows: u64, documents: u64) -> f32 {
    let others = documents.saturating_sub(rows) as f32;
    (1.0 + (others + 0.5) / (rows as f32 + 0.5)).ln()
}

#[cfg(test)]
mod tests {
    use bigrain_types::{Language, Payload, TextField};

    use super::*;
    use crate::text::{Analyzer, TextTable};

    fn table(field: &TextField, texts: &[&str]) -> TextTable {
        let mut table = TextTable::new(field);
        texts.iter().for_each(|text| table.add(&Payload::new().with("t", *text)));
        table
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let field = TextField::new("t", Language::None).unwrap();
        let table = table(&field, &["a b", "a a a c", "", "d"]);
        let words = Analyzer::new(&field).query("a c a");
        let mut statistics = TextStatistics::default();
        statistics.add(&table, &words, &RoaringBitmap::new()).unwrap();
        assert_eq!(statistics, TextStatistics { documents: 3, tokens: 7, with_word: vec![2, 1] });
        let bm25 = Bm25::new(&words, &statistics);
        let scores = bm25.scores(&table).unwrap();
        let norm = |length: f32| 1.2 * (0.25 + 0.75 * length / (7.0 / 3.0));
        let (a, c) = ((1.0 + 1.5 / 2.5_f32).ln(), (1.0 + 2.5 / 1.5_f32).ln());
        let expected = [
            2.0 * a * 2.2 / (1.0 + norm(2.0)),
            2.0 * a * 2.2 * 3.0 / (3.0 + norm(4.0)) + c * 2.2 / (1.0 + norm(4.0)),
            0.0,
            0.0,
        ];
        for (score, expected) in scores.iter().zip(expected) {
            assert!((score - expected).abs() < 1e-5, "{score} {expected}");
        }
        for found in table.rows_of(&words, |_| true) {
            assert_eq!(bm25.score(found.length, &found.counts), scores[found.row as usize]);
        }
    }

    #[test]
    fn dead_rows_do_not_count() {
        let field = TextField::new("t", Language::English).unwrap();
        let (all, live) =
            (table(&field, &["red fox", "red", "", "red foxes run"]), table(&field, &["red fox"]));
        let words = Analyzer::new(&field).query("red fox");
        let mut of_all = TextStatistics::default();
        of_all.add(&all, &words, &RoaringBitmap::from_iter([1, 2, 3, 99])).unwrap();
        let mut of_live = TextStatistics::default();
        of_live.add(&live, &words, &RoaringBitmap::new()).unwrap();
        assert_eq!(of_all, of_live);
    }
}
