//! kill -9 while fields are added and dropped: a field is there or it is not, and what one of its
//! name held before never returns.
//!
//! The test runs itself as a child process that adds a field, writes vectors in it, flushes now and
//! then, and drops the field, for ever; it says on standard output what it begins and what was
//! acknowledged. The name is always the same; each vector names the life of the field it was written
//! in. After the kill the parent opens the folder and compares.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bigrain_engine::{
    Collection, CollectionConfig, Engine, EngineConfig, FieldConfig, Metric, Point, PointId, Query,
    SearchParams,
};
use bigrain_tests::Random;
use serde::{Deserialize, Serialize};

const CYCLES: u64 = 25;
const IDS: u64 = 40;
const FIELD: &str = "extra";
const FOLDER: &str = "BIGRAIN_FIELD_CRASH_FOLDER";
const SEED: &str = "BIGRAIN_FIELD_CRASH_SEED";

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Operation {
    /// Adds the field, and begins its next life.
    Add,
    Drop,
    /// Writes points: all have a vector in the first field, those of `extra` in the other too.
    Upsert {
        ids: Vec<u64>,
        extra: bool,
    },
    Flush,
}

#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Begin(Operation),
    Acknowledged,
}

/// What should be there.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    /// The lives that the field has begun.
    lives: u64,
    exists: bool,
    /// For each point the life in which its vector in the field was written, if it has one.
    points: BTreeMap<u64, Option<u64>>,
}

impl Model {
    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Add => (self.lives, self.exists) = (self.lives + 1, true),
            Operation::Drop => {
                self.exists = false;
                self.points.values_mut().for_each(|life| *life = None);
            }
            Operation::Upsert { ids, extra } => {
                let life = extra.then_some(self.lives);
                self.points.extend(ids.iter().map(|&id| (id, life)));
            }
            Operation::Flush => {}
        }
    }
}

fn open(folder: &Path) -> Engine {
    let config = EngineConfig { flush_rows: 50, threads: 1, ..EngineConfig::default() };
    Engine::open(folder, config).unwrap()
}

#[test]
fn a_killed_process_leaves_fields_whole_or_gone() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    engine.create_collection("c", CollectionConfig::new(2, Metric::Dot)).unwrap();
    drop(engine);
    let (mut model, mut random) = (Model::default(), Random::new(7));
    for cycle in 0..CYCLES {
        let in_flight = run_and_kill(folder.path(), &mut model, 1 + random.below(40));
        check(folder.path(), &mut model, in_flight.as_ref(), cycle);
    }
    println!("{CYCLES} cycles, {} lives of the field", model.lives);
    assert!(model.lives > CYCLES, "the children hardly added the field");
}

/// Runs a writing child, kills it after some acknowledgements; returns the operation it was in.
fn run_and_kill(folder: &Path, model: &mut Model, kill_after: u64) -> Option<Operation> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["field_crash::writing_child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(SEED, format!("{} {}", model.lives, model.exists))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut begun, mut acknowledged) = (None, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The test harness of the child talks on the same pipe.
        match serde_json::from_str::<Line>(&line.unwrap()) {
            Ok(Line::Begin(operation)) => begun = Some(operation),
            Ok(Line::Acknowledged) => {
                model.apply(&begun.take().unwrap());
                acknowledged += 1;
                if acknowledged == kill_after {
                    child.kill().unwrap();
                }
            }
            Err(_) => {}
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success() && acknowledged >= kill_after, "the child died early: {status}");
    begun
}

/// Compares the folder with the model, or with the model after the operation in flight, which it
/// then adopts.
fn check(folder: &Path, model: &mut Model, in_flight: Option<&Operation>, cycle: u64) {
    let engine = open(folder);
    let collection = engine.collection("c").unwrap();
    let mut found = read(&collection);
    let mut with = model.clone();
    in_flight.iter().for_each(|operation| with.apply(operation));
    // How many lives there were is not stored; it is what either of the two says.
    for expected in [model.clone(), with] {
        found.lives = expected.lives;
        if found == expected {
            *model = found;
            check_search(&collection, model);
            return;
        }
    }
    panic!("cycle {cycle}: in flight was {in_flight:?}, expected {model:?}, found {found:?}");
}

fn read(collection: &Collection) -> Model {
    let ids: Vec<PointId> = (0..IDS).map(PointId::from).collect();
    let mut found = Model { exists: collection.config().fields().len() > 1, ..Model::default() };
    for point in collection.get(&ids).unwrap().into_iter().flatten() {
        let life = point.vector(FIELD).map(|vector| vector[0] as u64);
        found.points.insert(point.id.as_number().unwrap(), life);
    }
    assert_eq!(collection.count(), found.points.len() as u64);
    found
}

/// A search finds exactly the points that have a vector in the field, with the vector's score.
fn check_search(collection: &Collection, model: &Model) {
    let query = Query::new(vec![1.0, 0.0, 0.0]).in_field(FIELD);
    for exact in [false, true] {
        let params = SearchParams::new(IDS as usize).unwrap().with_exact(exact);
        let Ok(output) = collection.search(&query, &params) else {
            assert!(!model.exists);
            return;
        };
        let found: BTreeMap<u64, u64> = output
            .points
            .iter()
            .map(|point| (point.id.as_number().unwrap(), point.score as u64))
            .collect();
        let expected = model.points.iter().filter_map(|(&id, &life)| Some((id, life?)));
        assert_eq!(found, expected.collect());
    }
}

/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "runs as a child of the crash test"]
fn writing_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let seed = std::env::var(SEED).unwrap();
    let (lives, exists) = seed.split_once(' ').unwrap();
    let (mut life, mut exists): (u64, bool) = (lives.parse().unwrap(), exists.parse().unwrap());
    let engine = open(Path::new(&folder));
    let collection = engine.collection("c").unwrap();
    // What was in flight when the last child died may have happened.
    let there = collection.config().fields().len() > 1;
    assert_eq!(there, exists, "the parent adopts what it found");
    let mut random = Random::new(life + 1000);
    loop {
        let operation = match random.below(12) {
            0 if exists => Operation::Drop,
            0..3 if !exists => Operation::Add,
            3 => Operation::Flush,
            _ => {
                let mut ids: Vec<u64> = (0..=random.below(6)).map(|_| random.below(IDS)).collect();
                ids.sort_unstable();
                ids.dedup();
                Operation::Upsert { ids, extra: exists && random.below(4) > 0 }
            }
        };
        say(&Line::Begin(operation.clone()));
        match &operation {
            Operation::Add => {
                collection.add_field(FieldConfig::new(FIELD, 3, Metric::Dot)).unwrap();
                (life, exists) = (life + 1, true);
            }
            Operation::Drop => {
                collection.drop_field(FIELD).unwrap();
                exists = false;
            }
            Operation::Flush => collection.flush().unwrap(),
            Operation::Upsert { ids, extra } => {
                let point = |&id: &u64| {
                    let point = Point::new(id, vec![id as f32, 1.0]);
                    let vector = vec![life as f32, 0.0, 0.0];
                    if *extra { point.with_vector(FIELD, vector) } else { point }
                };
                collection.upsert(ids.iter().map(point).collect()).unwrap();
            }
        }
        say(&Line::Acknowledged);
    }
}

/// One line, one write: a kill cannot tear it.
fn say(line: &Line) {
    let text = format!("\n{}\n", serde_json::to_string(line).unwrap());
    let mut file = std::io::stdout().lock();
    file.write_all(text.as_bytes()).unwrap();
    file.flush().unwrap();
}
