//! Backups: one moment of a collection that is being written to, and every damage noticed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bigrain_engine::{
    Cancel, CollectionConfig, Engine, EngineConfig, ErrorKind, FieldConfig, Metric, Payload, Point,
    Watch, check_folder, restore, verify,
};
use bigrain_storage::{Archive, ArchiveEntry, ArchiveWriter, MmapDirectory};
use bigrain_tests::{Db, Random, raise_version};

const DIMS: usize = 8;

/// Everything a collection holds: id, vectors, payload as text, version.
type Contents = BTreeMap<String, String>;

fn contents(engine: &Engine, collection: &str) -> Contents {
    let collection = engine.collection(collection).unwrap();
    let mut found = Contents::new();
    let mut last = None;
    loop {
        let page = collection.scroll(last.as_ref(), 500).unwrap();
        let Some(point) = page.last() else { return found };
        last = Some(point.id.clone());
        for point in page {
            let id = serde_json::to_string(&point.id).unwrap();
            found.insert(id, format!("{:?} {:?} {:?}", point.vectors, point.payload, point.seq));
        }
    }
}

fn open(folder: &Path) -> Engine {
    Engine::open(folder, EngineConfig { threads: 2, ..EngineConfig::default() }).unwrap()
}

/// A collection `c` with two segments, dead rows and a memtable, of two fields, and another one.
fn sample() -> Db {
    let config = CollectionConfig::new(DIMS, Metric::Dot).with_field(FieldConfig::new(
        "other",
        3,
        Metric::Cosine,
    ));
    let db = Db::temp(config, 1000);
    let mut random = Random::new(77);
    let mut upsert = |ids: std::ops::Range<u64>| {
        let point = |id: u64| {
            let mut point = Point::new(id, random.vector(DIMS));
            if id.is_multiple_of(3) {
                point = point.with_vector("other", random.vector(3));
            }
            point.with_payload(Payload::new().with("n", id).with("tenth", id as f64 * 0.1))
        };
        db.collection().upsert(ids.map(point).collect()).unwrap();
    };
    upsert(0..300);
    db.collection().flush().unwrap();
    upsert(200..500);
    db.collection().flush().unwrap();
    upsert(450..520);
    (0..40).for_each(|id| assert!(db.delete(id)));
    let small = db.engine().create_collection("small", CollectionConfig::new(2, Metric::L2));
    let ids = ["42".try_into().unwrap(), 42.into(), "x".try_into().unwrap()];
    let points = ids.map(|id: bigrain_engine::PointId| Point::new(id, vec![1.0, 0.1]));
    small.unwrap().upsert(points.into()).unwrap();
    db
}

fn archive(db: &Db) -> PathBuf {
    let path = db.path().with_extension("tar");
    db.engine().backup(&path, None, &mut Watch::new()).unwrap();
    path
}

/// A file that goes with the test.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_restored_is_what_was_there() {
    let db = sample();
    let archive = Removed(archive(&db));
    let held = verify(&archive.0, &mut Watch::new()).unwrap();
    let names: Vec<_> = held.collections.iter().map(|c| (c.name.as_str(), c.points)).collect();
    assert_eq!(names, [("c", 480), ("small", 3)]);
    let target = tempfile::tempdir().unwrap();
    let restored = restore(&archive.0, target.path(), &mut Watch::new()).unwrap();
    assert_eq!(restored, held);
    let report = check_folder(target.path(), &mut Watch::new()).unwrap();
    assert!(report.is_healthy() && report.orphans == 0, "{report:?}");
    let engine = open(target.path());
    for name in ["c", "small"] {
        assert_eq!(contents(&engine, name), contents(db.engine(), name));
    }
    // It goes on living: new segments get ids that no old one has.
    let collection = engine.collection("c").unwrap();
    collection.upsert(vec![Point::new(9_999, vec![1.0; DIMS])]).unwrap();
    collection.flush().unwrap();
    assert_eq!(collection.count(), 481);
}

