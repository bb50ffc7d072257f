//! Segments become fewer, larger and free of dead rows, and nobody notices but the disk.

use std::collections::BTreeMap;
use std::path::Path;

use bigrain_engine::{
    CollectionConfig, DenseFormat, Engine, EngineConfig, ErrorKind, FieldConfig, Filter, Metric,
    Payload, PayloadUpdate, Point, PointId, Query, SearchParams,
};
use bigrain_tests::{Db, Random};

const DIMS: usize = 8;

fn vector(id: u64, version: u64) -> Vec<f32> {
    Random::new(id << 32 | version).vector(DIMS)
}

fn point(id: u64, version: u64) -> Point {
    Point::new(id, vector(id, version)).with_payload(Payload::new().with("version", version))
}

/// Compares a collection with the versions its points should have.
fn check(db: &Db, model: &BTreeMap<u64, u64>) {
    assert_eq!(db.collection().count(), model.len() as u64);
    let ids: Vec<PointId> = model.keys().map(|&id| id.into()).collect();
    assert_eq!(db.scroll(), ids);
    for page in ids.chunks(1000) {
        for point in db.collection().get(page).unwrap() {
            let point = point.unwrap();
            let id = point.id.as_number().unwrap();
            assert_eq!(point.payload.get("version").unwrap().as_u64(), Some(model[&id]));
            assert_eq!(point.vector("vector").unwrap(), vector(id, model[&id]));
        }
    }
    for exact in [false, true] {
        let params = SearchParams::new(10_000).unwrap().with_exact(exact).with_payload(false);
        let found = db.collection().search(&Query::new(vec![1.0; DIMS]), &params).unwrap();
        let mut found: Vec<PointId> = found.points.into_iter().map(|point| point.id).collect();
        found.sort();
        assert_eq!(found, ids, "exact {exact}");
    }
}

fn rows_on_disk(db: &Db) -> (u64, u64) {
    let segments = db.collection().inspect();
    let sum = |of: fn(&bigrain_engine::SegmentInfo) -> u64| segments.iter().map(of).sum();
    (sum(|segment| segment.rows), sum(|segment| segment.deleted))
}

#[test]
fn settled_segments_are_few_and_mostly_alive() {
    let mut db = Db::temp(CollectionConfig::new(DIMS, Metric::L2), 100);
    let mut model = BTreeMap::new();
    for start in (0..6400_u64).step_by(100) {
        db.collection().upsert((start..start + 100).map(|id| point(id, 0)).collect()).unwrap();
        model.extend((start..start + 100).map(|id| (id, 0)));
    }
    assert_eq!(db.collection().inspect().len(), 64);
    db.collection().settle().unwrap();
    assert!(db.collection().inspect().len() <= 3, "{:?}", db.collection().inspect());
    check(&db, &model);
    // A payload update moves a point to the memtable; a delete leaves a dead row.
    let some: Vec<PointId> = (0..1000_u64).map(PointId::from).collect();
    let update = PayloadUpdate::Merge(Payload::new().with("more", true));
    db.collection().update_payload(&some, &update).unwrap();
    let gone: Vec<PointId> = (2000..4000_u64).map(PointId::from).collect();
    db.collection().delete(&gone).unwrap();
    model.retain(|id, _| !(2000..4000).contains(id));
    db.collection().settle().unwrap();
    for segment in db.collection().inspect() {
        assert!(segment.deleted * 5 <= segment.rows, "{segment:?}");
    }
    for _ in 0..2 {
        check(&db, &model);
        db.reopen();
    }
    db.collection().compact().unwrap();
    assert_eq!(rows_on_disk(&db), (4400, 0));
    assert_eq!(db.collection().inspect().len(), 1);
    check(&db, &model);
    let folder = db.path().join("collections/00000000");
    assert_eq!(folder.read_dir().unwrap().count(), 1, "folders of merged segments are gone");
}

