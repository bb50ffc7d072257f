//! Candidates and verification against brute force.

use std::collections::HashSet;

use bigrain_engine::{
    CollectionConfig, Levels, Metric, MultiFieldConfig, MultiQuery, Point, PointId, Query,
    SearchParams,
};
use bigrain_tests::{Db, brute_force, clustered, topical_tokens};

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
fn rows_in_memory_are_found_through_the_lists_of_a_segment_wherever_they_lie() {
    const FLUSHED: usize = 8000;
    const WRITTEN: usize = 20_000;
    const DIMS: usize = 48;
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        let db = Db::temp(CollectionConfig::new(DIMS, metric), 1 << 20);
        let mut rows = clustered(21, FLUSHED + WRITTEN + QUERIES, DIMS);
        // Half of what is written after the flush lies where nothing was before, and half of the queries.
        let elsewhere: Vec<f32> = (0..DIMS).map(|at| (at as f32 * 1.3).sin()).collect();
        for row in rows[FLUSHED..].iter_mut().step_by(2) {
            row.iter_mut().zip(&elsewhere).for_each(|(x, by)| *x += by);
        }
        let (rows, queries) = rows.split_at(FLUSHED + WRITTEN);
        for (number, chunk) in rows.chunks(1000).enumerate() {
            if number * 1000 == FLUSHED {
                db.collection().flush().unwrap();
            }
            let point = |(at, row): (usize, &Vec<f32>)| {
                Point::new((number * 1000 + at) as u64, row.clone())
            };
            db.collection().upsert(chunk.iter().enumerate().map(point).collect()).unwrap();
        }
        for (target, floor) in [(0.8, 0.78), (0.95, 0.94)] {
            let params = SearchParams::new(10).unwrap().with_target_recall(target).unwrap();
            let (mut found, mut codes) = (0, 0);
            for query in queries {
                let expected = brute_force(metric, rows, query, 10).into_iter();
                let expected: HashSet<PointId> =
                    expected.map(|position| PointId::from(position as u64)).collect();
                let output = db.collection().search(&Query::new(query.clone()), &params).unwrap();
                found += output.points.iter().filter(|at| expected.contains(&at.id)).count();
                codes += output.stats.codes_scanned as usize;
            }
            let recall = found as f64 / (10 * QUERIES) as f64;
            let codes = codes / QUERIES;
            println!("{metric}, target {target}: {recall:.3}, {codes} codes");
            assert!(recall >= floor, "{metric}, target {target}: recall {recall}");
            assert!(codes < (FLUSHED + WRITTEN) * 2 / 3, "{metric}: {codes} codes");
        }
    }
}

#[test]
fn more_levels_read_fewer_rows() {
    let rows_read: Vec<f64> =
        (1..=4).map(|levels| measure(Metric::Cosine, 384, levels, 0.99).rows_read).collect();
    assert!(rows_read.is_sorted_by(|a, b| a >= b), "{rows_read:?}");
}

/// The size of the smaller of FILIP's models: 49 patches of 256 dimensions, and captions of 12 tokens.
#[test]
fn sketches_find_what_every_token_would() {
    const DOCUMENTS: usize = 2000;
    const ASKED: usize = 100;
    let config = CollectionConfig::of_multi(MultiFieldConfig::new("m", 256, Metric::Cosine));
    let db = Db::temp(config, 4000);
    let (documents, queries) = topical_tokens(7, (DOCUMENTS, 49), (ASKED, 12), 256);
    let points = (0..).zip(documents);
    let mut points = points.map(|(id, vector): (u64, _)| Point::empty(id).with_multi("m", vector));
    while let Some(first) = points.next() {
        let batch = [first].into_iter().chain(points.by_ref().take(199)).collect();
        db.collection().upsert(batch).unwrap();
    }
    db.collection().flush().unwrap();
    db.collection().compact().unwrap();
    let info = &db.collection().info().multi[0];
    let bytes = info.code_bytes as f64 / info.vectors as f64;
    println!("{bytes:.1} bytes a document in memory");
    assert!(info.vectors == DOCUMENTS as u64 && bytes <= 500.0, "{info:?}");
    let search = |query: &MultiQuery, params: SearchParams| {
        let found = db.collection().search_multi(query, &params).unwrap();
        let ids: HashSet<PointId> = found.points.into_iter().map(|point| point.id).collect();
        (ids, found.stats.rows_read)
    };
    let params = SearchParams::new(10).unwrap();
    let queries: Vec<MultiQuery> = queries.into_iter().map(MultiQuery::new).collect();
    let truth: Vec<_> = queries.iter().map(|q| search(q, params.with_exact(true)).0).collect();
    for (verified, floor) in [(50, 0.95), (200, 0.99)] {
        let params = params.with_oversampling(verified as f32 / 10.0).unwrap();
        let mut found = 0;
        for (query, truth) in queries.iter().zip(&truth) {
            let (ids, rows_read) = search(query, params);
            assert_eq!(rows_read, verified);
            found += ids.intersection(truth).count();
        }
        let recall = found as f64 / (10 * ASKED) as f64;
        println!("{verified} verified: recall {recall:.4} of the exact top 10");
        assert!(recall >= floor, "{verified} verified: recall {recall}");
    }
}
