//! Collections of several vector fields: random lives against maps and brute force.

use std::collections::BTreeMap;

use bigrain_engine::{
    CollectionConfig, DenseFormat, Engine, EngineConfig, ErrorKind, FieldConfig, Levels, Metric,
    Payload, Point, PointId, Query, SearchParams, SeqNo,
};
use bigrain_tests::{Db, Random, brute_force};

const OPERATIONS: u64 = 500;
const IDS: u64 = 160;

/// Every shape a field may take on in a random life.
const SHAPES: [(usize, Metric, u8); 4] =
    [(12, Metric::Cosine, 1), (7, Metric::Dot, 2), (9, Metric::L2, 4), (12, Metric::Dot, 3)];

/// What a point should be: its vectors by field, and the step that wrote it.
type Stored = (BTreeMap<String, Vec<f32>>, u64);

/// What the collection should hold.
#[derive(Default)]
struct Model {
    /// In the collection's order.
    fields: Vec<FieldConfig>,
    points: BTreeMap<u64, Stored>,
}

impl Model {
    fn field(&self, random: &mut Random) -> FieldConfig {
        self.fields[random.below(self.fields.len() as u64) as usize].clone()
    }
}

fn shape(name: &str, random: &mut Random) -> FieldConfig {
    let (dims, metric, levels) = SHAPES[random.below(SHAPES.len() as u64) as usize];
    FieldConfig::new(name, dims, metric).with_levels(Levels::new(levels).unwrap())
}

#[test]
fn random_lives_of_several_fields_agree_with_maps() {
    for seed in 1..=3 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let fields = vec![shape("a", &mut random), shape("b", &mut random)];
        let [a, b] = [0, 1].map(|at: usize| fields[at].clone());
        let db = Db::temp(CollectionConfig::of(a).with_field(b), 60);
        live(db, Model { fields, ..Model::default() }, random);
    }
}

fn live(mut db: Db, mut model: Model, mut random: Random) {
    for step in 0..OPERATIONS {
        match random.below(100) {
            0..50 => upsert(&db, &mut model, &mut random, step),
            50..68 => db.delete_some(&mut model.points, &mut random, IDS),
            68..86 => search(&db, &model, &mut random),
            86..88 => db.collection().flush().unwrap(),
            88..92 => add(&db, &mut model, &mut random),
            92..95 => drop_one(&db, &mut model, &mut random),
            95..97 => db.reopen(),
            _ => check_all(&db, &model),
        }
    }
    check_all(&db, &model);
    db.reopen();
    check_all(&db, &model);
    for _ in 0..10 {
        search(&db, &model, &mut random);
    }
}

fn upsert(db: &Db, model: &mut Model, random: &mut Random, step: u64) {
    let mut batch = BTreeMap::new();
    for _ in 0..=random.below(8) {
        let mut vectors = BTreeMap::new();
        let always = model.field(random).name;
        for field in &model.fields {
            if field.name == always || random.below(3) > 0 {
                vectors.insert(field.name.clone(), random.vector(field.dims));
            }
        }
        batch.insert(random.below(IDS), (vectors, step));
    }
    let points = batch.iter().map(|(&id, (vectors, _)): (_, &Stored)| {
        let payload = Payload::new().with("step", step);
        let add = |point: Point, (name, vector): (&String, &Vec<f32>)| {
            point.with_vector(name, vector.clone())
        };
        vectors.iter().fold(Point::empty(id).with_payload(payload), add)
    });
    db.collection().upsert(points.collect()).unwrap();
    model.points.extend(batch);
}

fn add(db: &Db, model: &mut Model, random: &mut Random) {
    let name = ["a", "b", "c", "d"][random.below(4) as usize];
    let field = shape(name, random);
    let added = db.collection().add_field(field.clone());
    if model.fields.iter().any(|field| field.name == name) {
        assert_eq!(added.unwrap_err().kind(), ErrorKind::AlreadyExists);
        return;
    }
    added.unwrap();
    model.fields.push(field);
}

