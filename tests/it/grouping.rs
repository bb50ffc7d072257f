//! Groups of searches by words, and of fused ones: a group holds what the same search among the points
//! of its value returns.

use std::collections::BTreeMap;

use bigrain_engine::filter::Scalar;
use bigrain_engine::{
    CollectionConfig, ErrorKind, Filter, Fusion, Group, GroupBy, HybridQuery, Language, Metric,
    Payload, Point, PointId, Query, ScoredPoint, SearchParams, TextField, TextQuery,
};
use bigrain_tests::{Db, Random};
use serde_json::json;

const WORDS: [&str; 8] = ["red", "fox", "lazy", "dog", "green", "tree", "blue", "river"];

/// Points in two segments and memory, a few deleted, with a color, one or two tags, and some words.
fn db(points: u64, seed: u64) -> Db {
    let text = TextField::new("text", Language::English).unwrap();
    let db = Db::temp(CollectionConfig::new(3, Metric::Dot).with_text(text), 100_000);
    let mut random = Random::new(seed);
    let mut point = |id: u64| {
        let words: Vec<&str> =
            (0..random.below(12)).map(|_| WORDS[random.below(8) as usize]).collect();
        let payload = Payload::new()
            .with("text", words.join(" "))
            .with("color", random.below(9))
            .with("tags", json!([random.below(60), format!("t{}", random.below(4))]));
        Point::new(id, random.vector(3)).with_payload(payload)
    };
    for part in 0..3 {
        let ids = part * points / 3..(part + 1) * points / 3;
        db.collection().upsert(ids.map(&mut point).collect()).unwrap();
        if part < 2 {
            db.collection().flush().unwrap();
        }
    }
    let deleted: Vec<PointId> = (0..points).step_by(11).map(PointId::from).collect();
    db.collection().delete(&deleted).unwrap();
    db
}

fn params(limit: usize) -> SearchParams {
    SearchParams::new(limit).unwrap().with_exact(true)
}

fn among(field: &str, value: &Scalar) -> Filter {
    Filter::from_value(&json!({"field": field, "eq": value.to_json()})).unwrap()
}

/// The ids and scores of results.
fn scored(points: &[ScoredPoint]) -> Vec<(PointId, f32)> {
    points.iter().map(|point| (point.id.clone(), point.score)).collect()
}

fn values_of(groups: &[Group]) -> Vec<String> {
    groups.iter().map(|group| group.value.to_json().to_string()).collect()
}

#[test]
fn a_group_by_words_holds_what_the_search_among_its_points_returns() {
    let db = db(900, 1);
    for (field, text) in [("color", "red dogs"), ("tags", "lazy"), ("tags", "blue rivers, a tree")]
    {
        // Every value of any point with a word, with its best points.
        let query = TextQuery::new(text);
        let all = db.collection().search_text(&query, &params(1000)).unwrap().points;
        let mut expected: BTreeMap<Scalar, Vec<(PointId, f32)>> = BTreeMap::new();
        for point in &all {
            for value in
                bigrain_engine::filter::FieldPath::parse(field).unwrap().scalars(&point.payload)
            {
                expected.entry(value).or_default().push((point.id.clone(), point.score));
            }
        }
        let mut best: Vec<f32> = expected.values().map(|points| points[0].1).collect();
        best.sort_by(|a, b| b.total_cmp(a));
        for (limit, per_group) in [(1, 1), (4, 3), (7, 2), (1000, 5)] {
            let by = GroupBy::new(field).unwrap().with_per_group(per_group).unwrap();
            let found =
                db.collection().search_text_groups(&query, &by, &params(limit)).unwrap().groups;
            assert_eq!(found.len(), expected.len().min(limit), "{field} {text} {limit}");
            // Groups of equal scores may stand in any order, and either of two may be the last.
            let scores: Vec<f32> = found.iter().map(|group| group.points[0].score).collect();
            assert_eq!(scores, best[..found.len()], "{field} {text} {limit}");
            for group in &found {
                let all = &expected[&group.value];
                let wanted = &all[..all.len().min(per_group)];
                assert_eq!(scored(&group.points), wanted, "{field} {text} {:?}", group.value);
                let query = query.clone().with_filter(among(field, &group.value));
                let alone = db.collection().search_text(&query, &params(per_group)).unwrap();
                assert_eq!(group.points, alone.points);
            }
        }
    }
}