#[test]
fn a_backup_of_one_collection_holds_that_one() {
    let db = sample();
    let path = Removed(db.path().with_extension("one.tar"));
    db.engine().backup(&path.0, Some(&["small"]), &mut Watch::new()).unwrap();
    let target = tempfile::tempdir().unwrap();
    restore(&path.0, target.path().join("new"), &mut Watch::new()).unwrap();
    let engine = open(&target.path().join("new"));
    assert_eq!(engine.collections().len(), 1);
    assert_eq!(contents(&engine, "small"), contents(db.engine(), "small"));
    let error = db.engine().backup(&path.0, Some(&["none"]), &mut Watch::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = db.engine().backup(&path.0, None, &mut Watch::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let error = restore(&path.0, target.path().join("new"), &mut Watch::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
}

#[test]
fn a_backup_taken_while_writing_is_one_moment_between_its_start_and_its_end() {
    const WRITERS: u64 = 3;
    let db = Db::temp(CollectionConfig::new(DIMS, Metric::Dot), 150);
    let acknowledged: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicU64::new(0);
    let archives = thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (db, acknowledged, stop) = (&db, &acknowledged[writer as usize], &stop);
            scope.spawn(move || write_numbers(db, writer, acknowledged, stop));
        }
        let now = || acknowledged.iter().map(|n| n.load(Ordering::SeqCst)).collect::<Vec<_>>();
        let archives: Vec<_> = (0..8)
            .map(|number| {
                // So that flushes come between backups, and in them.
                let wanted = now()[0] + 60;
                while now()[0] < wanted {
                    thread::yield_now();
                }
                let path = db.path().with_extension(format!("{number}.tar"));
                let before = now();
                db.engine().backup(&path, None, &mut Watch::new()).unwrap();
                (Removed(path), before, now())
            })
            .collect();
        stop.store(1, Ordering::SeqCst);
        archives
    });
    for (path, before, after) in archives {
        verify(&path.0, &mut Watch::new()).unwrap();
        let target = tempfile::tempdir().unwrap();
        restore(&path.0, target.path(), &mut Watch::new()).unwrap();
        let engine = open(target.path());
        let collection = engine.collection("c").unwrap();
        assert_eq!(collection.count(), contents(&engine, "c").len() as u64);
        for writer in 0..WRITERS as usize {
            let last = last_write(&engine, writer as u64);
            // What was acknowledged is there, and at most the write in hand beyond the end.
            assert!(
                before[writer] <= last && last <= after[writer] + 1,
                "{before:?} {last} {after:?}"
            );
        }
    }
}

/// Writes number `n` at `n % 40`, and deletes what was written 30 writes before: what is there tells
/// the last write, and whether all before it are there.
fn write_numbers(db: &Db, writer: u64, acknowledged: &AtomicU64, stop: &AtomicU64) {
    let mut n = 0;
    while stop.load(Ordering::SeqCst) == 0 {
        n += 1;
        let payload = Payload::new().with("writer", writer).with("n", n);
        let point = Point::new(writer * 1000 + n % 40, vec![n as f32; DIMS]);
        db.collection().upsert(vec![point.with_payload(payload)]).unwrap();
        acknowledged.store(n, Ordering::SeqCst);
    }
}

