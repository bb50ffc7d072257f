//! What a build promises.

use bigrain_binarize::Binarizer;
use bigrain_index::build::{BuildParams, BuiltIndex, Rows, build};
use bigrain_types::{Levels, Metric};

use crate::data::Clustered;

fn built(rows: &Clustered, metric: Metric, lists: Option<u32>, threads: usize) -> BuiltIndex {
    let binarizer = Binarizer::new_rotation(rows.dims, Levels::TWO, metric, 3).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        build(rows, &binarizer, &BuildParams { lists, seed: 5, ..BuildParams::default() })
    })
    .unwrap()
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let rows = Clustered::new(5000, 40, Metric::Cosine, 1);
    let one = built(&rows, Metric::Cosine, None, 1);
    let three = built(&rows, Metric::Cosine, None, 3);
    assert_eq!(one.order, three.order);
    assert_eq!(one.codes, three.codes);
    assert_eq!(one.calibration, three.calibration);
    for list in 0..one.layout.len() as u32 {
        assert_eq!(one.centroids.vector(list), three.centroids.vector(list));
    }
}

#[test]
fn every_row_has_its_place() {
    let shapes = [(0, 7), (1, 8), (2, 9), (31, 63), (32, 64), (33, 65), (300, 100), (5000, 16)];
    for (rows, dims) in shapes {
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let rows = Clustered::new(rows, dims, metric, 2);
            for lists in [None, Some(1), Some(3), Some(5000)] {
                let built = built(&rows, metric, lists, 2);
                let mut order = built.order.clone();
                order.sort_unstable();
                assert_eq!(order, (0..rows.len() as u32).collect::<Vec<_>>());
                assert_eq!(built.codes.rows(), rows.len());
                assert_eq!(built.layout.starts().last(), Some(&(rows.len() as u32)));
                assert!(built.layout.len() <= rows.len().max(1));
            }
        }
    }
}

#[test]
fn lists_are_of_similar_length() {
    let rows = Clustered::new(20_000, 24, Metric::L2, 4);
    let built = built(&rows, Metric::L2, Some(200), 2);
    let lengths = (0..200).map(|list| built.layout.rows(list).len() as f64);
    let squares: f64 = lengths.map(|length| length * length).sum();
    let imbalance = squares * 200.0 / (20_000.0 * 20_000.0);
    assert!(imbalance < 1.5, "{imbalance}");
}

#[test]
fn rows_that_are_all_alike_are_indexed() {
    let rows = Clustered { dims: 12, values: vec![0.25; 12 * 3000] };
    let built = built(&rows, Metric::L2, Some(50), 2);
    assert_eq!(built.order.len(), 3000);
}
