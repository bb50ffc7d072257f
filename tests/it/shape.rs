//! What a search returns, beside the nearest points: facets, groups, pages in order, recommendations,
//! diverse results, batches; against a map that holds the same points.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bigrain_engine::filter::{Condition, FieldPath, FieldTest, Scalar, SortDirection};
use bigrain_engine::{
    CollectionConfig, Cursor, Diversity, ErrorKind, Example, FacetQuery, Filter, GroupBy, Metric,
    OrderBy, Payload, Point, PointId, Query, RecommendQuery, RecommendStrategy, ScrollParams,
    SearchParams, diversify,
};
use bigrain_tests::{Db, Random};
use serde_json::{Value, json};

const DIMS: usize = 6;
const OPERATIONS: u64 = 500;
const FIELDS: [&str; 5] = ["color", "tags", "n", "at", "mixed"];

type Model = BTreeMap<u64, (Vec<f32>, Payload)>;

fn params(limit: usize) -> SearchParams {
    SearchParams::new(limit).unwrap().with_exact(true)
}

fn path(field: &str) -> FieldPath {
    FieldPath::parse(field).unwrap()
}

/// A collection, the same points in a map, and where the next random thing comes from.
struct Life {
    db: Db,
    model: Model,
    random: Random,
    metric: Metric,
}

impl Life {
    fn new(seed: u64, metric: Metric) -> Self {
        let db = Db::fast(CollectionConfig::new(DIMS, metric), 80);
        Self { db, model: Model::new(), random: Random::new(seed), metric }
    }

    fn upsert(&mut self) {
        let mut batch = Model::new();
        for _ in 0..=self.random.below(12) {
            let (id, payload) = (self.random.below(250), payload(&mut self.random));
            batch.insert(id, (self.random.vector(DIMS), payload));
        }
        let points = batch.iter().map(|(&id, (vector, payload))| {
            Point::new(id, vector.clone()).with_payload(payload.clone())
        });
        self.db.collection().upsert(points.collect()).unwrap();
        self.model.extend(batch);
    }

    fn delete(&mut self) {
        let id = self.random.below(250);
        self.db.collection().delete(&[id.into()]).unwrap();
        self.model.remove(&id);
    }

    fn filter(&mut self) -> Filter {
        let n = self.random.below(30);
        let value = match self.random.below(5) {
            0 => json!({"field": "n", "lt": n}),
            1 => json!({"field": "color", "in": ["red", "blue"]}),
            2 => json!({"must_not": {"field": "tags", "eq": "a"}}),
            3 => json!({"ids": (0..n * 9).collect::<Vec<_>>()}),
            _ => json!({}),
        };
        Filter::from_value(&value).unwrap()
    }

    fn matching(&self, filter: &Filter) -> Vec<(u64, &Vec<f32>, &Payload)> {
        let points = self.model.iter().map(|(&id, (vector, payload))| (id, vector, payload));
        points.filter(|(id, _, payload)| filter.matches(payload, &PointId::from(*id))).collect()
    }

    fn similarity(&self, a: &[f32], b: &[f32]) -> f32 {
        let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        (match self.metric {
            Metric::L2 => -pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>(),
            Metric::Cosine | Metric::Dot | _ => pairs().map(|(a, b)| a * b).sum::<f64>(),
        }) as f32
    }

    /// Returns the points that match, nearest first.
    fn nearest(&self, query: &[f32], filter: &Filter) -> Vec<(u64, f32)> {
        let scored = self.matching(filter).into_iter();
        let mut scored: Vec<(u64, f32)> =
            scored.map(|(id, vector, _)| (id, self.similarity(query, vector))).collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        scored
    }