/// Returns the last write of a writer, and checks that all before it are there.
fn last_write(engine: &Engine, writer: u64) -> u64 {
    let ids: Vec<_> = (0..40).map(|slot| (writer * 1000 + slot).into()).collect();
    let stored = engine.collection("c").unwrap().get(&ids).unwrap();
    let mut numbers: Vec<u64> = stored
        .iter()
        .flatten()
        .map(|point| {
            let n = point.payload.get("n").unwrap().as_u64().unwrap();
            assert_eq!(point.vector("vector").unwrap(), vec![n as f32; DIMS]);
            n
        })
        .collect();
    numbers.sort_unstable();
    let last = *numbers.last().unwrap_or(&0);
    let expected: Vec<u64> =
        (1..=last).rev().take(40).collect::<Vec<_>>().into_iter().rev().collect();
    assert_eq!(numbers, expected, "writes of writer {writer} are missing");
    last
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed_and_nothing_is_left() {
    let db = sample();
    let path = Removed(archive(&db));
    let healthy = fs::read(&path.0).unwrap();
    let mut random = Random::new(4);
    let target = tempfile::tempdir().unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&path.0, bytes).unwrap();
        let verified = verify(&path.0, &mut Watch::new());
        let error = verified.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corruption, "{what}: {error}");
        let error = restore(&path.0, target.path().join("new"), &mut Watch::new()).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corruption, "{what}: {error}");
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0, "{what}");
    };
    // One bit in about every twelfth block, and others anywhere.
    for start in (0..healthy.len()).step_by(6 << 10) {
        let at = (start + random.below(6 << 10) as usize).min(healthy.len() - 1);
        let mut damaged = healthy.clone();
        damaged[at] ^= 1 << random.below(8);
        refused(&damaged, &format!("flip at {at}"));
    }
    for _ in 0..40 {
        let length = random.below(healthy.len() as u64) as usize;
        refused(&healthy[..length], &format!("cut at {length}"));
    }
    fs::write(&path.0, &healthy).unwrap();
    verify(&path.0, &mut Watch::new()).unwrap();
}

