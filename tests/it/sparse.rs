//! Sparse vector fields: random lives against maps and brute force, and what holds at their edges.

use std::collections::BTreeMap;

use bigrain_engine::{
    CollectionConfig, Diversity, Engine, EngineConfig, Error, ErrorKind, Example, Filter, Fusion,
    GroupBy, HybridQuery, Metric, Payload, PayloadUpdate, Point, PointId, Query, RankedList,
    RecommendQuery, RecommendStrategy, SearchParams, SparseFieldConfig, SparseModifier,
    SparseQuery, SparseVector, VectorQuery, diversify, fuse,
};
use bigrain_tests::{Db, Random, brute_force_sparse, fast_folder, sparse_vector};

const OPERATIONS: u64 = 700;
const IDS: u64 = 160;
const DIMS: u64 = 40;

/// What a point should be.
#[derive(Clone, Debug, Default)]
struct Stored {
    dense: bool,
    sparse: BTreeMap<String, SparseVector>,
    step: u64,
}

/// What the collection should hold.
#[derive(Debug, Default)]
struct Model {
    /// The sparse ones, in the collection's order.
    fields: Vec<String>,
    has_dense: bool,
    points: BTreeMap<u64, Stored>,
}

impl Model {
    fn field(&self, random: &mut Random) -> String {
        self.fields[random.below(self.fields.len() as u64) as usize].clone()
    }
}

fn sparse(components: &[(u32, f32)]) -> SparseVector {
    let (dimensions, values) = components.iter().copied().unzip();
    SparseVector::new(dimensions, values).unwrap()
}

fn params(limit: usize) -> SearchParams {
    SearchParams::new(limit).unwrap()
}

/// A field; those called `b` and `d` weigh dimensions.
fn field(name: &str) -> SparseFieldConfig {
    let modifier = match name {
        "b" | "d" => SparseModifier::Idf,
        _ => SparseModifier::None,
    };
    SparseFieldConfig::new(name).with_modifier(modifier)
}

fn config(fields: &[&str]) -> CollectionConfig {
    let (first, others) = fields.split_first().unwrap();
    let config = CollectionConfig::of_sparse(field(first));
    others.iter().map(|name| field(name)).fold(config, CollectionConfig::with_sparse)
}

/// The query as points of a field are compared with it.
fn weighed(model: &Model, name: &str, query: &SparseVector) -> SparseVector {
    if field(name).modifier == SparseModifier::None {
        return query.clone();
    }
    let vectors = model.points.values().filter_map(|stored| stored.sparse.get(name));
    let vectors: Vec<&SparseVector> = vectors.filter(|vector| !vector.is_empty()).collect();
    let weigh = |(dimension, value): (u32, f32)| {
        let with = vectors.iter().filter(|vector| vector.dimensions().contains(&dimension)).count();
        let (with, without) = (with as f32, (vectors.len() - with) as f32);
        (dimension, value * (1.0 + (without + 0.5) / (with + 0.5)).ln())
    };
    sparse(&query.iter().map(weigh).collect::<Vec<_>>())
}

#[test]
fn random_lives_of_sparse_fields_agree_with_maps() {
    for seed in 1..=4 {
        println!("seed {seed}");
        let has_dense = seed % 2 == 0;
        let config = if has_dense {
            let dense = CollectionConfig::new(4, Metric::Dot);
            dense.with_sparse(SparseFieldConfig::new("a"))
        } else {
            config(&["a", "b"])
        };
        let fields = config.sparse().iter().map(|field| field.name.clone()).collect();
        let model = Model { fields, has_dense, ..Model::default() };
        live(Db::fast(config, 60), model, Random::new(seed));
    }
}

fn live(mut db: Db, mut model: Model, mut random: Random) {
    for step in 0..OPERATIONS {
        match random.below(1000) {
            0..400 => upsert(&db, &mut model, &mut random, step),
            400..480 => replace(&db, &mut model, &mut random),
            480..540 => mark(&db, &mut model, &mut random, step),
            540..650 => db.delete_some(&mut model.points, &mut random, IDS),
            650..850 => search(&db, &model, &mut random),
            850..870 => db.collection().flush().unwrap(),
            870..875 => db.collection().settle().unwrap(),
            875..880 => db.collection().compact().unwrap(),
            880..910 => add(&db, &mut model, &mut random),
            910..930 => drop_one(&db, &mut model, &mut random),
            930..950 => db.reopen(),
            950..955 => db = db.restored(),
            _ => check_all(&db, &model),
        }
    }
    for _ in 0..2 {
        check_all(&db, &model);
        (0..10).for_each(|_| search(&db, &model, &mut random));
        db.reopen();
    }
    db.collection().compact().unwrap();
    check_all(&db, &model);
    (0..20).for_each(|_| search(&db, &model, &mut random));
}

