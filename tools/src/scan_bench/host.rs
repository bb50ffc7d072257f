//! The CPU's side: the kernels that searches and builds use, on all threads of the pool.

use std::ops::Range;

use bigrain_binarize::{Rotation, ScoredCode};
use bigrain_kernels::{
    BLOCK_ROWS, BlockTable, Bounded, Bounds, QueryPlanes, Scored, TopK, bound_blocks, quantize,
    scan_blocks,
};
use bigrain_types::Levels;
use rayon::prelude::*;

use super::codes::RandomCodes;

/// Blocks that are scored before they are bounded: their scores stay in the first-level cache.
const STEP: usize = 32;

/// Returns the score of each of the first codes for a query.
pub(super) fn scores(codes: &RandomCodes, query: QueryPlanes<'_>, rows: usize) -> Vec<i32> {
    let mut scan = Scan::new(codes, query);
    let blocks = rows.div_ceil(BLOCK_ROWS);
    let mut scores = Vec::with_capacity(blocks * BLOCK_ROWS);
    for first in (0..blocks).step_by(STEP) {
        let end = blocks.min(first + STEP);
        scores.extend_from_slice(scan.score(first..end));
    }
    scores.truncate(rows);
    scores
}

/// Returns the rows, rising, whose upper bound reaches the `limit`-th best lower bound: what a device returns of one
/// list of all codes.
pub(super) fn survivors(
    codes: &RandomCodes,
    query: QueryPlanes<'_>,
    bounds: Bounds,
    limit: usize,
) -> Vec<ScoredCode> {
    struct Found {
        best: TopK,
        kept: Vec<(f32, ScoredCode)>,
    }
    let blocks = codes.rows.div_ceil(BLOCK_ROWS);
    let part = blocks.div_ceil(rayon::current_num_threads()).max(1);
    let of_part = |first: usize| {
        let mut found = Found { best: TopK::new(limit), kept: Vec::new() };
        let mut scan = Scan::new(codes, query);
        scan.bound(
            first..blocks.min(first + part),
            bounds,
            |row, score, similarity, upper, best| {
                best.push(similarity - (upper - similarity), row);
                found.kept.push((upper, ScoredCode { row, score }));
            },
            &mut found.best,
        );
        found
    };
    let starts: Vec<usize> = (0..blocks).step_by(part).collect();
    let parts: Vec<Found> = starts.into_par_iter().map(of_part).collect();
    let mut best = TopK::new(limit);
    parts.iter().for_each(|part| best.merge(&part.best));
    let kept = parts.iter().flat_map(|part| &part.kept);
    kept.filter(|(upper, _)| *upper >= best.threshold()).map(|(_, scored)| *scored).collect()
}

/// Returns the best of all codes for each query, best first.
pub(super) fn best(
    codes: &RandomCodes,
    queries: &[QueryPlanes<'_>],
    bounds: Bounds,
    limit: usize,
) -> Vec<Vec<Scored>> {
    let exact = Bounds { error: 0.0, bias: 0.0, ..bounds };
    let blocks = codes.rows.div_ceil(BLOCK_ROWS);
    let of_query = |query: &QueryPlanes<'_>| {
        let mut best = TopK::new(limit);
        let push = |row, _, similarity, _, best: &mut TopK| {
            best.push(similarity, row);
        };
        Scan::new(codes, *query).bound(0..blocks, exact, push, &mut best);
        best.into_sorted()
    };
    queries.par_iter().map(of_query).collect()
}

/// One query on its way over the codes.
struct Scan<'a> {
    codes: &'a RandomCodes,
    table: BlockTable,
    scores: [i32; STEP * BLOCK_ROWS],
    plane: [i32; STEP * BLOCK_ROWS],
}

impl<'a> Scan<'a> {
    fn new(codes: &'a RandomCodes, query: QueryPlanes<'_>) -> Self {
        let mut table = BlockTable::default();
        table.rebuild(query);
        let (scores, plane) = ([0; STEP * BLOCK_ROWS], [0; STEP * BLOCK_ROWS]);
        Self { codes, table, scores, plane }
    }

    /// Returns the scores of all levels of some blocks, [`STEP`] at most.
    fn score(&mut self, blocks: Range<usize>) -> &[i32] {
        let Self { codes, table, scores, plane } = self;
        let rows = blocks.len() * BLOCK_ROWS;
        let (scores, plane) = (&mut scores[..rows], &mut plane[..rows]);
        scan_blocks(codes.blocks(0, blocks.start, blocks.end), table, scores);
        for level in 1..codes.layout.levels().count() {
            scan_blocks(codes.blocks(level, blocks.start, blocks.end), table, plane);
            scores.iter_mut().zip(&*plane).for_each(|(score, more)| *score = 2 * *score + more);
        }
        scores
    }

    /// Calls `take` with row, score, similarity and upper bound of each row of some blocks whose bound reaches the
    /// threshold of `best`.
    fn bound(
        &mut self,
        blocks: Range<usize>,
        bounds: Bounds,
        mut take: impl FnMut(u32, i32, f32, f32, &mut TopK),
        best: &mut TopK,
    ) {
        let mut similarities = [0.0; STEP * BLOCK_ROWS];
        let mut uppers = [0.0; STEP * BLOCK_ROWS];
        let mut survivors = [0; STEP];
        for first in blocks.clone().step_by(STEP) {
            let step = first..blocks.end.min(first + STEP);
            let row = first * BLOCK_ROWS;
            let rows = self.codes.rows.min(step.end * BLOCK_ROWS) - row;
            let factors = self.codes.factors(row, row + rows);
            let len = step.len();
            let scores = &self.score(step)[..rows];
            let mut out = Bounded {
                similarities: &mut similarities[..rows],
                uppers: &mut uppers[..rows],
                survivors: &mut survivors[..len],
            };
            bound_blocks(scores, factors, bounds, best.threshold(), &mut out);
            for (block, &survivors) in survivors[..len].iter().enumerate() {
                let mut left = survivors;
                while left != 0 {
                    let at = block * BLOCK_ROWS + left.trailing_zeros() as usize;
                    left &= left - 1;
                    take((row + at) as u32, scores[at], similarities[at], uppers[at], best);
                }
            }
        }
    }
}

/// Rotates rows and rounds each, times its own number, to planes.
pub(super) fn encode(
    rotation: &Rotation,
    rows: &[f32],
    inverse_scales: &[f32],
    levels: Levels,
) -> Vec<u64> {
    let words = levels.count() * rotation.rotated_dims().div_ceil(64);
    let mut planes = vec![0; inverse_scales.len() * words];
    let rows = rows.par_chunks(rotation.dims()).zip(inverse_scales);
    rows.zip(planes.par_chunks_mut(words)).for_each_init(
        || vec![0.0; rotation.rotated_dims()],
        |rotated, ((row, &scale), planes)| {
            rotation.rotate(row, rotated);
            quantize(rotated, scale, levels.count(), planes);
        },
    );
    planes
}
