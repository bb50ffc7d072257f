//! Random codes and queries.

use anyhow::Context;
use bigrain_binarize::{CodeBlocks, CodeLayout};
use bigrain_kernels::{BLOCK_ROWS, Bounds, QueryPlanes, RowFactors, block_bytes};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

/// Bytes that are made from one stream of the seed.
const STREAM_BYTES: usize = 1 << 20;

/// 1.0 in binary16: with random bits of the fraction a number from 1 up to 2.
const HALF_ONE: u16 = 0x3c00;
/// 1/32 in binary16: with random bits of the fraction a number from 1/32 up to 1/16.
const HALF_SMALL: u16 = 0x2800;
/// The bits of a fraction in binary16.
const FRACTION: u16 = 0x03ff;

/// Random codes with factors: similarities are about normal, of a deviation of one to two, and errors a thirtieth of
/// that.
#[derive(Debug)]
pub(super) struct RandomCodes {
    pub layout: CodeLayout,
    pub rows: usize,
    planes: Vec<Vec<u8>>,
    add: Vec<f32>,
    rescale: Vec<u16>,
    error: Vec<u16>,
}

impl RandomCodes {
    pub fn new(layout: CodeLayout, rows: usize, seed: u64) -> Self {
        let bytes = rows.div_ceil(BLOCK_ROWS) * block_bytes(layout.dims());
        // Every bit is one of a code: its dimensions are whole words.
        let plane = |level: usize| {
            let mut plane = vec![0; bytes];
            plane.par_chunks_mut(STREAM_BYTES).enumerate().for_each(|(part, to)| {
                stream(seed, 1 + level as u64, part as u64).fill_bytes(to);
            });
            plane
        };
        let mut random = stream(seed, 0, 0);
        let half = |unit: u16, random: &mut ChaCha8Rng| unit | random.next_u32() as u16 & FRACTION;
        Self {
            planes: (0..layout.levels().count()).map(plane).collect(),
            add: (0..rows).map(|_| uniform(&mut random) - 0.5).collect(),
            rescale: (0..rows).map(|_| half(HALF_ONE, &mut random)).collect(),
            error: (0..rows).map(|_| half(HALF_SMALL, &mut random)).collect(),
            layout,
            rows,
        }
    }

    /// Returns the bytes that a code and its factors take.
    pub fn bytes_per_code(layout: &CodeLayout) -> usize {
        layout.bytes() + size_of::<f32>() + 2 * size_of::<u16>()
    }

    /// Returns the first codes, as a device takes them.
    pub fn first(&self, rows: usize) -> CodeBlocks<'_> {
        let planes = self.planes.iter().map(Vec::as_slice).collect();
        CodeBlocks { layout: self.layout, rows, planes, factors: self.factors(0, rows) }
    }

    /// Returns one level of some blocks, and how many rows they have.
    pub fn blocks(&self, level: usize, first: usize, end: usize) -> &[u8] {
        let bytes = block_bytes(self.layout.dims());
        &self.planes[level][first * bytes..end * bytes]
    }

    pub fn factors(&self, first: usize, end: usize) -> RowFactors<'_> {
        RowFactors {
            add: &self.add[first..end],
            rescale: &self.rescale[first..end],
            error: &self.error[first..end],
        }
    }
}

/// Random queries for codes of one shape.
#[derive(Debug)]
pub(super) struct RandomQueries {
    dims: usize,
    /// Words of a query.
    words: usize,
    planes: Vec<u64>,
    /// What makes a similarity of a score.
    pub scale: f32,
}

impl RandomQueries {
    pub fn new(layout: &CodeLayout, count: usize, seed: u64) -> Self {
        let width = width_for(layout);
        let words = width * layout.words_per_plane();
        let mut random = stream(seed, 100, 0);
        let planes = (0..count * words).map(|_| random.next_u64()).collect();
        // The sum over dimensions of products of two odd integers, uniform up to 2^B - 1 and 2^Q - 1, has this deviation.
        let variance = |bits: usize| ((1_u64 << (2 * bits)) - 1) as f32 / 3.0;
        let dims = layout.dims();
        let deviation = (dims as f32 * variance(layout.levels().count()) * variance(width)).sqrt();
        Self { dims, words, planes, scale: 1.0 / deviation }
    }

    pub fn iter(&self) -> anyhow::Result<Vec<QueryPlanes<'_>>> {
        let query = |planes| QueryPlanes::new(planes, self.dims).context("make a query");
        self.planes.chunks(self.words).map(query).collect()
    }

    /// Returns what makes bounds of scores: an error is as large as the factors say.
    pub fn bounds(&self) -> Bounds {
        Bounds { constant: 0.25, scale: self.scale, error: 1.0, bias: 0.0 }
    }
}

/// Returns rows of random numbers between -1 and 1.
pub(super) fn random_rows(rows: usize, dims: usize, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; rows * dims];
    values.par_chunks_mut(STREAM_BYTES).enumerate().for_each(|(part, to)| {
        let mut random = stream(seed, 200, part as u64);
        to.iter_mut().for_each(|value| *value = 2.0 * uniform(&mut random) - 1.0);
    });
    values
}

/// Returns the bits that a search keeps of each dimension of a query
/// ([`QueryWidth::DEFAULT`](bigrain_binarize::QueryWidth::DEFAULT)).
fn width_for(layout: &CodeLayout) -> usize {
    if layout.levels().count() > 2 { 6 } else { 5 }
}

/// Returns a number from 0 up to 1.
fn uniform(random: &mut ChaCha8Rng) -> f32 {
    (random.next_u32() >> 8) as f32 / (1 << 24) as f32
}

/// Returns one of the streams of a seed.
fn stream(seed: u64, of: u64, part: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(of << 32 | part);
    random
}