fn upsert(db: &Db, model: &mut Model, random: &mut Random, step: u64) {
    let mut batch = BTreeMap::new();
    for _ in 0..=random.below(8) {
        let dense = model.has_dense && random.below(4) > 0;
        let always = model.field(random);
        let mut stored = Stored { dense, step, ..Stored::default() };
        for name in &model.fields {
            if *name == always || random.below(3) > 0 {
                stored.sparse.insert(name.clone(), sparse_vector(random, DIMS));
            }
        }
        batch.insert(random.below(IDS), stored);
    }
    let points = batch.iter().map(|(&id, stored)| {
        let mut point = Point::empty(id).with_payload(Payload::new().with("step", step));
        if stored.dense {
            point = point.with_vector("vector", dense_vector(id));
        }
        let sparse = stored.sparse.iter();
        sparse.fold(point, |point, (name, vector)| point.with_sparse(name, vector.clone()))
    });
    db.collection().upsert(points.collect()).unwrap();
    model.points.extend(batch);
}

fn dense_vector(id: u64) -> Vec<f32> {
    vec![id as f32, 1.0, 2.0, 3.0]
}

/// Replaces one vector of some points, sometimes by none.
fn replace(db: &Db, model: &mut Model, random: &mut Random) {
    let field = model.field(random);
    let vector = sparse_vector(random, DIMS);
    let ids: Vec<u64> = (0..4).map(|at| at * 40 + random.below(40)).collect();
    let point = |&id: &u64| Point::empty(id).with_sparse(&field, vector.clone());
    let points: Vec<Point> = ids.iter().map(point).collect();
    let output = db.collection().update_vectors(&points).unwrap();
    let mut updated = 0;
    for id in ids {
        if let Some(stored) = model.points.get_mut(&id) {
            stored.sparse.insert(field.clone(), vector.clone());
            updated += 1;
        }
    }
    assert_eq!((output.updated, output.missing), (updated, 4 - updated));
}

fn mark(db: &Db, model: &mut Model, random: &mut Random, step: u64) {
    let id = random.below(IDS);
    let update = PayloadUpdate::Merge(Payload::new().with("step", step));
    db.collection().update_payload(&[id.into()], &update).unwrap();
    model.points.entry(id).and_modify(|stored| stored.step = step);
}

fn add(db: &Db, model: &mut Model, random: &mut Random) {
    let name = ["a", "b", "c", "d"][random.below(4) as usize];
    let added = db.collection().add_sparse_field(field(name));
    if model.fields.iter().any(|known| known == name) {
        assert_eq!(added.unwrap_err().kind(), ErrorKind::AlreadyExists);
        return;
    }
    added.unwrap();
    model.fields.push(name.to_owned());
}

fn drop_one(db: &Db, model: &mut Model, random: &mut Random) {
    let field = model.field(random);
    // The last one stays, whether the engine would let it go or not.
    if model.fields.len() == 1 {
        return;
    }
    db.collection().drop_field(&field).unwrap();
    model.fields.retain(|known| *known != field);
    model.points.values_mut().for_each(|stored| drop(stored.sparse.remove(&field)));
}

