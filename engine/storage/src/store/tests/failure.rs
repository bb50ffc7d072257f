//! Refusals: locks, versions, values that do not fit, and a disk that does not take more.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use bigrain_types::{Payload, PointId};

use super::{Db, ids, in_head, open};
use crate::format::{OLDEST_STORE_VERSION, STORE_FOLDER, STORE_VERSION};
use crate::store::folder_lock::FolderLock;
use crate::store::keys::Key;
use crate::store::{Batch, Store, StoreConfig, StoreError};

#[test]
fn a_second_store_on_the_folder_is_refused_until_the_first_is_gone() {
    let mut db = Db::temp();
    let error = open(db.folder.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Locked { path } if path == db.folder.path()), "{error}");
    db.store = None;
    open(db.folder.path()).unwrap();
}

/// A process that is being started holds a copy of every open file for a moment, locks included.
#[test]
fn a_folder_is_free_when_its_store_is_gone_though_processes_are_being_started() {
    let folder = tempfile::tempdir().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
        }
        let locked = (0..3_000).find_map(|_| FolderLock::take(folder.path()).err());
        done.store(true, Ordering::Relaxed);
        assert!(locked.is_none(), "{locked:?}");
    });
}

#[test]
fn another_format_version_is_refused_and_both_are_named() {
    let db = Db::temp();
    let mut batch = Batch::new();
    batch.put_value(Key::format(), &9u32);
    db.store().commit(batch).unwrap();
    let Db { store, folder, .. } = db;
    drop(store);
    let error = open(folder.path()).unwrap_err().to_string();
    let expected = format!(
        "store has format version 9, this program reads version {STORE_VERSION}: it was written by a \
         newer version"
    );
    assert!(error.ends_with(&expected), "{error}");
}

#[test]
fn a_store_of_an_older_version_is_read_and_marked_when_it_is_opened_to_be_written() {
    let db = Db::temp();
    db.put(1, 1);
    let mut batch = Batch::new();
    batch.put_value(Key::format(), &OLDEST_STORE_VERSION);
    db.store().commit(batch).unwrap();
    let Db { store, docs, folder } = db;
    drop(store);
    let version = |store: &Store| store.view().value::<u32>(&Key::format()).unwrap();
    let looking = Store::open_read_only(folder.path(), &StoreConfig::default()).unwrap();
    assert_eq!(version(&looking), Some(OLDEST_STORE_VERSION));
    drop(looking);
    let store = open(folder.path()).unwrap();
    assert_eq!(version(&store), Some(STORE_VERSION));
    assert_eq!(ids(&store, docs), [PointId::from(1)]);
}

#[test]
fn rows_without_a_format_version_are_refused() {
    let db = Db::temp();
    let mut batch = Batch::new();
    batch.delete(Key::format());
    db.store().commit(batch).unwrap();
    let Db { store, folder, .. } = db;
    drop(store);
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn a_store_that_lost_its_current_file_is_refused_rather_than_begun_anew() {
    let db = Db::temp();
    let Db { store, folder, .. } = db;
    drop(store);
    std::fs::remove_file(folder.path().join(STORE_FOLDER).join("CURRENT")).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

/// Flips one bit after another in the properties of a table.
#[test]
fn a_table_with_damaged_properties_is_named() {
    let mut db = Db::temp();
    (1..200).for_each(|seq| db.put(seq, seq));
    // RocksDB writes what a log holds into tables when it opens.
    db.reopen();
    let expected = db.ids();
    let Db { store, docs, folder } = db;
    drop(store);
    let store = folder.path().join(STORE_FOLDER);
    let files: Vec<_> = std::fs::read_dir(&store).unwrap().map(|entry| entry.unwrap()).collect();
    let is_table = |name: &&std::fs::DirEntry| name.file_name().to_str().unwrap().ends_with(".sst");
    let tables = files.iter().filter(is_table).map(std::fs::DirEntry::file_name);
    let mut named = 0;
    for table in tables {
        let sound = std::fs::read(store.join(&table)).unwrap();
        let is_first = |at: &[u8]| at.starts_with(b"rocksdb.");
        let properties = sound.windows(8).position(is_first).unwrap();
        for at in (properties..sound.len()).step_by(37) {
            let copy = tempfile::tempdir().unwrap();
            std::fs::create_dir(copy.path().join(STORE_FOLDER)).unwrap();
            let to = |name: &std::ffi::OsStr| copy.path().join(STORE_FOLDER).join(name);
            for file in &files {
                std::fs::copy(file.path(), to(&file.file_name())).unwrap();
            }
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(to(&table), bytes).unwrap();
            let read = open(copy.path()).and_then(|store| {
                let points = store.view().scroll(docs, None, usize::MAX)?;
                Ok(points.into_iter().map(|(id, _)| id).collect::<Vec<_>>())
            });
            match read {
                Ok(ids) => assert_eq!(ids, expected, "byte {at} of {}", table.display()),
                Err(error) => {
                    let error = error.to_string();
                    let is_named = error.contains(table.to_str().unwrap());
                    assert!(is_named, "byte {at} of {}: {error}", table.display());
                    assert!(
                        !error.contains("MANIFEST"),
                        "byte {at} of {}: {error}",
                        table.display()
                    );
                    named += 1;
                }
            }
        }
    }
    assert!(named > 10, "only {named} were found");
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::fs::write(&path, b"").unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Io { operation: "create", .. }), "{error}");
}

