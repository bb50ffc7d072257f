//! Multi-vector fields: random lives against maps and brute force, and what holds at their edges.

use std::collections::BTreeMap;

use bigrain_engine::{
    CollectionConfig, ErrorKind, Filter, Fusion, GroupBy, HybridQuery, Metric, MultiFieldConfig,
    MultiQuery, MultiVector, PatchGrid, Payload, PayloadUpdate, Point, PointId, Query,
    SearchParams, VectorQuery,
};
use bigrain_tests::{Db, Random, brute_force_multi, multi_vector};

const OPERATIONS: u64 = 600;
const IDS: u64 = 160;
const DIMS: usize = 4;

/// What a point should be.
#[derive(Clone, Debug, Default)]
struct Stored {
    multi: BTreeMap<String, MultiVector>,
    step: u64,
}

/// What the collection should hold.
#[derive(Debug, Default)]
struct Model {
    /// The multi-vector fields, in the collection's order.
    fields: Vec<String>,
    has_dense: bool,
    points: BTreeMap<u64, Stored>,
}

impl Model {
    fn field(&self, random: &mut Random) -> String {
        self.fields[random.below(self.fields.len() as u64) as usize].clone()
    }
}

fn field(name: &str) -> MultiFieldConfig {
    MultiFieldConfig::new(name, DIMS, Metric::Dot)
}

fn params(limit: usize) -> SearchParams {
    SearchParams::new(limit).unwrap()
}

fn tokens(tokens: &[&[f32]]) -> MultiVector {
    MultiVector::from_tokens(tokens).unwrap()
}

fn found(db: &Db, query: &MultiQuery, params: &SearchParams) -> Vec<(PointId, f32)> {
    let found = db.collection().search_multi(query, params).unwrap().points;
    found.into_iter().map(|point| (point.id, point.score)).collect()
}

#[test]
fn random_lives_of_multi_vector_fields_agree_with_maps() {
    for seed in 1..=3 {
        println!("seed {seed}");
        let has_dense = seed % 2 == 0;
        let config = if has_dense {
            CollectionConfig::new(DIMS, Metric::Dot).with_multi(field("a"))
        } else {
            CollectionConfig::of_multi(field("a")).with_multi(field("b"))
        };
        let fields = config.multi().iter().map(|field| field.name.clone()).collect();
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
        let always = model.field(random);
        let mut stored = Stored { step, ..Stored::default() };
        for name in &model.fields {
            if *name == always || random.below(3) > 0 {
                stored.multi.insert(name.clone(), multi_vector(random, DIMS));
            }
        }
        batch.insert(random.below(IDS), stored);
    }
    let points = batch.iter().map(|(&id, stored)| {
        let mut point = Point::empty(id).with_payload(Payload::new().with("step", step));
        if model.has_dense && id % 3 > 0 {
            point = point.with_vector("vector", vec![id as f32, 1.0, 2.0, 3.0]);
        }
        let multi = stored.multi.iter();
        multi.fold(point, |point, (name, vector)| point.with_multi(name, vector.clone()))
    });
    db.collection().upsert(points.collect()).unwrap();
    model.points.extend(batch);
}

