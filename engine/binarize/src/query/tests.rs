//! What the estimator promises, measured on seeded data.

use bigrain_kernels::reference::{dot, l2_squared};
use bigrain_kernels::{TopK, scan, score_one};
use bigrain_types::{Levels, Metric, normalize};
use proptest::prelude::*;

use crate::support::{Gaussian, gaussian_rows, skewed_rows};
use crate::{Binarizer, EncodeScratch, Estimate, Factors, QueryWidth, unit_for};

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

/// Codes of some rows, each level in one array.
struct Codes {
    binarizer: Binarizer,
    rows: Vec<f32>,
    planes: Vec<Vec<u64>>,
    factors: Vec<Factors>,
}

impl Codes {
    fn new(binarizer: Binarizer, mut rows: Vec<f32>) -> Self {
        if binarizer.metric() == Metric::Cosine {
            rows.chunks_exact_mut(binarizer.dims()).for_each(normalize);
        }
        let mut planes = vec![Vec::new(); binarizer.layout().levels().count()];
        let mut factors = Vec::new();
        binarizer.encode_many(&rows, &mut planes, &mut factors);
        Self { binarizer, rows, planes, factors }
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.binarizer.dims()..][..self.binarizer.dims()]
    }

    /// Packs and unpacks all factors, as a file would.
    fn packed(mut self) -> Self {
        let largest = self.factors.iter().map(|factors| factors.rescale).fold(0.0, f32::max);
        let unit = unit_for(largest);
        for factors in &mut self.factors {
            *factors = factors.pack(unit, self.binarizer.layout()).unpack(unit);
        }
        self
    }

    fn estimates(&self, query: &[f32], width: QueryWidth, epsilon: f32) -> Vec<Estimate> {
        let query = self.binarizer.prepare_query(query, width).unwrap().with_epsilon(epsilon);
        let planes: Vec<&[u64]> = self.planes.iter().map(Vec::as_slice).collect();
        let mut scores = vec![0; self.factors.len()];
        scan(&planes, query.planes(), &mut scores);
        let pairs = scores.iter().zip(&self.factors);
        pairs.map(|(&score, &factors)| query.estimate(score, factors)).collect()
    }

    fn exact(&self, query: &[f32]) -> Vec<f64> {
        let rows = self.rows.chunks_exact(self.binarizer.dims());
        if self.binarizer.metric() == Metric::L2 {
            rows.map(|row| -l2_squared(row, query)).collect()
        } else {
            rows.map(|row| dot(row, query)).collect()
        }
    }
}

fn levels(levels: u8) -> Levels {
    Levels::new(levels).unwrap()
}

fn binarizer(dims: usize, count: u8, metric: Metric) -> Binarizer {
    Binarizer::new_rotation(dims, levels(count), metric, 20).unwrap()
}

/// Returns the first rows of `rows`, each moved by about its length in a random direction.
fn queries(rows: &[f32], dims: usize, count: usize, metric: Metric) -> Vec<Vec<f32>> {
    let mut noise = Gaussian::new(99);
    let length = (dot(&rows[..dims], &rows[..dims]) / dims as f64).sqrt() as f32;
    let mut near = |row: &[f32]| -> Vec<f32> {
        let mut query: Vec<f32> = row.iter().map(|x| x + length * noise.next()).collect();
        if metric == Metric::Cosine {
            normalize(&mut query);
        }
        query
    };
    rows.chunks_exact(dims).take(count).map(&mut near).collect()
}

/// How far estimates are off, in units of one standard deviation of their own error.
#[derive(Default)]
struct Deviations(Vec<f64>);

impl Deviations {
    fn add(&mut self, codes: &Codes, query: &[f32], width: QueryWidth) {
        let exact = codes.exact(query);
        for (estimate, exact) in codes.estimates(query, width, 1.0).iter().zip(exact) {
            self.0.push((f64::from(estimate.similarity) - exact) / f64::from(estimate.error));
        }
    }

    fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    fn share_within(&self, epsilon: f64) -> f64 {
        let inside = self.0.iter().filter(|off| off.abs() <= epsilon).count();
        inside as f64 / self.0.len() as f64
    }

    fn share_above(&self, epsilon: f64) -> f64 {
        self.0.iter().filter(|&&off| off < -epsilon).count() as f64 / self.0.len() as f64
    }
}