#[test]
fn a_bad_configuration_is_refused_before_anything_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { block_cache_bytes: 0, ..StoreConfig::default() };
    let error = Store::open(folder.path().join("data"), &config).unwrap_err();
    assert!(error.to_string().starts_with("block_cache_bytes out of range"), "{error}");
    assert!(!folder.path().join("data").try_exists().unwrap());
}

#[test]
fn a_value_that_does_not_fit_refuses_the_batch_and_nothing_else() {
    let db = Db::temp();
    let id = PointId::from(1);
    let mut batch = Batch::new();
    batch.put_point(db.docs, &id, &in_head(1));
    batch.put_payload(db.docs, &id, &Payload::new().with("text", "x".repeat(17 << 20)));
    let error = db.store().commit(batch).unwrap_err();
    assert!(matches!(&error, StoreError::Encode(reason) if reason.contains("16777216")), "{error}");
    assert!(db.ids().is_empty());
    assert!(!db.store().is_poisoned());
    db.put(1, 1);
}

const FOLDER_OF_CHILD: &str = "BIGRAIN_TEST_FOLDER";

/// The child commits under a limit on the size of files, so that a write of the log fails as it
/// does on a full disk; the parent looks at what is left.
#[test]
fn a_failed_commit_poisons_the_store_and_loses_nothing_acknowledged() {
    if let Some(folder) = std::env::var_os(FOLDER_OF_CHILD) {
        return commit_until_refused(Path::new(&folder));
    }
    let db = Db::temp();
    let Db { store, folder, docs } = db;
    drop(store);
    // Ignored, the signal becomes an error of the write.
    let script = "ulimit -f 512; trap '' XFSZ; exec \"$@\"";
    let name = "store::tests::failure::\
                a_failed_commit_poisons_the_store_and_loses_nothing_acknowledged";
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(FOLDER_OF_CHILD, folder.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let acknowledged =
        stdout.split("batches acknowledged: ").nth(1).and_then(|rest| rest.lines().next());
    let acknowledged: usize = acknowledged.unwrap().parse().unwrap();
    assert!(acknowledged > 3, "{stdout}");
    let left = ids(&open(folder.path()).unwrap(), docs).len();
    // The refused batch may be there or not; the poisoned ones never.
    assert!(left == acknowledged || left == acknowledged + 1, "{left} of {acknowledged}");
}

fn commit_until_refused(folder: &Path) {
    let store = open(folder).unwrap();
    let docs = store.view().collection_key("docs").unwrap().unwrap();
    let payload = Payload::new().with("text", "x".repeat(9_000));
    let commit = |id: u64| {
        let mut batch = Batch::new();
        batch.put_point(docs, &id.into(), &in_head(id)).put_payload(docs, &id.into(), &payload);
        store.commit(batch)
    };
    let refused = (0..1_000).find_map(|id| commit(id).err().map(|error| (id, error)));
    let (acknowledged, error) = refused.unwrap();
    assert!(matches!(error, StoreError::Backend { .. } | StoreError::DiskFull { .. }), "{error}");
    assert!(store.is_poisoned());
    for id in 2_000..2_003 {
        let error = commit(id).unwrap_err();
        assert!(matches!(error, StoreError::Poisoned { .. }), "{error}");
    }
    assert!(store.view().point(docs, &PointId::from(0)).unwrap().is_some());
    println!("batches acknowledged: {acknowledged}");
}
