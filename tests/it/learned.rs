//! A field whose codes a learned binarizer makes lives as any other does.

use bigrain_binarize::{
    Adapter, AdapterParts, Champion, Fit, Provenance, Recurrent, RecurrentLoop, RecurrentParts,
    ResidualMap, Scoring,
};
use bigrain_engine::{
    CollectionConfig, Diversity, ErrorKind, FieldConfig, LearnedBinarizer, Levels, Metric, Point,
    PointId, Query, QueryAdapter, SearchParams,
};
use bigrain_tests::{Db, Random};

pub(crate) const DIMS: usize = 96;
const CODE_DIMS: usize = 128;

/// The rotation, and a little that is not.
pub(crate) fn recurrent(levels: Levels) -> Recurrent {
    let mut random = Random::new(5);
    let mut map = |inputs: usize, outputs: usize| ResidualMap {
        delta: random.vector(inputs * outputs).iter().map(|x| 0.01 * x).collect(),
        ..ResidualMap::default()
    };
    let first = map(DIMS, CODE_DIMS);
    let mut each =
        || RecurrentLoop { rebuild: map(CODE_DIMS, DIMS), residual: map(DIMS, CODE_DIMS) };
    let loops = (1..levels.count()).map(|_| each()).collect();
    // About what it takes with nearly nothing learned.
    let fit = |levels: usize| {
        let (slope, error) = [(1.25, 0.09), (1.06, 0.05)][levels - 1];
        Fit { slope, intercept: 0.0, error }
    };
    let parts = RecurrentParts {
        dims: DIMS,
        code_dims: CODE_DIMS,
        levels,
        seed: 9,
        first,
        loops,
        scoring: Scoring { full: fit(levels.count()), sign: fit(1) },
        provenance: Provenance::default(),
    };
    Recurrent::new(parts).unwrap()
}

fn config(levels: Levels) -> FieldConfig {
    let learned = LearnedBinarizer::from_bytes(&recurrent(levels).to_bytes()).unwrap();
    FieldConfig::new("learned", DIMS, Metric::Cosine).with_binarizer(learned)
}

pub(crate) fn upsert(db: &Db, ids: std::ops::Range<u64>) {
    let point = |id| Point::new(id, Random::new(1000 + id).vector(DIMS));
    db.collection().upsert(ids.map(point).collect()).unwrap();
}

/// The ids of the ten points nearest to some queries.
pub(crate) fn answers(db: &Db, params: SearchParams) -> Vec<Vec<PointId>> {
    let search = |seed| {
        let query = Query::new(Random::new(seed).vector(DIMS));
        let output = db.collection().search(&query, &params).unwrap();
        output.points.into_iter().map(|point| point.id).collect()
    };
    (0..25).map(search).collect()
}

pub(crate) fn both(a: &[Vec<PointId>], b: &[Vec<PointId>]) -> usize {
    let both =
        |(a, b): (&Vec<PointId>, &Vec<PointId>)| a.iter().filter(|id| b.contains(id)).count();
    a.iter().zip(b).map(both).sum()
}

#[test]
fn learned_codes_find_what_brute_force_finds_through_merges_reopening_and_backup() {
    let params = SearchParams::new(10).unwrap();
    for levels in [Levels::ONE, Levels::TWO] {
        let mut db = Db::temp(CollectionConfig::of(config(levels)), 10_000);
        upsert(&db, 0..600);
        db.collection().flush().unwrap();
        upsert(&db, 500..1100);
        db.collection().flush().unwrap();
        (0..50).for_each(|id| assert!(db.delete(id)));
        let exact = answers(&db, params.with_exact(true));
        // Two segments, one of a merge, and the same after reopening and from a backup.
        assert!(both(&answers(&db, params), &exact) >= 215, "two segments");
        db.collection().compact().unwrap();
        assert_eq!(db.collection().info().segments, 1);
        let (near, codes) = (answers(&db, params), answers(&db, params.with_verify(false)));
        assert!(both(&near, &exact) >= 215, "merged: {}", both(&near, &exact));
        assert!(both(&codes, &exact) >= 80, "codes alone: {}", both(&codes, &exact));
        db.reopen();
        assert_eq!(answers(&db, params), near);
        let db = db.restored();
        assert_eq!(db.collection().config().first().unwrap(), &config(levels));
        assert_eq!(answers(&db, params.with_verify(false)), codes);
        assert_eq!(answers(&db, params.with_exact(true)), exact);
    }
}

#[test]
fn a_field_of_learned_codes_is_added_beside_one_of_the_rotation() {
    let db = Db::temp(CollectionConfig::new(DIMS, Metric::Cosine), 10_000);
    upsert(&db, 0..300);
    db.collection().flush().unwrap();
    db.collection().add_field(config(Levels::TWO)).unwrap();
    let point = |id: u64| {
        let vector = Random::new(1000 + id).vector(DIMS);
        Point::new(id, vector.clone()).with_vector("learned", vector)
    };
    db.collection().upsert((0..300).map(point).collect()).unwrap();
    db.collection().compact().unwrap();
    let params = SearchParams::new(10).unwrap();
    for id in 0..20 {
        let query = Query::new(Random::new(1000 + id).vector(DIMS)).in_field("learned");
        let found = db.collection().search(&query, &params).unwrap();
        assert_eq!(found.points[0].id, id.into());
    }
    let other = config(Levels::TWO).with_levels(Levels::ONE);
    let error =
        db.collection().add_field(FieldConfig { name: "third".into(), ..other }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("has 2 levels, the field 1"), "{error}");
}

