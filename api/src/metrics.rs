//! What is counted and timed, and its text for Prometheus.
//!
//! Every name is here. Labels have few values: calls that are listed, codes, stages, owners of memory, and names of
//! collections; never a caller, an id or a text.

use std::fmt;
use std::time::Duration;

use bigrain_encoders::DeviceReport;
use bigrain_engine::{CollectionState, Engine, MemoryInfo, SearchStats};
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::models::ModelRegistry;
use crate::recall::{RecallCounts, RecallProbe};
use crate::runtime::Runtime;

/// What every name begins with.
const PREFIX: &str = "bigrain";
/// The stage in which texts and images become vectors.
pub(crate) const ENCODE: &str = "encode";

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
    trace_spans: Family<Labels, Counter>,
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
            trace_spans: Family::default(),
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
        let help = "Spans that went to the collector of traces, by whether it took them";
        to.register("trace_spans", help, self.trace_spans.clone());
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
        for (stage, took) in stages(stats) {
            self.stage(stage, took);
        }
    }

    /// Times the encoding of texts.
    pub(crate) fn encoded(&self, took: Duration) {
        self.stage(ENCODE, took);
    }

    /// Counts spans that went to the collector.
    pub(crate) fn spans_exported(&self, count: u64, are_taken: bool) {
        let outcome = if are_taken { "taken" } else { "lost" };
        self.trace_spans.get_or_create(&vec![("outcome", outcome.to_owned())]).inc_by(count);
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
        models: &ModelRegistry,
        runtime: &Runtime,
        recall: &RecallProbe,
        shown: impl Fn(&str) -> bool,
    ) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        encode(&mut text, &held(engine, runtime, &shown))?;
        encode(&mut text, &measured(recall, &shown))?;
        encode(&mut text, &scanned(engine, &shown))?;
        encode(&mut text, &encoded(models.devices()))?;
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

/// Returns the stages of a search in their order, by the names that metrics and traces give, and their times.
pub(crate) fn stages(stats: &SearchStats) -> [(&'static str, Duration); 5] {
    let times = &stats.times;
    [
        ("prepare", times.prepare),
        ("filter", times.filter),
        ("candidates", times.candidates),
        ("verify", times.verify),
        ("payload", times.payload),
    ]
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
fn held(engine: &Engine, runtime: &Runtime, shown: &impl Fn(&str) -> bool) -> Registry {
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

/// Says what a device scanned and what the CPU did in its place, by collection; nothing without a device.
fn scanned(engine: &Engine, shown: &impl Fn(&str) -> bool) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let (bytes, failed) = (Sizes::default(), Sizes::default());
    let [scans, codes, builds, rows] = [(); 4].map(|()| Family::<Labels, Counter>::default());
    let mut is_there = false;
    for status in engine.collections() {
        let CollectionState::Ready(info) = status.state else { continue };
        let Some(device) = info.device.filter(|_| shown(&info.name)) else { continue };
        is_there = true;
        let collection = || ("collection", info.name.clone());
        set(&bytes, ("collection", &info.name), device.bytes);
        set(&failed, ("device", &device.device), u64::from(device.failure.is_some()));
        codes.get_or_create(&vec![collection()]).inc_by(device.device_codes);
        rows.get_or_create(&vec![collection()]).inc_by(device.device_rows);
        let add = |to: &Family<Labels, Counter>, by: &str, count: u64| {
            to.get_or_create(&vec![collection(), ("by", by.to_owned())]).inc_by(count);
        };
        add(&scans, "device", device.device_scans);
        for (why, count) in device.host_scans {
            add(&scans, &format!("cpu_{why}"), count);
        }
        add(&builds, "device", device.device_builds);
        for (why, count) in device.host_builds {
            add(&builds, &format!("cpu_{why}"), count);
        }
    }
    if !is_there {
        return registry;
    }
    registry.register("device_bytes", "Bytes of codes on the device, by collection", bytes);
    registry.register(
        "device_failed",
        "Whether the device has failed and is not asked any more",
        failed,
    );
    registry.register("device_codes", "Codes that the device scanned", codes);
    let help = "Searches of a segment, by what scanned it: the device, or the CPU and why";
    registry.register("segment_scans", help, scans);
    registry.register("device_rows", "Rows of which the device found the list, in builds", rows);
    let help = "Fields of segments that were built, by what found the lists of their rows: the device, or the CPU and why";
    registry.register("segment_builds", help, builds);
    registry
}

/// Says what a device encoded and what the CPU did in its place, by model; nothing without a device.
fn encoded<'a>(reports: impl Iterator<Item = (&'a str, DeviceReport)>) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let (batches, left) = (Family::<Labels, Counter>::default(), Sizes::default());
    let mut is_there = false;
    for (name, report) in reports {
        is_there = true;
        let by = |by: &str| {
            let labels = vec![("model", name.to_owned()), ("by", by.to_owned())];
            batches.get_or_create(&labels).clone()
        };
        by("device").inc_by(report.device_batches);
        by("cpu").inc_by(report.cpu_batches);
        set(&left, ("model", name), u64::from(report.why_cpu.is_some()));
    }
    if !is_there {
        return registry;
    }
    let help = "Batches of texts that were encoded where a device was asked for, by what ran them";
    registry.register("encoded_batches", help, batches);
    let help = "Whether the CPU encodes in place of the device that was asked for";
    registry.register("encoder_left_to_cpu", help, left);
    registry
}

