//! Requests that are wrong: each is refused by name and loses nothing.

use bigrain_engine::{
    CollectionConfig, EmbeddingSpaceId, Error, ErrorKind, MAX_POINTS_PER_BATCH, Metric, Point,
    Query, SearchParams,
};
use bigrain_tests::Db;

fn check(error: &Error, kind: ErrorKind, names: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    names.iter().for_each(|name| assert!(text.contains(name), "{text:?} does not name {name:?}"));
}

#[test]
fn vectors_a_collection_refuses() {
    let db = Db::temp(CollectionConfig::new(3, Metric::Cosine), 100);
    db.upsert(1, [1.0, 2.0, 3.0]);
    let cases: [(&[f32], ErrorKind, &[&str]); 4] = [
        (&[1.0, 2.0], ErrorKind::FailedPrecondition, &["collection has 3", "vector has 2"]),
        (&[1.0, f32::NAN, 2.0], ErrorKind::InvalidArgument, &["component 1", "NaN"]),
        (&[1.0, 2.0, f32::NEG_INFINITY], ErrorKind::InvalidArgument, &["component 2", "-inf"]),
        (&[0.0, 0.0, 0.0], ErrorKind::InvalidArgument, &["zero vector"]),
    ];
    for (vector, kind, names) in cases {
        let good = Point::new(8, vec![1.0, 1.0, 1.0]);
        let bad = Point::new(9, vector.to_vec());
        let error = db.collection().upsert(vec![good, bad]).unwrap_err();
        check(&error, kind, &[names, &["point 9", "\"c\""]].concat());
        let params = SearchParams::new(1).unwrap();
        let error = db.collection().search(&Query::new(vector.to_vec()), &params).unwrap_err();
        check(&error, kind, names);
        assert_eq!(db.scroll().len(), 1, "nothing of the batch is stored");
    }
}

#[test]
fn vectors_of_another_space() {
    let space = EmbeddingSpaceId::from_bytes([1; 16]);
    let other = EmbeddingSpaceId::from_bytes([2; 16]);
    let db = Db::temp(CollectionConfig::new(2, Metric::Dot).with_space(space), 100);
    let point = |space| Point::new(1, vec![1.0, 0.0]).in_space(space);
    db.collection().upsert(vec![point(space)]).unwrap();
    let error = db.collection().upsert(vec![point(other)]).unwrap_err();
    let names = [&*space.to_string(), &*other.to_string()];
    check(&error, ErrorKind::FailedPrecondition, &names);
    let params = SearchParams::new(1).unwrap();
    let query = Query::new(vec![1.0, 0.0]);
    let error = db.collection().search(&query.clone().in_space(other), &params).unwrap_err();
    check(&error, ErrorKind::FailedPrecondition, &names);
    assert_eq!(db.collection().search(&query.in_space(space), &params).unwrap().points.len(), 1);
}

#[test]
fn batches_a_collection_refuses() {
    let db = Db::tiny();
    let point = |id: u64| Point::new(id, vec![1.0, 0.0, 0.0]);
    let error = db.collection().upsert(vec![point(1), point(2), point(1)]).unwrap_err();
    check(&error, ErrorKind::InvalidArgument, &["duplicate id 1"]);
    let many = (0..=MAX_POINTS_PER_BATCH as u64).map(point).collect();
    let error = db.collection().upsert(many).unwrap_err();
    check(&error, ErrorKind::InvalidArgument, &["10001", "10000"]);
    assert_eq!(db.collection().count(), 0);
    assert_eq!(db.collection().upsert(vec![]).unwrap().inserted, 0);
}

#[test]
fn names_that_do_not_exist() {
    let db = Db::tiny();
    check(&db.engine().collection("d").unwrap_err(), ErrorKind::NotFound, &["\"d\""]);
    check(&db.engine().drop_collection("d").unwrap_err(), ErrorKind::NotFound, &["\"d\""]);
    let config = CollectionConfig::new(2, Metric::Dot);
    let error = db.engine().create_collection("a/b", config).unwrap_err();
    check(&error, ErrorKind::InvalidArgument, &["a/b"]);
    let config = CollectionConfig::new(70_000, Metric::Dot);
    let error = db.engine().create_collection("big", config).unwrap_err();
    check(&error, ErrorKind::InvalidArgument, &["dims", "70000", "65536"]);
}

#[test]
fn a_cancelled_search_says_so() {
    let db = Db::tiny();
    db.upsert(1, [1.0, 0.0, 0.0]);
    db.collection().flush().unwrap();
    let cancel = bigrain_engine::Cancel::new();
    cancel.cancel();
    let query = Query::new(vec![1.0, 0.0, 0.0]).with_cancel(cancel);
    let error = db.collection().search(&query, &SearchParams::new(1).unwrap()).unwrap_err();
    check(&error, ErrorKind::Cancelled, &["cancelled"]);
}
