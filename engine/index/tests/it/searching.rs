//! What a search of one segment finds.

use std::convert::Infallible;

use bigrain_binarize::{Binarizer, QueryWidth};
use bigrain_index::Candidates;
use bigrain_index::build::{BuildParams, BuiltIndex, Rows, build};
use bigrain_index::candidates::ivf::{Ivf, Reach, Scanned};
use bigrain_index::candidates::list_scan::{Epsilon, ListScan};
use bigrain_index::verify::{similarity, verify};
use bigrain_types::{Levels, Metric};
use roaring::RoaringBitmap;

use crate::data::Clustered;

/// Queries of each index: so many that a recall is known to about a hundredth.
const QUERIES: usize = 200;

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

struct Searched {
    rows: Clustered,
    queries: Clustered,
    metric: Metric,
    binarizer: Binarizer,
    built: BuiltIndex,
}

impl Searched {
    fn new(rows: usize, dims: usize, metric: Metric, levels: Levels, lists: Option<u32>) -> Self {
        let all = Clustered::new(rows + QUERIES, dims, metric, 11);
        let (values, queries) = all.values.split_at(rows * dims);
        let rows = Clustered { dims, values: values.to_vec() };
        let queries = Clustered { dims, values: queries.to_vec() };
        let binarizer = Binarizer::new_rotation(dims, levels, metric, 3).unwrap();
        let built =
            build(&rows, &binarizer, &BuildParams { lists, seed: 5, ..BuildParams::default() })
                .unwrap();
        Self { rows, queries, metric, binarizer, built }
    }

    /// Returns the rows found for a query, best first.
    fn search(
        &self,
        query: &[f32],
        limit: usize,
        probes: usize,
        epsilon: f32,
        deleted: &RoaringBitmap,
    ) -> (Vec<usize>, Scanned) {
        let width = QueryWidth::DEFAULT;
        let code = self.binarizer.prepare_query(query, width).unwrap();
        let BuiltIndex { codes, layout, centroids, order, .. } = &self.built;
        let ivf = Ivf { codes, layout, centroids: centroids.as_centroids(), device: None };
        let mut candidates = Candidates::new(limit, 10_000);
        let reach = Reach { probes, epsilon: Epsilon { sign: epsilon, full: epsilon } };
        let mut scan = ListScan::new(&code);
        let scanned =
            ivf.search(&code, &mut scan, reach, |offset| deleted.contains(offset), &mut candidates);
        let candidates = candidates.into_sorted();
        let row = |offset: u32| order[offset as usize] as usize;
        let Ok(verified) = verify(&candidates, limit, |candidate| {
            let row = self.rows.vector(row(candidate.offset));
            Ok::<_, Infallible>(similarity(self.metric, query, row))
        });
        let found = verified.best.iter().map(|&(_, at)| row(candidates[at].offset)).collect();
        (found, scanned)
    }

    fn recall(&self, limit: usize, search: impl Fn(&[f32]) -> Vec<usize>) -> f64 {
        let mut found = 0;
        for at in 0..self.queries.len() {
            let query = self.queries.vector(at);
            let truth = self.rows.best(self.metric, query, limit, |_| true);
            found += search(query).iter().filter(|row| truth.contains(row)).count();
        }
        found as f64 / (limit * self.queries.len()) as f64
    }
}

#[test]
fn every_list_and_wide_bounds_find_the_truth() {
    for metric in METRICS {
        for levels in Levels::ALL {
            let searched = Searched::new(3000, 70, metric, levels, Some(30));
            let none = RoaringBitmap::new();
            let recall = searched.recall(10, |query| searched.search(query, 10, 30, 3.6, &none).0);
            assert!(recall > 0.998, "{metric} {levels:?}: {recall}");
        }
    }
}

#[test]
fn a_target_is_reached_on_queries_the_build_never_saw() {
    for metric in METRICS {
        for levels in [Levels::ONE, Levels::TWO] {
            let searched = Searched::new(12_000, 48, metric, levels, Some(150));
            let none = RoaringBitmap::new();
            for target in [0.8, 0.9, 0.95, 0.99] {
                let effort = searched.built.calibration.effort(target, 10, 150);
                let recall = searched.recall(10, |query| {
                    searched.search(query, 10, effort.probes as usize, effort.epsilon, &none).0
                });
                let case = format!("{metric} {levels:?} {target}: {recall} by {effort:?}");
                assert!(recall > f64::from(target) - 0.04, "{case}");
                assert!(effort.probes < 150, "{case}");
            }
        }
    }
}

#[test]
fn one_list_is_a_flat_scan() {
    let searched = Searched::new(500, 64, Metric::L2, Levels::TWO, Some(1));
    let none = RoaringBitmap::new();
    let (_, scanned) = searched.search(searched.queries.vector(0), 10, 1, 1.9, &none);
    assert_eq!(scanned, Scanned { lists: 1, codes: 500 });
}

#[test]
fn deleted_rows_never_come_back_and_the_rest_always_do() {
    for metric in METRICS {
        let searched = Searched::new(2000, 20, metric, Levels::ONE, Some(40));
        // All but every hundredth row, so that the nearest lists hold next to nothing.
        let live = |row: u32| row.is_multiple_of(100);
        let deleted: RoaringBitmap =
            (0..2000).filter(|&offset| !live(searched.built.order[offset as usize])).collect();
        for at in 0..10 {
            let query = searched.queries.vector(at);
            let (found, _) = searched.search(query, 15, 1, 1.0, &deleted);
            assert_eq!(found.len(), 15);
            assert!(found.iter().all(|&row| live(row as u32)));
            let (found, scanned) = searched.search(query, 30, 1, 1.0, &deleted);
            assert_eq!(found.len(), 20, "only so many live");
            assert_eq!(scanned.lists, 40);
        }
    }
}

#[test]
fn small_shapes_find_everything_there_is() {
    for (rows, dims) in [(1, 1), (31, 7), (32, 8), (33, 9), (65, 63), (100, 65), (3, 1536)] {
        for metric in METRICS {
            for lists in [1, 2, 7] {
                let searched = Searched::new(rows, dims, metric, Levels::TWO, Some(lists));
                let none = RoaringBitmap::new();
                let (mut found, _) =
                    searched.search(searched.queries.vector(0), rows, 1, 1.9, &none);
                found.sort_unstable();
                assert_eq!(found, (0..rows).collect::<Vec<_>>(), "{rows} x {dims} {metric}");
            }
        }
    }
}

#[test]
fn an_empty_segment_finds_nothing() {
    let searched = Searched::new(0, 16, Metric::Cosine, Levels::TWO, None);
    let (found, _) = searched.search(searched.queries.vector(0), 5, 1, 1.9, &RoaringBitmap::new());
    assert!(found.is_empty());
}