    fn field(&mut self) -> &'static str {
        FIELDS[self.random.below(FIELDS.len() as u64) as usize]
    }

    fn check_facet(&mut self) {
        let (filter, field) = (self.filter(), self.field());
        let limit = 1 + self.random.below(8) as usize;
        let matching = self.matching(&filter);
        let mut counts: BTreeMap<Scalar, u64> = BTreeMap::new();
        for (_, _, payload) in &matching {
            for scalar in path(field).scalars(payload) {
                *counts.entry(scalar).or_default() += 1;
            }
        }
        let query = FacetQuery::new(field).unwrap().with_filter(filter.clone());
        let found = self.db.collection().facet(&query.with_limit(limit).unwrap()).unwrap();
        assert_eq!((found.points, found.distinct), (matching.len() as u64, counts.len() as u64));
        let mut expected: Vec<(Scalar, u64)> = counts.into_iter().collect();
        expected.sort_by_key(|(_, count)| Reverse(*count));
        expected.truncate(limit);
        let values = found.values.into_iter().map(|value| (value.value, value.count));
        assert_eq!(values.collect::<Vec<_>>(), expected, "{field} {filter:?}");
        // The promise itself: what a value counts is what a filter for it counts.
        if let Some((value, count)) = expected.first() {
            let test = FieldTest::In([value.clone()].into());
            let one = filter.must(Condition::Field { path: path(field), test });
            assert_eq!(self.db.collection().count_matching(&one).unwrap(), *count);
        }
    }

    fn check_groups(&mut self) {
        let (filter, field, query) = (self.filter(), self.field(), self.random.vector(DIMS));
        let (limit, per_group) = (1 + self.random.below(9), 1 + self.random.below(4));
        let mut groups: BTreeMap<Scalar, Vec<(u64, f32)>> = BTreeMap::new();
        for (id, score) in self.nearest(&query, &filter) {
            for value in path(field).scalars(&self.model[&id].1) {
                let group = groups.entry(value).or_default();
                if (group.len() as u64) < per_group {
                    group.push((id, score));
                }
            }
        }
        let mut expected: Vec<(Scalar, Vec<(u64, f32)>)> = groups.into_iter().collect();
        expected.sort_by(|(_, a), (_, b)| b[0].1.total_cmp(&a[0].1));
        expected.truncate(limit as usize);
        let by = GroupBy::new(field).unwrap().with_per_group(per_group as usize).unwrap();
        let query = Query::new(query).with_filter(filter);
        let found =
            self.db.collection().search_groups(&query, &by, &params(limit as usize)).unwrap();
        let found: Vec<(Scalar, Vec<PointId>)> = found
            .groups
            .into_iter()
            .map(|group| (group.value, group.points.into_iter().map(|point| point.id).collect()))
            .collect();
        let ids = |points: Vec<(u64, f32)>| points.into_iter().map(|(id, _)| id.into()).collect();
        let expected: Vec<(Scalar, Vec<PointId>)> =
            expected.into_iter().map(|(value, points)| (value, ids(points))).collect();
        assert_eq!(found, expected, "{field}");
    }

    fn check_pages(&mut self) {
        let (filter, field) = (self.filter(), self.field());
        let direction =
            [SortDirection::Ascending, SortDirection::Descending][self.random.below(2) as usize];
        let is_ordered = self.random.below(4) > 0;
        let matching = self.matching(&filter).into_iter();
        let mut expected: Vec<_> = matching
            .map(|(id, _, payload)| (path(field).sort_key(payload, direction), id))
            .collect();
        if is_ordered {
            expected.sort_by(|(a, x), (b, y)| {
                let by_key = match (a, b) {
                    (Some(a), Some(b)) => direction.compare(a, b),
                    _ => b.is_some().cmp(&a.is_some()),
                };
                by_key.then(x.cmp(y))
            });
        }
        let expected: Vec<PointId> = expected.into_iter().map(|(_, id)| id.into()).collect();
        let limit = 1 + self.random.below(60) as usize;
        let mut page = ScrollParams::new(limit).unwrap().with_filter(filter);
        if is_ordered {
            page = page.with_order(OrderBy::new(field, direction).unwrap());
        }
        let mut found = Vec::new();
        loop {
            let read = self.db.collection().scroll_page(&page).unwrap();
            assert!(read.points.iter().all(|point| {
                self.model.values().any(|(_, payload)| *payload == point.payload)
            }));
            found.extend(read.points.into_iter().map(|point| point.id));
            let Some(next) = read.next else { break };
            assert!(found.len().is_multiple_of(limit));
            page = page.from_cursor(next.to_string().parse::<Cursor>().unwrap());
        }
        assert_eq!(found, expected, "{field} {direction:?} {is_ordered}");
    }

    fn check_recommend(&mut self) {
        let ids: Vec<u64> = self.model.keys().copied().collect();
        if ids.len() < 10 {
            return;
        }
        let mut some = || ids[self.random.below(ids.len() as u64) as usize];
        let (positive, negative) = ([some(), some()], some());
        let extra = self.random.vector(DIMS);
        let limit = 1 + self.random.below(20) as usize;
        let filter = self.filter();
        let vector = |id: u64| self.model[&id].0.clone();
        let liked = [vector(positive[0]), vector(positive[1]), extra.clone()];
        let disliked = vector(negative);
        let query = RecommendQuery::like(positive[0])
            .and_like(positive[1])
            .and_like(Example::Vector(extra))
            .unlike(negative)
            .with_filter(filter.clone());
        let examples = [positive[0], positive[1], negative].map(PointId::from);
        let others = filter.must_not(Condition::Ids(examples.into()));

        let found = |query: &RecommendQuery| -> Vec<PointId> {
            let output = self.db.collection().recommend(query, &params(limit)).unwrap();
            output.points.into_iter().map(|point| point.id).collect()
        };
        let mean = |at: usize| liked.iter().map(|vector| vector[at]).sum::<f32>() / 3.0;
        let average: Vec<f32> = (0..DIMS).map(|at| 2.0 * mean(at) - disliked[at]).collect();
        let expected = self.nearest(&average, &others).into_iter().take(limit);
        assert_eq!(found(&query), expected.map(|(id, _)| id.into()).collect::<Vec<_>>());

        let query = query.with_strategy(RecommendStrategy::BestScore);
        let mut judged: Vec<(bool, f32, u64)> = self
            .matching(&others)
            .into_iter()
            .map(|(id, vector, _)| {
                let like = liked.iter().map(|liked| self.similarity(liked, vector));
                let like = like.max_by(f32::total_cmp).unwrap();
                let dislike = self.similarity(&disliked, vector);
                if dislike >= like { (true, dislike, id) } else { (false, -like, id) }
            })
            .collect();
        judged.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let expected = judged.into_iter().take(limit).map(|(_, _, id)| id.into());
        assert_eq!(found(&query), expected.collect::<Vec<PointId>>());
    }

    fn check_diversity(&mut self) {
        let (filter, query) = (self.filter(), self.random.vector(DIMS));
        let (limit, depth) =
            (1 + self.random.below(10) as usize, 1 + self.random.below(40) as usize);
        let weight = self.random.unit();
        let mut nearest = self.nearest(&query, &filter);
        nearest.truncate(depth.max(limit));
        let relevance: Vec<f32> = nearest.iter().map(|(_, score)| *score).collect();
        let vector = |at: usize| &self.model[&nearest[at].0].0;
        let alike = |a: usize, b: usize| self.similarity(vector(a), vector(b));
        let expected = diversify(&relevance, alike, weight, limit);
        let expected: Vec<PointId> = expected.into_iter().map(|at| nearest[at].0.into()).collect();
        let diversity = Diversity::new(weight).unwrap().with_depth(depth).unwrap();
        let params = params(limit).with_diversity(Some(diversity));
        let query = Query::new(query).with_filter(filter);
        let found = self.db.collection().search(&query, &params).unwrap().points;
        assert_eq!(found.into_iter().map(|point| point.id).collect::<Vec<_>>(), expected);
    }

    fn check_threshold(&mut self) {
        let (filter, query) = (self.filter(), self.random.vector(DIMS));
        let all = self.nearest(&query, &filter);
        let query = Query::new(query).with_filter(filter);
        let every = self.db.collection().search(&query, &params(300)).unwrap().points;
        assert_eq!(every.len(), all.len());
        if every.is_empty() {
            return;
        }
        let keep = self.random.below(every.len() as u64) as usize;
        let threshold = every[keep].score;
        for params in [params(300), params(300).with_exact(false)] {
            let params = params.with_score_threshold(threshold).unwrap();
            let found = self.db.collection().search(&query, &params).unwrap().points;
            assert_eq!(found, every[..=keep]);
        }
    }
}

