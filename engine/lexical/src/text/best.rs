//! The best rows of a segment, without scoring those that cannot be among them: MaxScore (Turtle and
//! Flood, 1995), a window of rows at a time.
//!
//! What a word can add to any row at most is known ([`Peaks`](super::Peaks)). Once there are as many rows as are
//! wanted, words of so little weight that all of them together cannot lift a row to the last of these
//! only decide between rows that the others bring up:
//!
//! ```text
//!   bounds, rising   the 0.4 | of 1.1 | red 6.3 | fox 8.2        threshold 7.9
//!                    together 1.5 < 7.9         └───┴── read, window after window
//!                    └── looked up, for rows that can still reach the threshold
//! ```
//!
//! Scores are summed in the order of the query's words, as [`Bm25::scores`] does, so that they are the
//! same bits; only sums that decide what is looked at are taken in another order, and they have room for
//! it ([`SLACK`]).

use super::bm25::{Bm25, WeighedWord};
use super::{KeptPeaks, TextIndex, TextSource};
use crate::LexicalError;
use crate::dictionary::Cursor;

/// Rows of a window.
const WINDOW: u32 = 2048;

/// Queries of more words are scored row by row: the table of a window has a column for each.
const MAX_WORDS: usize = 32;

/// Posting lists of so few rows are read faster than they are skipped.
const SHORT: u64 = 4096;

/// Sums in another order differ by less than this part of them.
const SLACK: f32 = 1.0 + 1e-5;

/// Best rows kept at least before some are let go of.
const KEPT: usize = 256;

/// A row and its score.
pub type ScoredRow = (u32, f32);

/// One word of a query in a segment that has it.
struct List<'a> {
    postings: Cursor<'a>,
    /// The next posting of the block.
    at: usize,
    weight: f32,
    /// What the word adds to a row at most.
    bound: f32,
    /// Its place among the words of the query that the segment has.
    column: usize,
}

/// The best rows so far.
struct Best {
    limit: usize,
    rows: Vec<ScoredRow>,
    /// What a row has to score; 0 while any will do.
    threshold: f32,
}

/// What rows of a window have been scored.
struct Window {
    columns: usize,
    /// What each word adds to each row, row by row.
    parts: Vec<f32>,
    /// Their sum so far.
    sums: Vec<f32>,
}

/// A row that may be among the best.
struct RowOfWindow {
    slot: usize,
    row: u32,
    length: u8,
    /// What it has to score.
    threshold: f32,
}

impl TextIndex {
    /// Returns the `limit` best of the rows that are in, in no order, and all that score as much as the
    /// last of these, with the scores of [`Bm25::scores`]: rows that have a word of the query. What is
    /// known of words is taken from `kept`, and put there.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when a block is damaged or cannot be read.
    pub fn best(
        &self,
        bm25: &Bm25,
        limit: usize,
        is_in: impl Fn(u32) -> bool,
        kept: &dyn KeptPeaks,
    ) -> Result<Vec<ScoredRow>, LexicalError> {
        let mut best = Best { limit, rows: Vec::new(), threshold: 0.0 };
        if bm25.words().len() > MAX_WORDS || self.longest(bm25)? < SHORT {
            let scores = bm25.scores(self)?;
            let found = (0..).zip(scores).filter(|&(row, score)| score > 0.0 && is_in(row));
            found.for_each(|(row, score)| best.push(row, score));
        } else {
            self.skim(self.lists(bm25, kept)?, bm25, &mut best, is_in)?;
        }
        best.prune();
        Ok(best.rows)
    }

    /// Returns the length of the longest posting list.
    fn longest(&self, bm25: &Bm25) -> Result<u64, LexicalError> {
        let mut longest = 0;
        for WeighedWord { word, .. } in bm25.words() {
            longest = longest.max(self.rows_with(word)?);
        }
        Ok(longest)
    }

