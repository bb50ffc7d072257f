//! A disk that is full: reads and deletes go on, and writes too, once there is space.
//!
//! On a small file system in memory, where the tests may mount one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bigrain_engine::{
    Collection, CollectionConfig, Engine, EngineConfig, ErrorKind, Metric, Payload, Point, PointId,
    Query, SearchParams,
};
use bigrain_tests::Random;
use tempfile::TempDir;

const DIMS: usize = 32;
const BATCH: u64 = 20;
const BALLAST_BYTES: usize = 12 << 20;

/// A file system of its own, unmounted when this is dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one of 32 MiB, or says why not.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "bigrain-test"])
            .arg(folder.path())
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(Self { folder }),
            Ok(output) => {
                println!("skipped: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: mount: {error}");
                None
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

fn open(folder: &Path) -> Engine {
    let config = EngineConfig {
        flush_rows: 1000,
        threads: 1,
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 1 << 20,
        ..EngineConfig::default()
    };
    Engine::open(folder, config).unwrap()
}

/// Stores one batch; returns whether there was room.
fn store(collection: &Collection, first: u64, random: &mut Random) -> bool {
    let mut text = || (0..2000).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
    let texts: Vec<String> = (0..BATCH).map(|_| text()).collect();
    let point = |(id, text): (u64, String)| {
        Point::new(first + id, vec![id as f32 + 1.0; DIMS])
            .with_payload(Payload::new().with("text", text))
    };
    match collection.upsert((0..BATCH).zip(texts).map(point).collect()) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
            false
        }
    }
}

fn check(collection: &Collection, expected: u64) {
    assert_eq!(collection.count(), expected);
    let params = SearchParams::new(expected as usize + 10).unwrap().with_exact(true);
    let found = collection.search(&Query::new(vec![1.0; DIMS]), &params).unwrap();
    assert_eq!(found.points.len() as u64, expected);
}

#[test]
fn a_full_disk_takes_deletes_and_then_writes_again() {
    let Some(disk) = SmallDisk::mount() else { return };
    std::fs::write(disk.ballast(), vec![1; BALLAST_BYTES]).unwrap();
    let engine = open(&disk.path());
    let config = CollectionConfig::new(DIMS, Metric::Dot);
    let collection = engine.create_collection("c", config).unwrap();
    let mut random = Random::new(31);
    let mut stored = 0;
    while store(&collection, stored, &mut random) {
        stored += BATCH;
    }
    assert!(stored >= 1000, "{stored} points before the disk was full");
    check(&collection, stored);

    // One by one: each is a commit of its own.
    let deleted = stored / 2;
    for id in 0..deleted {
        assert_eq!(collection.delete(&[PointId::from(id)]).unwrap().deleted, 1);
    }
    check(&collection, stored - deleted);
    // A process that is started anew on a full disk serves and deletes as well.
    drop((collection, engine));
    let engine = open(&disk.path());
    let collection = engine.collection("c").unwrap();
    check(&collection, stored - deleted);
    assert_eq!(collection.delete(&[PointId::from(deleted)]).unwrap().deleted, 1);

    std::fs::remove_file(disk.ballast()).unwrap();
    let started = Instant::now();
    while !store(&collection, stored, &mut random) {
        // RocksDB looks every five seconds whether there is space again.
        assert!(started.elapsed() < Duration::from_secs(30), "it does not recover");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let expected = stored - deleted - 1 + BATCH;
    check(&collection, expected);
    drop((collection, engine));
    check(&open(&disk.path()).collection("c").unwrap(), expected);
}