fn drop_one(db: &Db, model: &mut Model, random: &mut Random) {
    let field = model.field(random);
    let dropped = db.collection().drop_field(&field.name);
    if model.fields.len() == 1 {
        assert_eq!(dropped.unwrap_err().kind(), ErrorKind::FailedPrecondition);
        return;
    }
    dropped.unwrap();
    model.fields.retain(|known| known.name != field.name);
    for (vectors, _) in model.points.values_mut() {
        vectors.remove(&field.name);
    }
}

fn search(db: &Db, model: &Model, random: &mut Random) {
    let field = model.field(random);
    let with_vector = model
        .points
        .iter()
        .filter_map(|(&id, (vectors, _))| Some((id, vectors.get(&field.name)?.clone())));
    let (ids, rows): (Vec<u64>, Vec<Vec<f32>>) = with_vector.unzip();
    let vector = random.vector(field.dims);
    let limit = 1 + random.below(30) as usize;
    let params = SearchParams::new(limit).unwrap();
    let query = Query::new(vector.clone()).in_field(&field.name);
    let found = db.collection().search(&query, &params.with_exact(true)).unwrap();
    let expected: Vec<PointId> = brute_force(field.metric, &rows, &vector, limit)
        .into_iter()
        .map(|position| ids[position].into())
        .collect();
    let found: Vec<PointId> = found.points.into_iter().map(|point| point.id).collect();
    assert_eq!(found, expected, "field {field:?}");

    let found = db.collection().search(&query, &params).unwrap();
    assert_eq!(found.points.len(), ids.len().min(limit));
    for point in &found.points {
        let id = point.id.as_number().unwrap();
        assert!(ids.contains(&id), "{id} has no vector in {field:?}");
        assert_eq!(point.payload.get("step").unwrap(), model.points[&id].1);
    }
}

fn check_all(db: &Db, model: &Model) {
    let collection = db.collection();
    assert_eq!(collection.config().fields(), model.fields);
    assert_eq!(collection.count(), model.points.len() as u64);
    let ids: Vec<PointId> = model.points.keys().map(|&id| id.into()).collect();
    assert_eq!(db.scroll(), ids);
    for (stored, (vectors, step)) in
        collection.get(&ids).unwrap().into_iter().zip(model.points.values())
    {
        let stored = stored.unwrap();
        assert_eq!(stored.payload.get("step").unwrap(), *step);
        let order = model.fields.iter().filter(|field| vectors.contains_key(&field.name));
        let names: Vec<&str> = stored.vectors.iter().map(|vector| &*vector.field).collect();
        assert_eq!(names, order.clone().map(|field| &*field.name).collect::<Vec<_>>());
        for field in order.filter(|field| field.metric != Metric::Cosine) {
            assert_eq!(stored.vector(&field.name).unwrap(), vectors[&field.name]);
        }
    }
}

fn two_fields(flush_rows: usize) -> Db {
    let text = FieldConfig::new("text", 2, Metric::Dot);
    let image = FieldConfig::new("image", 3, Metric::L2).with_dense(DenseFormat::F16);
    Db::temp(CollectionConfig::of(text).with_field(image), flush_rows)
}

fn ids_of(db: &Db, query: &Query) -> Vec<u64> {
    let params = SearchParams::new(10).unwrap();
    let found = db.collection().search(query, &params).unwrap();
    found.points.iter().map(|point| point.id.as_number().unwrap()).collect()
}

