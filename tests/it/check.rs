//! Scrubbing a data folder: damage is named with its file and block, disagreement with its point,
//! and what nobody needs any more is listed. Nothing changes.

use std::fs;
use std::path::{Path, PathBuf};

use bigrain_engine::{
    CheckReport, CollectionConfig, Engine, EngineConfig, ErrorKind, FindingKind, Metric, Payload,
    Point, PointId, SegmentId, SeqNo, Watch, check_folder,
};
use bigrain_storage::{Batch, Location, PointRow, Store, StoreConfig};
use bigrain_tests::{Db, Random};

/// A closed collection of 300 points in one segment, 20 of them replaced since, and 20 in the head.
fn closed() -> Db {
    let mut db = Db::temp(CollectionConfig::new(16, Metric::Dot), 1000);
    let mut random = Random::new(6);
    let mut point =
        |id: u64| Point::new(id, random.vector(16)).with_payload(Payload::new().with("n", id));
    db.collection().upsert((0..300).map(&mut point).collect()).unwrap();
    db.collection().flush().unwrap();
    db.collection().upsert((280..300).map(&mut point).collect()).unwrap();
    db.close();
    db
}

fn check(db: &Db) -> CheckReport {
    check_folder(db.path(), &mut Watch::new()).unwrap()
}