    /// Opens the posting lists of the query's words, those of the smallest bounds first.
    fn lists(&self, bm25: &Bm25, kept: &dyn KeptPeaks) -> Result<Vec<List<'_>>, LexicalError> {
        let mut lists = Vec::new();
        for &WeighedWord { ref word, weight } in bm25.words() {
            let Some(postings) = self.cursor(word)? else { continue };
            // A share of the weight, below 1 whatever a row is like.
            let bound = if u64::from(postings.len()) < SHORT {
                weight
            } else {
                self.peaks(word, kept)?.bound(bm25, weight)
            };
            let column = lists.len();
            lists.push(List { postings, at: 0, weight, bound, column });
        }
        lists.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        Ok(lists)
    }

    fn skim(
        &self,
        mut lists: Vec<List<'_>>,
        bm25: &Bm25,
        best: &mut Best,
        is_in: impl Fn(u32) -> bool,
    ) -> Result<(), LexicalError> {
        // What all lists up to each add at most.
        let mut within = vec![0.0_f32];
        lists.iter().for_each(|list| within.push(within[within.len() - 1] + list.bound));
        let mut window = Window::new(lists.len());
        let mut first = 0;
        loop {
            while first < lists.len() && within[first + 1] * SLACK < best.threshold {
                first += 1;
            }
            let (looked_up, read) = lists.split_at_mut(first);
            let mut next = None;
            for list in read.iter_mut() {
                let row = list.row()?;
                next = next.into_iter().chain(row).min();
            }
            let Some(next) = next else { return Ok(()) };
            let start = next - next % WINDOW;
            for list in read {
                window.add(list, start, self, bm25)?;
            }
            for slot in 0..WINDOW as usize {
                let row = start + slot as u32;
                if window.sums[slot] == 0.0 {
                    continue;
                }
                if is_in(row) {
                    let threshold = best.threshold;
                    let length = self.length(row);
                    let row_of = RowOfWindow { slot, row, length, threshold };
                    if window.complete(&row_of, looked_up, &within, bm25)? {
                        best.push(row, window.score(slot));
                    }
                }
                window.clear(slot);
            }
            best.prune();
        }
    }
}

impl List<'_> {
    /// Returns the next row that has the word; none behind the last.
    fn row(&mut self) -> Result<Option<u32>, LexicalError> {
        if self.at == self.postings.rows().len() && self.at > 0 {
            self.postings.advance()?;
            self.at = 0;
        }
        Ok(self.postings.rows().get(self.at).copied())
    }
}

impl Window {
    fn new(columns: usize) -> Self {
        let slots = WINDOW as usize;
        Self { columns, parts: vec![0.0; slots * columns], sums: vec![0.0; slots] }
    }

    /// Adds what a word adds to the rows of the window.
    fn add(
        &mut self,
        list: &mut List<'_>,
        start: u32,
        index: &TextIndex,
        bm25: &Bm25,
    ) -> Result<(), LexicalError> {
        // Rows rise, unless the file contradicts itself; then they come again in a window before.
        let slot_of = |row: u32| Some(row.wrapping_sub(start)).filter(|&slot| slot < WINDOW);
        while list.row()?.and_then(slot_of).is_some() {
            let rows = list.postings.rows()[list.at..].iter();
            let mut read = 0;
            for (&row, &count) in rows.zip(&list.postings.counts()[list.at..]) {
                let Some(slot) = slot_of(row) else { break };
                let part = bm25.part(list.weight, index.length(row), count);
                self.parts[slot as usize * self.columns + list.column] = part;
                self.sums[slot as usize] += part;
                read += 1;
            }
            list.at += read;
        }
        Ok(())
    }

    /// Looks up the words that are not read, those of the largest bounds first; false as soon as the
    /// row cannot reach the threshold.
    fn complete(
        &mut self,
        of: &RowOfWindow,
        looked_up: &mut [List<'_>],
        within: &[f32],
        bm25: &Bm25,
    ) -> Result<bool, LexicalError> {
        let mut sum = self.sums[of.slot];
        for (at, list) in looked_up.iter_mut().enumerate().rev() {
            if (sum + within[at + 1]) * SLACK < of.threshold {
                return Ok(false);
            }
            if let Some(count) = list.postings.count_of(of.row)? {
                let part = bm25.part(list.weight, of.length, count);
                self.parts[of.slot * self.columns + list.column] = part;
                sum += part;
            }
        }
        Ok(true)
    }

    /// Returns the score of a row, its parts summed in the order of the query's words.
    fn score(&self, slot: usize) -> f32 {
        let parts = &self.parts[slot * self.columns..(slot + 1) * self.columns];
        parts.iter().fold(0.0, |sum, part| sum + part)
    }

    fn clear(&mut self, slot: usize) {
        self.parts[slot * self.columns..(slot + 1) * self.columns].fill(0.0);
        self.sums[slot] = 0.0;
    }
}

impl Best {
    fn push(&mut self, row: u32, score: f32) {
        if score < self.threshold {
            return;
        }
        self.rows.push((row, score));
        if self.rows.len() >= 4 * self.limit + KEPT {
            self.prune();
        }
    }

    /// Keeps the `limit` best rows and all that score as much as the last of them.
    fn prune(&mut self) {
        if self.rows.len() < self.limit {
            return;
        }
        let by_score = |a: &ScoredRow, b: &ScoredRow| b.1.total_cmp(&a.1);
        let (_, last, _) = self.rows.select_nth_unstable_by(self.limit - 1, by_score);
        self.threshold = last.1;
        let threshold = self.threshold;
        self.rows.retain(|row| row.1 >= threshold);
    }
}
