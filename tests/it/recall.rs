//! Candidates and verification against brute force.

use std::collections::HashSet;

use bigrain_engine::{CollectionConfig, Levels, Metric, Point, PointId, Query, SearchParams};
use bigrain_tests::{Db, brute_force, clustered};

const ROWS: usize = 4000;
const QUERIES: usize = 60;

struct Measured {
    recall: f64,
    rows_read: f64,
}

fn measure(metric: Metric, dims: usize, levels: u8, target: f32) -> Measured {
    let rows = clustered(11, ROWS + QUERIES, dims);
    let (queries, rows) = rows.split_at(QUERIES);
    let config = CollectionConfig::new(dims, metric).with_levels(Levels::new(levels).unwrap());
    let db = Db::temp(config, 1500);
    for (start, chunk) in rows.chunks(500).enumerate() {
        let id = |index: usize| (start * 500 + index) as u64;
        let point = |(index, row): (usize, &Vec<f32>)| Point::new(id(index), row.clone());
        db.collection().upsert(chunk.iter().enumerate().map(point).collect()).unwrap();
    }
    let params = SearchParams::new(10).unwrap().with_target_recall(target).unwrap();
    let (mut found, mut rows_read) = (0, 0);
    for query in queries {
        let expected: HashSet<PointId> = brute_force(metric, rows, query, 10)
            .into_iter()
            .map(|position| PointId::from(position as u64))
            .collect();
        let output = db.collection().search(&Query::new(query.clone()), &params).unwrap();
        found += output.points.iter().filter(|point| expected.contains(&point.id)).count();
        rows_read += output.stats.rows_read;
    }
    let queries = queries.len() as f64;
    Measured { recall: found as f64 / (10.0 * queries), rows_read: rows_read as f64 / queries }
}

#[test]
fn a_target_recall_is_reached_whatever_the_levels() {
    for (metric, dims) in [(Metric::Cosine, 384), (Metric::Dot, 256), (Metric::L2, 300)] {
        for levels in 1..=4 {
            for (target, floor) in [(0.9, 0.87), (0.99, 0.975)] {
                let Measured { recall, rows_read } = measure(metric, dims, levels, target);
                let case = format!("{metric}, {dims} dims, {levels} levels, target {target}");
                println!("{case}: {recall:.3}, {rows_read:.1} rows read");
                assert!(recall >= floor, "{case}: recall {recall}");
            }
        }
    }
}

#[test]
fn more_levels_read_fewer_rows() {
    let rows_read: Vec<f64> =
        (1..=4).map(|levels| measure(Metric::Cosine, 384, levels, 0.99).rows_read).collect();
    assert!(rows_read.is_sorted_by(|a, b| a >= b), "{rows_read:?}");
}