#[test]
fn what_is_written_during_a_merge_is_carried_over() {
    let folder = tempfile::tempdir().unwrap();
    let config = EngineConfig {
        flush_rows: 200,
        threads: 2,
        background_threads: 2,
        max_segment_rows: 2000,
        ..EngineConfig::default()
    };
    let engine = Engine::open(folder.path(), config).unwrap();
    let collection =
        engine.create_collection("c", CollectionConfig::new(DIMS, Metric::Dot)).unwrap();
    const WRITERS: u64 = 3;
    let models: Vec<BTreeMap<u64, u64>> = std::thread::scope(|scope| {
        let write = |writer: u64| {
            let collection = &collection;
            move || {
                let mut model = BTreeMap::new();
                let mut random = Random::new(writer);
                for version in 0..120_u64 {
                    let mut ids: Vec<u64> =
                        (0..40).map(|_| random.below(1500) * WRITERS + writer).collect();
                    ids.sort_unstable();
                    ids.dedup();
                    if version % 5 == 4 {
                        let keys: Vec<PointId> = ids.iter().map(|&id| id.into()).collect();
                        collection.delete(&keys).unwrap();
                        model.retain(|id, _| !ids.contains(id));
                    } else {
                        let points = ids.iter().map(|&id| point(id, version)).collect();
                        collection.upsert(points).unwrap();
                        model.extend(ids.iter().map(|&id| (id, version)));
                    }
                    let params = SearchParams::new(10).unwrap();
                    let found = collection.search(&Query::new(vec![1.0; DIMS]), &params).unwrap();
                    assert_eq!(found.points.len(), 10);
                    let read = collection.get(&[ids[0].into()]).unwrap();
                    assert_eq!(read[0].is_some(), model.contains_key(&ids[0]));
                }
                model
            }
        };
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(write(writer))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let model: BTreeMap<u64, u64> = models.into_iter().flatten().collect();
    drop((collection, engine));
    let mut db = Db::at(folder, EngineConfig { background_threads: 0, ..EngineConfig::default() });
    check(&db, &model);
    db.collection().settle().unwrap();
    check(&db, &model);
    db.reopen();
    check(&db, &model);
}

#[test]
fn background_threads_flush_and_merge_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let config = EngineConfig { flush_rows: 50, background_threads: 1, ..EngineConfig::default() };
    let engine = Engine::open(folder.path(), config).unwrap();
    let collection =
        engine.create_collection("c", CollectionConfig::new(DIMS, Metric::Dot)).unwrap();
    for start in (0..2000_u64).step_by(50) {
        collection.upsert((start..start + 50).map(|id| point(id, 0)).collect()).unwrap();
    }
    // Wait for a condition that only background work can bring about.
    while collection.info().segments > 9 || collection.info().memtable_points >= 50 {
        std::thread::yield_now();
    }
    let pause = engine.pause_background();
    let before = collection.inspect();
    collection.delete(&(0..2000_u64).map(PointId::from).collect::<Vec<_>>()).unwrap();
    assert_eq!(collection.inspect().len(), before.len(), "nothing merges during a pause");
    drop(pause);
    while collection.info().segments > 0 {
        std::thread::yield_now();
    }
    assert_eq!(collection.count(), 0);
}

#[test]
fn closing_and_dropping_do_not_wait_for_merges() {
    let folder = tempfile::tempdir().unwrap();
    for close in [true, false] {
        let config = EngineConfig { flush_rows: 500, ..EngineConfig::default() };
        let engine = Engine::open(folder.path(), config).unwrap();
        let shape = CollectionConfig::new(DIMS, Metric::Dot);
        let collection = engine.create_collection(&format!("c{close}"), shape).unwrap();
        for start in (0..8000_u64).step_by(500) {
            collection.upsert((start..start + 500).map(|id| point(id, 0)).collect()).unwrap();
        }
        if close {
            drop((engine, collection));
        } else {
            engine.drop_collection("cfalse").unwrap();
            assert_eq!(collection.settle().unwrap_err().kind(), ErrorKind::NotFound);
        }
    }
    let engine = Engine::open(folder.path(), EngineConfig::default()).unwrap();
    assert_eq!(engine.collection("ctrue").unwrap().count(), 8000);
}

#[test]
fn every_field_and_format_survives_merging() {
    for dense in [DenseFormat::F32, DenseFormat::F16, DenseFormat::I8] {
        let shape =
            CollectionConfig::of(FieldConfig::new("a", 4, Metric::Cosine).with_dense(dense))
                .with_field(FieldConfig::new("b", 3, Metric::L2).with_dense(dense));
        let mut db = Db::temp(shape, 1000);
        let mut random = Random::new(7);
        let mut expected = BTreeMap::new();
        for batch in 0..4_u64 {
            let points = (0..50_u64).map(|i| {
                let id = batch * 50 + i;
                let mut point = Point::empty(id);
                if id % 3 != 0 {
                    point = point.with_vector("a", random.vector(4));
                }
                if id % 3 != 1 {
                    point = point.with_vector("b", random.vector(3));
                }
                point
            });
            db.collection().upsert(points.collect()).unwrap();
            db.collection().flush().unwrap();
        }
        db.collection().scroll(None, 1000).unwrap().into_iter().for_each(|point| {
            expected.insert(point.id.clone(), point.vectors);
        });
        db.collection().compact().unwrap();
        assert_eq!(db.collection().inspect().len(), 1);
        for _ in 0..2 {
            for point in db.collection().scroll(None, 1000).unwrap() {
                assert_eq!(point.vectors, expected[&point.id], "{dense} {}", point.id);
            }
            let query = Query::new(vec![1.0, 2.0, 3.0]).in_field("b");
            let params = SearchParams::new(1000).unwrap();
            let found = db.collection().search(&query, &params).unwrap();
            assert_eq!(found.points.len(), (0..200).filter(|id| id % 3 != 1).count());
            db.reopen();
        }
    }
}

fn disk_bytes(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        bytes += if metadata.is_dir() { disk_bytes(&entry.path()) } else { metadata.len() };
    }
    bytes
}

