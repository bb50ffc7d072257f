//! More data than memory, ten times as much in a long run: nothing is killed, and nobody takes more than the
//! budget.
//!
//! The test runs itself as a child process under a limit of memory, where the system lets it, which
//! counts what the process holds and what the system caches of its files. The child has a budget just
//! below the limit, and stores several times as much as that, with words and payloads; another of
//! its threads searches in every way there is, and the engine flushes and merges. After each batch and
//! each search the parent looks at what the child has taken for itself.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bigrain_engine::{
    Collection, CollectionConfig, Engine, EngineConfig, ErrorKind, FacetQuery, Filter, Language,
    Levels, Metric, Payload, Point, Query, SearchParams, TextField, TextQuery,
};
use bigrain_tests::{MemoryGroup, Random, Soak};

const FOLDER: &str = "BIGRAIN_PRESSURE_FOLDER";
const SECONDS: &str = "BIGRAIN_PRESSURE_SECONDS";
const SEED: &str = "BIGRAIN_PRESSURE_SEED";
const POINTS: &str = "BIGRAIN_PRESSURE_POINTS";

/// What begins the lines of the child.
const DID: &str = "did: ";

const MIB: u64 = 1 << 20;
const BUDGET: u64 = 48 * MIB;
/// What may be taken beyond the budget, the system's caches of the files included.
const SLACK: u64 = BUDGET / 10;
/// Few points that are large: most of what is written is vectors, and little time goes into lists.
const DIMS: usize = 4096;
const BATCH: u64 = 40;
/// A search goes with so many batches.
const BATCHES_PER_SEARCH: u64 = 8;
/// So many waits are spoken of once.
const WAITS_PER_WORD: u64 = 250;
/// More rows than a memtable has when it is flushed.
const MERGED_ROWS: u64 = 1000;
/// Bytes of a point's vector, payload and words.
const POINT_BYTES: u64 = 4 * DIMS as u64 + 300;
/// As many points as take the budget once.
const BUDGET_POINTS: u64 = BUDGET / POINT_BYTES;
/// How often a brief run stores them, and a long one.
const TIMES: [u64; 2] = [2, 10];

fn config() -> EngineConfig {
    EngineConfig {
        flush_bytes: 6 * MIB as usize,
        block_cache_bytes: 2 * MIB,
        write_buffer_bytes: 4 * MIB,
        filter_cache_bytes: 2 * MIB,
        threads: 1,
        background_threads: 1,
        memory_budget_bytes: Some(BUDGET),
        ..EngineConfig::default()
    }
}