/// Replaces or adds one multi-vector of some points.
fn replace(db: &Db, model: &mut Model, random: &mut Random) {
    let field = model.field(random);
    let vector = multi_vector(random, DIMS);
    let ids: Vec<u64> = (0..4).map(|at| at * 40 + random.below(40)).collect();
    let point = |&id: &u64| Point::empty(id).with_multi(&field, vector.clone());
    let points: Vec<Point> = ids.iter().map(point).collect();
    let output = db.collection().update_vectors(&points).unwrap();
    let mut updated = 0;
    for id in ids {
        if let Some(stored) = model.points.get_mut(&id) {
            stored.multi.insert(field.clone(), vector.clone());
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
    let added = db.collection().add_multi_field(field(name));
    if model.fields.iter().any(|known| known == name) {
        assert_eq!(added.unwrap_err().kind(), ErrorKind::AlreadyExists);
        return;
    }
    added.unwrap();
    model.fields.push(name.to_owned());
}

fn drop_one(db: &Db, model: &mut Model, random: &mut Random) {
    let field = model.field(random);
    if model.fields.len() == 1 {
        return;
    }
    db.collection().drop_field(&field).unwrap();
    model.fields.retain(|known| *known != field);
    model.points.values_mut().for_each(|stored| drop(stored.multi.remove(&field)));
}

/// Exact in what it finds, whether or not sketches are asked; half of the searches are filtered.
fn search(db: &Db, model: &Model, random: &mut Random) {
    let (name, query) = (model.field(random), multi_vector(random, DIMS));
    let limit = 1 + random.below(30) as usize;
    let before = (random.below(2) == 0).then(|| random.below(OPERATIONS));
    let points = model.points.iter();
    let points = points.filter(|(_, stored)| before.is_none_or(|before| stored.step < before));
    let points = points.filter_map(|(&id, stored)| Some((id, stored.multi.get(&name)?)));
    let points: Vec<(u64, &MultiVector)> = points.collect();
    let expected = brute_force_multi(points.iter().copied(), &query, limit);
    let mut asked = MultiQuery::new(query.clone()).in_field(&name);
    if let Some(before) = before {
        let filter = format!(r#"{{"field": "step", "lt": {before}}}"#);
        asked = asked.with_filter(Filter::from_json(filter.as_bytes()).unwrap());
    }
    assert_eq!(found(db, &asked, &params(limit).with_exact(true)), expected, "{asked:?}");
    let all: BTreeMap<PointId, f32> =
        brute_force_multi(points.iter().copied(), &query, IDS as usize).into_iter().collect();
    for params in [params(limit), params(limit).with_oversampling(1.0).unwrap()] {
        let found = found(db, &asked, &params);
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().all(|(id, score)| all[id] == *score), "{found:?}");
    }
}

fn check_all(db: &Db, model: &Model) {
    assert_eq!(db.collection().count(), model.points.len() as u64);
    let ids: Vec<PointId> = model.points.keys().map(|&id| id.into()).collect();
    let stored = db.collection().get(&ids).unwrap();
    for (stored, expected) in stored.iter().zip(model.points.values()) {
        let stored = stored.as_ref().unwrap();
        assert_eq!(stored.payload.get("step").unwrap(), expected.step);
        assert_eq!(stored.multi.len(), expected.multi.len());
        for (name, vector) in &expected.multi {
            assert_eq!(stored.multi(name), Some(vector));
        }
    }
    let info = db.collection().info();
    let names: Vec<&str> = info.multi.iter().map(|field| &*field.name).collect();
    assert_eq!(names, model.fields);
}

#[test]
fn scores_are_the_mean_of_the_best_cosines_before_and_after_a_flush() {
    let config = CollectionConfig::of_multi(MultiFieldConfig::new("m", 2, Metric::Cosine));
    let db = Db::temp(config, 1000);
    let grid = PatchGrid { height: 1, width: 2 };
    let near = tokens(&[&[3.0, 4.0], &[0.0, 2.0]]).with_grid(grid).unwrap();
    let far = tokens(&[&[-1.0, 0.0]]);
    let points = vec![Point::empty(1).with_multi("m", near), Point::empty(2).with_multi("m", far)];
    db.collection().upsert(points).unwrap();
    let query = MultiQuery::new(tokens(&[&[30.0, 40.0], &[1.0, 0.0], &[0.0, 0.1]]));
    let before = found(&db, &query, &params(10));
    assert!((before[0].1 - (1.0 + 0.6 + 1.0) / 3.0).abs() < 1e-3, "{before:?}");
    assert!((before[1].1 - (-0.6 - 1.0 + 0.0) / 3.0).abs() < 1e-3, "{before:?}");
    let stored = db.collection().get(&[1.into()]).unwrap();
    db.collection().flush().unwrap();
    assert_eq!(found(&db, &query, &params(10)), before);
    assert_eq!(found(&db, &query, &params(10).with_exact(true)), before);
    let after = db.collection().get(&[1.into()]).unwrap();
    assert_eq!(after, stored);
    let multi = after[0].as_ref().unwrap().multi("m").unwrap().clone();
    assert_eq!(multi.grid(), Some(grid));
    // What was stored is stored again as it is.
    db.collection().upsert(vec![Point::empty(1).with_multi("m", multi.clone())]).unwrap();
    let again = db.collection().get(&[1.into()]).unwrap();
    assert_eq!(again[0].as_ref().unwrap().multi("m"), Some(&multi));
    let only = params(10).with_score_threshold(0.0).unwrap();
    assert_eq!(found(&db, &query, &only), before[..1]);
}

#[test]
fn plans_and_counters_say_what_was_read() {
    let db = Db::temp(CollectionConfig::of_multi(field("m")), 10_000);
    let mut random = Random::new(3);
    let mut upsert = |ids: std::ops::Range<u64>| {
        let point = |id: u64| {
            let payload = Payload::new().with("n", id);
            Point::empty(id).with_multi("m", multi_vector(&mut random, DIMS)).with_payload(payload)
        };
        db.collection().upsert(ids.map(point).collect()).unwrap();
    };
    upsert(0..1000);
    db.collection().flush().unwrap();
    upsert(1000..1010);
    let query = MultiQuery::new(multi_vector(&mut Random::new(4), DIMS));
    let asked = params(10).with_oversampling(5.0).unwrap().with_explain(true);
    let output = db.collection().search_multi(&query, &asked).unwrap();
    let stats = output.stats;
    assert_eq!((stats.candidates, stats.rows_read), (50, 50));
    assert!(stats.codes_scanned > 1000 && stats.bytes_read > 0, "{stats:?}");
    let plan = output.plan.unwrap();
    assert!(plan.method.starts_with("sketches, then exact MaxSim"), "{plan}");
    assert_eq!((plan.max_candidates, plan.sources.len()), (50, 2));
    assert_eq!(plan.sources[1].index, "10 scored one by one");
    let few = Filter::from_json(br#"{"field": "n", "lt": 20}"#).unwrap();
    let output = db.collection().search_multi(&query.clone().with_filter(few), &asked).unwrap();
    assert_eq!((output.stats.rows_read, output.stats.codes_scanned), (20, 0));
    assert!(output.plan.unwrap().sources[0].index.contains("few match"));
    let exact = db.collection().search_multi(&query, &asked.with_exact(true)).unwrap();
    assert_eq!(exact.stats.rows_read, 1000);
    let sketches = db.collection().search_multi(&query, &asked.with_verify(false)).unwrap();
    assert_eq!((sketches.stats.rows_read, sketches.points.len()), (0, 10));
    let info = &db.collection().info().multi[0];
    assert_eq!(info.vectors, 1010);
    assert!(info.code_bytes > 0 && info.disk_bytes > 0 && info.sketch_codes > 1000, "{info:?}");
}

#[test]
fn what_a_field_does_not_take_is_refused_by_name() {
    let config = CollectionConfig::new(2, Metric::Dot).with_multi(MultiFieldConfig::new(
        "m",
        2,
        Metric::Cosine,
    ));
    let db = Db::temp(config, 1000);
    let refused = |point: Point| db.collection().upsert(vec![point]).unwrap_err();
    let with = |vector| Point::new(1, vec![1.0, 0.0]).with_multi("m", vector);
    let error = refused(with(tokens(&[&[1.0, 0.0], &[0.0, 0.0]])));
    assert!(error.to_string().contains("field \"m\": token 1 is zero"), "{error}");
    let error = refused(with(tokens(&[&[1.0]])));
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
    let twice = with(tokens(&[&[1.0, 0.0]])).with_multi("m", tokens(&[&[1.0, 0.0]]));
    assert!(refused(twice).to_string().contains("two vectors in field \"m\""));
    let other = Point::empty(1).with_multi("vector", tokens(&[&[1.0, 0.0]]));
    assert!(refused(other).to_string().contains("is not of multi-vectors"));
    let other = Point::empty(1).with_vector("m", vec![1.0, 0.0]);
    assert!(refused(other).to_string().contains("is of multi-vectors"));
    assert_eq!(db.collection().count(), 0);

    let search = |query: MultiQuery| db.collection().search_multi(&query, &params(3)).unwrap_err();
    let query = MultiQuery::new(tokens(&[&[1.0, 0.0]]));
    assert_eq!(search(query.clone().in_field("x")).kind(), ErrorKind::NotFound);
    assert_eq!(search(query.in_field("vector")).kind(), ErrorKind::FailedPrecondition);
    let query = MultiQuery::new(tokens(&[&[1.0]]));
    assert_eq!(search(query).kind(), ErrorKind::FailedPrecondition);
    let dense = Query::new(vec![1.0, 0.0]).in_field("m");
    let error = db.collection().search(&dense, &params(3)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    let l2 = MultiFieldConfig::new("l", 2, Metric::L2);
    assert_eq!(db.collection().add_multi_field(l2).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn multi_vectors_are_grouped_and_fused_as_other_vectors_are() {
    let config = CollectionConfig::new(2, Metric::Dot).with_multi(MultiFieldConfig::new(
        "m",
        2,
        Metric::Dot,
    ));
    let db = Db::temp(config, 1000);
    let point = |id: u64| {
        let payload = Payload::new().with("shelf", id % 3);
        let vector = tokens(&[&[id as f32, 0.0], &[0.0, 1.0]]);
        Point::new(id, vec![-(id as f32), 0.0]).with_multi("m", vector).with_payload(payload)
    };
    db.collection().upsert((0..30).map(point).collect()).unwrap();
    db.collection().flush().unwrap();
    let query = MultiQuery::new(tokens(&[&[1.0, 0.0]])).in_field("m");
    let by = GroupBy::new("shelf").unwrap();
    let groups = db.collection().search_groups(&query, &by, &params(2)).unwrap().groups;
    let best: Vec<PointId> = groups.iter().map(|group| group.points[0].id.clone()).collect();
    assert_eq!(best, [29, 28].map(PointId::from));
    let batch = db.collection().search_batch(&[(VectorQuery::from(&query), params(1))]);
    assert_eq!(batch[0].as_ref().unwrap().points[0].id, PointId::from(29));
    let hybrid = HybridQuery::new(Fusion::MinMax)
        .with_multi(query, 1.0)
        .with_vector(Query::new(vec![1.0, 0.0]), 0.0);
    let fused = db.collection().search_hybrid(&hybrid, &params(1)).unwrap();
    assert_eq!(fused.points[0].id, PointId::from(29));
}
