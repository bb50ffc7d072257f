//! Backups and restores that are killed: the next one does not mind what they left.
//!
//! The test runs itself as a child process, which stops after some steps and is killed there.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bigrain_engine::{
    CollectionConfig, Engine, EngineConfig, ErrorKind, Metric, Point, Progress, Watch,
    check_folder, restore, verify,
};
use bigrain_storage::{Store, StoreConfig};
use bigrain_tests::{Random, fast_folder};
use tempfile::TempDir;

const WHAT: &str = "BIGRAIN_BACKUP_WHAT";
const FOLDER: &str = "BIGRAIN_BACKUP_FOLDER";
const STEPS: &str = "BIGRAIN_BACKUP_STEPS";
const POINTS: u64 = 400;

fn open(folder: &Path) -> Engine {
    let config = EngineConfig { threads: 1, background_threads: 0, ..EngineConfig::default() };
    Engine::open(folder, config).unwrap()
}

/// A data folder `data` with a segment and a memtable.
fn scene() -> TempDir {
    let folder = fast_folder();
    let engine = open(&data(folder.path()));
    let collection = engine.create_collection("c", CollectionConfig::new(8, Metric::Dot)).unwrap();
    let mut random = Random::new(3);
    for ids in [0..POINTS / 2, POINTS / 2..POINTS] {
        collection.flush().unwrap();
        collection.upsert(ids.map(|id| Point::new(id, random.vector(8))).collect()).unwrap();
    }
    folder
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn archive(folder: &Path) -> PathBuf {
    folder.join("backup.tar")
}

fn target(folder: &Path) -> PathBuf {
    folder.join("new")
}

fn back_up(folder: &Path, watch: &mut Watch<'_>) {
    open(&data(folder)).backup(archive(folder), None, watch).unwrap();
}

/// Kills a child after some steps; returns whether it came so far.
fn kill_after(steps: u64, what: &str, folder: &Path) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["backup_crash::stopping_child", "--exact", "--ignored", "--nocapture"])
        .envs([(WHAT, what), (STEPS, &steps.to_string())])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let stopped = lines.any(|line| line.unwrap() == "stopped");
    if stopped {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    assert!(stopped || status.success(), "{what} failed before step {steps}: {status}");
    stopped
}

/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "runs as a child of the tests below"]
fn stopping_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (folder, steps) = (Path::new(&folder), std::env::var(STEPS).unwrap());
    let mut left: u64 = steps.parse().unwrap();
    let mut stop = |_: Progress| {
        left = left.saturating_sub(1);
        if left == 0 {
            let mut output = std::io::stdout().lock();
            output.write_all(b"\nstopped\n").unwrap();
            output.flush().unwrap();
            // Nothing ever comes.
            std::io::stdin().read_line(&mut String::new()).unwrap();
        }
    };
    let mut watch = Watch::new().with_progress(&mut stop);
    if std::env::var(WHAT).unwrap() == "backup" {
        back_up(folder, &mut watch);
    } else {
        restore(archive(folder), target(folder), &mut watch).unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_that_was_killed_is_in_nobodys_way() {
    let scene = scene();
    let folder = scene.path();
    let mut kills = 0;
    for steps in [1, 2, 3, 5, 8, 12] {
        kills += u64::from(kill_after(steps, "backup", folder));
        let _ = std::fs::remove_file(archive(folder));
    }
    assert!(kills > 3, "only {kills} were killed on their way");
    assert_eq!(names(folder), ["backup.tar.tmp", "data"]);
    back_up(folder, &mut Watch::new());
    assert_eq!(names(folder), ["backup.tar", "data"]);
    assert_eq!(verify(archive(folder), &mut Watch::new()).unwrap().collections[0].points, POINTS);
}

#[test]
fn a_restore_that_was_killed_is_in_nobodys_way() {
    let scene = scene();
    let folder = scene.path();
    back_up(folder, &mut Watch::new());
    let mut kills = 0;
    for steps in [1, 2, 5, 9, 12, 15] {
        let killed = kill_after(steps, "restore", folder);
        kills += u64::from(killed);
        assert_eq!(target(folder).try_exists().unwrap(), !killed);
        let _ = std::fs::remove_dir_all(target(folder));
    }
    assert!(kills > 3, "only {kills} were killed on their way");
    assert_eq!(names(folder), ["backup.tar", "data", "new.restoring"]);
    restore(archive(folder), target(folder), &mut Watch::new()).unwrap();
    assert_eq!(names(folder), ["backup.tar", "data", "new"]);
    assert!(check_folder(target(folder), &mut Watch::new()).unwrap().is_healthy());
    assert_eq!(open(&target(folder)).collection("c").unwrap().count(), POINTS);
}

#[test]
fn what_another_restore_makes_or_somebody_keeps_there_is_left_alone() {
    let scene = scene();
    let folder = scene.path();
    back_up(folder, &mut Watch::new());
    let unfinished = folder.join("new.restoring");
    let refused = || restore(archive(folder), target(folder), &mut Watch::new()).unwrap_err();

    let other = Store::open(&unfinished, &StoreConfig::default()).unwrap();
    let error = refused();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
    assert!(error.to_string().contains("another restore is making"), "{error}");
    drop(other);

    let photo = unfinished.join("photo.jpg");
    std::fs::write(&photo, b"mine").unwrap();
    let error = refused();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert!(error.to_string().contains("photo.jpg"), "{error}");
    assert_eq!(std::fs::read(&photo).unwrap(), b"mine");

    std::fs::remove_file(&photo).unwrap();
    restore(archive(folder), target(folder), &mut Watch::new()).unwrap();
}
