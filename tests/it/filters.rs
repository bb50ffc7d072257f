//! Filtered search: complete, exact where it says so, and as good as without a filter.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use bigrain_engine::{
    CollectionConfig, Filter, Metric, Payload, Point, PointId, Query, SearchParams,
};
use bigrain_tests::{Db, Random, brute_force, clustered};
use serde_json::{Value, json};

fn filter(value: &Value) -> Filter {
    Filter::from_value(value).unwrap()
}

fn ids(db: &Db, query: &[f32], filter: &Filter, params: &SearchParams) -> Vec<PointId> {
    let query = Query::new(query.to_vec()).with_filter(filter.clone());
    let output = db.collection().search(&query, params).unwrap();
    output.points.into_iter().map(|point| point.id).collect()
}

mod recall {
    use super::*;

    const DIMS: usize = 24;
    const ROWS: usize = 60_000;
    const QUERIES: usize = 60;
    const SELECTIVITIES: [f64; 9] = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];

    /// Clustered rows in one segment, so large that lists are probed for the wider filters.
    ///
    /// `u` is a random number, `x` the first component, `far` minus it: by these a filter has
    /// nothing to do with a query, or much.
    struct Data {
        db: Db,
        queries: Vec<Vec<f32>>,
        /// The values of `x`, rising.
        x: Vec<f32>,
    }

    fn data() -> &'static Data {
        static DATA: OnceLock<Data> = OnceLock::new();
        DATA.get_or_init(|| {
            let rows = clustered(3, ROWS + QUERIES, DIMS);
            let (queries, rows) = rows.split_at(QUERIES);
            let db = Db::temp(CollectionConfig::new(DIMS, Metric::L2), 2 * ROWS);
            let mut random = Random::new(4);
            for (start, chunk) in rows.chunks(5000).enumerate() {
                let point = |(at, row): (usize, &Vec<f32>)| {
                    let payload = Payload::new()
                        .with("u", random.below(1_000_000))
                        .with("x", row[0])
                        .with("n", start * 5000 + at);
                    Point::new((start * 5000 + at) as u64, row.clone()).with_payload(payload)
                };
                let points = chunk.iter().enumerate().map(point).collect();
                db.collection().upsert(points).unwrap();
            }
            db.collection().flush().unwrap();
            let mut x: Vec<f32> = rows.iter().map(|row| row[0]).collect();
            x.sort_by(f32::total_cmp);
            Data { db, queries: queries.to_vec(), x }
        })
    }

    /// Returns the mean share of the exact ten that are found.
    fn recall(filter: &Filter, queries: &[Vec<f32>]) -> f64 {
        let params = SearchParams::new(10).unwrap();
        let (mut found, mut wanted) = (0, 0);
        for query in queries {
            let exact: HashSet<PointId> =
                ids(&data().db, query, filter, &params.with_exact(true)).into_iter().collect();
            let approximate = ids(&data().db, query, filter, &params);
            assert_eq!(approximate.len(), exact.len());
            wanted += exact.len();
            found += approximate.iter().filter(|id| exact.contains(id)).count();
        }
        found as f64 / wanted as f64
    }

    #[test]
    fn recall_holds_at_every_selectivity() {
        for share in SELECTIVITIES {
            let filter = filter(&json!({"field": "u", "lt": share * 1e6}));
            let recall = recall(&filter, &data().queries);
            println!("{share}: {recall:.4}");
            assert!(recall >= 0.95, "{share}: {recall}");
        }
    }

    #[test]
    fn recall_holds_for_filters_that_go_with_or_against_the_query() {
        let mut by_x = data().queries.clone();
        by_x.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let (low, high) = (&by_x[..QUERIES / 3], &by_x[2 * QUERIES / 3..]);
        for share in SELECTIVITIES {
            let least = data().x[((1.0 - share) * ROWS as f64) as usize];
            let filter = filter(&json!({"field": "x", "gte": least}));
            let (with, against) = (recall(&filter, high), recall(&filter, low));
            println!("{share}: {with:.4} with, {against:.4} against");
            assert!(with >= 0.95 && against >= 0.95, "{share}: {with}, {against}");
        }
    }

    #[test]
    fn the_same_rows_by_another_filter_give_the_same_results() {
        let params = SearchParams::new(10).unwrap();
        for (least, end) in [(0, 300), (1000, 5000), (7, 31_000)] {
            let filters = [
                json!({"field": "n", "gte": least, "lt": end}),
                json!({"field": "n", "in": (least..end).collect::<Vec<_>>()}),
                json!({"must_not": [{"field": "n", "lt": least}, {"field": "n", "gt": end - 1}]}),
                json!({"ids": (least..end).collect::<Vec<_>>()}),
            ];
            for query in &data().queries[..5] {
                let [first, rest @ ..] =
                    filters.each_ref().map(|value| ids(&data().db, query, &filter(value), &params));
                assert!(rest.iter().all(|other| *other == first), "{least}..{end}");
            }
        }
    }

    #[test]
    fn the_plan_says_how_many_match_and_what_is_done() {
        for (filter_value, said) in [
            (json!({"field": "n", "lt": 600}), ["600 of 60000 match (1.00 %)", "scored exactly"]),
            (json!({"field": "n", "lt": 6000}), ["6000 of 60000", "codes scanned by list"]),
        ] {
            let query = Query::new(data().queries[0].clone()).with_filter(filter(&filter_value));
            let params = SearchParams::new(10).unwrap().with_explain(true);
            let plan = data().db.collection().search(&query, &params).unwrap().plan.unwrap();
            let text = plan.to_string();
            assert!(said.iter().all(|part| text.contains(part)), "{text}");
        }
    }
}

