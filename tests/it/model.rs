//! Random lives of a collection, against a map and brute force.

use std::collections::{BTreeMap, BTreeSet};

use bigrain_engine::{
    CollectionConfig, Filter, Levels, Metric, MultiFieldConfig, MultiQuery, MultiVector, Payload,
    PayloadUpdate, Point, PointId, Query, SearchParams, SparseFieldConfig, SparseQuery,
    SparseVector,
};
use bigrain_tests::{
    Db, Random, Soak, assert_nearest, brute_force_multi, brute_force_sparse, multi_vector,
    sparse_vector,
};

const DIMS: usize = 12;
/// Operations of one life; a run is a number of them.
const OPERATIONS: u64 = 1_000;

/// Dimensions of sparse vectors.
const SPARSE_DIMS: u64 = 40;

/// Dimensions of tokens.
const TOKEN_DIMS: usize = 3;

/// What the collection should hold: a vector of each kind, and the step that last wrote or marked each.
type Model = BTreeMap<u64, (Vec<f32>, SparseVector, MultiVector, u64)>;

/// What may happen to a collection, and how often it does, in a thousand.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Upsert,
    Delete,
    Mark,
    Search,
    Flush,
    Settle,
    Compact,
    Reopen,
    Restore,
    CheckAll,
}

const OPERATION_ODDS: [(Operation, u64); 10] = [
    (Operation::Upsert, 500),
    (Operation::Delete, 240),
    (Operation::Mark, 100),
    (Operation::Search, 100),
    (Operation::Flush, 20),
    (Operation::Settle, 4),
    (Operation::Compact, 2),
    (Operation::Reopen, 10),
    (Operation::Restore, 4),
    (Operation::CheckAll, 20),
];

impl Operation {
    fn draw(random: &mut Random) -> Self {
        let mut drawn = random.below(OPERATION_ODDS.iter().map(|(_, odds)| odds).sum());
        for (operation, odds) in OPERATION_ODDS {
            match drawn.checked_sub(odds) {
                Some(left) => drawn = left,
                None => return operation,
            }
        }
        unreachable!("a number below the sum")
    }
}

#[test]
fn random_lives_agree_with_a_map() {
    let soak = Soak::start("model", "operations", 20_000, 200_000);
    let metrics = [Metric::Cosine, Metric::Dot, Metric::L2];
    for life in 0..soak.count().div_ceil(OPERATIONS) {
        let seed = soak.seed() << 32 | life;
        let metric = metrics[life as usize % 3];
        let levels = Levels::new(1 + (life / 3 % 4) as u8).unwrap();
        println!("seed {seed}, {metric}, {levels:?}");
        let config = CollectionConfig::new(DIMS, metric).with_levels(levels);
        let config = config.with_sparse(SparseFieldConfig::new("sparse"));
        let config = config.with_multi(MultiFieldConfig::new("multi", TOKEN_DIMS, Metric::Dot));
        live(Db::fast(config, 70), metric, Random::new(seed));
    }
    soak.done("every answer is the map's");
}

fn live(mut db: Db, metric: Metric, mut random: Random) {
    let mut model = Model::new();
    for step in 0..OPERATIONS {
        match Operation::draw(&mut random) {
            Operation::Upsert => upsert(&db, &mut model, &mut random, step),
            Operation::Delete => db.delete_some(&mut model, &mut random, 220),
            Operation::Mark => mark(&db, &mut model, &mut random, step),
            Operation::Search => {
                search(&db, &model, metric, &mut random);
                search_sparse(&db, &model, &mut random);
                search_multi(&db, &model, &mut random);
            }
            Operation::Flush => db.collection().flush().unwrap(),
            Operation::Settle => db.collection().settle().unwrap(),
            Operation::Compact => db.collection().compact().unwrap(),
            Operation::Reopen => db.reopen(),
            Operation::Restore => {
                db = db.restored();
                check_all(&db, &model, metric);
            }
            Operation::CheckAll => check_all(&db, &model, metric),
        }
    }
    check_all(&db, &model, metric);
    db.reopen();
    check_all(&db, &model, metric);
}

fn upsert(db: &Db, model: &mut Model, random: &mut Random, step: u64) {
    let mut batch = BTreeMap::new();
    for _ in 0..=random.below(8) {
        let sparse = sparse_vector(random, SPARSE_DIMS);
        let multi = multi_vector(random, TOKEN_DIMS);
        batch.insert(random.below(200), (random.vector(DIMS), sparse, multi, step));
    }
    let points = batch.iter().map(|(&id, (vector, sparse, multi, _))| {
        let point = Point::new(id, vector.clone()).with_sparse("sparse", sparse.clone());
        let point = point.with_multi("multi", multi.clone());
        point.with_payload(Payload::new().with("step", step))
    });
    let output = db.collection().upsert(points.collect()).unwrap();
    let updated = batch.keys().filter(|id| model.contains_key(id)).count() as u64;
    assert_eq!((output.updated, output.inserted), (updated, batch.len() as u64 - updated));
    model.extend(batch);
}