#[test]
fn far_more_than_memory_is_stored_searched_and_merged_within_it() {
    let [brief, long] = TIMES.map(|times| times * BUDGET_POINTS);
    let soak = Soak::timed("memory", "points", brief, 120);
    let points = if soak.seconds() > 0 { long } else { brief };
    let folder = tempfile::tempdir().unwrap();
    let group = MemoryGroup::create(BUDGET + SLACK);
    if let Err(reason) = &group {
        println!("skipped: the limit of the system ({reason}); what is left is the account");
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["pressure::storing_child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .env(SECONDS, soak.seconds().to_string())
        .env(SEED, soak.seed().to_string())
        .env(POINTS, points.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    if let Ok(group) = &group {
        group.take(&child);
    }
    writeln!(child.stdin.take().unwrap(), "go").unwrap();
    let status_file = format!("/proc/{}/status", child.id());
    let (mut own, mut last) = (0, String::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(said) = line.strip_prefix(DID) {
            last = said.to_owned();
            let status = std::fs::read_to_string(&status_file).unwrap_or_default();
            own = own.max(own_bytes(&status));
            println!("{} MiB of its own, {last}", own_bytes(&status) / MIB);
            assert!(own <= BUDGET + SLACK, "{own} bytes of its own after {last}\n{status}");
        }
    }
    let status = child.wait().unwrap();
    let killed = group.as_ref().map_or(0, MemoryGroup::killed);
    assert!(status.success() && killed == 0, "{status}, {killed} killed for memory, after {last}");
    let peak = group.map_or_else(
        |_| "no limit by the system".to_owned(),
        |group| format!("{} MiB with the caches of its files", group.peak_bytes() / MIB),
    );
    let (budget, own) = (BUDGET / MIB, own / MIB);
    soak.done(&format!("{last}; budget {budget} MiB, its own at most {own} MiB, {peak}"));
}

/// Returns the bytes that a process has for itself, which no file holds.
fn own_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.map_or(0, |kib| kib.parse::<u64>().unwrap() << 10)
}

fn shape() -> CollectionConfig {
    CollectionConfig::new(DIMS, Metric::Cosine)
        .with_levels(Levels::ONE)
        .with_text(TextField::new("text", Language::English).unwrap())
}

fn point(id: u64, random: &mut Random) -> Point {
    let words: Vec<String> = (0..20).map(|_| format!("word{}", random.below(5_000))).collect();
    let payload = Payload::new()
        .with("n", id)
        .with("kind", format!("kind {}", random.below(40)))
        .with("text", words.join(" "));
    Point::new(id, random.vector(DIMS)).with_payload(payload)
}

/// Not a test of its own: the process that the test above watches.
#[test]
#[ignore = "runs as a child of the memory test"]
fn storing_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (time, seed) = (Duration::from_secs(number(SECONDS)), number(SEED));
    let points = number(POINTS);
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let engine = Engine::open(Path::new(&folder), config()).unwrap();
    let collection = engine.create_collection("c", shape()).unwrap();
    let (ask, asked) = sync_channel(1);
    let searches = std::thread::scope(|scope| {
        let searching = scope.spawn(|| search_when(asked, &collection, points, seed));
        store(&engine, &collection, (points, time), seed, &ask);
        drop(ask);
        searching.join().unwrap()
    });
    // A merge that never fits the budget waits for ever.
    let settled = collection.settle().map_err(|error| error.kind());
    assert!(matches!(settled, Ok(()) | Err(ErrorKind::ResourceExhausted)), "{settled:?}");
    assert!(searches > 10 && collection.count() >= points, "{searches}, {}", collection.count());
    let segments: Vec<u64> = collection.inspect().iter().map(|segment| segment.rows).collect();
    let largest = segments.iter().max().copied().unwrap_or(0);
    assert!(largest > MERGED_ROWS, "nothing was merged: {segments:?}");
    let segments = segments.len();
    say(&format!(
        "{points} points in {segments} segments of at most {largest}, {searches} searches"
    ));
}

/// Stores so many points, and goes on for as long as is left: then over what is there.
fn store(
    engine: &Engine,
    collection: &Collection,
    (points, time): (u64, Duration),
    seed: u64,
    ask: &SyncSender<()>,
) {
    let (mut random, started) = (Random::new(seed), Instant::now());
    let (mut written, mut batches, mut refused) = (0, 0, 0_u64);
    while written < points || started.elapsed() < time {
        let first = written % points.next_multiple_of(BATCH);
        let batch: Vec<Point> = (first..first + BATCH).map(|id| point(id, &mut random)).collect();
        while let Err(error) = collection.upsert(batch.clone()) {
            // Room comes with the next flush.
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
            refused += 1;
            if refused % WAITS_PER_WORD == 0 {
                say(&format!("waits for room: {error}; {:?}", engine.memory()));
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        (written, batches) = (written + BATCH, batches + 1);
        if batches % BATCHES_PER_SEARCH == 0 {
            ask.send(()).unwrap();
        }
        let memory = engine.memory();
        let used = memory.used() / MIB;
        let parts = [memory.caches, memory.memtables, memory.codes, memory.builds, memory.kept];
        let parts = parts.map(|bytes| bytes / MIB);
        say(&format!(
            "{written} points stored, {used} MiB in the account {parts:?}, {refused} waits"
        ));
    }
}

/// Searches in every way, one way after another, whenever it is asked; returns how often.
#[expect(clippy::needless_pass_by_value, reason = "the receiver goes with the thread")]
fn search_when(asked: Receiver<()>, collection: &Collection, points: u64, seed: u64) -> u64 {
    let mut random = Random::new(seed ^ 1);
    let params = SearchParams::new(10).unwrap();
    let mut searches = 0;
    while asked.recv().is_ok() {
        let n = random.below(points);
        let filter = format!(r#"{{"field": "n", "gte": {n}, "lt": {}}}"#, n + points / 3);
        let filter = Filter::from_json(filter.as_bytes()).unwrap();
        let query = Query::new(random.vector(DIMS));
        match searches % 5 {
            0 => drop(collection.search(&query, &params).unwrap()),
            1 => drop(collection.search(&query.with_filter(filter), &params).unwrap()),
            2 => drop(collection.search(&query, &params.with_exact(true)).unwrap()),
            3 => {
                let text = format!("word{} word{}", random.below(5_000), random.below(5_000));
                drop(collection.search_text(&TextQuery::new(text), &params).unwrap());
            }
            _ => drop(collection.facet(&FacetQuery::new("kind").unwrap()).unwrap()),
        }
        searches += 1;
        say(&format!("{searches} searches"));
    }
    searches
}

/// One line, one write.
fn say(line: &str) {
    let mut file = std::io::stdout().lock();
    file.write_all(format!("\n{DID}{line}\n").as_bytes()).unwrap();
    file.flush().unwrap();
}
