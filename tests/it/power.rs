//! Power cuts at any moment: what was acknowledged is there, all of it and nothing else.
//!
//! A child process lives on the shim, which records every change to its folder. For many points of
//! the record the parent builds what a cut there could have left, opens it, and compares it with
//! what had been acknowledged by then.

use std::path::Path;

use bigrain_engine::{Engine, EngineConfig, ErrorKind};
use bigrain_tests::{
    Control, Disk, Event, Ledger, Random, Record, Shim, Soak, Survival, Writer, fast_folder,
    workload_config,
};

const WRITERS: u64 = 2;
/// How often the child opens its folder, and what each writer does each time.
const LIVES: u64 = 4;
const STEPS: u64 = 40;
/// Cuts taken of one record; more come from further records.
const CUTS_PER_RECORD: u64 = 500;
const SEED: &str = "BIGRAIN_POWER_SEED";

const WAYS: [Survival; 4] =
    [Survival::Sectors, Survival::Prefixes, Survival::Nothing, Survival::All];

fn open(folder: &Path) -> Result<Engine, bigrain_engine::Error> {
    let config = EngineConfig {
        flush_rows: 60,
        threads: 1,
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 1 << 20,
        ..EngineConfig::default()
    };
    Engine::open(folder, config)
}

#[test]
fn a_power_cut_anywhere_keeps_what_was_acknowledged() {
    let soak = Soak::start("power cuts", "cuts", 500, 10_000);
    let Some(shim) = Shim::compiled() else { return };
    let mut left = soak.count();
    let mut events = 0;
    for number in 0.. {
        let cuts = left.min(CUTS_PER_RECORD);
        if cuts == 0 {
            break;
        }
        events += cut_record(&shim, soak.seed() << 16 | number, cuts);
        left -= cuts;
    }
    soak.done(&format!("of {events} recorded changes; none lost, none returned"));
}

/// Records one life and cuts it; returns how many changes it made.
fn cut_record(shim: &Shim, seed: u64, cuts: u64) -> usize {
    let root = tempfile::tempdir().unwrap();
    let mut command = shim.record_test("power::recorded_child", root.path());
    let output = command.env(SEED, seed.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record = Record::read(&shim.record()).unwrap();
    let events = record.events();
    let mut random = Random::new(seed);
    let mut places: Vec<usize> =
        (0..cuts).map(|_| random.below(events.len() as u64 + 1) as usize).collect();
    places.sort_unstable();
    let (mut disk, mut ledger, mut next) = (Disk::new(), Ledger::default(), 0);
    for (cut, place) in places.into_iter().enumerate() {
        for event in &events[next..place] {
            disk.follow(event);
            if let Event::Mark(line) = event {
                ledger.listen(line);
            }
        }
        next = place;
        let way = WAYS[cut % WAYS.len()];
        let checked = check_cut(&disk, way, &mut random, ledger.clone());
        checked.unwrap_or_else(|reason| {
            panic!("seed {seed}, cut {cut} at event {place} of {}, {way:?}: {reason}", events.len())
        });
    }
    events.len()
}

/// Opens what a cut leaves, compares, and goes on writing.
fn check_cut(
    disk: &Disk,
    way: Survival,
    random: &mut Random,
    mut ledger: Ledger,
) -> Result<(), String> {
    let folder = fast_folder();
    disk.cut(way, random, folder.path()).map_err(|error| error.to_string())?;
    let engine = open(folder.path()).map_err(|error| error.to_string())?;
    let collection = match engine.collection("c") {
        Ok(collection) => collection,
        // The cut came before the collection was acknowledged.
        Err(error) if error.kind() == ErrorKind::NotFound && !ledger.has_begun() => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    ledger.settle(&collection)?;
    if random.below(8) > 0 {
        return Ok(());
    }
    let mut writer = Writer::new(WRITERS, 1 << 20);
    let said = std::sync::Mutex::new(Vec::new());
    for _ in 0..10 {
        let say = |line: &str| said.lock().unwrap().push(line.to_owned());
        writer.step(&collection, say).map_err(|error| format!("afterwards: {error}"))?;
    }
    drop((collection, engine));
    said.into_inner().unwrap().iter().for_each(|line| ledger.listen(line));
    let engine = open(folder.path()).map_err(|error| format!("afterwards: {error}"))?;
    let collection = engine.collection("c").map_err(|error| error.to_string())?;
    ledger.settle(&collection).map_err(|reason| format!("afterwards: {reason}"))
}

/// Not a test of its own: the process that is recorded.
#[test]
#[ignore = "runs as a child of the power test"]
fn recorded_child() {
    let Some(control) = Control::of_this_process() else { return };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    for life in 0..LIVES {
        let engine = open(control.root()).unwrap();
        let collection = engine
            .collection("c")
            .or_else(|_| engine.create_collection("c", workload_config()))
            .unwrap();
        std::thread::scope(|scope| {
            for number in 0..WRITERS {
                let mut writer = Writer::new(number, seed << 4 | life);
                let (collection, control) = (&collection, &control);
                scope.spawn(move || {
                    for _ in 0..STEPS {
                        writer.step(collection, |line| control.mark(line)).unwrap();
                    }
                });
            }
        });
    }
}