#[test]
fn vectors_that_were_flushed_leave_the_store_though_nobody_waited_for_it() {
    const POINTS: u64 = 4000;
    let mut db = Db::temp(CollectionConfig::new(96, Metric::Dot), 10_000);
    let points = (0..POINTS).map(|id| Point::new(id, Random::new(id).vector(96))).collect();
    db.collection().upsert(points).unwrap();
    // The store writes what its log holds into tables.
    db.reopen();
    db.collection().flush().unwrap();
    // What was left behind is known to whoever opens the folder.
    db.reopen();
    let before = disk_bytes(&db.path().join("store"));
    db.collection().settle().unwrap();
    let after = disk_bytes(&db.path().join("store"));
    assert!(before > POINTS * 96 * 4, "{before} bytes");
    assert!(after < POINTS * 96, "{after} bytes of {before}");
}

#[test]
fn after_deleting_half_the_disk_holds_little_more_than_the_rest() {
    const POINTS: u64 = 12_000;
    let filled = |keep: &dyn Fn(u64) -> bool| {
        let db = Db::temp(CollectionConfig::new(96, Metric::Dot), 1500);
        let points = |range: std::ops::Range<u64>| {
            let point = |id: u64| {
                let mut random = Random::new(id);
                let text: String =
                    (0..40).map(|_| format!("{:04x}", random.below(1 << 16))).collect();
                Point::new(id, random.vector(96)).with_payload(Payload::new().with("text", text))
            };
            range.filter(|&id| keep(id)).map(point).collect::<Vec<_>>()
        };
        for start in (0..POINTS).step_by(500) {
            db.collection().upsert(points(start..start + 500)).unwrap();
        }
        db.collection().flush().unwrap();
        db.collection().settle().unwrap();
        db
    };
    let ideal = filled(&|id| id % 2 == 0);
    let mut halved = filled(&|_| true);
    let full = disk_bytes(halved.path());
    for start in (0..POINTS).step_by(1000) {
        let ids = (start..start + 1000).filter(|id| id % 2 == 1).map(PointId::from);
        halved.collection().delete(&ids.collect::<Vec<_>>()).unwrap();
    }
    halved.collection().settle().unwrap();
    let (ideal_bytes, bytes) = (disk_bytes(ideal.path()), disk_bytes(halved.path()));
    println!("full {full}, ideal {ideal_bytes}, after deleting half {bytes}");
    assert!(bytes * 10 <= ideal_bytes * 11, "{bytes} bytes, ideal are {ideal_bytes}");
    halved.reopen();
    assert_eq!(halved.scroll(), ideal.scroll());
}

#[test]
fn what_matches_a_filter_is_deleted_and_updated_before_and_after_merging() {
    let mut db = Db::temp(CollectionConfig::new(DIMS, Metric::L2), 60);
    let filter = |json: &str| Filter::from_json(json.as_bytes()).unwrap();
    db.collection().upsert((0..300).map(|id| point(id, id % 10)).collect()).unwrap();
    db.collection().flush().unwrap();
    db.collection().upsert((300..330).map(|id| point(id, id % 10)).collect()).unwrap();
    let three = filter(r#"{"field": "version", "eq": 3}"#);
    let update = PayloadUpdate::Merge(Payload::new().with("version", 100));
    let output = db.collection().update_payload_matching(&three, &update).unwrap();
    assert_eq!((output.updated, output.missing), (33, 0));
    assert_eq!(db.collection().count_matching(&three).unwrap(), 0);
    for _ in 0..2 {
        let hundred = filter(r#"{"field": "version", "eq": 100}"#);
        assert_eq!(db.collection().count_matching(&hundred).unwrap(), 33);
        db.collection().compact().unwrap();
        assert_eq!(db.collection().inspect().len(), 1);
        db.reopen();
    }
    let low = filter(r#"{"field": "version", "lt": 5}"#);
    let expected = db.collection().count_matching(&low).unwrap();
    assert_eq!(expected, 33 * 4);
    assert_eq!(db.collection().delete_matching(&low).unwrap().deleted, expected);
    assert_eq!(db.collection().count(), 330 - expected);
    assert_eq!(db.scroll().len() as u64, db.collection().count());
    assert_eq!(db.collection().delete_matching(&low).unwrap().deleted, 0);
}