/// Says what was measured of recall, by collection. A registry of its own, as [`held`] is.
fn measured(recall: &RecallProbe, shown: &impl Fn(&str) -> bool) -> Registry {
    let counters = [(); 4].map(|()| Family::<Labels, Counter>::default());
    for (name, counts) in recall.counts().into_iter().filter(|(name, _)| shown(name)) {
        let RecallCounts { measured, skipped, expected, found } = counts;
        for (counter, count) in counters.iter().zip([measured, skipped, expected, found]) {
            counter.get_or_create(&vec![("collection", name.clone())]).inc_by(count);
        }
    }
    let mut registry = Registry::with_prefix(PREFIX);
    let [measured, skipped, expected, found] = counters;
    let help = "Searches that were answered a second time, exactly";
    registry.register("recall_samples", help, measured);
    let help = "Searches of the sample that were passed over, since there was other work";
    registry.register("recall_samples_skipped", help, skipped);
    registry.register("recall_expected", "Points of the exact answers", expected);
    let help = "Points of the exact answers that the first answers had";
    registry.register("recall_found", help, found);
    registry
}

fn set(sizes: &Sizes, (name, value): (&'static str, &str), size: u64) {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    sizes.get_or_create(&vec![(name, value.to_owned())]).set(size);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bigrain_engine::{
        CodeBlocks, CodeScanner, CollectionConfig, DeviceError, EngineConfig, LoadedCodes, Metric,
        Point, Query, ScanDevice, SearchParams,
    };

    use super::*;

    /// A device that was there and is not any more.
    #[derive(Debug)]
    struct Gone;

    impl CodeScanner for Gone {
        fn device(&self) -> String {
            "gone".to_owned()
        }

        fn load(&self, _: &CodeBlocks<'_>) -> Result<Box<dyn LoadedCodes>, DeviceError> {
            Err(DeviceError::Failed("it is gone".into()))
        }
    }

    /// Returns what is said of scans after one search of a segment.
    fn text_with(device: Option<ScanDevice>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let config = EngineConfig { background_threads: 0, ..EngineConfig::default() };
        let engine = match device {
            Some(device) => Engine::open_with_device(folder.path(), config, device).unwrap(),
            None => Engine::open(folder.path(), config).unwrap(),
        };
        let docs = engine.create_collection("docs", CollectionConfig::new(2, Metric::Dot)).unwrap();
        docs.upsert((0..5).map(|id| Point::new(id, vec![1.0, id as f32])).collect()).unwrap();
        docs.flush().unwrap();
        docs.search(&Query::new(vec![1.0, 0.0]), &SearchParams::new(1).unwrap()).unwrap();
        let mut text = String::new();
        encode(&mut text, &scanned(&engine, &|_| true)).unwrap();
        text
    }

    #[test]
    fn batches_of_texts_are_counted_by_what_ran_them() {
        let text_of = |report: Option<DeviceReport>| {
            let mut text = String::new();
            encode(&mut text, &encoded(report.map(|report| ("mini", report)).into_iter())).unwrap();
            text
        };
        let mut report = DeviceReport::default();
        (report.device_batches, report.cpu_batches) = (7, 2);
        let working = text_of(Some(report.clone()));
        report.why_cpu = Some("the device failed".to_owned());
        let failed = text_of(Some(report));
        for (text, left) in [(&working, 0), (&failed, 1)] {
            for line in [
                "bigrain_encoded_batches_total{model=\"mini\",by=\"device\"} 7".to_owned(),
                "bigrain_encoded_batches_total{model=\"mini\",by=\"cpu\"} 2".to_owned(),
                format!("bigrain_encoder_left_to_cpu{{model=\"mini\"}} {left}"),
            ] {
                assert!(text.contains(&line), "{line} is missing from\n{text}");
            }
        }
        assert!(!text_of(None).contains("bigrain_enc"));
    }

    #[test]
    fn a_device_that_failed_and_what_the_cpu_did_are_counted() {
        let device = ScanDevice::new(Arc::new(Gone)).with_least_codes(1);
        let text = text_with(Some(device));
        for line in [
            "bigrain_segment_scans_total{collection=\"docs\",by=\"cpu_failed\"} 1",
            "bigrain_segment_scans_total{collection=\"docs\",by=\"device\"} 0",
            "bigrain_device_failed{device=\"gone\"} 1",
            "bigrain_device_bytes{collection=\"docs\"} 0",
            "bigrain_segment_builds_total{collection=\"docs\",by=\"cpu_unsupported\"} 1",
            "bigrain_segment_builds_total{collection=\"docs\",by=\"device\"} 0",
            "bigrain_device_rows_total{collection=\"docs\"} 0",
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
        assert!(!text_with(None).contains("bigrain_device"));
    }
}