mod lives {
    use super::*;

    const DIMS: usize = 8;
    const OPERATIONS: u64 = 900;

    type Model = BTreeMap<u64, (Vec<f32>, Payload)>;

    #[test]
    fn random_filtered_lives_agree_with_a_map() {
        for seed in 1..=3 {
            println!("seed {seed}");
            let mut db = Db::temp(CollectionConfig::new(DIMS, Metric::Dot), 90);
            let (mut random, mut model) = (Random::new(seed), Model::new());
            for _ in 0..OPERATIONS {
                match random.below(100) {
                    0..45 => upsert(&db, &mut model, &mut random),
                    45..60 => delete(&db, &mut model, &mut random),
                    60..96 => check(&db, &model, &mut random),
                    96..98 => db.collection().flush().unwrap(),
                    _ => db.reopen(),
                }
            }
        }
    }

    fn upsert(db: &Db, model: &mut Model, random: &mut Random) {
        let mut batch = BTreeMap::new();
        for _ in 0..=random.below(10) {
            batch.insert(random.below(300), (random.vector(DIMS), payload(random)));
        }
        let points = batch.iter().map(|(&id, (vector, payload))| {
            Point::new(id, vector.clone()).with_payload(payload.clone())
        });
        db.collection().upsert(points.collect()).unwrap();
        model.extend(batch);
    }

    fn payload(random: &mut Random) -> Payload {
        let value = match random.below(5) {
            0 => json!(null),
            1 => json!(random.below(10)),
            2 => json!(["red", "blue", "green"][random.below(3) as usize]),
            3 => {
                json!([{"k": random.below(3), "v": random.below(3)}, {"k": 1, "v": random.below(3)}])
            }
            _ => json!({"lat": random.below(20), "lon": random.below(20)}),
        };
        let text =
            ["the quick fox", "a slow brown fox", "fox, the quick"][random.below(3) as usize];
        Payload::new().with("a", value).with("n", random.below(100)).with("t", text)
    }

    fn random_filter(random: &mut Random) -> Value {
        let below = |random: &mut Random, end: u64| random.below(end);
        let one_of =
            |random: &mut Random, texts: [&'static str; 3]| texts[random.below(3) as usize];
        match random.below(13) {
            0 => json!({"field": "n", "lt": below(random, 110)}),
            1 => json!({"field": "a", "eq": "red"}),
            2 => json!({"field": "a", "gte": below(random, 10)}),
            3 => {
                json!({"ids": (0..below(random, 40)).map(|_| random.below(320)).collect::<Vec<_>>()})
            }
            4 => json!({"nested": "a", "filter": {"must": [
                {"field": "k", "eq": below(random, 3)}, {"field": "v", "eq": below(random, 3)}]}}),
            5 => json!({"must": [random_filter(random), random_filter(random)]}),
            6 => json!({"should": [random_filter(random), random_filter(random)]}),
            7 => json!({"must_not": [random_filter(random)]}),
            8 => json!({"field": "a", "not_in": ["red", below(random, 10)]}),
            9 => {
                json!({"field": "t", "phrase": one_of(random, ["quick FOX", "the fox", "fox the"])})
            }
            10 => json!({"field": "t", "contains": one_of(random, ["wn f", "QUICK", ""])}),
            11 => {
                let place = |lat: u64, lon: u64| json!({"lat": lat, "lon": lon});
                let top = 1 + below(random, 20);
                json!({"field": "a", "geo_polygon": {
                    "exterior": [place(0, 0), place(0, 15), place(top, 15), place(0, 0)],
                    "interiors": [[place(1, 8), place(1, 12), place(3, 12), place(1, 8)]]}})
            }
            _ => json!({"field": "a", "geo_radius":
                {"center": {"lat": below(random, 20), "lon": 10}, "meters": 700_000}}),
        }
    }

    fn delete(db: &Db, model: &mut Model, random: &mut Random) {
        let ids: Vec<u64> = (0..=random.below(6)).map(|_| random.below(320)).collect();
        let keys: Vec<PointId> = ids.iter().map(|&id| id.into()).collect();
        model.retain(|id, _| !ids.contains(id));
        db.collection().delete(&keys).unwrap();
    }

    fn check(db: &Db, model: &Model, random: &mut Random) {
        let filter = filter(&random_filter(random));
        let matching: Vec<(u64, Vec<f32>)> = model
            .iter()
            .filter(|(id, (_, payload))| filter.matches(payload, &PointId::from(**id)))
            .map(|(&id, (vector, _))| (id, vector.clone()))
            .collect();
        let expected: HashSet<PointId> = matching.iter().map(|(id, _)| (*id).into()).collect();
        assert_eq!(db.collection().count_matching(&filter).unwrap(), matching.len() as u64);
        let found = db.collection().matching(&filter).unwrap().ids;
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().all(|id| expected.contains(id)), "{filter:?}");

        let (query, limit) = (random.vector(DIMS), 1 + random.below(40) as usize);
        let rows: Vec<Vec<f32>> = matching.iter().map(|(_, vector)| vector.clone()).collect();
        let nearest: Vec<PointId> = brute_force(Metric::Dot, &rows, &query, limit)
            .into_iter()
            .map(|position| matching[position].0.into())
            .collect();
        let params = SearchParams::new(limit).unwrap();
        assert_eq!(ids(db, &query, &filter, &params.with_exact(true)), nearest, "{filter:?}");
        // Few match, so the plan scores them all.
        assert_eq!(ids(db, &query, &filter, &params), nearest, "{filter:?}");
        let by_codes = ids(db, &query, &filter, &params.with_verify(false));
        assert_eq!(by_codes.len(), matching.len().min(limit));
        assert!(by_codes.iter().all(|id| expected.contains(id)));
    }
}