#[test]
fn a_fused_group_holds_what_the_fused_search_among_its_points_returns() {
    let db = db(900, 2);
    for (fusion, field) in [(Fusion::default(), "color"), (Fusion::MinMax, "tags")] {
        let query = |filter: Option<Filter>| {
            let query = HybridQuery::new(fusion)
                .with_vector(Query::new(vec![0.3, -0.8, 0.5]), 0.6)
                .with_text(TextQuery::new("green dogs"), 0.4);
            filter.map_or(query.clone(), |filter| query.with_filter(&filter))
        };
        let by = GroupBy::new(field).unwrap().with_per_group(3).unwrap();
        let found =
            db.collection().search_hybrid_groups(&query(None), &by, &params(5)).unwrap().groups;
        assert_eq!(found.len(), 5);
        for group in &found {
            let query = query(Some(among(field, &group.value)));
            let alone = db.collection().search_hybrid(&query, &params(3)).unwrap();
            assert_eq!(group.points, alone.points, "{:?}", group.value);
        }
        // The order is that of the best points among all.
        let all = db.collection().search_hybrid(&query(None), &params(45)).unwrap().points;
        let path = bigrain_engine::filter::FieldPath::parse(field).unwrap();
        let mut order: Vec<(Scalar, f32)> = Vec::new();
        for point in &all {
            for value in path.scalars(&point.payload) {
                if !order.iter().any(|(known, _)| *known == value) {
                    order.push((value, point.score));
                }
            }
        }
        let first =
            |group: &Group| order.iter().find(|(value, _)| *value == group.value).unwrap().1;
        let scores: Vec<f32> = found.iter().map(first).collect();
        let expected: Vec<f32> = order[..5].iter().map(|(_, score)| *score).collect();
        assert_eq!(scores, expected);
    }
}

#[test]
fn as_many_groups_come_back_as_there_are() {
    let db = db(600, 3);
    let facet = db.collection().facet(&bigrain_engine::FacetQuery::new("tags").unwrap()).unwrap();
    let query = HybridQuery::new(Fusion::default())
        .with_vector(Query::new(vec![1.0, 0.0, 0.0]), 1.0)
        .with_text(TextQuery::new("river"), 1.0)
        .with_depth(20);
    let by = GroupBy::new("tags").unwrap().with_per_group(2).unwrap();
    let found = db.collection().search_hybrid_groups(&query, &by, &params(200)).unwrap().groups;
    // Every point has a vector, so every value is a group, though twenty results tell of few.
    assert_eq!(found.len() as u64, facet.distinct);
    let mut values = values_of(&found);
    values.sort();
    values.dedup();
    assert_eq!(values.len(), found.len());
    assert!(found.iter().all(|group| !group.points.is_empty()));
    // Fewer are the first of them.
    let fewer = db.collection().search_hybrid_groups(&query, &by, &params(4)).unwrap().groups;
    assert_eq!(values_of(&fewer), values_of(&found[..4]));
}

#[test]
fn what_cannot_be_grouped_is_refused_by_name() {
    let db = db(50, 4);
    let by = GroupBy::new("color").unwrap().with_per_group(10_000).unwrap();
    let error = db.collection().search_text_groups(&TextQuery::new("red"), &by, &params(2));
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("got 20000"), "{error}");
    let by = GroupBy::new("color").unwrap().with_per_group(5).unwrap();
    let query =
        HybridQuery::new(Fusion::default()).with_text(TextQuery::new("red"), 1.0).with_depth(3);
    let error = db.collection().search_hybrid_groups(&query, &by, &params(2)).unwrap_err();
    assert!(error.to_string().contains("depth 3 is below the limit of 5"), "{error}");
    let none = TextQuery::new("red").in_field("title");
    let error = db.collection().search_text_groups(&none, &by, &params(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
