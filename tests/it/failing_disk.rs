//! A disk that fails at any one write, or from there on: the collection stays up, loses nothing, and
//! recovers.
//!
//! A child process leads the same short life again and again, each time with the fault one step
//! later, until a life ends before its fault. Every file of the folder counts: a segment's, a log, a
//! table, a manifest of RocksDB.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bigrain_engine::{Collection, Engine, EngineConfig, Error, ErrorKind};
use bigrain_tests::{Control, Ledger, Shim, Soak, Writer, fast_folder, workload_config};

const OPERATIONS: u64 = 14;
/// Processes at a time; those that wait for RocksDB to see that there is space cost nothing.
const LANES: u64 = 6;
const PLAN: &str = "BIGRAIN_FAULT_PLAN";
/// RocksDB looks every five seconds whether there is space again.
const RECOVERY: Duration = Duration::from_secs(20);

/// What fails, and for how long.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// One write for lack of space.
    NoSpaceOnce,
    /// Every write for lack of space, until there is some.
    NoSpace,
    /// One write or sync.
    IoOnce,
    /// Every write and sync.
    Io,
}

const FAULTS: [Fault; 4] = [Fault::NoSpaceOnce, Fault::NoSpace, Fault::IoOnce, Fault::Io];

impl Fault {
    fn errno(self) -> i32 {
        match self {
            Self::NoSpaceOnce | Self::NoSpace => 28,
            Self::IoOnce | Self::Io => 5,
        }
    }

    fn count(self) -> u64 {
        match self {
            Self::NoSpaceOnce | Self::IoOnce => 1,
            Self::NoSpace | Self::Io => 0,
        }
    }
}

#[test]
fn a_disk_that_fails_at_any_write_loses_nothing() {
    let soak = Soak::start("failing disk", "rounds", 1, 20);
    let Some(shim) = Shim::compiled() else { return };
    let mut lives = 0;
    for round in 0..soak.count() {
        for fault in 0..FAULTS.len() {
            lives += lead_lives(&shim, fault, soak.seed() << 16 | round);
        }
    }
    assert!(lives > 100 * soak.count(), "the lives have hardly a step");
    soak.done(&format!("{lives} lives; none lost, none returned, all recovered"));
}

/// Leads lives with a fault at each of their steps; returns how many.
fn lead_lives(shim: &Shim, fault: usize, seed: u64) -> u64 {
    let root = fast_folder();
    let start = |lane: u64| {
        let root = root.path().join(lane.to_string());
        std::fs::create_dir(&root).unwrap();
        let mut command = shim.run_test("failing_disk::failing_child", &root);
        command.env(PLAN, format!("{fault} {lane} {seed}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..LANES).map(start).collect();
    let mut lives = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {text}{errors}", FAULTS[fault]);
        let led = text.split("lives ").nth(1).and_then(|rest| rest.lines().next());
        lives += led.unwrap().parse::<u64>().unwrap();
    }
    lives
}

/// Not a test of its own: the process whose disk fails.
#[test]
#[ignore = "runs as a child of the test of a failing disk"]
fn failing_child() {
    let Some(control) = Control::of_this_process() else { return };
    let plan = std::env::var(PLAN).unwrap();
    let numbers: Vec<u64> = plan.split(' ').map(|number| number.parse().unwrap()).collect();
    let [fault, lane, seed] = numbers[..] else { panic!("{plan}") };
    let fault = FAULTS[fault as usize];
    let mut lives = 0;
    for step in (lane..).step_by(LANES as usize) {
        let folder = control.root().join(step.to_string());
        let failed =
            Life::begin(&folder, seed).lead(&control, fault, step).unwrap_or_else(|reason| {
                panic!("{fault:?} at step {step}, seed {seed}: {reason}");
            });
        std::fs::remove_dir_all(&folder).unwrap();
        lives += 1;
        if failed == 0 {
            break;
        }
    }
    println!("\nlives {lives}");
}

/// One life of a collection.
struct Life {
    folder: PathBuf,
    open: Option<(Engine, Collection)>,
    writer: Writer,
    ledger: RefCell<Ledger>,
}

impl Life {
    fn begin(folder: &Path, seed: u64) -> Self {
        let engine = open(folder).unwrap();
        let collection = engine.create_collection("c", workload_config()).unwrap();
        Self {
            folder: folder.to_owned(),
            open: Some((engine, collection)),
            writer: Writer::new(0, seed),
            ledger: RefCell::default(),
        }
    }

    /// Leads the life with a fault in it; returns how many steps failed.
    fn lead(mut self, control: &Control, fault: Fault, step: u64) -> Result<u64, String> {
        control.fault(fault.errno(), step, fault.count());
        for number in 0..OPERATIONS {
            if number == OPERATIONS / 2 {
                self.open = None;
            }
            if self.open.is_none() && !self.reopen()? {
                break;
            }
            self.operate()?;
        }
        let (_, failed) = control.repair();
        if fault.errno() == 28 {
            self.wait_for_space()?;
            self.settle()?;
        }
        self.open = None;
        self.reopen()?;
        self.settle()?;
        self.operate()?;
        self.settle()?;
        Ok(failed)
    }

    /// Does one operation; afterwards everything that is certain must be readable.
    fn operate(&mut self) -> Result<(), String> {
        let Some((_, collection)) = &self.open else { return Ok(()) };
        let hear = |line: &str| self.ledger.borrow_mut().listen(line);
        match self.writer.step(collection, hear) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::ResourceExhausted => {}
            Err(error) if error.kind() == ErrorKind::Poisoned => self.open = None,
            Err(error) if error.kind() == ErrorKind::Io => {
                if self.ledger.borrow().is_in_doubt() {
                    let again = collection.delete(&[u64::MAX.into()]);
                    if again.as_ref().err().map(Error::kind) != Some(ErrorKind::Poisoned) {
                        return Err(format!("{error}, and then {again:?}"));
                    }
                    self.open = None;
                }
            }
            Err(error) => return Err(format!("{:?}: {error}", error.kind())),
        }
        if self.open.is_some() { self.settle() } else { Ok(()) }
    }

    /// Opens the folder again; returns whether the disk let it.
    fn reopen(&mut self) -> Result<bool, String> {
        let opened = open(&self.folder).and_then(|engine| {
            let collection = engine.collection("c")?;
            Ok((engine, collection))
        });
        match opened {
            Ok(open) => self.open = Some(open),
            Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::ResourceExhausted) => {
                return Ok(false);
            }
            Err(error) => return Err(format!("reopen: {:?}: {error}", error.kind())),
        }
        self.settle()?;
        Ok(true)
    }

    fn settle(&self) -> Result<(), String> {
        let Some((_, collection)) = &self.open else { return Err("it does not open".into()) };
        self.ledger.borrow_mut().settle(collection)
    }

    /// Writes until a write succeeds: without being opened again, if it is open.
    fn wait_for_space(&mut self) -> Result<(), String> {
        if self.open.is_none() {
            self.reopen()?;
        }
        let started = Instant::now();
        let before = self.ledger.borrow().acknowledged();
        while self.ledger.borrow().acknowledged() < before + 5 {
            self.operate()?;
            if self.open.is_none() {
                return Err("it was poisoned for lack of space".to_owned());
            }
            if started.elapsed() > RECOVERY {
                return Err("it does not recover".to_owned());
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn open(folder: &Path) -> Result<Engine, Error> {
    let config = EngineConfig {
        flush_rows: 20,
        threads: 1,
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 1 << 20,
        ..EngineConfig::default()
    };
    Engine::open(folder, config)
}
