//! kill -9 during mixed upserts and deletes: nothing acknowledged is lost, nothing deleted returns.
//!
//! The test runs itself as a child process, in which two threads write points of their own and say
//! on standard output what they are about to do and what was acknowledged. Output written before
//! the kill survives in the pipe, so it is the outside record. After the kill the parent opens the
//! folder and compares: everything acknowledged is there; of the operation each thread was in, all
//! or nothing is there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bigrain_engine::{
    CollectionConfig, Engine, EngineConfig, Metric, Payload, Point, PointId, Query, SearchParams,
};
use bigrain_tests::Random;
use serde::{Deserialize, Serialize};

const CYCLES: u64 = 50;
const THREADS: u64 = 2;
const IDS_PER_THREAD: u64 = 150;
const DIMS: usize = 8;
const FOLDER: &str = "BIGRAIN_CRASH_FOLDER";
const SEED: &str = "BIGRAIN_CRASH_SEED";

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Operation {
    Upsert { ids: Vec<u64>, version: u64 },
    Delete { ids: Vec<u64> },
    Flush,
}

#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Begin(u64, Operation),
    Acknowledged(u64),
}

/// Which version of each point exists.
type Model = BTreeMap<u64, u64>;

fn apply(model: &mut Model, operation: &Operation) {
    match operation {
        Operation::Upsert { ids, version } => model.extend(ids.iter().map(|&id| (id, *version))),
        Operation::Delete { ids } => model.retain(|id, _| !ids.contains(id)),
        Operation::Flush => {}
    }
}

fn vector(id: u64, version: u64) -> Vec<f32> {
    Random::new(id << 32 | version).vector(DIMS)
}

fn open(folder: &Path) -> Engine {
    let config = EngineConfig { flush_rows: 60, threads: 1, ..EngineConfig::default() };
    Engine::open(folder, config).unwrap()
}

#[test]
fn kill_9_loses_nothing_and_brings_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    engine.create_collection("c", CollectionConfig::new(DIMS, Metric::Dot)).unwrap();
    drop(engine);
    let mut model = Model::new();
    let mut random = Random::new(2024);
    let mut acknowledged = 0;
    for cycle in 0..CYCLES {
        let kill_after = 1 + random.below(60);
        let record = run_and_kill(folder.path(), cycle, kill_after);
        acknowledged += record.acknowledged;
        record.done.iter().for_each(|operation| apply(&mut model, operation));
        check(folder.path(), &mut model, &record.in_flight, cycle);
    }
    println!("{CYCLES} cycles, {acknowledged} operations acknowledged, {} points", model.len());
    assert!(acknowledged > CYCLES, "the children hardly wrote");
}

struct Record {
    done: Vec<Operation>,
    in_flight: Vec<Operation>,
    acknowledged: u64,
}

/// Runs a writing child, kills it after some acknowledgements, and returns what it said.
fn run_and_kill(folder: &Path, seed: u64, kill_after: u64) -> Record {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::writing_child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut begun: BTreeMap<u64, Operation> = BTreeMap::new();
    let mut record = Record { done: Vec::new(), in_flight: Vec::new(), acknowledged: 0 };
    for line in lines {
        // The test harness of the child talks on the same pipe.
        let Ok(line) = serde_json::from_str::<Line>(&line.unwrap()) else { continue };
        match line {
            Line::Begin(thread, operation) => assert!(begun.insert(thread, operation).is_none()),
            Line::Acknowledged(thread) => {
                record.done.push(begun.remove(&thread).unwrap());
                record.acknowledged += 1;
                if record.acknowledged == kill_after {
                    // SIGKILL; what the child wrote before is still in the pipe.
                    child.kill().unwrap();
                }
            }
        }
    }
    let status = child.wait().unwrap();
    assert!(
        !status.success(),
        "the child ended by itself after {} operations",
        record.acknowledged
    );
    assert!(record.acknowledged >= kill_after, "the child died early: {status}");
    record.in_flight = begun.into_values().collect();
    record
}

