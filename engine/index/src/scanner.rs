//! Scanning codes that lie plane by plane: the last ones of a memtable, which grows row by row.
//!
//! A chunk of codes is scored by the integer kernel into one small buffer; each score becomes an
//! estimate with its bound, and the promising ones are kept.

use bigrain_binarize::{Factors, QueryCode};

use crate::Candidates;
use crate::candidates::Offers;

/// Codes scored per round: the buffers stay in the first-level cache.
const CHUNK: usize = 512;

/// Codes have at most this many planes.
const MAX_LEVELS: usize = 4;

/// Codes of one code space about the origin, plane by plane, with their factors.
#[derive(Clone, Copy, Debug)]
pub struct CodeSlice<'a> {
    /// One slice per level, most significant first; each holds `len * words` words.
    pub planes: &'a [&'a [u64]],
    /// Words per code and plane.
    pub words: usize,
    /// One entry per code.
    pub factors: &'a [Factors],
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
    let levels = codes.planes.len().min(MAX_LEVELS);
    let terms = query.terms();
    let mut offers = Offers::new(candidates, deleted);
    let mut scores = [0; CHUNK];
    let mut planes: [&[u64]; MAX_LEVELS] = [&[]; MAX_LEVELS];
    for (chunk, factors) in codes.factors.chunks(CHUNK).enumerate() {
        let start = chunk * CHUNK;
        for (part, plane) in planes.iter_mut().zip(codes.planes) {
            *part = &plane[start * codes.words..(start + factors.len()) * codes.words];
        }
        let scores = &mut scores[..factors.len()];
        bigrain_kernels::scan(&planes[..levels], query.planes(), scores);
        for (row, (&score, &factors)) in scores.iter().zip(factors).enumerate() {
            offers.push(terms.estimate(score, factors), (start + row) as u32);
        }
    }
    codes.factors.len() as u64
}

#[cfg(test)]
mod tests {
    use bigrain_binarize::{Binarizer, QueryWidth};
    use bigrain_types::{Levels, Metric};
    use proptest::prelude::*;

    use super::*;

    /// Codes of rows that look random, with their factors.
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

    fn best(codes: &Codes, query: &QueryCode, deleted: &[u32]) -> Vec<(f32, u32)> {
        let planes: Vec<&[u64]> = codes.planes.iter().map(Vec::as_slice).collect();
        let slice = CodeSlice { planes: &planes, words: codes.words, factors: &codes.factors };
        let mut candidates = Candidates::new(20, 100);
        scan(&slice, query, |offset| deleted.contains(&offset), &mut candidates);
        candidates.into_sorted().iter().map(|c| (c.optimistic, c.offset)).collect()
    }

    /// The same, one code at a time.
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
        fn pruning_loses_nothing(
            rows in prop_oneof![0..40usize, 500..530usize, 1000..1100usize],
            levels in 1..=4u8,
            metric in prop_oneof![Just(Metric::Cosine), Just(Metric::Dot), Just(Metric::L2)],
            deleted in prop::collection::vec(0..1100u32, 0..30),
        ) {
            let levels = Levels::new(levels).unwrap();
            let binarizer = Binarizer::new_rotation(40, levels, metric, 3).unwrap();
            let codes = codes(&binarizer, rows);
            let query: Vec<f32> = (0..40).map(|i| (i as f32 * 0.7).sin()).collect();
            let query = binarizer.prepare_query(&query, QueryWidth::DEFAULT).unwrap();
            let expected = plain(&codes, &query, &deleted);
            prop_assert_eq!(best(&codes, &query, &deleted), expected);
        }
    }
}