#[test]
fn a_search_returns_as_many_as_match_however_far_they_are() {
    let rows = clustered(8, 24_000, 16);
    let db = Db::temp(CollectionConfig::new(16, Metric::Cosine), 50_000);
    let mut random = Random::new(5);
    for (start, chunk) in rows.chunks(6000).enumerate() {
        let point = |(at, row): (usize, &Vec<f32>)| {
            let n = start * 6000 + at;
            let payload = Payload::new().with("n", n).with("half", row[0] < 0.0);
            Point::new(n as u64, row.clone()).with_payload(payload)
        };
        db.collection().upsert(chunk.iter().enumerate().map(point).collect()).unwrap();
    }
    db.collection().flush().unwrap();
    let gone: Vec<PointId> = (0..24_000).step_by(3).map(PointId::from).collect();
    db.collection().delete(&gone[..8000]).unwrap();
    for _ in 0..40 {
        let end = [1, 30, 2000, 9000, 23_000, 24_000][random.below(6) as usize];
        let limit = [1, 10, 500, 5000, 16_384][random.below(5) as usize];
        let asked =
            filter(&json!({"must": [{"field": "n", "lt": end}, {"field": "half", "eq": true}]}));
        let matching = db.collection().count_matching(&asked).unwrap() as usize;
        let params = SearchParams::new(limit).unwrap();
        for params in [params, params.with_probes(1).unwrap(), params.with_verify(false)] {
            let found = ids(&db, &random.vector(16), &asked, &params);
            assert_eq!(found.len(), matching.min(limit), "{end}, limit {limit}");
        }
    }
}

#[test]
fn a_filter_past_its_limits_is_refused_by_name() {
    let db = Db::tiny();
    let deep = (0..20).fold(Filter::new(), |inner, _| {
        Filter::new().must(bigrain_engine::filter::Condition::Filter(Box::new(inner)))
    });
    let query = Query::new(vec![1.0; 3]).with_filter(deep);
    let error = db.collection().search(&query, &SearchParams::new(1).unwrap()).unwrap_err();
    assert!(error.to_string().contains("nested deeper than the limit of 16"), "{error}");
}

/// The blocks of docs/filters.md of a kind, as ```` ```json KIND ```` opens them.
fn documented(kind: &str) -> Vec<&'static str> {
    let page = include_str!("../../docs/filters.md");
    let opening = format!("```json {kind}\n");
    let blocks = page.split(opening.as_str()).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_example_of_the_page_on_filters_means_what_it_says() {
    let [payload] = documented("point")[..] else { panic!("one point") };
    let payload = Payload::from_json(payload.as_bytes()).unwrap();
    let db = Db::tiny();
    let point = Point::new(7, vec![1.0, 0.0, 0.0]).with_payload(payload.clone());
    db.collection().upsert(vec![point]).unwrap();
    let mut examples = Vec::new();
    for (kind, holds) in [("match", true), ("no match", false)] {
        let lines: Vec<&str> = documented(kind).into_iter().flat_map(str::lines).collect();
        assert!(lines.len() >= 9, "{kind}: {lines:?}");
        examples.extend(lines.into_iter().map(|line| (line, holds)));
    }
    for in_segment in [false, true] {
        for &(line, holds) in &examples {
            let filter = Filter::from_json(line.as_bytes()).unwrap();
            assert_eq!(filter.matches(&payload, &7.into()), holds, "{line}");
            let counted = db.collection().count_matching(&filter).unwrap();
            assert_eq!(counted, u64::from(holds), "{line}, in a segment: {in_segment}");
        }
        db.collection().flush().unwrap();
    }
}