#[test]
fn what_a_field_does_not_take_is_refused_by_name() {
    let db = two_fields(100);
    let upsert = |point| db.collection().upsert(vec![point]).unwrap_err();
    let none = upsert(Point::empty(1));
    assert_eq!(none.kind(), ErrorKind::InvalidArgument);
    let unknown = upsert(Point::empty(1).with_vector("sound", vec![1.0]));
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert!(unknown.to_string().contains("the collection has text, image"), "{unknown}");
    let dims = upsert(Point::new(1, vec![1.0, 2.0]).with_vector("image", vec![1.0]));
    assert_eq!(dims.kind(), ErrorKind::FailedPrecondition);
    assert!(dims.to_string().contains("field \"image\""), "{dims}");
    let twice = upsert(Point::new(1, vec![1.0, 2.0]).with_vector("text", vec![3.0, 4.0]));
    assert!(twice.to_string().contains("two vectors in field \"text\""), "{twice}");
    let query = Query::new(vec![1.0]).in_field("sound");
    let error = db.collection().search(&query, &SearchParams::new(1).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(db.collection().count(), 0);
    let bad = db.collection().add_field(FieldConfig::new("x@1", 2, Metric::Dot)).unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn points_without_the_first_field_live_in_segments_too() {
    let mut db = two_fields(100);
    for id in 0..20 {
        let image = vec![id as f32, 0.0, 1.0];
        let point = Point::empty(id).with_vector("image", image);
        let point =
            if id % 4 == 0 { point.with_vector("text", vec![id as f32, 1.0]) } else { point };
        db.collection().upsert(vec![point]).unwrap();
    }
    db.collection().flush().unwrap();
    assert!(db.delete(19) && db.delete(16));
    for _ in 0..2 {
        assert_eq!(ids_of(&db, &Query::new(vec![1.0, 0.0])), [12, 8, 4, 0]);
        let near = Query::new(vec![20.0, 0.0, 1.0]).in_field("image");
        assert_eq!(ids_of(&db, &near), [18, 17, 15, 14, 13, 12, 11, 10, 9, 8]);
        let stored = db.collection().get(&[17.into(), 16.into()]).unwrap();
        let stored = stored[0].as_ref().unwrap();
        assert_eq!(stored.vector("image").unwrap(), [17.0, 0.0, 1.0]);
        assert_eq!((stored.vector("text"), stored.vectors.len()), (None, 1));
        db.reopen();
    }
    let info = db.collection().info();
    let vectors: Vec<u64> = info.fields.iter().map(|field| field.vectors).collect();
    assert_eq!(vectors, [5, 20]);
    // Only the field that does not lead has an order to keep.
    assert!(info.fields[1].code_bytes > info.fields[0].code_bytes);
}

#[test]
fn a_field_that_comes_again_under_its_name_brings_nothing_back() {
    let mut db = two_fields(100);
    let point = |id: u64| {
        Point::new(id, vec![1.0, id as f32]).with_vector("image", vec![id as f32, 0.0, 0.0])
    };
    db.collection().upsert(vec![point(1), point(2)]).unwrap();
    db.collection().flush().unwrap();
    db.collection()
        .upsert(vec![point(3), Point::empty(4).with_vector("image", vec![4.0, 0.0, 0.0])])
        .unwrap();
    let near = || Query::new(vec![0.0, 0.0, 0.0]).in_field("image");
    assert_eq!(ids_of(&db, &near()), [1, 2, 3, 4]);
    let disk = db.collection().info().disk_bytes;

    db.collection().drop_field("image").unwrap();
    let error = db.collection().search(&near(), &SearchParams::new(1).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    // What it left on disk is still there and still counted.
    assert_eq!(db.collection().info().disk_bytes, disk);
    let same = FieldConfig::new("image", 3, Metric::L2);
    db.collection().add_field(same).unwrap();
    for _ in 0..2 {
        assert!(ids_of(&db, &near()).is_empty());
        assert_eq!(db.collection().count(), 4);
        assert_eq!(db.collection().info().disk_bytes, disk);
        db.reopen();
    }
    // The point without any vector is still a point.
    let stored = db.collection().get(&[4.into()]).unwrap().remove(0).unwrap();
    assert_eq!((stored.vectors.len(), stored.seq), (0, SeqNo(2)));
    db.collection().upsert(vec![point(2)]).unwrap();
    db.collection().flush().unwrap();
    assert_eq!(ids_of(&db, &near()), [2]);
    assert_eq!(ids_of(&db, &Query::new(vec![0.0, 1.0])), [3, 2, 1]);
    db.reopen();
    assert_eq!(ids_of(&db, &near()), [2]);

    // The first field may go too; the next one takes its place.
    db.collection().drop_field("text").unwrap();
    assert_eq!(ids_of(&db, &Query::new(vec![0.0, 0.0, 0.0])), [2]);
    db.collection().upsert(vec![Point::new(5, vec![1.0, 0.0, 0.0])]).unwrap();
    db.collection().flush().unwrap();
    db.reopen();
    assert_eq!(ids_of(&db, &Query::new(vec![0.0, 0.0, 0.0])), [5, 2]);
    assert_eq!(db.collection().count(), 5);
}

#[test]
fn fields_come_and_go_while_others_write_search_and_flush() {
    let db = two_fields(40);
    let collection = db.collection();
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            scope.spawn(move || {
                for round in 0..150 {
                    let id = thread * 1000 + round % 60;
                    let point = Point::new(id, vec![1.0, round as f32]);
                    let more = vec![round as f32, 0.0, 0.0];
                    let both = point.clone().with_vector("more", more.clone());
                    match collection.upsert(vec![both]) {
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::NotFound => {
                            collection.upsert(vec![point]).unwrap();
                        }
                        Err(error) => panic!("{error}"),
                    }
                    let query = Query::new(more).in_field("more");
                    match collection.search(&query, &SearchParams::new(5).unwrap()) {
                        Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
                        Ok(_) | Err(_) => {}
                    }
                }
            });
        }
        scope.spawn(move || {
            for _ in 0..40 {
                collection.add_field(FieldConfig::new("more", 3, Metric::Dot)).unwrap();
                collection.flush().unwrap();
                collection.drop_field("more").unwrap();
            }
        });
    });
    assert_eq!(collection.count(), 120);
    let found = ids_of(&db, &Query::new(vec![0.0, 1.0]));
    assert_eq!(found.len(), 10);
    collection.add_field(FieldConfig::new("more", 3, Metric::Dot)).unwrap();
    assert!(ids_of(&db, &Query::new(vec![1.0, 0.0, 0.0]).in_field("more")).is_empty());
}

