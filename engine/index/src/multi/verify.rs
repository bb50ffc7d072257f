//! Exact MaxSim of candidates, their tokens read together.

use bigrain_storage::{Extent, ReadError, ScatterBatch};
use bigrain_types::{Cancel, MultiVector, Offset};

use super::max_sim::max_sim;
use super::tokens::TokensReader;
use crate::IndexError;
use crate::verify::{RowIo, Way};

/// Points whose tokens are fetched together, at most.
const BATCH: usize = 64;

/// Bytes fetched together, at most; one point is fetched however many it has.
const BATCH_BYTES: usize = 1 << 20;

/// Scores points exactly: every token of the query against every token of each.
#[derive(Clone, Copy, Debug)]
pub struct TokensVerifier<'a> {
    /// The query, its tokens of length one under cosine.
    pub query: &'a MultiVector,
    /// The tokens of each source.
    pub sources: &'a [&'a TokensReader],
    /// How they are read.
    pub io: &'a RowIo,
    /// Asked before each batch.
    pub cancel: &'a Cancel,
}

/// What scoring points gave, and what it cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoredRows {
    /// One similarity for each point, in the order given.
    pub scores: Vec<f32>,
    /// Bytes read from files: whole blocks where a file was read, records where they lay in a map.
    pub bytes: u64,
}

/// Where a point's tokens are.
enum Place<'a> {
    Mapped(&'a [u8]),
    /// Among the bytes read, in this place.
    Read(usize),
}

impl<'a> TokensVerifier<'a> {
    /// Scores points, each a source and an offset, in the order given.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block is damaged, a file cannot be read or has lost its end, a point has no
    /// tokens, or the caller gave up.
    pub fn score(&self, points: &[(u32, Offset)]) -> Result<ScoredRows, IndexError> {
        let ways: Vec<Way> = self.sources.iter().map(|reader| self.io.way(reader.file())).collect();
        let mut scored =
            ScoredRows { scores: Vec::with_capacity(points.len()), ..ScoredRows::default() };
        let mut scatter = self.io.batch();
        let mut rest = points;
        while !rest.is_empty() {
            self.cancel.check().map_err(ReadError::from)?;
            let mut extents = Vec::with_capacity(BATCH);
            let mut bytes = 0;
            for (source, offset) in rest.iter().take(BATCH) {
                let extent = self.extent(*source, *offset)?;
                bytes += extent.length;
                if bytes > BATCH_BYTES && !extents.is_empty() {
                    break;
                }
                extents.push(extent);
            }
            let (batch, behind) = rest.split_at(extents.len());
            rest = behind;
            self.score_batch(batch, &extents, &ways, (&mut scatter, &mut scored))?;
        }
        Ok(scored)
    }

    fn extent(&self, source: u32, offset: Offset) -> Result<Extent<'a>, IndexError> {
        let reader = self.sources[source as usize];
        let none = || IndexError::Malformed {
            path: reader.file().path(),
            reason: format!("point {} has a sketch and no tokens", offset.0),
        };
        reader.extent(offset)?.ok_or_else(none)
    }

    fn score_batch(
        &self,
        batch: &[(u32, Offset)],
        extents: &[Extent<'a>],
        ways: &[Way],
        (scatter, scored): (&mut ScatterBatch<'_>, &mut ScoredRows),
    ) -> Result<(), IndexError> {
        let (mut places, mut reads) = (Vec::with_capacity(batch.len()), Vec::new());
        for ((source, _), extent) in batch.iter().zip(extents) {
            let Extent { file, offset, length } = *extent;
            let is_mapped = match ways[*source as usize] {
                Way::Map => true,
                Way::Ask => file.is_cached(offset, length),
                Way::Read => false,
            };
            places.push(if is_mapped {
                scored.bytes += length as u64;
                Place::Mapped(file.read(offset, length)?)
            } else {
                reads.push(*extent);
                Place::Read(reads.len() - 1)
            });
        }
        if !reads.is_empty() {
            scored.bytes += scatter.read(&reads)?;
        }
        for ((source, offset), place) in batch.iter().zip(places) {
            let bytes = match place {
                Place::Mapped(bytes) => bytes,
                Place::Read(at) => scatter.bytes(at),
            };
            let tokens = self.sources[*source as usize].tokens_in(*offset, bytes)?;
            scored.scores.push(max_sim(self.query, tokens));
        }
        Ok(())
    }
}
