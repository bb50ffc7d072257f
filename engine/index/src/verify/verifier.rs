//! Verification against rows in files.

use bigrain_storage::{BLOCK_BYTES, ReadError};
use bigrain_types::{Cancel, Metric};

use super::batch::{Batch, Sources};
use super::race::{Race, is_sorted};
use super::{RowIo, Verified};
use crate::dense::DenseReader;
use crate::{Candidate, IndexError};

/// Rows of the first batch, and of every batch when no file is read.
const FIRST_BATCH: usize = 16;
/// Rows of the largest batch.
const LARGEST_BATCH: usize = 64;
/// Bytes of blocks that a batch may read, if its rows are so large that fewer of them make as much.
const LARGEST_BATCH_BYTES: usize = 1 << 20;
/// Rows of the largest batch however large they are: a disk that works on one waits for the next.
const LEAST_BATCH: usize = 4;

/// Verifies the candidates of one search.
///
/// A candidate's `source` is an index into `sources`. Candidates with a source past them have no row
/// there: their `optimistic` similarity is their exact one.
#[derive(Clone, Copy, Debug)]
pub struct Verifier<'a> {
    /// What similarity means.
    pub metric: Metric,
    /// The query's vector, of length one under cosine.
    pub query: &'a [f32],
    /// How many results are wanted.
    pub limit: usize,
    /// The rows of each source.
    pub sources: &'a [&'a DenseReader],
    /// How rows are read.
    pub io: &'a RowIo,
    /// Asked before each batch.
    pub cancel: &'a Cancel,
}

impl Verifier<'_> {
    /// Scores `candidates` (ordered by `optimistic`, best first) until no further one can be among
    /// the best `limit`. Of equal similarities the earlier candidate is the better one.
    ///
    /// Bytes count as they were read: whole blocks where a file was read, rows where they were
    /// scored in a map.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block is damaged, a file cannot be read or has lost its end, a candidate
    /// names a row that is not there, or the caller gave up.
    pub fn run(&self, candidates: &[Candidate]) -> Result<Verified, IndexError> {
        debug_assert!(is_sorted(candidates));
        let sources = Sources::new(self.sources, self.io);
        let mut pace = Pace::new(&sources);
        let mut race = Race::new(self.limit);
        let mut batch = Batch::new(self.io);
        let mut verified = Verified::default();
        let mut start = 0;
        loop {
            self.cancel.check().map_err(ReadError::from)?;
            let rest = candidates[start..].iter().take(pace.next(&race));
            let end = start + rest.take_while(|candidate| race.admits(candidate)).count();
            if start == end {
                break;
            }
            verified.bytes += batch.fetch(&candidates[start..end], &sources)?;
            for (i, candidate) in candidates[start..end].iter().enumerate() {
                if !race.admits(candidate) {
                    break;
                }
                let similarity = match batch.row(i, candidate, &sources)? {
                    None => candidate.optimistic,
                    Some(row) => {
                        verified.rows += 1;
                        verified.bytes += batch.mapped_bytes(i, candidate, &sources);
                        row.similarity(self.metric, self.query)
                    }
                };
                race.enter(similarity, start + i);
            }
            start = end;
        }
        verified.best = race.finish();
        Ok(verified)
    }
}

/// How many rows to fetch at a time.
struct Pace {
    next: usize,
    largest: usize,
}

impl Pace {
    fn new(sources: &Sources<'_>) -> Self {
        // A row in the middle of blocks touches one more than it fills.
        let blocks = |reader: &DenseReader| reader.row_bytes() as usize / BLOCK_BYTES + 2;
        let largest = match sources.read().map(blocks).max() {
            None => FIRST_BATCH,
            Some(blocks) => {
                (LARGEST_BATCH_BYTES / (blocks * BLOCK_BYTES)).clamp(LEAST_BATCH, LARGEST_BATCH)
            }
        };
        Self { next: FIRST_BATCH.min(largest), largest }
    }

    /// Returns the size of the next batch: twice the last one's, and at least what will be scored
    /// in any case.
    fn next(&mut self, race: &Race) -> usize {
        let size = self.next.max(race.certain()).min(self.largest);
        self.next = (2 * self.next).min(self.largest);
        size
    }
}