fn payload(random: &mut Random) -> Payload {
    let word = |random: &mut Random| json!(["a", "b", "c", "d"][random.below(4) as usize]);
    let mixed = match random.below(7) {
        0 => json!(null),
        1 => json!(random.below(5)),
        2 => json!(f64::from(random.below(9) as u32) / 2.0),
        3 => json!(random.below(2) == 0),
        4 => json!(format!("{}{}", "long ".repeat(60), random.below(3))),
        5 => json!([1, "x", {"k": 1}, "x"]),
        _ => json!(format!("2024-0{}-01", 1 + random.below(9))),
    };
    let tags: Vec<Value> = (0..random.below(4)).map(|_| word(random)).collect();
    let mut payload = Payload::new().with("tags", tags).with("mixed", mixed);
    if random.below(5) > 0 {
        payload = payload.with("color", ["red", "blue", "green"][random.below(3) as usize]);
    }
    let at = format!("20{:02}-0{}-01T00:00:00Z", random.below(30), 1 + random.below(9));
    payload.with("n", random.below(40)).with("at", at)
}

#[test]
fn random_lives_agree_with_a_map() {
    for (seed, metric) in [(1, Metric::Dot), (2, Metric::L2), (3, Metric::Dot)] {
        println!("seed {seed}");
        let mut life = Life::new(seed, metric);
        for _ in 0..OPERATIONS {
            match life.random.below(100) {
                0..25 => life.upsert(),
                25..40 => life.delete(),
                40..50 => life.check_facet(),
                50..60 => life.check_groups(),
                60..70 => life.check_pages(),
                70..78 => life.check_recommend(),
                78..86 => life.check_diversity(),
                86..94 => life.check_threshold(),
                94..98 => life.db.collection().flush().unwrap(),
                _ => life.db.reopen(),
            }
        }
    }
}