/// Exact, for any field, filter and threshold.
fn search(db: &Db, model: &Model, random: &mut Random) {
    let (field, vector) = (model.field(random), sparse_vector(random, DIMS));
    let limit = 1 + random.below(30) as usize;
    let mut query = SparseQuery::new(vector.clone()).in_field(&field);
    let after = match random.below(3) {
        0 => {
            let after = random.below(OPERATIONS);
            let filter = format!(r#"{{"field": "step", "gte": {after}}}"#);
            query = query.with_filter(Filter::from_json(filter.as_bytes()).unwrap());
            after
        }
        _ => 0,
    };
    let points = model.points.iter().filter(|(_, stored)| stored.step >= after);
    let points = points.filter_map(|(&id, stored)| Some((id, stored.sparse.get(&field)?)));
    let vector = weighed(model, &field, &vector);
    let mut expected = brute_force_sparse(points, &vector, limit);
    let mut params = params(limit);
    if random.below(3) == 0 {
        params = params.with_score_threshold(0.5).unwrap();
        expected.retain(|(_, score)| *score >= 0.5);
    }
    let found = db.collection().search_sparse(&query, &params).unwrap().points;
    for point in &found {
        let step = model.points[&point.id.as_number().unwrap()].step;
        assert_eq!(point.payload.get("step").unwrap(), step);
    }
    let found: Vec<(PointId, f32)> = found.into_iter().map(|p| (p.id, p.score)).collect();
    assert_eq!(found, expected, "{query:?}, {params:?}");
}

fn check_all(db: &Db, model: &Model) {
    let collection = db.collection();
    let names: Vec<String> =
        collection.config().sparse().iter().map(|field| field.name.clone()).collect();
    assert_eq!(names, model.fields);
    assert_eq!(collection.count(), model.points.len() as u64);
    let ids: Vec<PointId> = model.points.keys().map(|&id| id.into()).collect();
    assert_eq!(db.scroll(), ids);
    for ((id, stored), found) in model.points.iter().zip(collection.get(&ids).unwrap()) {
        let found = found.unwrap();
        assert_eq!(found.payload.get("step").unwrap(), stored.step);
        assert_eq!(found.vector("vector").is_some(), stored.dense);
        if let Some(vector) = found.vector("vector") {
            assert_eq!(vector, dense_vector(*id));
        }
        let there = |name: &&String| stored.sparse.get(*name).is_some_and(|v| !v.is_empty());
        let expected = model.fields.iter().filter(there);
        let expected: Vec<(&str, &SparseVector)> =
            expected.map(|name| (name.as_str(), &stored.sparse[name])).collect();
        let found: Vec<(&str, &SparseVector)> =
            found.sparse.iter().map(|stored| (&*stored.field, &stored.vector)).collect();
        assert_eq!(found, expected);
    }
    if model.has_dense {
        let with_vector = model.points.values().filter(|stored| stored.dense).count();
        let found = collection.search(&Query::new(vec![1.0; 4]), &params(IDS as usize)).unwrap();
        assert_eq!(found.points.len(), with_vector);
    }
}

/// Three points, of which the third shares no dimension with [`query`].
fn three() -> Db {
    let db = Db::temp(config(&["s"]), 100);
    let points = [
        Point::empty(1).with_sparse("s", sparse(&[(1, -2.0)])),
        Point::empty(2).with_sparse("s", sparse(&[(1, 1.0), (2, -0.5)])),
        Point::empty(3).with_sparse("s", sparse(&[(9, 5.0)])),
        Point::empty(4).with_sparse("s", sparse(&[(1, 1.0)])),
    ];
    db.collection().upsert(points.into()).unwrap();
    db
}

fn query() -> SparseQuery {
    SparseQuery::new(sparse(&[(1, 0.5), (2, 1.0), (77, 1.0)]))
}

fn scored(db: &Db, query: &SparseQuery, params: &SearchParams) -> Vec<(u64, f32)> {
    let found = db.collection().search_sparse(query, params).unwrap().points;
    found.iter().map(|point| (point.id.as_number().unwrap(), point.score)).collect()
}

#[test]
fn points_that_share_a_dimension_match_whatever_their_score_and_no_others() {
    let db = three();
    for _ in 0..2 {
        assert_eq!(scored(&db, &query(), &params(10)), [(4, 0.5), (2, 0.0), (1, -1.0)]);
        assert_eq!(scored(&db, &query(), &params(2)), [(4, 0.5), (2, 0.0)]);
        let positive = params(10).with_score_threshold(0.0).unwrap();
        assert_eq!(scored(&db, &query(), &positive), [(4, 0.5), (2, 0.0)]);
        let empty = SparseQuery::new(SparseVector::default());
        assert_eq!(scored(&db, &empty, &params(10)), []);
        db.collection().flush().unwrap();
    }
}

#[test]
fn equal_scores_come_in_the_order_of_their_ids_wherever_points_lie() {
    let db = Db::temp(config(&["s"]), 1000);
    let mut random = Random::new(3);
    let mut ids: Vec<u64> = (0..300).collect();
    for at in (1..ids.len()).rev() {
        ids.swap(at, random.below(at as u64 + 1) as usize);
    }
    for ids in ids.chunks(70) {
        let point = |&id: &u64| Point::empty(id).with_sparse("s", sparse(&[(1, 1.0)]));
        db.collection().upsert(ids.iter().map(point).collect()).unwrap();
        if ids.len() == 70 {
            db.collection().flush().unwrap();
        }
    }
    assert_eq!(db.collection().inspect().len(), 4);
    let expected: Vec<(u64, f32)> = (0..50).map(|id| (id, 0.5)).collect();
    assert_eq!(scored(&db, &query(), &params(50)), expected);
}

#[test]
fn few_matching_points_are_scored_one_by_one_and_give_the_same() {
    let db = Db::temp(config(&["s"]), 10_000);
    let mut random = Random::new(8);
    let vectors: Vec<SparseVector> = (0..4000).map(|_| sparse_vector(&mut random, DIMS)).collect();
    let point = |(id, vector): (u64, &SparseVector)| {
        let payload = Payload::new().with("n", id);
        Point::empty(id).with_sparse("s", vector.clone()).with_payload(payload)
    };
    db.collection().upsert((0..).zip(&vectors).map(point).collect()).unwrap();
    db.collection().flush().unwrap();
    let all: Vec<u32> = (0..DIMS as u32).map(|at| at * 1000).collect();
    let vector = SparseVector::new(all, vec![0.75; DIMS as usize]).unwrap();
    for (below, expected) in [(40, "one by one"), (3000, "inverted lists")] {
        let filter = format!(r#"{{"field": "n", "lt": {below}}}"#);
        let filter = Filter::from_json(filter.as_bytes()).unwrap();
        let query = SparseQuery::new(vector.clone()).with_filter(filter);
        let found = db.collection().search_sparse(&query, &params(10).with_explain(true)).unwrap();
        let points = (0..below).zip(&vectors);
        let scored: Vec<(PointId, f32)> =
            found.points.into_iter().map(|point| (point.id, point.score)).collect();
        assert_eq!(scored, brute_force_sparse(points, &vector, 10));
        let plan = found.plan.unwrap().to_string();
        assert!(plan.contains(expected), "{plan}");
        assert_eq!(found.stats.rows_read == below, expected == "one by one", "{:?}", found.stats);
    }
}

#[test]
fn fields_of_the_other_kind_are_refused_by_name() {
    let config = CollectionConfig::new(2, Metric::Dot).with_sparse(SparseFieldConfig::new("s"));
    let db = Db::temp(config, 100);
    let upsert = |point: Point| db.collection().upsert(vec![point]).unwrap_err();
    let dense = upsert(Point::empty(1).with_vector("s", vec![1.0, 2.0]));
    assert_eq!(dense.kind(), ErrorKind::FailedPrecondition);
    assert!(dense.to_string().contains("field \"s\" is sparse"), "{dense}");
    let wrong = upsert(Point::new(1, vec![1.0, 2.0]).with_sparse("vector", sparse(&[(1, 1.0)])));
    assert!(wrong.to_string().contains("field \"vector\" is dense"), "{wrong}");
    let unknown = upsert(Point::empty(1).with_sparse("t", sparse(&[(1, 1.0)])));
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert!(unknown.to_string().contains("the collection has vector, s"), "{unknown}");
    let one = sparse(&[(1, 1.0)]);
    let twice = upsert(Point::empty(1).with_sparse("s", one.clone()).with_sparse("s", one));
    assert!(twice.to_string().contains("point 1: two vectors in field \"s\""), "{twice}");
    let search = db.collection().search_sparse(&query().in_field("vector"), &params(1));
    assert_eq!(search.unwrap_err().kind(), ErrorKind::FailedPrecondition);
    let search = db.collection().search(&Query::new(vec![1.0]).in_field("s"), &params(1));
    assert_eq!(search.unwrap_err().kind(), ErrorKind::FailedPrecondition);
    let none = Db::tiny().collection().search_sparse(&query(), &params(1)).unwrap_err();
    assert!(none.to_string().contains("the collection has no sparse fields"), "{none}");
    let only = three();
    let dense = only.collection().search(&Query::new(vec![1.0]), &params(1)).unwrap_err();
    assert!(dense.to_string().contains("no dense fields"), "{dense}");
    let last = only.collection().drop_field("s").unwrap_err();
    assert_eq!(last.kind(), ErrorKind::FailedPrecondition);
}

#[test]
fn a_dropped_field_does_not_come_back_under_its_name() {
    let mut db = Db::temp(config(&["s", "t"]), 100);
    let both = |id: u64| {
        let vector = sparse(&[(1, 1.0)]);
        Point::empty(id).with_sparse("s", vector.clone()).with_sparse("t", vector)
    };
    db.collection().upsert(vec![both(1)]).unwrap();
    db.collection().flush().unwrap();
    db.collection().upsert(vec![both(2)]).unwrap();
    db.collection().drop_field("s").unwrap();
    db.collection().add_sparse_field(SparseFieldConfig::new("s")).unwrap();
    for round in 0..3 {
        assert_eq!(scored(&db, &query().in_field("s"), &params(9)), [], "round {round}");
        assert_eq!(scored(&db, &query().in_field("t"), &params(9)), [(1, 0.5), (2, 0.5)]);
        let stored = db.collection().get(&[1.into(), 2.into()]).unwrap();
        assert!(stored.iter().flatten().all(|point| point.sparse("s").is_none()));
        match round {
            0 => db.reopen(),
            _ => db.collection().compact().unwrap(),
        }
    }
    let files = db.collection().inspect().remove(0).files;
    assert!(files.iter().all(|(name, _)| !name.starts_with("sparse.s")), "{files:?}");
    db.collection().upsert(vec![both(3)]).unwrap();
    assert_eq!(scored(&db, &query().in_field("s"), &params(9)), [(3, 0.5)]);
}

#[test]
fn a_sparse_list_is_fused_as_it_is_found_alone() {
    let config = CollectionConfig::new(3, Metric::L2).with_sparse(SparseFieldConfig::new("s"));
    let db = Db::temp(config, 150);
    let mut random = Random::new(5);
    for start in [0, 150, 300] {
        let point = |id: u64| {
            let payload = Payload::new().with("kind", id % 3);
            let point = Point::new(id, random.vector(3)).with_payload(payload);
            point.with_sparse("s", sparse_vector(&mut random, DIMS))
        };
        db.collection().upsert((start..start + 130).map(point).collect()).unwrap();
    }
    let vector = Query::new(vec![0.1, 0.2, -0.1]);
    let query = SparseQuery::new(sparse_vector(&mut Random::new(77), 12));
    let filter = Filter::from_json(br#"{"field": "kind", "gte": 1}"#).unwrap();
    let of_vector = vector.clone().with_filter(filter.clone());
    let of_vector = db.collection().search(&of_vector, &params(100)).unwrap().points;
    let of_vector = of_vector.into_iter().map(|point| (point.id, -point.score)).collect();
    let of_sparse = query.clone().with_filter(filter.clone());
    let of_sparse = db.collection().search_sparse(&of_sparse, &params(100)).unwrap().points;
    let of_sparse = of_sparse.into_iter().map(|point| (point.id, point.score)).collect();
    let lists = [
        RankedList { points: of_vector, weight: 0.4 },
        RankedList { points: of_sparse, weight: 0.6 },
    ];
    for fusion in [Fusion::default(), Fusion::MinMax, Fusion::Distribution] {
        let hybrid = HybridQuery::new(fusion)
            .with_vector(vector.clone(), 0.4)
            .with_sparse(query.clone(), 0.6)
            .with_filter(&filter);
        let found = db.collection().search_hybrid(&hybrid, &params(10).with_explain(true)).unwrap();
        let plan = found.plan.unwrap();
        assert_eq!((&*plan.field, plan.parts.len()), ("vector, s", 2));
        let found: Vec<(PointId, f32)> =
            found.points.into_iter().map(|p| (p.id, p.score)).collect();
        assert_eq!(found, fuse(fusion, &lists, 10).unwrap());
    }
}

#[test]
fn groups_and_batches_take_sparse_queries() {
    let db = Db::temp(config(&["s"]), 100);
    let point = |id: u64| {
        let vector = sparse(&[(1, id as f32), (id as u32 + 10, 1.0)]);
        Point::empty(id).with_sparse("s", vector).with_payload(Payload::new().with("g", id % 3))
    };
    db.collection().upsert((1..40).map(point).collect()).unwrap();
    let query = SparseQuery::new(sparse(&[(1, 1.0)]));
    let by = GroupBy::new("g").unwrap().with_per_group(2).unwrap();
    let output = db.collection().search_groups(&query, &by, &params(2)).unwrap();
    let groups: Vec<Vec<u64>> = output
        .groups
        .iter()
        .map(|group| group.points.iter().map(|point| point.id.as_number().unwrap()).collect())
        .collect();
    assert_eq!(groups, [[39, 36], [38, 35]]);
    let searches = [
        (VectorQuery::from(query), params(1)),
        (VectorQuery::from(SparseQuery::new(sparse(&[(17, 2.0)]))), params(5)),
        (VectorQuery::from(Query::new(vec![1.0])), params(1)),
    ];
    let answers = db.collection().search_batch(&searches);
    let first = |at: usize| answers[at].as_ref().unwrap().points[0].id.as_number().unwrap();
    assert_eq!([first(0), first(1)], [39, 7]);
    assert_eq!(answers[2].as_ref().unwrap_err().kind(), ErrorKind::FailedPrecondition);
}

#[test]
fn components_count_against_memory_and_fill_a_memtable() {
    let folder = fast_folder();
    let config_of =
        EngineConfig { background_threads: 0, flush_bytes: 1 << 20, ..EngineConfig::default() };
    let engine = Engine::open(folder.path(), config_of).unwrap();
    let collection = engine.create_collection("c", config(&["s"])).unwrap();
    let dimensions: Vec<u32> = (0..1000).collect();
    let vector = SparseVector::new(dimensions, vec![1.0; 1000]).unwrap();
    let point = |id: u64| Point::empty(id).with_sparse("s", vector.clone());
    let before = engine.memory().memtables;
    collection.upsert((0..3).map(point).collect()).unwrap();
    // A row and a place in a list for each component.
    assert!(engine.memory().memtables - before >= 3 * 1000 * 16);
    collection.upsert((3..80).map(point).collect()).unwrap();
    assert_eq!((collection.info().segments, collection.info().memtable_points), (1, 0));
    let info = collection.info().sparse.remove(0);
    assert_eq!((info.vectors, info.components), (80, 80_000));
    assert!(info.disk_bytes > 80_000 * 16);
}

#[test]
fn rare_dimensions_count_more_as_points_come_and_go() {
    let db = Db::temp(config(&["b"]), 100);
    let point = |id: u64, dimensions: &[u32]| {
        let vector = dimensions.iter().map(|&dimension| (dimension, 1.0)).collect::<Vec<_>>();
        let payload = Payload::new().with("even", id.is_multiple_of(2));
        Point::empty(id).with_sparse("b", sparse(&vector)).with_payload(payload)
    };
    let collection = db.collection();
    collection.upsert(vec![point(1, &[1]), point(2, &[2]), point(3, &[1, 7])]).unwrap();
    collection.flush().unwrap();
    collection.upsert(vec![point(4, &[1])]).unwrap();
    let query = SparseQuery::new(sparse(&[(1, 1.0), (2, 1.0)])).in_field("b");
    let scores = |query: &SparseQuery| -> Vec<(u64, f32)> {
        let found = collection.search_sparse(query, &params(9).with_explain(true)).unwrap();
        println!("{}", found.plan.unwrap());
        found.points.iter().map(|point| (point.id.as_number().unwrap(), point.score)).collect()
    };
    let idf = |with: f32, of: f32| (1.0 + (of - with + 0.5) / (with + 0.5)).ln();
    let (common, rare) = (idf(3.0, 4.0), idf(1.0, 4.0));
    assert_eq!(scores(&query), [(2, rare), (1, common), (3, common), (4, common)]);
    // What a filter leaves out counts all the same.
    let odd = Filter::from_json(br#"{"field": "even", "eq": false}"#).unwrap();
    assert_eq!(scores(&query.clone().with_filter(odd)), [(1, common), (3, common)]);
    // A deleted point does not, in a segment or in memory.
    collection.delete(&[3.into(), 4.into()]).unwrap();
    let both = idf(1.0, 2.0);
    assert_eq!(scores(&query), [(1, both), (2, both)]);
    assert!(scores(&SparseQuery::new(SparseVector::default())).is_empty());
}

#[test]
fn points_like_examples_are_found_in_a_sparse_field() {
    let db = three();
    let recommend = |query: &RecommendQuery| {
        let found = db.collection().recommend(query, &params(9))?;
        let points = found.points.into_iter();
        Ok::<_, Error>(points.map(|point| (point.id, point.score)).collect::<Vec<_>>())
    };
    let like = RecommendQuery::like(2);
    let id = PointId::from;
    assert_eq!(recommend(&like).unwrap(), [(id(4), 1.0), (id(1), -2.0)]);
    // The only other point shares no dimension with them.
    let unlike = like.clone().and_like(4).unlike(1);
    assert!(recommend(&unlike).unwrap().is_empty());
    let unlike = RecommendQuery::like(4).unlike(1).in_field("s");
    assert_eq!(recommend(&unlike).unwrap(), [(id(2), 4.0)]);
    for (query, kind) in [
        (RecommendQuery::like(77), ErrorKind::NotFound),
        (RecommendQuery::like(Example::Vector(vec![1.0])), ErrorKind::InvalidArgument),
        (like.with_strategy(RecommendStrategy::BestScore), ErrorKind::InvalidArgument),
        (RecommendQuery::like(1).in_field("other"), ErrorKind::NotFound),
    ] {
        assert_eq!(recommend(&query).unwrap_err().kind(), kind, "{query:?}");
    }
}

#[test]
fn diverse_results_are_picked_by_the_cosine_of_stored_vectors_in_units_of_the_best_score() {
    let mut random = Random::new(31);
    for name in ["s", "b"] {
        let db = Db::temp(config(&[name]), 10_000);
        let points: BTreeMap<u64, SparseVector> =
            (0..150).map(|id| (id, sparse_vector(&mut random, 40))).collect();
        for part in 0..3 {
            let of_part = points.iter().filter(|(id, _)| **id % 3 == part);
            let point = |(&id, vector): (&u64, &SparseVector)| {
                Point::empty(id).with_sparse(name, vector.clone())
            };
            db.collection().upsert(of_part.map(point).collect()).unwrap();
            if part < 2 {
                db.collection().flush().unwrap();
            }
        }
        for _ in 0..30 {
            let (limit, depth) = (1 + random.below(10) as usize, 1 + random.below(40) as usize);
            let (weight, vector) = (random.unit(), sparse_vector(&mut random, 40));
            let query = SparseQuery::new(vector);
            let nearest = scored(&db, &query, &params(depth.max(limit)));
            let relevance: Vec<f32> = nearest.iter().map(|(_, score)| *score).collect();
            let alike = |a: usize, b: usize| {
                let [a, b] = [a, b].map(|at| &points[&nearest[at].0]);
                let dot = |a: &SparseVector, b: &SparseVector| a.dot(b).unwrap_or_default();
                let cosine = dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
                if cosine.is_finite() { relevance[0].abs() * cosine } else { 0.0 }
            };
            let expected = diversify(&relevance, alike, weight, limit);
            let expected: Vec<_> = expected.into_iter().map(|at| nearest[at]).collect();
            let diversity = Diversity::new(weight).unwrap().with_depth(depth).unwrap();
            let diverse = params(limit).with_diversity(Some(diversity));
            assert_eq!(scored(&db, &query, &diverse), expected, "{name}");
        }
    }
}

#[test]
fn a_twin_makes_room_for_another_sparse_result() {
    let db = Db::temp(config(&["s"]), 100);
    let point =
        |id: u64, components: &[(u32, f32)]| Point::empty(id).with_sparse("s", sparse(components));
    db.collection()
        .upsert(vec![
            point(1, &[(1, 1.0), (5, 3.0), (6, 3.0)]),
            point(2, &[(1, 0.9), (5, 3.0), (6, 3.0)]),
            point(3, &[(1, 0.8), (9, 3.0)]),
        ])
        .unwrap();
    let query = SparseQuery::new(sparse(&[(1, 1.0)]));
    let ids = |params: &SearchParams| -> Vec<u64> {
        scored(&db, &query, params).into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(ids(&params(2)), [1, 2]);
    let diverse = params(2).with_diversity(Some(Diversity::new(0.3).unwrap()));
    assert_eq!(ids(&diverse), [1, 3]);
    // Points like an example are made diverse too.
    let like = RecommendQuery::like(3);
    assert_eq!(db.collection().recommend(&like, &diverse).unwrap().points.len(), 2);
}
