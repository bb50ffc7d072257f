//! Scanning a list: scores of blocks, bounds, survivors.
//!
//! ```text
//!  planes ──scan_blocks──> scores ──bound_blocks──> survivors ──> candidates
//!
//!  or, where the signs are scanned first:
//!  plane 0 ──scan_blocks──> scores ──bound_blocks──> survivors? ──> planes 1.. of the block ──> candidates
//! ```
//!
//! A list is any range of rows. Blocks are shared where one list ends and the next begins; rows that
//! belong to a neighbour are masked out.

use std::ops::Range;

use bigrain_binarize::{Estimate, QueryCode, Terms};
use bigrain_kernels::{
    BLOCK_ROWS, BlockTable, Bounded, Bounds, bound_blocks, prefetch, scan_blocks,
};

use super::mask::lanes_of;
use super::{Offers, RowMask};
use crate::Candidates;
use crate::codes::ResidentCodes;

/// Blocks scored before the threshold is read again, at most: their scores stay in the first-level
/// cache.
const MAX_STEP: usize = 32;

/// Blocks of a list's first step while there is no threshold: early ones say little, so they are soon
/// replaced.
const FIRST_STEP: usize = 2;

/// Blocks of a list's first step once there is a threshold, which a few blocks hardly move: each step waits
/// for its bounds, and many lists are no longer than this.
const LATER_STEP: usize = 8;

/// Bytes of a list's codes that are fetched ahead of its scan, which asks for the rest itself: from
/// `PREFETCH_BYTES` of the kernel on, rounded up to a pair of blocks, so what is fetched here must reach
/// that far (docs/benchmarks/kernels.md has what less and more cost).
const PREFETCH_BYTES: usize = 8192;

/// How many standard deviations bounds cover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epsilon {
    /// Of the signs, where they are scanned first.
    pub sign: f32,
    /// Of whole codes.
    pub full: f32,
}

/// What the codes of one list have in common.
#[derive(Clone, Copy, Debug)]
pub struct ListTerms {
    /// For scores that are bounded first: of the signs alone, or of whole codes.
    pub first: Terms,
    /// For scores of whole codes.
    pub full: Terms,
}

impl ListTerms {
    /// Returns the terms of codes about a centre, from its dot product with the rotated query and
    /// its squared length; bounds cover `epsilon` deviations.
    #[must_use]
    pub fn new(
        query: &QueryCode,
        dot: f32,
        norm_squared: f32,
        signs_first: bool,
        epsilon: Epsilon,
    ) -> Self {
        let mut full = query.terms_in_list(dot, norm_squared);
        full.error *= epsilon.full / query.epsilon();
        if !signs_first {
            return Self { first: full, full };
        }
        let mut first = query.sign_terms_in_list(dot, norm_squared);
        first.error *= epsilon.sign / query.epsilon();
        Self { first, full }
    }
}

/// The look-up table and buffers of one query, for any number of lists.
#[derive(Debug)]
pub struct ListScan {
    table: BlockTable,
    scores: [i32; MAX_STEP * BLOCK_ROWS],
    /// Scores of one of the other planes.
    plane: [i32; MAX_STEP * BLOCK_ROWS],
    similarities: [f32; MAX_STEP * BLOCK_ROWS],
    uppers: [f32; MAX_STEP * BLOCK_ROWS],
    survivors: [u32; MAX_STEP],
}

impl ListScan {
    /// Builds the query's table.
    #[must_use]
    pub fn new(query: &QueryCode) -> Self {
        let mut table = BlockTable::default();
        table.rebuild(query.planes());
        Self {
            table,
            scores: [0; MAX_STEP * BLOCK_ROWS],
            plane: [0; MAX_STEP * BLOCK_ROWS],
            similarities: [0.0; MAX_STEP * BLOCK_ROWS],
            uppers: [0.0; MAX_STEP * BLOCK_ROWS],
            survivors: [0; MAX_STEP],
        }
    }

    /// Makes the table that of another query.
    pub fn rebuild(&mut self, query: &QueryCode) {
        self.table.rebuild(query.planes());
    }

    /// Asks the memory for the beginning of a list that will be scanned next.
    pub fn fetch_ahead(codes: &ResidentCodes, rows: &Range<u32>) {
        let first = rows.start as usize / BLOCK_ROWS;
        let end = (rows.end as usize).div_ceil(BLOCK_ROWS).max(first);
        let block_bytes = codes.blocks(0, first..end.min(first + 1)).len().max(1);
        let ahead = first..end.min(first + PREFETCH_BYTES.div_ceil(block_bytes));
        prefetch(codes.blocks(0, ahead.clone()));
        let factors = codes.scan_factors(ahead);
        prefetch(bytemuck::cast_slice(factors.add));
        prefetch(bytemuck::cast_slice(factors.rescale));
        if !codes.signs_first() {
            prefetch(bytemuck::cast_slice(factors.error));
        }
    }

    /// Writes the similarity of every code to `similarities`; by its signs, where they are scanned
    /// first.
    pub fn similarities(
        &mut self,
        codes: &ResidentCodes,
        terms: &Terms,
        similarities: &mut Vec<f32>,
    ) {
        similarities.clear();
        let blocks = codes.rows().div_ceil(BLOCK_ROWS);
        for first in (0..blocks).step_by(MAX_STEP) {
            let step = first..blocks.min(first + MAX_STEP);
            let rows = step.len() * BLOCK_ROWS;
            self.bound(codes, terms, step, f32::NEG_INFINITY);
            similarities.extend_from_slice(&self.similarities[..rows]);
        }
        similarities.truncate(codes.rows());
    }