fn problems(report: &CheckReport, kind: FindingKind) -> Vec<&str> {
    let of_kind = report.findings.iter().filter(|finding| finding.kind == kind);
    of_kind.map(|finding| finding.problem.as_str()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_healthy_folder_is_healthy_and_stays_as_it_is() {
    let db = closed();
    let all = || files(db.path()).into_iter().map(|path| (fs::read(&path).unwrap(), path));
    let mut before: Vec<_> = all().collect();
    let report = check(&db);
    assert_eq!((report.damage, report.orphans), (0, 0), "{report:?}");
    let collection = &report.collections[0];
    assert_eq!((collection.points, collection.segments, collection.damage), (300, 1, 0));
    assert!(collection.files >= 5 && collection.bytes > 300 * 64);
    let mut after: Vec<_> = all().collect();
    before.sort();
    after.sort();
    assert!(before == after, "the check changed a file");
}

#[test]
fn an_open_folder_is_checked_by_its_engine_and_by_nobody_else() {
    let mut db = closed();
    db.reopen();
    let report = db.engine().check(&mut Watch::new()).unwrap();
    assert!(report.is_healthy() && report.collections[0].points == 300, "{report:?}");
    let error = check_folder(db.path(), &mut Watch::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
}

#[test]
fn every_damaged_block_of_every_file_is_named() {
    let db = closed();
    for path in files(&db.path().join("collections")) {
        let healthy = fs::read(&path).unwrap();
        let mut damaged = healthy.clone();
        let blocks = healthy.len().div_ceil(4096);
        // The first byte of the first block may be a header's, which opening reads.
        let hit: Vec<usize> = (0..blocks).step_by(3).map(|block| block * 4096).collect();
        hit.iter().filter(|&&at| at < healthy.len() - 40).for_each(|&at| damaged[at] ^= 1);
        fs::write(&path, &damaged).unwrap();
        let report = check(&db);
        assert!(!report.is_healthy(), "{} is damaged", path.display());
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = problems(&report, FindingKind::Damage);
        assert!(found.iter().all(|problem| problem.contains(name)), "{name}: {found:?}");
        assert_eq!(report.collections[0].damage, report.damage);
        fs::write(&path, &healthy).unwrap();
        fs::remove_file(&path).unwrap();
        let report = check(&db);
        assert!(problems(&report, FindingKind::Damage)[0].contains(name), "{report:?}");
        fs::write(&path, &healthy).unwrap();
    }
    assert!(check(&db).is_healthy());
}

#[test]
fn rows_that_disagree_are_named_with_their_point() {
    let at = |segment: u64, offset: u32| {
        let location = Location::Segment(SegmentId(segment), bigrain_engine::Offset(offset));
        PointRow { seq: SeqNo(1), location }
    };
    let head = PointRow { seq: SeqNo(1), location: Location::Head };
    let payload = Payload::new();
    let id = PointId::from;
    type Change<'a> = Box<dyn Fn(&mut Batch, bigrain_storage::CollectionKey) + 'a>;
    let changes: [(Change<'_>, &str); 9] = [
        (
            Box::new(|b, c| {
                b.delete_head(c, &id(290));
            }),
            "point 290: it has no stored vectors",
        ),
        (
            Box::new(|b, c| {
                b.put_point(c, &id(900), &head);
            }),
            "point 900: it has no payload",
        ),
        (
            Box::new(|b, c| {
                b.put_payload(c, &id(901), &payload);
            }),
            "payloads of point 901",
        ),
        (
            Box::new(|b, c| {
                b.delete_point(c, &id(3));
            }),
            "there are 299",
        ),
        (
            Box::new(|b, c| {
                b.delete_point(c, &id(3));
            }),
            "1 rows have neither a point nor",
        ),
        (
            Box::new(|b, c| {
                b.delete_point(c, &id(295));
            }),
            "head of point 295",
        ),
        (
            Box::new(|b, c| {
                b.put_point(c, &id(4), &at(0, 9_000));
            }),
            "row 9000 of segment",
        ),
        (
            Box::new(|b, c| {
                b.put_point(c, &id(4), &at(77, 0));
            }),
            "point 4: segment",
        ),
        (
            Box::new(|b, c| {
                (0..300).for_each(|offset| {
                    b.put_tombstone(c, SegmentId(0), bigrain_engine::Offset(offset));
                });
            }),
            "is marked as dead",
        ),
    ];
    for (change, expected) in changes {
        let db = closed();
        let store = Store::open(db.path(), &StoreConfig::default()).unwrap();
        let key = store.view().collection_key("c").unwrap().unwrap();
        let mut batch = Batch::new();
        change(&mut batch, key);
        store.commit(batch).unwrap();
        drop(store);
        let report = check(&db);
        let found = problems(&report, FindingKind::Damage);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn points_that_have_swapped_rows_are_found_both() {
    let db = closed();
    let store = Store::open(db.path(), &StoreConfig::default()).unwrap();
    let view = store.view();
    let key = view.collection_key("c").unwrap().unwrap();
    let rows = view.points(key, &[5.into(), 6.into()]).unwrap();
    let mut batch = Batch::new();
    batch.put_point(key, &5.into(), &rows[1].unwrap()).put_point(key, &6.into(), &rows[0].unwrap());
    drop(view);
    store.commit(batch).unwrap();
    drop(store);
    let report = check(&db);
    let found = problems(&report, FindingKind::Damage);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("point 5: row ") && found[0].ends_with("says 6"), "{found:?}");
}

#[test]
fn what_nobody_needs_is_listed_and_does_no_harm() {
    let db = closed();
    fs::write(db.path().join("notes.txt"), "x").unwrap();
    let collection = db.path().join("collections/00000000");
    fs::create_dir(collection.join("00000000000000ff")).unwrap();
    let segment = collection.join(SegmentId(0).to_string());
    fs::write(segment.join("dense.vector.tmp"), "x").unwrap();
    fs::create_dir(db.path().join("collections/00000042")).unwrap();
    let report = check(&db);
    assert!(report.is_healthy(), "{report:?}");
    let found = problems(&report, FindingKind::Orphan);
    for name in ["notes.txt", "00000000000000ff", "dense.vector.tmp", "00000042"] {
        assert_eq!(found.iter().filter(|problem| problem.contains(name)).count(), 1, "{found:?}");
    }
    assert_eq!(report.orphans, 4);
}

#[test]
fn damage_in_one_collection_is_that_collections() {
    let mut db = closed();
    db.reopen();
    db.engine().create_collection("healthy", CollectionConfig::new(2, Metric::Dot)).unwrap();
    db.close();
    let dense = files(db.path()).into_iter().find(|path| path.ends_with("dense.vector")).unwrap();
    let mut bytes = fs::read(&dense).unwrap();
    bytes[4096 * 2 + 7] ^= 8;
    fs::write(&dense, bytes).unwrap();
    let report = check(&db);
    let damage: Vec<_> = report.collections.iter().map(|c| (&*c.name, c.damage)).collect();
    assert_eq!(damage, [("c", 1), ("healthy", 0)]);
    assert_eq!(report.findings[0].collection.as_deref(), Some("c"));
    let engine = Engine::open(db.path(), EngineConfig::default()).unwrap();
    assert_eq!(engine.check(&mut Watch::new()).unwrap().damage, 1);
}
