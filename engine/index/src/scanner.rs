//! Scanning codes: integer scores in chunks, bounds from factors, the best into a heap.
//!
//! A chunk of codes is scored by the integer kernel into one small buffer, its factors are widened
//! into another, and a branch-free loop turns both into *optimistic* similarities: estimate plus
//! error bound, the best the vector could be. Only codes whose optimistic similarity beats the
//! heap's worst are looked at one by one, and only those ask whether they are deleted.

use bigrain_binarize::{Factors, PackedFactors, QueryCode};

use crate::Candidates;

/// Codes scored per round: the three buffers stay in the first-level cache.
const CHUNK: usize = 512;

/// Codes of one code space, plane by plane, with their factors.
#[derive(Clone, Copy, Debug)]
pub struct CodeSlice<'a> {
    /// One slice per level, most significant first; each holds `len * words` words.
    pub planes: &'a [&'a [u64]],
    /// Words per code and plane.
    pub words: usize,
    /// One entry per code.
    pub factors: FactorSlice<'a>,
}

/// The factors of a [`CodeSlice`], as they are kept.
#[derive(Clone, Copy, Debug)]
pub enum FactorSlice<'a> {
    /// Full precision: the memtable's.
    Plain(&'a [Factors]),
    /// Eight bytes each: a segment's, with the unit its halves are stored in.
    Packed(&'a [PackedFactors], f32),
}

impl FactorSlice<'_> {
    /// Returns how many codes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(factors) => factors.len(),
            Self::Packed(factors, _) => factors.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn widen(&self, start: usize, out: &mut [Factors]) {
        match self {
            Self::Plain(factors) => out.copy_from_slice(&factors[start..start + out.len()]),
            Self::Packed(factors, unit) => {
                for (out, packed) in out.iter_mut().zip(&factors[start..]) {
                    *out = packed.unpack(*unit);
                }
            }
        }
    }
}

/// Offers every code of `codes` to `candidates`, except offsets for which `deleted` is true.
///
/// Code `i` becomes offset `i`. Returns how many codes were scored.
pub fn scan(
    codes: &CodeSlice<'_>,
    query: &QueryCode,
    deleted: impl Fn(u32) -> bool,
    candidates: &mut Candidates,
) -> u64 {
    let len = codes.factors.len();
    let mut scores = [0_i32; CHUNK];
    let mut factors = [Factors::default(); CHUNK];
    let mut optimistic = [0_f32; CHUNK];
    let mut chunk_planes: [&[u64]; 4] = [&[]; 4];
    let levels = codes.planes.len().min(chunk_planes.len());
    for start in (0..len).step_by(CHUNK) {
        let rows = CHUNK.min(len - start);
        for (chunk, plane) in chunk_planes.iter_mut().zip(codes.planes) {
            *chunk = &plane[start * codes.words..(start + rows) * codes.words];
        }
        bigrain_kernels::scan(&chunk_planes[..levels], query.planes(), &mut scores[..rows]);
        codes.factors.widen(start, &mut factors[..rows]);
        for ((bound, &score), &factors) in
            optimistic.iter_mut().zip(&scores[..rows]).zip(&factors[..rows])
        {
            let estimate = query.estimate(score, factors);
            *bound = estimate.similarity + estimate.error;
        }
        for (row, &bound) in optimistic[..rows].iter().enumerate() {
            let offset = (start + row) as u32;
            // A bound that overflowed to NaN says nothing, so its code stays in the race.
            let bound = if bound.is_nan() { f32::INFINITY } else { bound };
            if bound >= candidates.threshold() && !deleted(offset) {
                candidates.push(bound, offset);
            }
        }
    }
    len as u64
}