#[test]
fn estimates_are_unbiased_and_errors_cover_what_they_say() {
    for dims in [64, 100, 384, 768] {
        let data = [gaussian_rows(10, dims, 1), skewed_rows(10, dims, 2)];
        for (rows, metric) in data.iter().flat_map(|rows| METRICS.map(|metric| (rows, metric))) {
            let queries = queries(rows, dims, 2, metric);
            for count in 1..=4 {
                let case = format!("{dims} dims, {metric}, {count} levels");
                let deviations = over_many_rotations(rows, &queries, count, metric);
                assert!(deviations.mean().abs() < 0.25, "{case}: mean {}", deviations.mean());
                assert!(deviations.share_within(1.9) > 0.93, "{case}");
                assert!(deviations.share_above(1.9) < 0.04, "{case}");
                assert!(deviations.share_within(2.6) > 0.985, "{case}");
                assert!(deviations.share_within(3.3) > 0.997, "{case}");
            }
        }
    }
}

/// The randomness is the rotation's: nearly parallel rows are all off in the same way under one.
fn over_many_rotations(
    rows: &[f32],
    queries: &[Vec<f32>],
    count: u8,
    metric: Metric,
) -> Deviations {
    let mut deviations = Deviations::default();
    for seed in 0..200 {
        let dims = queries[0].len();
        let binarizer = Binarizer::new_rotation(dims, levels(count), metric, seed).unwrap();
        let codes = Codes::new(binarizer, rows.to_vec()).packed();
        for query in queries {
            deviations.add(&codes, query, QueryWidth::DEFAULT);
        }
    }
    deviations
}

#[test]
fn symmetric_errors_cover_too() {
    for (dims, count) in [(384, 1), (384, 2), (100, 3), (768, 4)] {
        let rows = gaussian_rows(300, dims, 6);
        let codes = Codes::new(binarizer(dims, count, Metric::Cosine), rows.clone());
        let mut deviations = Deviations::default();
        for query in queries(&rows, dims, 12, Metric::Cosine) {
            deviations.add(&codes, &query, QueryWidth::Symmetric);
        }
        assert!(deviations.mean().abs() < 0.1, "{dims} {count}: {}", deviations.mean());
        assert!(deviations.share_within(2.6) > 0.985, "{dims} {count}");
    }
}

#[test]
fn errors_cover_the_query_itself_at_any_width() {
    for metric in METRICS {
        for (dims, count) in [(64, 1), (384, 1), (384, 2), (768, 4)] {
            let codes = Codes::new(binarizer(dims, count, metric), gaussian_rows(50, dims, 8));
            for width in [QueryWidth::Symmetric, QueryWidth::Bits(4), QueryWidth::Bits(8)] {
                for i in 0..50 {
                    let exact = codes.exact(codes.row(i))[i];
                    let estimate = codes.estimates(codes.row(i), width, 1.9)[i];
                    let off = (f64::from(estimate.similarity) - exact).abs();
                    let case = format!("{metric} {dims} {count} {width:?}");
                    assert!(off <= f64::from(estimate.error), "{case}: {estimate:?}, {exact}");
                }
            }
        }
    }
}

#[test]
fn the_deviation_by_levels_is_that_of_the_theory() {
    let dims = 768;
    for (count, expected) in (1..).zip([0.756, 0.367, 0.197, 0.108]) {
        let codes = Codes::new(binarizer(dims, count, Metric::Cosine), gaussian_rows(400, dims, 3));
        let queries = queries(&gaussian_rows(20, dims, 4), dims, 20, Metric::Cosine);
        let mut squares = Vec::new();
        for query in &queries {
            let exact = codes.exact(query);
            let estimates = codes.estimates(query, QueryWidth::Bits(8), 1.9);
            squares.extend(
                estimates
                    .iter()
                    .zip(exact)
                    .map(|(e, exact)| (f64::from(e.similarity) - exact).powi(2)),
            );
        }
        let deviation = (squares.iter().sum::<f64>() / squares.len() as f64 * dims as f64).sqrt();
        assert!((deviation / expected - 1.0).abs() < 0.05, "{count} levels: {deviation}");
    }
}

/// Rows around random centres, and queries drawn the same way.
fn clustered(rows: usize, dims: usize, seed: u64) -> Vec<f32> {
    let centres = gaussian_rows(40, dims, 1234);
    let mut random = Gaussian::new(seed);
    let mut row = || -> Vec<f32> {
        let centre = random.below(40) * dims;
        centres[centre..centre + dims].iter().map(|x| x + 0.8 * random.next()).collect()
    };
    (0..rows).flat_map(|_| row()).collect()
}