#[test]
fn groups_that_are_far_from_the_query_are_found_all_the_same() {
    let db = Db::temp(CollectionConfig::new(2, Metric::L2), 10_000);
    let point = |id: u64, x: f32, tags: Value| {
        Point::new(id, vec![x, 0.0]).with_payload(Payload::new().with("tags", tags))
    };
    // The nearest thousand are all of two groups, and so is every other point among others.
    let near = (0..1000).map(|id| point(id, id as f32 / 1000.0, json!(["a", "b"])));
    let far = (0..40).map(|at| point(5000 + at, 100.0 + at as f32, json!(["a", at])));
    db.collection().upsert(near.chain(far).collect()).unwrap();
    db.collection().flush().unwrap();
    let by = GroupBy::new("tags").unwrap().with_per_group(2).unwrap();
    let found = db.collection().search_groups(Query::new(vec![0.0, 0.0]), &by, &params(7)).unwrap();
    let values: Vec<Value> = found.groups.iter().map(|group| group.value.to_json()).collect();
    assert_eq!(values, [json!("a"), json!("b"), json!(0), json!(1), json!(2), json!(3), json!(4)]);
    let sizes: Vec<usize> = found.groups.iter().map(|group| group.points.len()).collect();
    assert_eq!(sizes, [2, 2, 1, 1, 1, 1, 1]);
    // As many as there are: 42.
    let found =
        db.collection().search_groups(Query::new(vec![0.0, 0.0]), &by, &params(100)).unwrap();
    assert_eq!(found.groups.len(), 42);
}

#[test]
fn one_failed_query_of_a_batch_does_not_hide_the_others() {
    let db = Db::tiny();
    (0..50).for_each(|id| db.upsert(id, [id as f32, 1.0, 0.0]));
    let query = |vector: &[f32]| (Query::new(vector.to_vec()), SearchParams::new(3).unwrap());
    let mut batch: Vec<_> = (0..20).map(|at| query(&[1.0, at as f32, 0.5])).collect();
    batch[7] = query(&[1.0, 2.0]);
    let answers = db.collection().search_batch(&batch);
    assert_eq!(answers.len(), batch.len());
    for (at, ((query, params), answer)) in batch.iter().zip(answers).enumerate() {
        let Ok(answer) = answer else {
            assert_eq!((at, answer.unwrap_err().kind()), (7, ErrorKind::FailedPrecondition));
            continue;
        };
        assert_eq!(answer.points, db.collection().search(query, params).unwrap().points);
    }
    assert!(db.collection().search_batch::<Query>(&[]).is_empty());
}

#[test]
fn wrong_requests_are_refused_by_name() {
    let db = Db::tiny();
    (0..5).for_each(|id| db.upsert(id, [id as f32, 1.0, 0.0]));
    let collection = db.collection();
    let error = collection.recommend(&RecommendQuery::like(9), &params(3)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("example 9 does not exist"), "{error}");

    let diverse = params(3).with_diversity(Some(Diversity::new(0.5).unwrap()));
    let best = RecommendQuery::like(1).with_strategy(RecommendStrategy::BestScore);
    let error = collection.recommend(&best, &diverse).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);

    let by_id = collection.scroll_page(&ScrollParams::new(2).unwrap()).unwrap().next.unwrap();
    let order = OrderBy::new("n", SortDirection::Descending).unwrap();
    let ordered = ScrollParams::new(2).unwrap().with_order(order);
    let error = collection.scroll_page(&ordered.clone().from_cursor(by_id)).unwrap_err();
    assert!(error.to_string().contains("expected values, got ids"), "{error}");
    let by_value = collection.scroll_page(&ordered).unwrap().next.unwrap();
    let plain = ScrollParams::new(2).unwrap().from_cursor(by_value);
    let error = collection.scroll_page(&plain).unwrap_err();
    assert!(error.to_string().contains("expected ids, got values"), "{error}");
    assert!(FacetQuery::new("a[").is_err());
    assert!(FacetQuery::new("a").unwrap().with_limit(0).is_err());
}
