//! Search by words, and together with vectors.

use std::collections::BTreeMap;

use bigrain_engine::{
    CollectionConfig, ErrorKind, FieldConfig, Filter, FitEvidence, FittedPart, Fusion, HybridFit,
    HybridQuery, Language, Metric, Payload, Point, Query, RankedList, ScoredPoint, SearchParams,
    TextField, TextQuery, fuse,
};
use bigrain_tests::Db;
use proptest::prelude::*;

const WORDS: [&str; 12] = [
    "red", "foxes", "running", "quickly", "over", "lazy", "dogs", "under", "green", "trees",
    "rivers", "the",
];

fn config() -> CollectionConfig {
    CollectionConfig::new(3, Metric::Dot)
        .with_text(TextField::new("text", Language::English).unwrap().without_stop_words())
}

/// A point with about as many words as its number's last digits say.
fn point(id: u64) -> Point {
    let word = |at: u64| WORDS[(id * 7 + at * at * (id % 5 + 1)) as usize % WORDS.len()];
    let text = (0..id % 53).map(word).collect::<Vec<_>>().join(" ");
    let payload = Payload::new().with("text", text).with("n", id % 10);
    Point::new(id, vec![(id % 17) as f32, (id % 5) as f32, 1.0]).with_payload(payload)
}

fn found(db: &Db, query: &TextQuery, limit: usize) -> Vec<ScoredPoint> {
    let params = SearchParams::new(limit).unwrap();
    db.collection().search_text(query, &params).unwrap().points
}