fn best(limit: usize, scores: impl Iterator<Item = f32>) -> Vec<u32> {
    let mut best = TopK::new(limit);
    for (offset, score) in (0..).zip(scores) {
        best.push(score, offset);
    }
    best.into_sorted().iter().map(|scored| scored.offset).collect()
}

#[test]
fn one_level_finds_the_neighbours_among_a_hundred_candidates() {
    for (dims, metric) in [(256, Metric::Cosine), (384, Metric::L2), (768, Metric::Dot)] {
        let codes = Codes::new(binarizer(dims, 1, metric), clustered(4000, dims, 5));
        let (mut found, mut wanted) = (0, 0);
        for query in clustered(50, dims, 6).chunks_exact_mut(dims) {
            if metric == Metric::Cosine {
                normalize(query);
            }
            let truth = best(10, codes.exact(query).into_iter().map(|s| s as f32));
            let width = QueryWidth::DEFAULT;
            let estimates = codes.estimates(query, width, 1.9);
            let candidates = best(100, estimates.iter().map(|e| e.similarity));
            found += truth.iter().filter(|offset| candidates.contains(offset)).count();
            wanted += truth.len();
        }
        let recall = f64::from(found as u32) / f64::from(wanted as u32);
        assert!(recall >= 0.97, "{dims} {metric}: recall@10 of 100 candidates is {recall}");
    }
}

#[test]
fn a_symmetric_query_is_the_code_of_the_same_vector() {
    let binarizer = binarizer(100, 1, Metric::Dot);
    let vector = gaussian_rows(1, 100, 1);
    let mut code = vec![0; binarizer.layout().words()];
    binarizer.encode(&vector, &mut EncodeScratch::default(), &mut code);
    let query = binarizer.prepare_query(&vector, QueryWidth::Symmetric).unwrap();
    assert_eq!(query.planes().plane(0), code);
    let one_bit = binarizer.prepare_query(&vector, QueryWidth::Bits(1)).unwrap();
    assert_eq!(one_bit.planes(), query.planes());
    assert_eq!(score_one(&[&code], query.planes()), 128);
}

#[test]
fn padded_dimensions_do_not_disturb_scores() {
    for metric in METRICS {
        let rows = gaussian_rows(200, 50, 2);
        let codes = Codes::new(binarizer(50, 2, metric), rows.clone());
        let mut deviations = Deviations::default();
        for query in queries(&rows, 50, 10, metric) {
            deviations.add(&codes, &query, QueryWidth::Bits(4));
        }
        assert!(deviations.mean().abs() < 0.2, "{metric}: {}", deviations.mean());
        assert!(deviations.share_within(2.6) > 0.98, "{metric}");
    }
}

#[test]
fn short_and_long_vectors_share_a_file() {
    for (metric, count) in [(Metric::Dot, 1), (Metric::L2, 1), (Metric::L2, 3)] {
        let mut rows = gaussian_rows(120, 384, 2);
        for (i, row) in rows.chunks_exact_mut(384).enumerate() {
            let length = [1e-6, 1.0, 1e6][i % 3];
            row.iter_mut().for_each(|x| *x *= length);
        }
        let codes = Codes::new(binarizer(384, count, metric), rows).packed();
        for scale in [1e-6, 1.0, 1e6] {
            let mut deviations = Deviations::default();
            for query in gaussian_rows(10, 384, 77).chunks_exact_mut(384) {
                query.iter_mut().for_each(|x| *x *= scale);
                deviations.add(&codes, query, QueryWidth::Bits(6));
            }
            assert!(deviations.share_within(2.6) > 0.985, "{metric} {scale}");
        }
    }
}

#[test]
fn a_zero_vector_and_a_zero_query_are_estimated_exactly() {
    for metric in [Metric::Dot, Metric::L2] {
        let binarizer = binarizer(100, 2, metric);
        let mut rows = gaussian_rows(2, 100, 2);
        rows[..100].fill(0.0);
        let codes = Codes::new(binarizer, rows).packed();
        assert_eq!((codes.factors[0].rescale, codes.factors[0].error), (0.0, 0.0));
        let query = gaussian_rows(1, 100, 3);
        let estimate = codes.estimates(&query, QueryWidth::Bits(4), 1.9)[0];
        let exact = codes.exact(&query)[0] as f32;
        assert!((estimate.similarity - exact).abs() <= 1e-6 * exact.abs());
        assert!(estimate.error <= 1e-6 * exact.abs());

        let exact = codes.exact(&[0.0; 100]);
        for (estimate, exact) in
            codes.estimates(&[0.0; 100], QueryWidth::Symmetric, 1.9).iter().zip(exact)
        {
            assert!((f64::from(estimate.similarity) - exact).abs() <= 1e-6 * exact.abs());
            assert!(f64::from(estimate.error) <= 1e-6 * exact.abs());
        }
    }
}