fn mark(db: &Db, model: &mut Model, random: &mut Random, step: u64) {
    let ids: BTreeSet<u64> = (0..=random.below(8)).map(|_| random.below(220)).collect();
    let update = PayloadUpdate::Merge(Payload::new().with("step", step));
    let keys: Vec<PointId> = ids.iter().map(|&id| id.into()).collect();
    let output = db.collection().update_payload(&keys, &update).unwrap();
    let mut updated = 0;
    for (_, (.., stored)) in model.iter_mut().filter(|(id, _)| ids.contains(id)) {
        (*stored, updated) = (step, updated + 1);
    }
    assert_eq!((output.updated, output.missing), (updated, ids.len() as u64 - updated));
}

fn search(db: &Db, model: &Model, metric: Metric, random: &mut Random) {
    let ids: Vec<u64> = model.keys().copied().collect();
    let rows: Vec<Vec<f32>> = model.values().map(|point| point.0.clone()).collect();
    let query = random.vector(DIMS);
    let limit = 1 + random.below(30) as usize;
    let params = SearchParams::new(limit).unwrap().with_exact(true);
    let found = db.collection().search(&Query::new(query.clone()), &params).unwrap();
    let position = |id: &PointId| ids.binary_search(&id.as_number().unwrap()).unwrap();
    let positions: Vec<usize> = found.points.iter().map(|point| position(&point.id)).collect();
    assert_nearest(metric, &rows, &query, limit, &positions);
    for point in &found.points {
        let step = model[&point.id.as_number().unwrap()].3;
        assert_eq!(point.payload.get("step").unwrap(), step);
    }
    let params = SearchParams::new(limit).unwrap();
    let found = db.collection().search(&Query::new(query), &params).unwrap();
    assert_eq!(found.points.len(), ids.len().min(limit));
    assert!(found.points.iter().all(|point| model.contains_key(&point.id.as_number().unwrap())));
}

/// Exact, among points of earlier steps in half of the searches.
fn search_sparse(db: &Db, model: &Model, random: &mut Random) {
    let (vector, limit) = (sparse_vector(random, SPARSE_DIMS), 1 + random.below(30) as usize);
    let before = (random.below(2) == 0).then(|| random.below(OPERATIONS));
    let points = model.iter().filter(|(_, (.., step))| before.is_none_or(|before| *step < before));
    let points = points.map(|(&id, (_, sparse, ..))| (id, sparse));
    let expected = brute_force_sparse(points, &vector, limit);
    let mut query = SparseQuery::new(vector);
    if let Some(before) = before {
        let filter = format!(r#"{{"field": "step", "lt": {before}}}"#);
        query = query.with_filter(Filter::from_json(filter.as_bytes()).unwrap());
    }
    let params = SearchParams::new(limit).unwrap();
    let found = db.collection().search_sparse(&query, &params).unwrap().points;
    let scored: Vec<(PointId, f32)> =
        found.iter().map(|point| (point.id.clone(), point.score)).collect();
    assert_eq!(scored, expected, "{query:?}");
    for point in &found {
        assert_eq!(point.payload.get("step").unwrap(), model[&point.id.as_number().unwrap()].3);
    }
}

/// Exact, whether all tokens are read or the sketches say which.
fn search_multi(db: &Db, model: &Model, random: &mut Random) {
    let (vector, limit) = (multi_vector(random, TOKEN_DIMS), 1 + random.below(30) as usize);
    let points = model.iter().map(|(&id, (_, _, multi, _))| (id, multi));
    let all: BTreeMap<PointId, f32> =
        brute_force_multi(points.clone(), &vector, model.len()).into_iter().collect();
    let expected = brute_force_multi(points, &vector, limit);
    let query = MultiQuery::new(vector);
    let params = SearchParams::new(limit).unwrap();
    let found = db.collection().search_multi(&query, &params.with_exact(true)).unwrap().points;
    let scored: Vec<(PointId, f32)> =
        found.iter().map(|point| (point.id.clone(), point.score)).collect();
    assert_eq!(scored, expected, "{query:?}");
    let found = db.collection().search_multi(&query, &params).unwrap().points;
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().all(|point| all[&point.id] == point.score));
}

fn check_all(db: &Db, model: &Model, metric: Metric) {
    assert_eq!(db.collection().count(), model.len() as u64);
    let scrolled: Vec<u64> = db.scroll().iter().map(|id| id.as_number().unwrap()).collect();
    assert_eq!(scrolled, model.keys().copied().collect::<Vec<_>>());
    let ids: Vec<PointId> = model.keys().map(|&id| id.into()).collect();
    let stored = db.collection().get(&ids).unwrap();
    for (stored, (vector, sparse, multi, step)) in stored.iter().zip(model.values()) {
        let stored = stored.as_ref().unwrap();
        assert_eq!(stored.sparse("sparse"), Some(sparse).filter(|sparse| !sparse.is_empty()));
        assert_eq!(stored.multi("multi"), Some(multi));
        assert_eq!(stored.payload.get("step").unwrap(), *step);
        if metric != Metric::Cosine {
            assert_eq!(&stored.vector("vector").unwrap(), vector);
        }
    }
}
