//! Searching through codes: candidates of all sources compete, the best bounds are verified.

use std::time::Instant;

use bigrain_index::Candidate;
use bigrain_index::dense::DenseReader;
use bigrain_index::verify::{Verified, Verifier};
use bigrain_types::SearchStats;

use super::view::View;
use super::{Hit, VectorSearch};
use crate::Result;
use crate::collection::state::FieldView;

impl VectorSearch<'_> {
    /// Candidates of every source compete; the best bounds are verified.
    pub fn approximate(
        &self,
        view: &View,
        in_memory: &[Hit],
        stats: &mut SearchStats,
    ) -> Result<Vec<Hit>> {
        let started = Instant::now();
        let segments = &view.segments[..];
        let mut candidates = self.segment_candidates(view, in_memory, stats)?;
        for (source, filtered) in (0..).zip(&view.filtered) {
            candidates.extend(filtered.certain(source));
        }
        stats.candidates += candidates.len() as u64;
        // What is already scored takes part as one more source, with its score as its bound.
        let in_memory_source = segments.len() as u32;
        candidates.extend(in_memory.iter().enumerate().map(|(offset, hit)| Candidate {
            source: in_memory_source,
            offset: offset as u32,
            optimistic: hit.similarity,
        }));
        candidates.sort_by(|a, b| b.optimistic.total_cmp(&a.optimistic));
        stats.times.candidates += started.elapsed();

        let started = Instant::now();
        let verified = if self.params.verify() {
            self.verify(segments, &candidates)?
        } else {
            let best = candidates.iter().take(self.params.limit()).enumerate();
            let best = best.map(|(index, candidate)| (candidate.optimistic, index)).collect();
            Verified { best, ..Verified::default() }
        };
        stats.rows_read += verified.rows;
        stats.bytes_read += verified.bytes;
        let hit = |(similarity, index): (f32, usize)| {
            let Candidate { source, offset, .. } = candidates[index];
            let id = match segments.get(source as usize) {
                Some(view) => view.id(offset)?,
                None => in_memory[offset as usize].id.clone(),
            };
            Ok(Hit { similarity, id })
        };
        let hits = verified.best.into_iter().map(hit).collect();
        stats.times.verify += started.elapsed();
        hits
    }

    fn verify(&self, segments: &[FieldView], candidates: &[Candidate]) -> Result<Verified> {
        let sources: Vec<&DenseReader> = segments.iter().map(|view| &view.files.dense).collect();
        let verifier = Verifier {
            metric: self.field.config.metric,
            query: &self.vector,
            limit: self.params.limit(),
            sources: &sources,
            io: &self.shared.resources.row_io,
            cancel: &self.query.cancel,
        };
        Ok(verifier.run(candidates)?)
    }
}
