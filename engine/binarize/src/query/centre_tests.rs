//! What the estimator promises for codes about a centre.

use bigrain_kernels::reference::{dot, l2_squared};
use bigrain_kernels::score_one;
use bigrain_types::{Levels, Metric, normalize};

use crate::support::{Gaussian, gaussian_rows};
use crate::{Binarizer, EncodeScratch, Estimate, Factors, QueryWidth};

/// A list: rows about a centre, and queries at the distance of a neighbouring list.
struct List {
    rows: Vec<Vec<f32>>,
    centre: Vec<f32>,
    queries: Vec<Vec<f32>>,
}

impl List {
    fn new(dims: usize, metric: Metric, seed: u64) -> Self {
        let mut gaussian = Gaussian::new(seed);
        let middle = gaussian_rows(1, dims, seed + 1000);
        let mut near = |spread: f32| {
            let mut row: Vec<f32> = middle.iter().map(|x| x + spread * gaussian.next()).collect();
            if metric == Metric::Cosine {
                normalize(&mut row);
            }
            row
        };
        let rows: Vec<Vec<f32>> = (0..20).map(|_| near(0.5)).collect();
        let queries = (0..5).map(|_| near(0.8)).collect();
        let mut centre = vec![0.0; dims];
        for row in &rows {
            centre.iter_mut().zip(row).for_each(|(c, x)| *c += x / 20.0);
        }
        Self { rows, centre, queries }
    }
}

/// Returns (estimate, exact) of every row and query: of all levels, and of the signs alone.
fn estimates(list: &List, binarizer: &Binarizer, epsilon: f32) -> [Vec<(Estimate, f64)>; 2] {
    let dims = binarizer.layout().dims();
    let rotated = |vector: &[f32]| {
        let mut rotated = vec![0.0; dims];
        binarizer.rotate(vector, &mut rotated);
        rotated
    };
    let centre = rotated(&list.centre);
    let norm_squared = dot(&centre, &centre) as f32;
    let mut found = [Vec::new(), Vec::new()];
    let mut code = vec![0; binarizer.layout().words()];
    for query in &list.queries {
        let width = QueryWidth::DEFAULT;
        let prepared = binarizer.prepare_query(query, width).unwrap().with_epsilon(epsilon);
        let towards = dot(&centre, prepared.rotated()) as f32;
        let full = prepared.terms_about(towards, norm_squared);
        let sign = prepared.sign_terms_about(towards, norm_squared);
        for row in &list.rows {
            let mut scratch = EncodeScratch::default();
            let factors = binarizer.encode_about(&rotated(row), &centre, &mut scratch, &mut code);
            let exact = match binarizer.metric() {
                Metric::L2 => -l2_squared(row, query),
                Metric::Cosine | Metric::Dot | _ => dot(row, query),
            };
            let planes: Vec<&[u64]> = binarizer.layout().levels_of(&code).collect();
            let score = score_one(&planes, prepared.planes());
            found[0].push((full.estimate(score, factors.full), exact));
            let score = score_one(&planes[..1], prepared.planes());
            let error = factors.sign.rescale;
            let factors = Factors { add: factors.sign.add, rescale: error, error };
            found[1].push((sign.estimate(score, factors), exact));
        }
    }
    found
}

#[test]
fn estimates_about_a_centre_are_unbiased_and_covered() {
    for dims in [64, 100, 384] {
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let list = List::new(dims, metric, dims as u64);
            for levels in Levels::ALL {
                let mut off = [Vec::new(), Vec::new()];
                for seed in 0..60 {
                    let binarizer = Binarizer::new_rotation(dims, levels, metric, seed).unwrap();
                    for (off, found) in off.iter_mut().zip(estimates(&list, &binarizer, 1.0)) {
                        off.extend(found.iter().map(|(estimate, exact)| {
                            (f64::from(estimate.similarity) - exact) / f64::from(estimate.error)
                        }));
                    }
                }
                for (off, which) in off.iter().zip(["all levels", "signs"]) {
                    let case = format!("{dims} dims, {metric}, {levels:?}, {which}");
                    let mean = off.iter().sum::<f64>() / off.len() as f64;
                    assert!(mean.abs() < 0.1, "{case}: mean {mean}");
                    let square = off.iter().map(|off| off * off).sum::<f64>() / off.len() as f64;
                    assert!((0.6..1.25).contains(&square), "{case}: {square} of the variance");
                    let within = off.iter().filter(|off| off.abs() <= 2.6).count();
                    assert!(within as f64 > 0.98 * off.len() as f64, "{case}: {within}");
                }
            }
        }
    }
}

#[test]
fn a_centre_near_both_makes_the_error_smaller() {
    let list = List::new(384, Metric::Cosine, 5);
    let binarizer = Binarizer::new_rotation(384, Levels::ONE, Metric::Cosine, 1).unwrap();
    let mean_error = |list: &List| {
        let [full, _] = estimates(list, &binarizer, 1.0);
        full.iter().map(|(estimate, _)| estimate.error).sum::<f32>() / full.len() as f32
    };
    let about_the_origin =
        List { centre: vec![0.0; 384], rows: list.rows.clone(), queries: list.queries.clone() };
    assert!(mean_error(&list) < 0.5 * mean_error(&about_the_origin));
}

#[test]
fn a_row_that_is_the_centre_is_known_exactly() {
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        let mut list = List::new(100, metric, 9);
        list.rows = vec![list.rows[0].clone()];
        list.centre = list.rows[0].clone();
        let binarizer = Binarizer::new_rotation(100, Levels::TWO, metric, 1).unwrap();
        for (estimate, exact) in estimates(&list, &binarizer, 1.9).into_iter().flatten() {
            let off = (f64::from(estimate.similarity) - exact).abs();
            assert!(off <= 1e-4 * exact.abs().max(1.0), "{metric}: {estimate:?} {exact}");
        }
    }
}