#[test]
fn decoding_gives_back_the_direction() {
    for (count, least) in (1..).zip([0.75, 0.92, 0.975, 0.99]) {
        for metric in METRICS {
            let codes = Codes::new(binarizer(200, count, metric), gaussian_rows(1, 200, 5));
            let code: Vec<u64> = codes.planes.concat();
            let (vector, decoded) =
                (codes.row(0), codes.binarizer.decode(&code, codes.factors[0]).unwrap());
            let cosine =
                dot(vector, &decoded) / (dot(vector, vector) * dot(&decoded, &decoded)).sqrt();
            assert!(cosine > least, "{count} levels, {metric}: {cosine}");
        }
    }
}

#[test]
fn queries_that_do_not_fit_are_refused() {
    let binarizer = binarizer(3, 1, Metric::Dot);
    let refuse =
        |query: &[f32], width| binarizer.prepare_query(query, width).unwrap_err().to_string();
    let full = QueryWidth::Bits(4);
    assert_eq!(refuse(&[1.0], full), "dimension mismatch: binarizer has 3, query has 1");
    let range = "query width out of range: expected 1 to 8 bits, got";
    assert_eq!(refuse(&[1.0; 3], QueryWidth::Bits(0)), format!("{range} 0"));
    assert_eq!(refuse(&[1.0; 3], QueryWidth::Bits(9)), format!("{range} 9"));
    for bad in [f32::NAN, f32::INFINITY, 1e30] {
        assert_eq!(refuse(&[1.0, bad, 0.0], full), "query is not finite");
    }
}

#[test]
fn lengths_whose_squares_are_no_normal_numbers_leave_the_bounds_whole() {
    // Squares from below the least number above zero to the least normal one, and beyond.
    for exponent in 16..=24 {
        for (count, width) in [(1, 1), (2, 3), (4, 8)] {
            let vector = [3.124_765 * 10_f32.powi(-exponent)];
            let binarizer = binarizer(1, count, Metric::L2);
            let mut code = vec![0; binarizer.layout().words()];
            let factors = binarizer.encode(&vector, &mut EncodeScratch::default(), &mut code);
            let query = binarizer.prepare_query(&vector, QueryWidth::Bits(width)).unwrap();
            let planes: Vec<&[u64]> = binarizer.layout().levels_of(&code).collect();
            let estimate = query.estimate(score_one(&planes, query.planes()), factors);
            assert!(estimate.upper() >= 0.0, "{estimate:?} at 1e-{exponent}");
        }
    }
}

proptest! {
    #[test]
    fn any_finite_vector_gives_finite_factors_and_estimates(
        values in prop::collection::vec(
            prop_oneof![-1e15f32..1e15, -1f32..1.0, Just(0.0), Just(1e-42)], 1..150),
        scale in prop_oneof![Just(1.0f32), Just(1e-20), Just(1e-35)],
        count in 1u8..=4,
        width in 1u8..=8,
    ) {
        let values: Vec<f32> = values.into_iter().map(|x| x * scale).collect();
        let binarizer = binarizer(values.len(), count, Metric::L2);
        let mut code = vec![0; binarizer.layout().words()];
        let factors = binarizer.encode(&values, &mut EncodeScratch::default(), &mut code);
        prop_assert!(factors.add <= 0.0 && factors.rescale >= 0.0 && factors.error >= 0.0);
        prop_assert!(factors.rescale.is_finite() && factors.error.is_finite());
        let query = binarizer.prepare_query(&values, QueryWidth::Bits(width)).unwrap();
        let planes: Vec<&[u64]> = binarizer.layout().levels_of(&code).collect();
        let estimate = query.estimate(score_one(&planes, query.planes()), factors);
        prop_assert!(estimate.similarity.is_finite() && estimate.error >= 0.0);
        prop_assert!(estimate.upper() >= 0.0, "{estimate:?} of a vector with itself");
    }
}
