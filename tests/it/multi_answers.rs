//! Answers that are made of searches by multi-vectors: points like examples, and diverse ones.

use std::collections::BTreeMap;

use bigrain_engine::{
    CollectionConfig, Diversity, ErrorKind, Example, Filter, Metric, MultiFieldConfig, MultiQuery,
    MultiVector, Payload, Point, PointId, RecommendQuery, RecommendStrategy, SearchParams,
    diversify,
};
use bigrain_tests::{Db, Random, brute_force_multi, multi_vector};

const DIMS: usize = 4;
const POINTS: u64 = 120;

type Points = BTreeMap<u64, MultiVector>;

/// Points of which a third is in a segment, a third in another, and the rest in memory.
fn db(random: &mut Random) -> (Db, Points) {
    let config = CollectionConfig::of_multi(MultiFieldConfig::new("m", DIMS, Metric::Dot));
    let db = Db::temp(config, 10_000);
    let points: Points = (0..POINTS).map(|id| (id, multi_vector(random, DIMS))).collect();
    for part in 0..3 {
        let point = |(&id, vector): (&u64, &MultiVector)| {
            Point::empty(id)
                .with_multi("m", vector.clone())
                .with_payload(Payload::new().with("n", id))
        };
        let part = points.iter().filter(|(id, _)| **id % 3 == part);
        db.collection().upsert(part.map(point).collect()).unwrap();
        if part < 2 {
            db.collection().flush().unwrap();
        }
    }
    (db, points)
}

fn params(limit: usize) -> SearchParams {
    SearchParams::new(limit).unwrap().with_exact(true)
}

fn max_sim(query: &MultiVector, point: &MultiVector) -> f32 {
    brute_force_multi([(0, point)], query, 1)[0].1
}

fn together(points: &Points, ids: &[u64]) -> MultiVector {
    let values = ids.iter().flat_map(|id| points[id].values()).copied().collect();
    MultiVector::new(DIMS, values).unwrap()
}

#[test]
fn by_the_average_the_tokens_of_all_examples_are_one_query() {
    let (db, points) = db(&mut Random::new(5));
    let below = 90;
    let filter = Filter::from_json(br#"{"field": "n", "lt": 90}"#).unwrap();
    let query = RecommendQuery::like(3).and_like(7).with_filter(filter);
    let found = db.collection().recommend(&query, &params(8)).unwrap().points;
    let others = points.iter().filter(|(id, _)| **id < below && ![3, 7].contains(*id));
    let others = others.map(|(&id, vector)| (id, vector));
    let expected = brute_force_multi(others, &together(&points, &[3, 7]), 8);
    let found: Vec<(PointId, f32)> =
        found.into_iter().map(|point| (point.id, point.score)).collect();
    assert_eq!(found, expected);
}

#[test]
fn by_the_best_score_points_are_judged_by_the_nearest_example() {
    let mut random = Random::new(6);
    let (db, points) = db(&mut random);
    for _ in 0..20 {
        let ids: Vec<u64> = (0..4).map(|at| at * 30 + random.below(30)).collect();
        let (positive, negative) = ids.split_at(2);
        let query = RecommendQuery::like(positive[0]).and_like(positive[1]);
        let query = negative.iter().copied().fold(query, RecommendQuery::unlike);
        let query = query.with_strategy(RecommendStrategy::BestScore);
        let found = db.collection().recommend(&query, &params(9)).unwrap().points;
        let nearest = |examples: &[u64], point: &MultiVector| {
            let scores = examples.iter().map(|id| max_sim(&points[id], point));
            scores.fold(f32::NEG_INFINITY, f32::max)
        };
        let mut judged: Vec<(bool, f32, u64)> = points
            .iter()
            .filter(|(id, _)| !ids.contains(id))
            .map(|(&id, point)| {
                let (liked, disliked) = (nearest(positive, point), nearest(negative, point));
                if disliked >= liked { (true, disliked, id) } else { (false, -liked, id) }
            })
            .collect();
        judged.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        let expected: Vec<PointId> = judged.iter().take(9).map(|judged| judged.2.into()).collect();
        let found: Vec<PointId> = found.into_iter().map(|point| point.id).collect();
        assert_eq!(found, expected, "like {positive:?}, unlike {negative:?}");
    }
}

#[test]
fn what_examples_of_tokens_cannot_be_is_refused() {
    let (db, _) = db(&mut Random::new(7));
    let vector = MultiVector::new(DIMS, vec![1.0; DIMS]).unwrap();
    db.collection().upsert(vec![Point::empty("x").with_multi("m", vector)]).unwrap();
    let like = RecommendQuery::like(1);
    let best = like.clone().with_strategy(RecommendStrategy::BestScore);
    let diverse = params(2).with_diversity(Some(Diversity::new(0.5).unwrap()));
    for (query, params, kind, word) in [
        (like.clone().unlike(2), params(2), ErrorKind::InvalidArgument, "the best score"),
        (like.clone().and_like(999), params(2), ErrorKind::NotFound, "example 999"),
        (like.clone().in_field("n"), params(2), ErrorKind::NotFound, "\"n\""),
        (best, diverse, ErrorKind::InvalidArgument, "diverse"),
        (
            RecommendQuery::like(Example::Vector(vec![1.0; DIMS])),
            params(2),
            ErrorKind::InvalidArgument,
            "its examples are points",
        ),
    ] {
        let error = db.collection().recommend(&query, &params).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn diverse_results_are_picked_by_how_alike_tokens_are_both_ways() {
    let mut random = Random::new(8);
    let (db, points) = db(&mut random);
    for _ in 0..30 {
        let (limit, depth) = (1 + random.below(10) as usize, 1 + random.below(40) as usize);
        let (weight, query) = (random.unit(), multi_vector(&mut random, DIMS));
        let all = points.iter().map(|(&id, vector)| (id, vector));
        let nearest = brute_force_multi(all, &query, depth.max(limit));
        let relevance: Vec<f32> = nearest.iter().map(|(_, score)| *score).collect();
        let ids: Vec<u64> = nearest.iter().map(|(id, _)| id.to_string().parse().unwrap()).collect();
        let alike = |a: usize, b: usize| {
            let (a, b) = (&points[&ids[a]], &points[&ids[b]]);
            0.5 * (max_sim(a, b) + max_sim(b, a))
        };
        let expected = diversify(&relevance, alike, weight, limit);
        let expected: Vec<PointId> = expected.into_iter().map(|at| nearest[at].0.clone()).collect();
        let diversity = Diversity::new(weight).unwrap().with_depth(depth).unwrap();
        let params = params(limit).with_diversity(Some(diversity));
        let found = db.collection().search_multi(&MultiQuery::new(query), &params).unwrap().points;
        assert_eq!(found.into_iter().map(|point| point.id).collect::<Vec<_>>(), expected);
    }
}