fn same(a: &[ScoredPoint], b: &[ScoredPoint], context: &str) {
    let ids = |points: &[ScoredPoint]| {
        points.iter().map(|point| point.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(a), ids(b), "{context}");
    for (a, b) in a.iter().zip(b) {
        assert!((a.score - b.score).abs() < 1e-5, "{context}: {} {}", a.score, b.score);
    }
}

#[test]
fn scores_do_not_depend_on_how_points_are_spread() {
    let ids: Vec<u64> = (0..1000).collect();
    let in_memory = Db::temp(config(), 100_000);
    in_memory.collection().upsert(ids.iter().map(|&id| point(id)).collect()).unwrap();
    let one = Db::temp(config(), 100_000);
    one.collection().upsert(ids.iter().map(|&id| point(id)).collect()).unwrap();
    one.collection().flush().unwrap();
    let five = Db::temp(config(), 100_000);
    for part in 0..5 {
        let here = ids.iter().filter(|id| **id / 200 == part && **id % 7 > 0);
        five.collection().upsert(here.map(|&id| point(id)).collect()).unwrap();
        five.collection().flush().unwrap();
    }
    let mut mixed = Db::temp(config(), 100_000);
    // Points that are replaced and deleted leave nothing behind.
    for id in 0..1500 {
        let old = Payload::new().with("text", "red rivers run under trees");
        mixed.collection().upsert(vec![Point::new(id, vec![1.0; 3]).with_payload(old)]).unwrap();
        if id % 500 == 499 {
            mixed.collection().flush().unwrap();
        }
    }
    for part in ids.chunks(300) {
        mixed.collection().upsert(part.iter().map(|&id| point(id)).collect()).unwrap();
        if part[0] != 900 {
            mixed.collection().flush().unwrap();
        }
    }
    let extra: Vec<_> = (1000..1500).map(Into::into).collect();
    mixed.collection().delete(&extra).unwrap();
    let others = ids.iter().filter(|id| **id % 7 == 0);
    five.collection().upsert(others.map(|&id| point(id)).collect()).unwrap();

    let check = |other: &Db, context: &str| {
        for text in ["fox", "The red fox runs", "rivers rivers tree", "under green dogs", "the"] {
            for limit in [1, 10, 1000] {
                let query = TextQuery::new(text);
                let expected = found(&in_memory, &query, limit);
                same(&found(other, &query, limit), &expected, &format!("{context}: {text}"));
                let filter = Filter::from_json(br#"{"field": "n", "lt": 3}"#).unwrap();
                let query = query.with_filter(filter);
                let expected = found(&in_memory, &query, limit);
                same(&found(other, &query, limit), &expected, &format!("{context}: {text}"));
            }
        }
    };
    check(&one, "one segment");
    check(&five, "five segments and memory");
    check(&mixed, "replaced and deleted");
    mixed.reopen();
    check(&mixed, "reopened");
    mixed.collection().compact().unwrap();
    check(&mixed, "merged");
}

#[test]
fn every_point_with_a_word_is_found_and_ties_go_by_id() {
    let db = Db::temp(config(), 40);
    let text = |id: u64| if id.is_multiple_of(3) { "fox" } else { "dog" };
    for id in (0..200).rev() {
        let payload = Payload::new().with("text", vec![text(id)]);
        db.collection().upsert(vec![Point::new(id, vec![1.0; 3]).with_payload(payload)]).unwrap();
    }
    for limit in [1, 7, 66, 67, 68, 500] {
        let points = found(&db, &TextQuery::new("Foxes"), limit);
        let ids: Vec<u64> = points.iter().map(|point| point.id.as_number().unwrap()).collect();
        let expected: Vec<u64> = (0..200).step_by(3).take(limit).collect();
        assert_eq!(ids, expected);
        assert!(points.iter().all(|point| point.payload.as_map()["text"][0] == "fox"));
    }
    assert!(found(&db, &TextQuery::new("zebra"), 5).is_empty());
    assert!(found(&db, &TextQuery::new("the ..."), 5).is_empty());
}

#[test]
fn a_text_field_that_is_added_is_searched_wholly_or_not_at_all() {
    let mut db = Db::temp(CollectionConfig::new(3, Metric::Dot), 100_000);
    let none = db.collection().search_text(&TextQuery::new("a"), &SearchParams::new(3).unwrap());
    assert_eq!(none.unwrap_err().kind(), ErrorKind::FailedPrecondition);
    db.collection().upsert((0..50).map(point).collect()).unwrap();
    db.collection().flush().unwrap();
    db.collection().upsert((50..100).map(point).collect()).unwrap();
    db.collection().add_text_field(config().texts()[0].clone()).unwrap();
    let again = db.collection().add_text_field(TextField::new("text", Language::French).unwrap());
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    db.reopen();
    let (query, params) = (TextQuery::new("red dogs"), SearchParams::new(100).unwrap());
    let error = db.collection().search_text(&query, &params).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.to_string().contains("not indexed yet in 1 of 1 segments"), "{error}");

    let fresh = Db::temp(config(), 100_000);
    fresh.collection().upsert((0..100).map(point).collect()).unwrap();
    let expected = found(&fresh, &query, 100);
    assert!(expected.len() > 10);
    db.collection().settle().unwrap();
    same(&found(&db, &query, 100), &expected, "rewritten");
    db.reopen();
    same(&found(&db, &query, 100), &expected, "reopened");
    db.collection().compact().unwrap();
    same(&found(&db, &query, 100), &expected, "compacted");

    db.collection().drop_text_field("text").unwrap();
    let dropped = db.collection().search_text(&query.clone().in_field("text"), &params);
    assert_eq!(dropped.unwrap_err().kind(), ErrorKind::NotFound);
    // Another analysis of the same path is another field: no word of the old one is looked up.
    db.collection().add_text_field(TextField::new("text", Language::None).unwrap()).unwrap();
    assert!(db.collection().search_text(&query, &params).is_err());
    db.collection().compact().unwrap();
    let points = found(&db, &TextQuery::new("dog"), 100);
    assert!(points.is_empty(), "only whole words are words of no language");
    assert!(!found(&db, &TextQuery::new("dogs"), 100).is_empty());
}

fn fit(vector: f32, text: f32) -> HybridFit {
    let part = |field: &str, weight| FittedPart { field: field.to_owned(), weight };
    let source = "a test".to_owned();
    let evidence =
        FitEvidence { source, queries: 3, folds: 3, vector: 0.25, text: 0.5, fused: 0.75 };
    let (vector, text) = (part("vector", vector), part("text", text));
    HybridFit { fusion: Fusion::MinMax, depth: 100, vector, text, evidence }
}

#[test]
fn fitted_fusions_come_back_from_a_backup() {
    let db = Db::temp(config(), 150);
    db.collection().upsert((0..200).map(point).collect()).unwrap();
    db.collection().set_hybrid_fit(Some(fit(0.75, 0.25))).unwrap();
    db.collection().set_named_hybrid_fit("tickets", Some(fit(0.25, 0.75))).unwrap();
    db.collection().set_named_hybrid_fit("mail", Some(fit(0.5, 0.5))).unwrap();
    let named = HybridQuery::fitted(Query::new(vec![1.0, 0.5, 0.0]), TextQuery::new("red fox"));
    let named = named.with_fit("tickets");
    let params = SearchParams::new(10).unwrap();
    let expected = db.collection().search_hybrid(&named, &params).unwrap().points;
    let db = db.restored();
    assert_eq!(db.collection().hybrid_fit(), Some(fit(0.75, 0.25)));
    let fits = [("mail", fit(0.5, 0.5)), ("tickets", fit(0.25, 0.75))];
    let fits = fits.map(|(name, fit)| (name.to_owned(), fit));
    assert_eq!(db.collection().named_hybrid_fits(), BTreeMap::from(fits));
    same(&db.collection().search_hybrid(&named, &params).unwrap().points, &expected, "restored");
}

#[test]
fn a_fitted_fusion_is_kept_and_goes_with_its_fields() {
    let mut db = Db::temp(config(), 150);
    db.collection().upsert((0..400).map(point).collect()).unwrap();
    let params = SearchParams::new(10).unwrap();
    let vector = || Query::new(vec![1.0, 0.5, 0.0]);
    let text = || TextQuery::new("red fox");
    let fitted = HybridQuery::fitted(vector(), text());
    let error = db.collection().search_hybrid(&fitted, &params).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    let expected = "no fusion was fitted for vector field \"vector\" and text field \"text\"";
    assert!(error.to_string().contains(expected), "{error}");

    db.collection().set_hybrid_fit(Some(fit(0.75, 0.25))).unwrap();
    db.reopen();
    assert_eq!(db.collection().hybrid_fit(), Some(fit(0.75, 0.25)));
    let stated =
        HybridQuery::new(Fusion::MinMax).with_vector(vector(), 0.75).with_text(text(), 0.25);
    let search = |query: &HybridQuery| db.collection().search_hybrid(query, &params).unwrap();
    let expected = search(&stated).points;
    same(&search(&fitted).points, &expected, "fitted");
    // Scaling depends on the depth, which is why it is part of the fit.
    assert_ne!(search(&stated.with_depth(20)).points[9], expected[9]);

    for (bad, kind) in [
        (fit(0.0, 0.0), ErrorKind::InvalidArgument),
        (fit(-1.0, 1.0), ErrorKind::InvalidArgument),
        (HybridFit { depth: 0, ..fit(1.0, 1.0) }, ErrorKind::InvalidArgument),
        (HybridFit { text: fit(1.0, 1.0).vector, ..fit(1.0, 1.0) }, ErrorKind::NotFound),
    ] {
        assert_eq!(db.collection().set_hybrid_fit(Some(bad)).unwrap_err().kind(), kind);
    }
    db.collection().set_named_hybrid_fit("tickets", Some(fit(0.25, 0.75))).unwrap();
    db.reopen();
    assert_eq!(db.collection().named_hybrid_fits()["tickets"], fit(0.25, 0.75));
    let other =
        HybridQuery::new(Fusion::MinMax).with_vector(vector(), 0.25).with_text(text(), 0.75);
    let named = HybridQuery::fitted(vector(), text()).with_fit("tickets");
    let search = |query: &HybridQuery| db.collection().search_hybrid(query, &params).unwrap();
    same(&search(&named).points, &search(&other).points, "by name");
    same(&search(&fitted).points, &expected, "the one without a name stays");
    for (name, kind) in [("", ErrorKind::InvalidArgument), ("a b", ErrorKind::InvalidArgument)] {
        let error = db.collection().set_named_hybrid_fit(name, Some(fit(1.0, 0.0))).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let error = db.collection().set_named_hybrid_fit("none", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);

    db.collection().set_hybrid_fit(Some(fit(0.0, 1.0))).unwrap();
    let output = db.collection().search_hybrid(&fitted, &params.with_explain(true)).unwrap();
    assert_eq!(output.plan.unwrap().parts.len(), 1, "a part of weight 0 is not searched");
    for drop in ["text", "vector"] {
        db.collection().set_hybrid_fit(Some(fit(0.5, 0.5))).unwrap();
        db.collection().set_named_hybrid_fit("tickets", Some(fit(0.25, 0.75))).unwrap();
        match drop {
            "text" => {
                db.collection().drop_text_field(drop).unwrap();
                db.collection().add_text_field(config().texts()[0].clone()).unwrap();
            }
            _ => {
                db.collection().add_field(FieldConfig::new("other", 2, Metric::L2)).unwrap();
                db.collection().drop_field(drop).unwrap();
            }
        }
        assert_eq!(db.collection().hybrid_fit(), None, "{drop}");
        db.reopen();
        assert_eq!(db.collection().hybrid_fit(), None, "{drop}");
        assert!(db.collection().named_hybrid_fits().is_empty(), "{drop}");
    }
}

#[test]
fn hybrid_fuses_what_both_searches_find() {
    let db = Db::temp(config(), 150);
    db.collection().upsert((0..400).map(point).collect()).unwrap();
    let params = SearchParams::new(10).unwrap().with_explain(true);
    let vector = || Query::new(vec![1.0, 0.5, 0.0]);
    let text = || TextQuery::new("red fox");
    for fusion in [Fusion::default(), Fusion::MinMax, Fusion::Distribution] {
        let query = HybridQuery::new(fusion).with_vector(vector(), 0.7).with_text(text(), 0.3);
        let output = db.collection().search_hybrid(&query, &params).unwrap();
        let deep = params.with_limit(100).unwrap();
        let list = |points: Vec<ScoredPoint>, weight| RankedList {
            points: points.into_iter().map(|point| (point.id, point.score)).collect(),
            weight,
        };
        let lists = [
            list(db.collection().search(&vector(), &deep).unwrap().points, 0.7),
            list(db.collection().search_text(&text(), &deep).unwrap().points, 0.3),
        ];
        let expected = fuse(fusion, &lists, 10).unwrap();
        let actual = output.points.iter().map(|point| (point.id.clone(), point.score));
        assert_eq!(actual.collect::<Vec<_>>(), expected);
        let plan = output.plan.unwrap();
        assert_eq!(plan.parts.len(), 2);
        assert!(plan.to_string().contains("weight 0.3, 100 found: bm25 of"), "{plan}");

        let filter = Filter::from_json(br#"{"field": "n", "eq": 4}"#).unwrap();
        let output = db.collection().search_hybrid(&query.with_filter(&filter), &params).unwrap();
        assert_eq!(output.points.len(), 10);
        assert!(output.points.iter().all(|point| point.payload.as_map()["n"] == 4));
    }
}

#[test]
fn hybrid_orders_distances_the_right_way_and_refuses_what_makes_no_sense() {
    let config = CollectionConfig::new(1, Metric::L2)
        .with_text(TextField::new("text", Language::None).unwrap());
    let db = Db::temp(config, 100);
    for id in 1..=20 {
        let payload = Payload::new().with("text", "a");
        db.collection()
            .upsert(vec![Point::new(id, vec![id as f32]).with_payload(payload)])
            .unwrap();
    }
    let params = SearchParams::new(3).unwrap();
    let vector = || Query::new(vec![20.0]);
    let query = HybridQuery::new(Fusion::MinMax).with_vector(vector(), 1.0);
    let points = db.collection().search_hybrid(&query, &params).unwrap().points;
    assert_eq!(
        points.iter().map(|point| point.id.as_number().unwrap()).collect::<Vec<_>>(),
        [20, 19, 18]
    );
    let refused = |query: &HybridQuery, expected: &str| {
        let error = db.collection().search_hybrid(query, &params).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused(&HybridQuery::new(Fusion::MinMax), "nothing to fuse");
    refused(&query.clone().with_depth(2), "depth 2 is below the limit of 3");
    let negative = query.with_text(TextQuery::new("a"), -1.0);
    refused(&negative, "weight of list 1 must be finite and not negative, got -1");
}

/// One step in the life of a collection.
#[derive(Clone, Debug)]
enum Step {
    Upsert(u64, Vec<&'static str>),
    Delete(u64),
    Flush,
    Settle,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    // At most 40 words: longer rows have their length rounded.
    let words = || prop::collection::vec(prop::sample::select(&WORDS[..6]), 0..40);
    prop_oneof![
        12 => (0_u64..30, words()).prop_map(|(id, words)| Step::Upsert(id, words)),
        3 => (0_u64..30).prop_map(Step::Delete),
        2 => Just(Step::Flush),
        1 => Just(Step::Settle),
        1 => Just(Step::Compact),
    ]
}

/// BM25 as the papers write it, over every row, in double precision.
fn brute_force(rows: &BTreeMap<u64, Vec<&str>>, query: &[&str]) -> Vec<(u64, f64)> {
    let rows: BTreeMap<u64, &Vec<&str>> = rows
        .iter()
        .filter(|(_, words)| !words.is_empty())
        .map(|(&id, words)| (id, words))
        .collect();
    let count = rows.len() as f64;
    let mean = rows.values().map(|words| words.len()).sum::<usize>() as f64 / count;
    let score = |words: &[&str]| -> f64 {
        let part = |word: &&str| {
            let with = rows.values().filter(|words| words.contains(word)).count() as f64;
            let idf = (1.0 + (count - with + 0.5) / (with + 0.5)).ln();
            let here = words.iter().filter(|other| *other == word).count() as f64;
            idf * here * 2.2 / (here + 1.2 * (0.25 + 0.75 * words.len() as f64 / mean))
        };
        query.iter().map(part).sum()
    };
    let scores = rows.iter().map(|(&id, words)| (id, score(words)));
    scores.filter(|&(_, score)| score > 0.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn scores_are_those_of_a_scan_of_all_live_points(
        steps in prop::collection::vec(step(), 1..60),
        query in prop::collection::vec(prop::sample::select(&WORDS[..7]), 1..4),
        limit in 1_usize..40,
    ) {
        let config = CollectionConfig::new(3, Metric::Dot)
            .with_text(TextField::new("text", Language::None).unwrap());
        let db = Db::fast(config, 8);
        let mut rows: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Upsert(id, words) => {
                    let payload = Payload::new().with("text", words.join(" "));
                    let point = Point::new(id, vec![1.0; 3]).with_payload(payload);
                    db.collection().upsert(vec![point]).unwrap();
                    rows.insert(id, words);
                }
                Step::Delete(id) => {
                    db.delete(id);
                    rows.remove(&id);
                }
                Step::Flush => db.collection().flush().map(drop).unwrap(),
                Step::Settle => db.collection().settle().unwrap(),
                Step::Compact => db.collection().compact().unwrap(),
            }
        }
        let expected: BTreeMap<u64, f64> = brute_force(&rows, &query).into_iter().collect();
        let points = found(&db, &TextQuery::new(query.join(" ")), limit);
        prop_assert_eq!(points.len(), limit.min(expected.len()));
        prop_assert!(points.is_sorted_by(|a, b| a.score >= b.score));
        for point in &points {
            let expected = expected[&point.id.as_number().unwrap()];
            prop_assert!((f64::from(point.score) - expected).abs() < 1e-4 * expected.max(1.0));
        }
        let mut best: Vec<f64> = expected.into_values().collect();
        best.sort_by(|a, b| b.total_cmp(a));
        for (point, best) in points.iter().zip(best) {
            prop_assert!((f64::from(point.score) - best).abs() < 1e-4 * best.max(1.0));
        }
    }
}