/// Compares the folder with the model, then lets the model adopt the operations in flight that
/// made it to disk.
fn check(folder: &Path, model: &mut Model, in_flight: &[Operation], cycle: u64) {
    let engine = open(folder);
    let collection = engine.collection("c").unwrap();
    let found: Model = read_all(&collection);
    for operation in in_flight {
        let mut with = model.clone();
        apply(&mut with, operation);
        if ids_of(operation).iter().any(|id| found.get(id) != model.get(id)) {
            *model = with;
        }
    }
    assert_eq!(&found, model, "cycle {cycle}: in flight was {in_flight:?}");
    assert_eq!(collection.count(), found.len() as u64, "cycle {cycle}: count differs from scroll");
    let params = SearchParams::new(1000).unwrap().with_exact(true);
    let everything = collection.search(&Query::new(vec![1.0; DIMS]), &params).unwrap();
    assert_eq!(everything.points.len(), found.len(), "cycle {cycle}: search differs from scroll");
}

fn ids_of(operation: &Operation) -> &[u64] {
    match operation {
        Operation::Upsert { ids, .. } | Operation::Delete { ids } => ids,
        Operation::Flush => &[],
    }
}

fn read_all(collection: &bigrain_engine::Collection) -> Model {
    let mut found = Model::new();
    let mut after: Option<PointId> = None;
    loop {
        let page = collection.scroll(after.as_ref(), 64).unwrap();
        let Some(last) = page.last() else { return found };
        after = Some(last.id.clone());
        for point in page {
            let id = point.id.as_number().unwrap();
            let version = point.payload.get("version").unwrap().as_u64().unwrap();
            assert_eq!(
                point.vector("vector").unwrap(),
                vector(id, version),
                "vector and payload of {id} disagree"
            );
            found.insert(id, version);
        }
    }
}

/// Not a test of its own: the process that `kill_9_loses_nothing_and_brings_nothing_back` kills.
#[test]
#[ignore = "runs as a child of the crash test"]
fn writing_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let engine = open(Path::new(&folder));
    let collection = engine.collection("c").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let collection = &collection;
            scope.spawn(move || write_for_ever(collection, thread, seed));
        }
    });
}

fn write_for_ever(collection: &bigrain_engine::Collection, thread: u64, seed: u64) {
    let mut random = Random::new(seed * THREADS + thread);
    for step in 1.. {
        let version = seed << 32 | step;
        let id = |random: &mut Random| thread * IDS_PER_THREAD + random.below(IDS_PER_THREAD);
        let mut ids: Vec<u64> = (0..=random.below(9)).map(|_| id(&mut random)).collect();
        ids.sort_unstable();
        ids.dedup();
        let operation = match random.below(20) {
            0 => Operation::Flush,
            1..7 => Operation::Delete { ids },
            _ => Operation::Upsert { ids, version },
        };
        say(&Line::Begin(thread, operation.clone()));
        match &operation {
            Operation::Flush => collection.flush().unwrap(),
            Operation::Delete { ids } => {
                let ids: Vec<PointId> = ids.iter().map(|&id| id.into()).collect();
                collection.delete(&ids).unwrap();
            }
            Operation::Upsert { ids, version } => {
                let point = |&id: &u64| {
                    Point::new(id, vector(id, *version))
                        .with_payload(Payload::new().with("version", *version))
                };
                collection.upsert(ids.iter().map(point).collect()).unwrap();
            }
        }
        say(&Line::Acknowledged(thread));
    }
}

/// One line, one write: a kill cannot tear it.
fn say(line: &Line) {
    let text = format!("\n{}\n", serde_json::to_string(line).unwrap());
    let mut file = std::io::stdout().lock();
    file.write_all(text.as_bytes()).unwrap();
    file.flush().unwrap();
}