    /// Offers the rows of one list.
    pub fn scan(
        &mut self,
        codes: &ResidentCodes,
        terms: &ListTerms,
        rows: Range<u32>,
        offers: &mut Offers<'_, impl Fn(u32) -> bool>,
    ) {
        self.scan_blocks(codes, terms, rows, |_| u32::MAX, offers);
    }

    /// Offers the rows of one list that are in a mask; blocks without one are not looked at.
    pub fn scan_masked(
        &mut self,
        codes: &ResidentCodes,
        terms: &ListTerms,
        rows: Range<u32>,
        mask: &RowMask,
        candidates: &mut Candidates,
    ) {
        let offers = &mut Offers::new(candidates, |_| false);
        self.scan_blocks(codes, terms, rows, |block| mask.lanes(block), offers);
    }

    /// Offers those rows of one list whose lanes are wanted.
    fn scan_blocks(
        &mut self,
        codes: &ResidentCodes,
        terms: &ListTerms,
        rows: Range<u32>,
        wanted: impl Fn(usize) -> u32,
        offers: &mut Offers<'_, impl Fn(u32) -> bool>,
    ) {
        let end = (rows.end as usize).div_ceil(BLOCK_ROWS);
        let mut next = rows.start as usize / BLOCK_ROWS;
        let is_first = offers.threshold() == f32::NEG_INFINITY;
        let mut step = if is_first { FIRST_STEP } else { LATER_STEP };
        let is_wanted = |block: &usize| wanted(*block) != 0;
        while let Some(first) = (next..end).find(is_wanted) {
            let limit = end.min(first + step);
            let blocks = first..(first + 1..limit).find(|block| !is_wanted(block)).unwrap_or(limit);
            self.bound(codes, &terms.first, blocks.clone(), offers.threshold());
            for (at, block) in blocks.clone().enumerate() {
                self.survivors[at] &= lanes_of(block, &rows) & wanted(block);
                if self.survivors[at] != 0 && codes.signs_first() {
                    Self::fetch_rest(codes, block);
                }
            }
            for (at, block) in blocks.clone().enumerate() {
                let survivors = self.survivors[at];
                if survivors != 0 {
                    self.offer(codes, terms, (at, block), survivors, offers);
                }
            }
            next = blocks.end;
            step = MAX_STEP.min(2 * step);
        }
    }

    /// Offers the surviving rows of one block, which was bounded as the `at`-th.
    fn offer(
        &mut self,
        codes: &ResidentCodes,
        terms: &ListTerms,
        (at, block): (usize, usize),
        mut survivors: u32,
        offers: &mut Offers<'_, impl Fn(u32) -> bool>,
    ) {
        if codes.signs_first() {
            self.add_rest(codes, at..at + 1, block..block + 1);
        }
        while survivors != 0 {
            let lane = survivors.trailing_zeros() as usize;
            survivors &= survivors - 1;
            let (row, offset) = (at * BLOCK_ROWS + lane, block * BLOCK_ROWS + lane);
            let estimate = if codes.signs_first() {
                terms.full.estimate(self.scores[row], codes.rest_factors(offset))
            } else {
                let similarity = self.similarities[row];
                Estimate { similarity, error: self.uppers[row] - similarity }
            };
            offers.push(estimate, offset as u32);
        }
    }

    /// Asks the memory for the other planes of a block, which lie elsewhere.
    fn fetch_rest(codes: &ResidentCodes, block: usize) {
        for level in 1..codes.layout().levels().count() {
            prefetch(codes.blocks(level, block..block + 1));
        }
    }

    /// Adds the other planes of some blocks to the scores of their signs, which lie at `at`.
    fn add_rest(&mut self, codes: &ResidentCodes, at: Range<usize>, blocks: Range<usize>) {
        let scores = &mut self.scores[at.start * BLOCK_ROWS..at.end * BLOCK_ROWS];
        let plane = &mut self.plane[..scores.len()];
        for level in 1..codes.layout().levels().count() {
            scan_blocks(codes.blocks(level, blocks.clone()), &self.table, plane);
            scores.iter_mut().zip(&*plane).for_each(|(score, more)| *score = 2 * *score + more);
        }
    }

    /// Scores and bounds some blocks.
    fn bound(
        &mut self,
        codes: &ResidentCodes,
        terms: &Terms,
        blocks: Range<usize>,
        threshold: f32,
    ) {
        let len = blocks.len();
        let rows = len * BLOCK_ROWS;
        scan_blocks(codes.blocks(0, blocks.clone()), &self.table, &mut self.scores[..rows]);
        if !codes.signs_first() {
            self.add_rest(codes, 0..len, blocks.clone());
        }
        let bounds = bounds_of(codes, terms);
        let mut bounded = Bounded {
            similarities: &mut self.similarities[..rows],
            uppers: &mut self.uppers[..rows],
            survivors: &mut self.survivors[..len],
        };
        let factors = codes.scan_factors(blocks);
        bound_blocks(&self.scores[..rows], factors, bounds, threshold, &mut bounded);
    }
}

/// Returns terms for factors in halves, as they are stored.
pub(super) fn bounds_of(codes: &ResidentCodes, terms: &Terms) -> Bounds {
    let Terms { constant, scale, error, bias } = *terms;
    let unit = codes.unit();
    Bounds { constant, scale: scale * unit, error: error * unit, bias }
}
