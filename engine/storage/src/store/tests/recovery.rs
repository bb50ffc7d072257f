//! What is left of a log that was cut or damaged.
//!
//! A live store's folder is copied, which is what a power cut leaves, and the copy's log is spoiled.

use std::fs;
use std::path::{Path, PathBuf};

use rocksdb::DB;

use super::{Db, ids, open};
use crate::format::STORE_FOLDER;
use crate::store::{StoreConfig, StoreError, settings};

/// A store with some commits, and where each of them ends in the log.
struct Committed {
    db: Db,
    ends: Vec<u64>,
}

impl Committed {
    fn new(commits: u64) -> Self {
        let db = Db::temp();
        let mut ends = Vec::new();
        for id in 0..commits {
            db.put(id, id);
            ends.push(fs::metadata(log_of(db.folder.path())).unwrap().len());
        }
        Self { db, ends }
    }

    fn last_end(&self) -> u64 {
        self.ends[self.ends.len() - 1]
    }

    /// Copies the folder and changes the log's bytes.
    fn spoiled(&self, spoil: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        let (from, to) = (self.db.folder.path().join(STORE_FOLDER), copy.path().join(STORE_FOLDER));
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        let log = log_of(copy.path());
        let mut bytes = fs::read(&log).unwrap();
        spoil(&mut bytes);
        fs::write(log, bytes).unwrap();
        copy
    }
}

fn log_of(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder.join(STORE_FOLDER)).unwrap();
    let logs: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    let [log] = &logs[..] else { panic!("expected one log, found {logs:?}") };
    log.clone()
}

#[test]
fn a_log_cut_anywhere_keeps_every_whole_commit() {
    let committed = Committed::new(6);
    let first = committed.ends[0];
    for length in (first..=committed.last_end()).step_by(7) {
        let copy = committed.spoiled(|log| log.truncate(length as usize));
        let store = open(copy.path()).unwrap();
        let whole = committed.ends.iter().filter(|&&end| end <= length).count();
        assert_eq!(ids(&store, committed.db.docs).len(), whole, "cut at {length}");
    }
}

#[test]
fn a_tail_of_zeros_is_dropped() {
    let committed = Committed::new(3);
    let copy = committed.spoiled(|log| log.resize(log.len() + 40_000, 0));
    let store = open(copy.path()).unwrap();
    assert_eq!(ids(&store, committed.db.docs).len(), 3);
}

#[test]
fn a_bit_flipped_anywhere_in_the_log_is_an_error_that_names_it() {
    let committed = Committed::new(6);
    for byte in (0..committed.last_end() as usize).step_by(5) {
        let copy = committed.spoiled(|log| log[byte] ^= 1 << (byte % 8));
        let error = open(copy.path()).expect_err(&format!("byte {byte}"));
        let StoreError::DamagedLog { path, offset, .. } = error else { panic!("{error}") };
        assert_eq!(path, log_of(copy.path()));
        assert!(offset <= byte as u64);
    }
}

#[test]
fn a_bit_flipped_in_the_manifest_is_an_error() {
    let committed = Committed::new(1);
    let copy = committed.spoiled(|_| {});
    let entries = fs::read_dir(copy.path().join(STORE_FOLDER)).unwrap();
    let is_manifest = |path: &PathBuf| path.to_string_lossy().contains("MANIFEST-");
    let manifest = entries.map(|entry| entry.unwrap().path()).find(is_manifest).unwrap();
    let bytes = fs::read(&manifest).unwrap();
    for byte in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 0x10;
        fs::write(&manifest, damaged).unwrap();
        let error = open(copy.path()).expect_err(&format!("byte {byte}"));
        assert!(matches!(error, StoreError::DamagedLog { .. }), "{error}");
    }
}

/// Opens a folder's store without our check of the log, and counts the points.
fn count_by_rocksdb_alone(committed: &Committed, folder: &Path) -> Result<usize, rocksdb::Error> {
    let config = StoreConfig::default();
    let cache = rocksdb::Cache::new_lru_cache(1 << 20);
    let families = settings::families(&config, &cache);
    let options = settings::database(&config);
    drop(DB::open_cf_descriptors(&options, folder.join(STORE_FOLDER), families)?);
    Ok(ids(&open(folder).unwrap(), committed.db.docs).len())
}

/// The reason for `log`. If RocksDB begins to see this damage, these assertions fail, and the
/// check may go.
#[test]
fn rocksdb_alone_loses_commits_behind_a_damaged_header() {
    let committed = Committed::new(6);
    let third = committed.ends[2] as usize;

    let long = committed.spoiled(|log| log[third + 5] ^= 0x40);
    assert_eq!(count_by_rocksdb_alone(&committed, long.path()).unwrap(), 3);

    let zeroed = committed.spoiled(|log| log[third..third + 7].fill(0));
    assert_eq!(count_by_rocksdb_alone(&committed, zeroed.path()).unwrap(), 3);

    let payload = committed.spoiled(|log| log[third + 9] ^= 1);
    let error = count_by_rocksdb_alone(&committed, payload.path()).unwrap_err();
    assert!(error.to_string().contains("checksum mismatch"), "{error}");
}
