//! Scanning codes that lie plane by plane: the last ones of a memtable, which grows row by row.
//!
//! Those that are wanted are scored by the integer kernel, run after run; each score becomes an estimate with its
//! bound, and the promising ones are kept.

use bigrain_binarize::{QueryCode, Terms};

use crate::candidates::Offers;
use crate::codes::CodesBuilder;

/// Codes scored at once, at most: the buffers stay in the first-level cache.
const CHUNK: usize = 512;

/// Codes have at most this many planes.
const MAX_LEVELS: usize = 4;

/// Offers codes, those for which there are `terms`: of the list that they belong to, if that is looked at.
///
/// Code `i` becomes offset `i`. Returns how many codes were scored.
pub fn scan<'t>(
    codes: &CodesBuilder,
    query: &QueryCode,
    terms: impl Fn(usize) -> Option<&'t Terms>,
    offers: &mut Offers<'_, impl Fn(u32) -> bool>,
) -> u64 {
    let mut scores = [0; CHUNK];
    let (mut next, mut scored) = (0, 0);
    while let Some(start) = (next..codes.len()).find(|&code| terms(code).is_some()) {
        let limit = codes.len().min(start + CHUNK);
        let end = (start..limit).find(|&code| terms(code).is_none()).unwrap_or(limit);
        let mut planes: [&[u64]; MAX_LEVELS] = [&[]; MAX_LEVELS];
        let levels = codes.levels().min(MAX_LEVELS);
        for (level, plane) in planes[..levels].iter_mut().enumerate() {
            *plane = codes.plane(level, start..end);
        }
        let scores = &mut scores[..end - start];
        bigrain_kernels::scan(&planes[..levels], query.planes(), scores);
        for (code, &score) in (start..end).zip(&*scores) {
            if let Some(terms) = terms(code) {
                offers.push(terms.estimate(score, codes.factors()[code].full), code as u32);
            }
        }
        scored += scores.len() as u64;
        next = end;
    }
    scored
}

#[cfg(test)]
mod tests {
    use bigrain_binarize::{Binarizer, EncodeScratch, QueryWidth};
    use bigrain_kernels::{dot, score_one};
    use bigrain_types::{Levels, Metric};
    use proptest::prelude::*;

    use super::*;
    use crate::Candidates;

    const DIMS: usize = 40;

    /// Returns numbers that look random.
    fn values(seed: usize, count: usize) -> Vec<f32> {
        let value = |i: usize| (((i + seed) * 2_654_435_761) % 1009) as f32 / 504.0 - 1.0;
        (0..count).map(value).collect()
    }

    /// Encodes rows, each about one of some rotated centres.
    fn codes(binarizer: &Binarizer, lists: &[usize], centres: &[Vec<f32>]) -> CodesBuilder {
        let mut codes = CodesBuilder::new(*binarizer.layout());
        let (mut scratch, mut rotated) = (EncodeScratch::default(), vec![0.0; centres[0].len()]);
        let mut code = vec![0; binarizer.layout().words()];
        for (row, &list) in values(0, lists.len() * DIMS).chunks(DIMS).zip(lists) {
            binarizer.rotate(row, &mut rotated);
            let centre = &centres[list];
            let factors = binarizer.encode_in_list(row, &rotated, centre, &mut scratch, &mut code);
            codes.push(&code, factors);
        }
        codes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn what_is_wanted_is_found_and_pruning_loses_nothing(
            rows in prop_oneof![0..40usize, 500..530usize, 1000..1100usize],
            every in 1..8usize,
            levels in 1..=4u8,
            metric in prop_oneof![Just(Metric::Cosine), Just(Metric::Dot), Just(Metric::L2)],
            deleted in prop::collection::vec(0..1100u32, 0..30),
        ) {
            let levels = Levels::new(levels).unwrap();
            let binarizer = Binarizer::new_rotation(DIMS, levels, metric, 3).unwrap();
            let dims = binarizer.layout().dims();
            let centres = [values(7, dims), values(11, dims), values(13, dims)];
            // Of the last list nothing is wanted; its rows stand in runs among the others.
            let list = |row: usize| if row / every % 2 == 1 { 2 } else { row % 2 };
            let lists: Vec<usize> = (0..rows).map(list).collect();
            let codes = codes(&binarizer, &lists, &centres);
            let query = binarizer.prepare_query(&values(5, DIMS), QueryWidth::DEFAULT).unwrap();
            let terms = [0, 1].map(|list| {
                let centre = &centres[list];
                query.terms_about(dot(query.rotated(), centre), dot(centre, centre))
            });
            let of = |row: usize| terms.get(lists[row]);

            let mut found = Candidates::new(20, 100);
            let is_out = |offset| deleted.contains(&offset);
            let scored = scan(&codes, &query, of, &mut Offers::new(&mut found, is_out));
            let mut expected = Candidates::new(20, 100);
            for row in 0..rows {
                let planes: Vec<&[u64]> =
                    (0..codes.levels()).map(|level| codes.plane(level, row..row + 1)).collect();
                if let Some(terms) = of(row).filter(|_| !is_out(row as u32)) {
                    let score = score_one(&planes, query.planes());
                    expected.push(terms.estimate(score, codes.factors()[row].full), row as u32);
                }
            }
            prop_assert_eq!(found.into_sorted(), expected.into_sorted());
            prop_assert_eq!(scored, lists.iter().filter(|&&list| list < 2).count() as u64);
        }
    }
}