#[test]
fn damage_in_the_folder_is_not_backed_up() {
    let db = sample();
    let dense = largest(&db.path().join("collections"), "dense.vector");
    let mut bytes = fs::read(&dense).unwrap();
    bytes[5000] ^= 1;
    fs::write(&dense, bytes).unwrap();
    let path = Removed(db.path().with_extension("damaged.tar"));
    let error = db.engine().backup(&path.0, None, &mut Watch::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(error.to_string().contains("dense.vector: block at 4096"), "{error}");
    assert!(!path.0.try_exists().unwrap());
    let report = db.engine().check(&mut Watch::new()).unwrap();
    assert_eq!((report.damage, report.findings.len()), (1, 1), "{report:?}");
}

#[test]
fn cancelled_work_leaves_nothing() {
    let db = sample();
    let path = Removed(db.path().with_extension("c.tar"));
    let folder = tempfile::tempdir().unwrap();
    let cancelled = |run: &mut dyn FnMut(&mut Watch<'_>) -> Option<ErrorKind>| {
        // Cancelled at its first report, and at its third.
        for report in [1, 3] {
            let (cancel, mut count) = (Cancel::new(), 0);
            let raised = cancel.clone();
            let mut heard = |_| {
                count += 1;
                if count == report {
                    raised.cancel();
                }
            };
            let mut watch = Watch::new().with_cancel(&cancel).with_progress(&mut heard);
            assert_eq!(run(&mut watch), Some(ErrorKind::Cancelled));
        }
    };
    let kind = |error: bigrain_engine::Error| error.kind();
    cancelled(&mut |watch| db.engine().backup(&path.0, None, watch).err().map(kind));
    assert!(!path.0.try_exists().unwrap());
    let path = Removed(archive(&db));
    let to = folder.path().join("new");
    cancelled(&mut |watch| restore(&path.0, &to, watch).err().map(kind));
    cancelled(&mut |watch| verify(&path.0, watch).err().map(kind));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn largest(folder: &Path, name: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = files(folder);
    found.retain(|path| path.file_name().unwrap() == name);
    found.sort_by_key(|path| fs::metadata(path).unwrap().len());
    found.pop().unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Writes an archive anew with other entries: its checksums are right, whatever it says.
fn forge(path: &Path, change: impl Fn(&mut Vec<(String, Vec<u8>)>)) {
    let (folder, name) = (path.parent().unwrap(), Path::new(path.file_name().unwrap()));
    let directory = MmapDirectory::open(folder).unwrap();
    let archive = Archive::open(&directory, name).unwrap();
    let read = |entry: &ArchiveEntry| {
        (entry.name.clone(), archive.read(entry, 1 << 30, &Cancel::new()).unwrap())
    };
    let mut entries: Vec<_> = archive.entries().iter().map(read).collect();
    change(&mut entries);
    fs::remove_file(path).unwrap();
    let mut writer = ArchiveWriter::create(&directory, name).unwrap();
    for (name, bytes) in entries {
        writer.bytes(&name, &bytes).unwrap();
    }
    writer.finish().unwrap();
}

fn replace(entries: &mut [(String, Vec<u8>)], entry: &str, from: &str, to: &str) {
    let (_, bytes) = entries.iter_mut().find(|(name, _)| name == entry).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(from), "{text}");
    *bytes = text.replacen(from, to, 1).into_bytes();
}

#[test]
fn forged_archives_are_refused_whatever_their_checksums_say() {
    type Change = fn(&mut Vec<(String, Vec<u8>)>);
    let cases: [(Change, &str); 9] = [
        (|all| all.push(("7/evil".into(), b"x".to_vec())), "7/evil\", which is refused: no coll"),
        (|all| replace(all, "bigrain.json", "\"backup\": 1", "\"backup\": 2"), "format version 2"),
        (
            |all| {
                replace(all, "bigrain.json", "\"small\"", "\"../small\"");
                replace(all, "1/collection.json", "\"small\"", "\"../small\"");
            },
            "bad collection name",
        ),
        (
            |all| {
                replace(all, "bigrain.json", "\"points\": 3", "\"points\": 4");
                replace(all, "1/collection.json", "\"live\": 3", "\"live\": 4");
            },
            "counts say 4 points, there are 3",
        ),
        (
            |all| {
                replace(all, "1/collection.json", "\"counts\"", "\"aliases\": [\"c\"], \"counts\"")
            },
            "alias \"c\" is taken",
        ),
        (
            |all| replace(all, "bigrain.json", "\"points\": 3", "\"points\": 4"),
            "not what bigrain.j",
        ),
        (|all| all.retain(|(name, _)| name != "1/payloads.000000"), "it has no payload"),
        (|all| replace(all, "0/collection.json", "\"ids\"", "\"../ids\""), "/../ids"),
        (
            |all| {
                let part = all.iter_mut().find(|(name, _)| name == "1/head.000000").unwrap();
                part.1.truncate(part.1.len() - 3);
            },
            "row 2 is cut off",
        ),
    ];
    let db = sample();
    let path = Removed(archive(&db));
    let healthy = fs::read(&path.0).unwrap();
    let target = tempfile::tempdir().unwrap();
    for (change, expected) in cases {
        fs::write(&path.0, &healthy).unwrap();
        forge(&path.0, change);
        let error = verify(&path.0, &mut Watch::new()).expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        let restored = restore(&path.0, target.path().join("new"), &mut Watch::new());
        let error = restored.expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0, "{expected}");
    }
}

#[test]
fn an_archive_with_a_segment_file_of_a_newer_version_is_refused_by_its_version() {
    let db = sample();
    let path = Removed(archive(&db));
    forge(&path.0, |all| {
        let (_, bytes) = all.iter_mut().find(|(name, _)| name.ends_with("/dense.vector")).unwrap();
        raise_version(bytes);
    });
    let target = tempfile::tempdir().unwrap();
    let verified = verify(&path.0, &mut Watch::new());
    let restored = restore(&path.0, target.path().join("new"), &mut Watch::new());
    for error in [verified.unwrap_err(), restored.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
        let error = error.to_string();
        assert!(error.contains("dense.vector: dense file has format version"), "{error}");
        assert!(error.contains("written by a newer version"), "{error}");
    }
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}
