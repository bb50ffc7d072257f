//! kill -9 during mixed writes: nothing acknowledged is lost, nothing deleted returns.
//!
//! The test runs itself as a child process, in which two threads write points of their own and say
//! on standard output what they are about to do and what was acknowledged. Output written before
//! the kill survives in the pipe, so it is the outside record. After the kill the parent opens the
//! folder and compares. A third thread makes one backup after another; those that are complete are
//! restored.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bigrain_engine::{Engine, EngineConfig, ErrorKind, Watch, restore};
use bigrain_tests::{Ledger, Random, Soak, Writer, read_consistent, workload_config};

const WRITERS: u64 = 2;
const FOLDER: &str = "BIGRAIN_CRASH_FOLDER";
const LIFE: &str = "BIGRAIN_CRASH_LIFE";

fn open(folder: &Path) -> Engine {
    let config = EngineConfig { flush_rows: 60, threads: 1, ..EngineConfig::default() };
    Engine::open(folder, config).unwrap()
}

#[test]
fn kill_9_loses_nothing_and_brings_nothing_back() {
    let soak = Soak::start("kill -9", "cycles", 200, 5_000);
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    std::fs::create_dir(backups_of(&folder)).unwrap();
    open(&folder).create_collection("c", workload_config()).unwrap();
    let (mut ledger, mut backups) = (Ledger::default(), 0);
    let mut random = Random::new(2024 + soak.seed());
    for cycle in 0..soak.count() {
        let kill_after = 1 + random.below(60);
        run_and_kill(&folder, soak.seed() << 16 | cycle, kill_after, &mut ledger);
        let engine = open(&folder);
        let settled = ledger.settle(&engine.collection("c").unwrap());
        settled.unwrap_or_else(|reason| panic!("cycle {cycle}: {reason}"));
        drop(engine);
        backups += check_backups(&folder);
    }
    let acknowledged = ledger.acknowledged();
    assert!(acknowledged > soak.count(), "the children hardly wrote");
    assert!(backups > 0, "no child lived to end a backup");
    soak.done(&format!(
        "{acknowledged} operations acknowledged; none lost, none returned; {backups} backups whole"
    ));
}

/// Restores every backup that has its name, and returns how many there were. Whatever was written
/// meanwhile, and whenever the process was killed, each holds one moment.
fn check_backups(folder: &Path) -> usize {
    let archives: Vec<_> = std::fs::read_dir(backups_of(folder)).unwrap().flatten().collect();
    let mut whole = 0;
    for path in archives.iter().map(std::fs::DirEntry::path) {
        if path.extension().is_some_and(|extension| extension == "tar") {
            let restored = tempfile::tempdir().unwrap();
            restore(&path, restored.path(), &mut Watch::new()).unwrap();
            read_consistent(&open(restored.path()).collection("c").unwrap()).unwrap();
            whole += 1;
        }
        std::fs::remove_file(&path).unwrap();
    }
    whole
}

fn backups_of(folder: &Path) -> PathBuf {
    folder.with_extension("backups")
}

#[test]
fn a_second_process_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).create_collection("c", workload_config()).unwrap();
    let mut child = spawn_writer(folder.path(), 1);
    let mut ledger = Ledger::default();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !ledger.hear(&lines.next().unwrap().unwrap()) {}
    let error = Engine::open(folder.path(), EngineConfig::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    child.kill().unwrap();
    lines.for_each(|line| ledger.listen(&line.unwrap()));
    child.wait().unwrap();
    ledger.settle(&open(folder.path()).collection("c").unwrap()).unwrap();
}

fn spawn_writer(folder: &Path, life: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::writing_child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(LIFE, life.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs a writing child and kills it after some acknowledgements.
fn run_and_kill(folder: &Path, life: u64, kill_after: u64, ledger: &mut Ledger) {
    let mut child = spawn_writer(folder, life);
    let mut acknowledged = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The test harness of the child talks on the same pipe; the ledger passes that over.
        acknowledged += u64::from(ledger.hear(&line.unwrap()));
        if acknowledged == kill_after {
            // SIGKILL; what the child wrote before is still in the pipe.
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "the child ended by itself after {acknowledged} operations");
    assert!(acknowledged >= kill_after, "the child died early: {status}");
}

/// Not a test of its own: the process that `kill_9_loses_nothing_and_brings_nothing_back` kills.
#[test]
#[ignore = "runs as a child of the crash test"]
fn writing_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let life: u64 = std::env::var(LIFE).unwrap().parse().unwrap();
    let engine = open(Path::new(&folder));
    let collection = engine.collection("c").unwrap();
    std::thread::scope(|scope| {
        for number in 0..WRITERS {
            let (collection, mut writer) = (&collection, Writer::new(number, life));
            scope.spawn(move || {
                loop {
                    writer.step(collection, say).unwrap()
                }
            });
        }
        let folder = backups_of(Path::new(&folder));
        // Restoring takes longer than a life.
        if life.is_multiple_of(10) && folder.is_dir() {
            for number in 0..2 {
                let archive = folder.join(format!("{number}.tar"));
                engine.backup(&archive, None, &mut Watch::new()).unwrap();
            }
        }
    });
}

/// One line, one write: a kill cannot tear it.
fn say(line: &str) {
    let mut file = std::io::stdout().lock();
    file.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    file.flush().unwrap();
}