#[test]
fn a_damaged_order_is_named_and_never_gives_a_wrong_answer() {
    let mut db = two_fields(10_000);
    let image = |id: u64| vec![id as f32, 1.0, 1.0];
    let points = (0..3000).map(|id| {
        let point = Point::empty(id).with_vector("image", image(id));
        if id % 3 == 0 { point.with_vector("text", vec![id as f32, 1.0]) } else { point }
    });
    db.collection().upsert(points.collect()).unwrap();
    db.collection().flush().unwrap();
    assert!(db.delete(5));
    let segment = db.collection().inspect()[0].id.to_string();
    let path = db.path().join("collections/00000000").join(segment).join("order.image");
    let whole = std::fs::read(&path).unwrap();
    let damages = (0..whole.len()).step_by(1999).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        bytes
    });
    let cuts = [0, 8, 4096, whole.len() - 1].map(|length| whole[..length].to_vec());
    for bytes in damages.chain(cuts) {
        db.close();
        std::fs::write(&path, &bytes).unwrap();
        let engine = Engine::open(db.path(), EngineConfig::default()).unwrap();
        let searched = engine.collection("c").and_then(|collection| {
            let query = Query::new(image(700)).in_field("image");
            collection.search(&query, &SearchParams::new(3000).unwrap())
        });
        let error = searched.expect_err("damage was not found");
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        assert!(error.to_string().contains("order.image"), "{error}");
    }
    db.close();
    std::fs::write(&path, &whole).unwrap();
    db.reopen();
    let near = Query::new(image(4)).in_field("image");
    let found = db.collection().search(&near, &SearchParams::new(2999).unwrap()).unwrap();
    assert_eq!((found.points.len(), &found.points[0].id), (2999, &PointId::from(4)));
}
