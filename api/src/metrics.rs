//! What is counted and timed, and its text for Prometheus.
//!
//! Every name is here. Labels have few values: calls that are listed, codes, stages, owners of memory, and names of
//! collections; never a caller, an id or a text.

use std::fmt;
use std::time::Duration;

use bigrain_engine::{CollectionState, Engine, MemoryInfo, SearchStats};
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::runtime::Runtime;

/// What every name begins with.
const PREFIX: &str = "bigrain";

type Labels = Vec<(&'static str, String)>;
type Times = Family<Labels, Histogram>;
type Sizes = Family<Labels, Gauge>;

/// The metrics of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    request_seconds: Times,
    searches: Counter,
    stage_seconds: Times,
    codes_scanned: Counter,
    rows_read: Counter,
    bytes_read: Counter,
    connections: Gauge,
    connections_refused: Counter,
}

/// From 20 microseconds to 20 seconds, each bound twice the one before.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(20e-6, 2.0, 21))
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let times = || Times::new_with_constructor(seconds);
        let mut metrics = Self {
            registry: Registry::with_prefix(PREFIX),
            requests: Family::default(),
            request_seconds: times(),
            searches: Counter::default(),
            stage_seconds: times(),
            codes_scanned: Counter::default(),
            rows_read: Counter::default(),
            bytes_read: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let to = &mut self.registry;
        to.register("requests", "Requests answered, by call and code", self.requests.clone());
        to.register("request_seconds", "Time to an answer, by call", self.request_seconds.clone());
        to.register("searches", "Searches by the engine", self.searches.clone());
        let help = "Time of a search, by stage";
        to.register("search_stage_seconds", help, self.stage_seconds.clone());
        to.register("codes_scanned", "Codes scanned by searches", self.codes_scanned.clone());
        to.register("dense_rows_read", "Vectors scored exactly", self.rows_read.clone());
        let help = "Bytes of dense vectors read by searches";
        to.register("dense_read_bytes", help, self.bytes_read.clone());
        to.register("connections", "Connections that are served", self.connections.clone());
        let help = "Connections beyond max_connections";
        to.register("connections_refused", help, self.connections_refused.clone());
    }

    /// Counts a connection for as long as what is returned lives.
    pub(crate) fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }

    /// Counts a connection beyond the limit.
    pub(crate) fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// Counts an answer to a listed call.
    pub(crate) fn answered(&self, call: &str, code: String, took: Duration) {
        let call = ("call", call.to_owned());
        self.request_seconds.get_or_create(&vec![call.clone()]).observe(took.as_secs_f64());
        self.requests.get_or_create(&vec![call, ("code", code)]).inc();
    }

    /// Counts a search and times its stages.
    pub(crate) fn searched(&self, stats: &SearchStats) {
        self.searches.inc();
        self.codes_scanned.inc_by(stats.codes_scanned);
        self.rows_read.inc_by(stats.rows_read);
        self.bytes_read.inc_by(stats.bytes_read);
        let times = &stats.times;
        for (stage, took) in [
            ("prepare", times.prepare),
            ("filter", times.filter),
            ("candidates", times.candidates),
            ("verify", times.verify),
            ("payload", times.payload),
        ] {
            self.stage(stage, took);
        }
    }

    /// Times the encoding of texts.
    pub(crate) fn encoded(&self, took: Duration) {
        self.stage("encode", took);
    }

    fn stage(&self, stage: &str, took: Duration) {
        let labels = vec![("stage", stage.to_owned())];
        self.stage_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Writes all metrics; of the collections that `shown` says only.
    ///
    /// # Errors
    ///
    /// None in practice: text is written to memory.
    pub(crate) fn text(
        &self,
        engine: &Engine,
        runtime: &Runtime,
        shown: impl Fn(&str) -> bool,
    ) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        encode(&mut text, &held(engine, runtime, shown))?;
        Ok(text)
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Returns what memory is taken for, by the names that metrics and the HTTP API give.
pub(crate) fn owners(memory: &MemoryInfo) -> [(&'static str, u64); 5] {
    [
        ("caches", memory.caches),
        ("memtables", memory.memtables),
        ("codes", memory.codes),
        ("builds", memory.builds),
        ("kept", memory.kept),
    ]
}

/// Measures what the engine holds and how much is at work. A registry of its own for every scrape: dropped
/// collections go, and callers who are shown different collections do not meet.
fn held(engine: &Engine, runtime: &Runtime, shown: impl Fn(&str) -> bool) -> Registry {
    let (memory_bytes, points, disk_bytes) = (Sizes::default(), Sizes::default(), Sizes::default());
    let memory = engine.memory();
    for (owner, bytes) in owners(&memory) {
        set(&memory_bytes, ("owner", owner), bytes);
    }
    let mut quarantined = 0;
    for status in engine.collections() {
        match status.state {
            CollectionState::Ready(info) if shown(&info.name) => {
                set(&points, ("collection", &info.name), info.points);
                set(&disk_bytes, ("collection", &info.name), info.disk_bytes);
            }
            CollectionState::Quarantined(_) => quarantined += 1,
            CollectionState::Ready(_) | _ => {}
        }
    }
    let at_work = Sizes::default();
    for (kind, count) in runtime.at_work() {
        set(&at_work, ("kind", kind), count as u64);
    }
    let mut registry = Registry::with_prefix(PREFIX);
    let help = "Requests at work or waiting for a thread, by kind; max_concurrent_* bound them";
    registry.register("requests_at_work", help, at_work);
    let help = "Memory that the engine accounts for, by owner";
    registry.register("memory_bytes", help, memory_bytes);
    registry.register("points", "Points, by collection", points);
    registry.register("disk_bytes", "Bytes of segment files, by collection", disk_bytes);
    let help = "Collections set aside because stored bytes failed a check";
    let gauge = Gauge::<i64>::default();
    gauge.set(quarantined);
    registry.register("quarantined_collections", help, gauge);
    registry
}

fn set(sizes: &Sizes, (name, value): (&'static str, &str), size: u64) {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    sizes.get_or_create(&vec![(name, value.to_owned())]).set(size);
}
