//! Scanning codes: integer scores in chunks, bounds from factors, the promising ones kept.
//!
//! A chunk of codes is scored by the integer kernel into one small buffer and its factors are widened
//! into another. What a search wants of each code is its *optimistic* similarity, estimate plus error
//! bound, but the bound costs a square root. So a branch-free loop computes estimates only, and one
//! bound for the whole chunk, that of a code with the largest factors and the largest score in it,
//! says which codes could still be candidates. Few could; those get their own bound, and only those
//! ask whether they are deleted.

use bigrain_binarize::{Factors, PackedFactors, QueryCode};

use crate::Candidates;

/// Codes scored per round: the buffers stay in the first-level cache.
const CHUNK: usize = 512;

/// Codes have at most this many planes.
const MAX_LEVELS: usize = 4;

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
    let levels = codes.planes.len().min(MAX_LEVELS);
    let mut chunk = Chunk::default();
    let mut planes: [&[u64]; MAX_LEVELS] = [&[]; MAX_LEVELS];
    for start in (0..len).step_by(CHUNK) {
        let rows = CHUNK.min(len - start);
        for (part, plane) in planes.iter_mut().zip(codes.planes) {
            *part = &plane[start * codes.words..(start + rows) * codes.words];
        }
        bigrain_kernels::scan(&planes[..levels], query.planes(), &mut chunk.scores[..rows]);
        codes.factors.widen(start, &mut chunk.factors[..rows]);
        chunk.offer(rows, start, query, &deleted, candidates);
    }
    len as u64
}

/// Buffers for the codes of one round.
struct Chunk {
    scores: [i32; CHUNK],
    factors: [Factors; CHUNK],
    similarities: [f32; CHUNK],
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            scores: [0; CHUNK],
            factors: [Factors::default(); CHUNK],
            similarities: [0.0; CHUNK],
        }
    }
}

impl Chunk {
    /// Offers the first `rows` codes, which begin at offset `start`.
    fn offer(
        &mut self,
        rows: usize,
        start: usize,
        query: &QueryCode,
        deleted: &impl Fn(u32) -> bool,
        candidates: &mut Candidates,
    ) {
        let (scores, factors) = (&self.scores[..rows], &self.factors[..rows]);
        let similarities = &mut self.similarities[..rows];
        for ((similarity, &score), &factors) in similarities.iter_mut().zip(scores).zip(factors) {
            *similarity = query.similarity(score, factors);
        }
        let slack = largest_error(scores, factors, query);
        for (row, &similarity) in similarities.iter().enumerate() {
            // Written so that NaN, which says nothing, stays in the race.
            if similarity + slack < candidates.threshold() {
                continue;
            }
            let estimate = query.estimate(scores[row], factors[row]);
            let offset = (start + row) as u32;
            let hopeless = estimate.upper() < candidates.threshold();
            if !hopeless && !deleted(offset) {
                candidates.push(estimate, offset);
            }
        }
    }
}

/// Returns a bound on every error of a chunk: an error grows with each factor's magnitude and with
/// the score's, so the largest of each together bound all.
fn largest_error(scores: &[i32], factors: &[Factors], query: &QueryCode) -> f32 {
    let mut largest = Factors::default();
    for factors in factors {
        largest.add = largest.add.min(factors.add);
        largest.rescale = largest.rescale.max(factors.rescale);
        largest.error = largest.error.max(factors.error);
    }
    let score = scores.iter().fold(0, |largest, score| score.abs().max(largest));
    query.estimate(score, largest).error
}

#[cfg(test)]
mod tests {
    use bigrain_binarize::{Binarizer, QueryWidth, unit_for};
    use bigrain_types::{Levels, Metric};
    use proptest::prelude::*;

    use super::*;

    /// Codes of rows that look random, with their factors as the memtable and as a file keep them.
    struct Codes {
        planes: Vec<Vec<u64>>,
        factors: Vec<Factors>,
        words: usize,
    }

    fn codes(binarizer: &Binarizer, rows: usize) -> Codes {
        let value = |i: usize| ((i * 2_654_435_761) % 1009) as f32 / 504.0 - 1.0;
        let rows: Vec<f32> = (0..rows * binarizer.dims()).map(value).collect();
        let mut planes = vec![Vec::new(); binarizer.layout().levels().count()];
        let mut factors = Vec::new();
        binarizer.encode_many(&rows, &mut planes, &mut factors);
        Codes { planes, factors, words: binarizer.layout().words_per_plane() }
    }

    fn best(
        codes: &Codes,
        factors: FactorSlice<'_>,
        query: &QueryCode,
        deleted: &[u32],
    ) -> Vec<(f32, u32)> {
        let planes: Vec<&[u64]> = codes.planes.iter().map(Vec::as_slice).collect();
        let slice = CodeSlice { planes: &planes, words: codes.words, factors };
        let mut candidates = Candidates::new(20, 100);
        scan(&slice, query, |offset| deleted.contains(&offset), &mut candidates);
        candidates.into_sorted().iter().map(|c| (c.optimistic, c.offset)).collect()
    }

    /// The same, one code at a time and without pruning.
    fn plain(codes: &Codes, query: &QueryCode, deleted: &[u32]) -> Vec<(f32, u32)> {
        let mut all = Candidates::new(20, 100);
        for (row, &factors) in codes.factors.iter().enumerate() {
            let code: Vec<&[u64]> = codes
                .planes
                .iter()
                .map(|plane| &plane[row * codes.words..(row + 1) * codes.words])
                .collect();
            let estimate =
                query.estimate(bigrain_kernels::score_one(&code, query.planes()), factors);
            if !deleted.contains(&(row as u32)) {
                all.push(estimate, row as u32);
            }
        }
        all.into_sorted().iter().map(|c| (c.optimistic, c.offset)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn pruning_by_chunk_loses_nothing(
            rows in prop_oneof![0..40usize, 500..530usize, 1000..1100usize],
            levels in 1..=4u8,
            metric in prop_oneof![Just(Metric::Cosine), Just(Metric::Dot), Just(Metric::L2)],
            deleted in prop::collection::vec(0..1100u32, 0..30),
        ) {
            let levels = Levels::new(levels).unwrap();
            let binarizer = Binarizer::new_rotation(40, levels, metric, 3).unwrap();
            let codes = codes(&binarizer, rows);
            let query: Vec<f32> = (0..40).map(|i| (i as f32 * 0.7).sin()).collect();
            let query = binarizer.prepare_query(&query, QueryWidth::default_for(levels)).unwrap();
            let expected = plain(&codes, &query, &deleted);
            prop_assert_eq!(
                &best(&codes, FactorSlice::Plain(&codes.factors), &query, &deleted),
                &expected
            );
            let largest = codes.factors.iter().fold(0.0, |largest, f| f.rescale.max(largest));
            let unit = unit_for(largest);
            let packed: Vec<PackedFactors> =
                codes.factors.iter().map(|factors| factors.pack(unit, binarizer.layout())).collect();
            let packed = best(&codes, FactorSlice::Packed(&packed, unit), &query, &deleted);
            prop_assert_eq!(packed.len(), expected.len());
        }
    }
}