#[test]
fn bytes_of_a_newer_version_or_of_nothing_learned_are_refused_by_name() {
    let refused = |bytes: &[u8]| {
        let error = LearnedBinarizer::from_bytes(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.to_string()
    };
    let rotation = bigrain_binarize::Binarizer::new_rotation(64, Levels::ONE, Metric::Cosine, 1);
    let rotation = refused(&rotation.unwrap().to_bytes());
    assert!(rotation.contains("kind"), "{rotation}");
    let mut bytes = recurrent(Levels::ONE).to_bytes();
    bytes[8] = 9;
    let newer = refused(&bytes);
    assert!(newer.contains("version 9"), "{newer}");
    assert!(refused(b"").contains("length"), "nothing");
}

/// Turns queries about: component `i` of what is asked is component `DIMS - 1 - i` of what is compared.
fn turning(code_weight: f32, shortlist: usize) -> QueryAdapter {
    let mut delta = vec![0.0; DIMS * DIMS];
    for at in 0..DIMS {
        delta[at * DIMS + at] -= 1.0;
        delta[at * DIMS + DIMS - 1 - at] += 1.0;
    }
    let parts = AdapterParts {
        dims: DIMS,
        map: ResidualMap { delta, ..ResidualMap::default() },
        code_weight,
        shortlist,
        codes: recurrent(Levels::TWO).id(),
        training_seed: 1,
        steps: 1,
        champion: Champion::default(),
    };
    QueryAdapter::from_bytes(&Adapter::new(parts).unwrap().to_bytes()).unwrap()
}

#[test]
fn an_adapter_orders_what_codes_find_in_segments_and_memtables() {
    let db = Db::temp(CollectionConfig::of(config(Levels::TWO)), 10_000);
    upsert(&db, 0..300);
    db.collection().flush().unwrap();
    upsert(&db, 300..400);
    let asked = Random::new(3).vector(DIMS);
    let turned: Vec<f32> = asked.iter().rev().copied().collect();
    let search = |query: Query, params: SearchParams| {
        let found = db.collection().search(&query, &params).unwrap();
        let points = found.points.iter().map(|point| (point.id.clone(), point.score));
        (points.collect::<Vec<_>>(), found.plan)
    };
    let params = SearchParams::new(10).unwrap();
    let with = |adapter: QueryAdapter| Query::new(asked.clone()).with_adapter(adapter);
    // Codes find everything, and weigh nothing: the answer is that of the turned query.
    let (found, plan) = search(with(turning(0.0, 400)), params.with_explain(true));
    let (expected, _) = search(Query::new(turned.clone()), params.with_exact(true));
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.0, expected.0);
        assert!((found.1 - expected.1).abs() < 1e-5, "{found:?} {expected:?}");
    }
    assert!(plan.unwrap().method.contains("adapter of 400"));
    // Codes that weigh all but everything: their order.
    let codes = search(Query::new(asked.clone()), params.with_verify(false)).0;
    let weighed = search(with(turning(1000.0, 400)), params).0;
    assert_eq!(codes[0].0, weighed[0].0);
    // Of a short list the best are ordered anew, and no others come in.
    let list = search(Query::new(asked.clone()), params.with_limit(20).unwrap().with_verify(false));
    let among = search(with(turning(0.0, 20)), params).0;
    let is_there = |id: &PointId| list.0.iter().any(|listed| listed.0 == *id);
    assert!(among.len() == 10 && among.iter().all(|found| is_there(&found.0)), "{among:?}");
    assert!(among.is_sorted_by(|a, b| a.1 >= b.1));
    let diverse = params.with_diversity(Some(Diversity::new(0.5).unwrap()));
    assert_eq!(search(with(turning(0.0, 400)), diverse).0.len(), 10);

    let refused = |query: &Query, params: SearchParams| {
        let error = db.collection().search(query, &params).unwrap_err();
        (error.kind(), error.to_string())
    };
    let (kind, reason) = refused(&with(turning(0.0, 20)), params.with_exact(true));
    assert!(kind == ErrorKind::InvalidArgument && reason.contains("adapter"), "{reason}");
    db.collection().add_field(FieldConfig::new("short", 32, Metric::Cosine)).unwrap();
    let query = Query::new(vec![1.0; 32]).in_field("short").with_adapter(turning(0.0, 20));
    let (kind, reason) = refused(&query, params);
    assert!(kind == ErrorKind::FailedPrecondition && reason.contains("96 dims"), "{reason}");
}
