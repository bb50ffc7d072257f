//! A device finds the lists of rows while segments are built: what is built is whole and finds as much, and what the
//! device cannot do is done and said.
//!
//! The device is the GPU's kernels on the host (`gpu/emulation`), behind one that fails.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bigrain_binarize::{
    CodeBlocks, CodeScanner, DeviceError, ListCentroids, ListFinder, LoadedCentroids, LoadedCodes,
    Rotation,
};
use bigrain_emulation::Emulated;
use bigrain_engine::{
    Collection, CollectionConfig, DeviceUse, Engine, EngineConfig, FieldConfig, Metric,
    MultiFieldConfig, MultiQuery, MultiVector, Point, PointId, Query, ScanDevice, SearchParams,
};
use bigrain_gpu::GpuScanner;
use bigrain_tests::{Random, clustered};
use tempfile::TempDir;

const DIMS: usize = 40;
/// Points of a segment.
const ROWS: usize = 800;
const SEGMENTS: usize = 2;
const QUERIES: usize = 300;
const LIMIT: usize = 10;

/// The emulated device, which builds fail on from a call on, counted from 0 over centroids and rows.
#[derive(Debug)]
struct Failing {
    device: GpuScanner,
    fails_at: usize,
    calls: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct FailingCentroids {
    loaded: Box<dyn LoadedCentroids>,
    fails_at: usize,
    calls: Arc<AtomicUsize>,
}

fn check(calls: &AtomicUsize, fails_at: usize) -> Result<(), DeviceError> {
    if calls.fetch_add(1, Ordering::Relaxed) >= fails_at {
        return Err(DeviceError::Failed("cable pulled".into()));
    }
    Ok(())
}

/// The device does what it is asked for as late as it may, and copies a part of what a thread hands over at a time.
fn late() -> Emulated {
    Emulated::open().unwrap().late().with_slots_of(32 << 10)
}

impl Failing {
    fn at(fails_at: usize) -> (Arc<dyn CodeScanner>, Arc<AtomicUsize>) {
        let device = GpuScanner::new(Arc::new(late()));
        let calls = Arc::new(AtomicUsize::new(0));
        (Arc::new(Self { device, fails_at, calls: Arc::clone(&calls) }), calls)
    }

    fn never() -> Arc<dyn CodeScanner> {
        Self::at(usize::MAX).0
    }
}

impl CodeScanner for Failing {
    fn device(&self) -> String {
        "fake".to_owned()
    }

    fn load(&self, codes: &CodeBlocks<'_>) -> Result<Box<dyn LoadedCodes>, DeviceError> {
        self.device.load(codes)
    }

    fn list_finder(&self) -> Option<&dyn ListFinder> {
        Some(self)
    }
}

impl ListFinder for Failing {
    fn load_centroids(
        &self,
        centroids: &ListCentroids<'_>,
        rotation: Option<&Rotation>,
    ) -> Result<Box<dyn LoadedCentroids>, DeviceError> {
        check(&self.calls, self.fails_at)?;
        let loaded = self.device.load_centroids(centroids, rotation)?;
        let calls = Arc::clone(&self.calls);
        Ok(Box::new(FailingCentroids { loaded, fails_at: self.fails_at, calls }))
    }
}

impl LoadedCentroids for FailingCentroids {
    fn nearest(&self, rotated: &[f32]) -> Result<Vec<u32>, DeviceError> {
        check(&self.calls, self.fails_at)?;
        self.loaded.nearest(rotated)
    }

    fn rotate_and_find(&self, rows: &[f32], rotated: &mut [f32]) -> Result<Vec<u32>, DeviceError> {
        check(&self.calls, self.fails_at)?;
        self.loaded.rotate_and_find(rows, rotated)
    }
}

/// A device that scans, and knows nothing of lists.
#[derive(Debug)]
struct OnlyScans;

impl CodeScanner for OnlyScans {
    fn device(&self) -> String {
        "scans".to_owned()
    }

    fn load(&self, _: &CodeBlocks<'_>) -> Result<Box<dyn LoadedCodes>, DeviceError> {
        Err(DeviceError::Unsupported("no such kernel".to_owned()))
    }
}

/// A collection of two segments that was built with a device or without.
struct Built {
    /// Dropped before the folder is.
    collection: Collection,
    _engine: Engine,
    folder: TempDir,
}

fn config(metric: Metric) -> CollectionConfig {
    CollectionConfig::new(DIMS, metric)
}

impl Built {
    fn new(config: CollectionConfig, device: Option<ScanDevice>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            EngineConfig { threads: 2, background_threads: 0, ..EngineConfig::default() };
        let engine = match device {
            Some(device) => Engine::open_with_device(folder.path(), settings, device),
            None => Engine::open(folder.path(), settings),
        };
        let engine = engine.unwrap();
        let dims: Vec<usize> = config.fields().iter().map(|field| field.dims).collect();
        let names: Vec<String> = config.fields().iter().map(|field| field.name.clone()).collect();
        let collection = engine.create_collection("c", config).unwrap();
        let vectors: Vec<Vec<Vec<f32>>> =
            (7..).zip(&dims).map(|(seed, dims)| clustered(seed, ROWS * SEGMENTS, *dims)).collect();
        for segment in 0..SEGMENTS {
            let point = |row: usize| {
                let point = Point::new(row as u64, vectors[0][row].clone());
                let others = vectors.iter().zip(&names).skip(1);
                others.fold(point, |point, (vectors, name)| {
                    point.with_vector(name, vectors[row].clone())
                })
            };
            let rows = segment * ROWS..(segment + 1) * ROWS;
            collection.upsert(rows.map(point).collect()).unwrap();
            collection.flush().unwrap();
        }
        assert_eq!(collection.info().segments, SEGMENTS as u64);
        Self { collection, _engine: engine, folder }
    }

    /// With a device for every build, and no scan: what is found depends on what was built alone.
    fn with(config: CollectionConfig, scanner: Arc<dyn CodeScanner>) -> Self {
        let device = ScanDevice::new(scanner).with_least_pairs(1).with_least_codes(u64::MAX);
        Self::new(config, Some(device))
    }

    fn used(&self) -> DeviceUse {
        self.collection.info().device.unwrap()
    }

    fn search(&self, query: &[f32], params: &SearchParams) -> Vec<PointId> {
        let output = self.collection.search(&Query::new(query.to_vec()), params).unwrap();
        output.points.into_iter().map(|point| point.id).collect()
    }

    /// Of what exact searches find, the share that searches find, for queries near to points.
    fn recall(&self) -> f64 {
        let params = SearchParams::new(LIMIT).unwrap();
        let exact = params.with_exact(true);
        let found = |query: &Vec<f32>| {
            let truth: HashSet<PointId> = self.search(query, &exact).into_iter().collect();
            assert_eq!(truth.len(), LIMIT);
            self.search(query, &params).iter().filter(|id| truth.contains(id)).count()
        };
        let (mut random, vectors) = (Random::new(99), clustered(7, ROWS * SEGMENTS, DIMS));
        let query = |at: usize| -> Vec<f32> {
            let near = &vectors[at * 7919 % vectors.len()];
            near.iter().map(|x| x + 0.3 * random.gaussian()).collect()
        };
        let queries: Vec<Vec<f32>> = (0..QUERIES).map(query).collect();
        let found: usize = queries.iter().map(found).sum();
        found as f64 / (LIMIT * QUERIES) as f64
    }

    /// Checks that every point is there once, and where a vector is nearest to itself that it is found by its own.
    fn check(&self) {
        let vectors = clustered(7, ROWS * SEGMENTS, DIMS);
        assert_eq!(self.collection.count(), vectors.len() as u64);
        let all = SearchParams::new(vectors.len()).unwrap().with_exact(true);
        let found: HashSet<PointId> = self.search(&vectors[0], &all).into_iter().collect();
        assert_eq!(found.len(), vectors.len());
        if self.collection.config().fields()[0].metric == Metric::Dot {
            return;
        }
        let params = SearchParams::new(1).unwrap();
        for row in (0..vectors.len()).step_by(97) {
            let found = self.search(&vectors[row], &params);
            assert_eq!(found, [PointId::from(row as u64)], "{row}");
        }
    }

    /// What the segments' files hold, by their names.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let root = self.folder.path().join("collections");
        let mut files = Vec::new();
        collect(&root, &root, &mut files);
        files.sort();
        files
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let bytes = fs::read(&path).unwrap();
            files.push((path.strip_prefix(root).unwrap().to_owned(), bytes));
        }
    }
}

#[test]
fn what_a_device_helped_to_build_finds_as_much_as_what_the_cpu_built() {
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        let here = Built::new(config(metric), None);
        let there = Built::with(config(metric), Failing::never());
        let used = there.used();
        assert_eq!((used.device_builds, used.device.as_str()), (SEGMENTS as u64, "fake"));
        // Every row once, and the samples of five iterations.
        assert!(used.device_rows > 2 * (ROWS * SEGMENTS) as u64, "{used:?}");
        assert!(used.host_builds.values().all(|&count| count == 0), "{used:?}");
        assert!(here.collection.info().device.is_none());
        there.check();
        let (here_found, there_found) = (here.recall(), there.recall());
        assert!(there_found >= here_found - 0.02, "{metric}: {there_found}, the CPU {here_found}");

        // A merge is a build too; of one metric, since the emulation takes its time.
        if metric != Metric::Cosine {
            continue;
        }
        there.collection.compact().unwrap();
        assert_eq!(there.used().device_builds, SEGMENTS as u64 + 1);
        assert_eq!(there.collection.info().segments, 1);
        there.check();
        assert!(there.recall() >= here_found - 0.02);
    }
}

#[test]
fn the_same_device_builds_the_same_bytes() {
    let [one, two] = [(); 2].map(|()| Built::with(config(Metric::Cosine), Failing::never()));
    let (one, two) = (one.files(), two.files());
    assert!(one.len() > 2 * SEGMENTS);
    let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&one), names(&two));
    for ((name, one), (_, two)) in one.iter().zip(&two) {
        assert!(one == two, "{}", name.display());
    }
}

#[test]
fn every_dense_field_is_built_with_the_device() {
    let config = config(Metric::L2).with_field(FieldConfig::new("other", 24, Metric::Cosine));
    let built = Built::with(config, Failing::never());
    assert_eq!(built.used().device_builds, 2 * SEGMENTS as u64);
    built.check();
}

#[test]
fn multi_vectors_are_built_with_the_device() {
    const POINTS: usize = 4200;
    let field = MultiFieldConfig::new("m", 8, Metric::Dot).with_sketch_tokens(1);
    let tokens = clustered(11, 2 * POINTS, 8);
    let multi = |row: usize| {
        MultiVector::from_tokens(&[&tokens[2 * row][..], &tokens[2 * row + 1][..]]).unwrap()
    };
    let built = |device: Option<ScanDevice>| {
        let db = tempfile::tempdir().unwrap();
        let settings =
            EngineConfig { threads: 2, background_threads: 0, ..EngineConfig::default() };
        let engine = match device {
            Some(device) => Engine::open_with_device(db.path(), settings, device),
            None => Engine::open(db.path(), settings),
        };
        let engine = engine.unwrap();
        let config = CollectionConfig::of_multi(field.clone());
        let collection = engine.create_collection("c", config).unwrap();
        let point = |row: usize| Point::empty(row as u64).with_multi("m", multi(row));
        collection.upsert((0..POINTS).map(point).collect()).unwrap();
        collection.flush().unwrap();
        let best = |row: usize| -> Vec<PointId> {
            let query = MultiQuery::new(multi(row));
            let params = SearchParams::new(LIMIT).unwrap();
            let found = collection.search_multi(&query, &params).unwrap().points;
            found.into_iter().map(|point| point.id).collect()
        };
        let found: Vec<Vec<PointId>> = (0..POINTS).step_by(POINTS / 50).map(best).collect();
        (found, collection.info().device)
    };
    let device = |scanner| ScanDevice::new(scanner).with_least_pairs(1);
    let (here, _) = built(None);
    let (there, used) = built(Some(device(Failing::never())));
    let used = used.unwrap();
    assert_eq!((used.device_builds, used.host_builds["failed"]), (1, 0), "{used:?}");
    // A token and a mean of each point, and the sample in each iteration.
    assert!(used.device_rows > 2 * POINTS as u64, "{used:?}");
    // Nine of ten is what either finds.
    let check = |found: &[Vec<PointId>]| {
        let pairs = here.iter().zip(found);
        let shared = |(here, there): (&Vec<PointId>, &Vec<PointId>)| {
            assert_eq!(there.len(), LIMIT);
            there.iter().filter(|id| here.contains(id)).count()
        };
        let shared: usize = pairs.map(shared).sum();
        assert!(10 * shared >= 8 * LIMIT * here.len(), "{shared} of {}", LIMIT * here.len());
    };
    check(&there);

    let (failed, used) = built(Some(device(Failing::at(3).0)));
    let used = used.unwrap();
    assert_eq!((used.device_builds, used.host_builds["failed"]), (0, 1), "{used:?}");
    check(&failed);
}

#[test]
fn a_device_that_fails_in_the_middle_of_a_build_leaves_whole_segments() {
    let by_cpu = Built::new(config(Metric::Cosine), None).recall();
    // Of a segment's build there are two calls for each of five iterations, and two for its rows.
    for at in [0, 1, 3, 11, 13] {
        let (scanner, calls) = Failing::at(at);
        let built = Built::with(config(Metric::Cosine), scanner);
        built.check();
        assert!(built.recall() >= by_cpu - 0.02);
        let used = built.used();
        assert_eq!(used.failure.as_deref(), Some("the device failed: cable pulled"));
        let sound = at / 12;
        assert_eq!(used.device_builds, sound as u64, "{at}: {used:?}");
        assert_eq!(used.host_builds["failed"], (SEGMENTS - sound) as u64, "{at}: {used:?}");
        assert_eq!(calls.load(Ordering::Relaxed), at + 1, "it was asked again");
        built.collection.compact().unwrap();
        built.check();
        assert_eq!(calls.load(Ordering::Relaxed), at + 1, "it was asked again");
        assert_eq!(built.used().host_builds["failed"], (SEGMENTS - sound) as u64 + 1);
    }
}

#[test]
fn few_rows_and_devices_without_lists_leave_builds_to_the_cpu_and_that_is_counted() {
    let few = Built::new(config(Metric::Dot), Some(ScanDevice::new(Failing::never())));
    let used = few.used();
    assert_eq!((used.device_builds, used.device_rows), (0, 0));
    assert_eq!(used.host_builds["few_rows"], SEGMENTS as u64);

    let other = Built::with(config(Metric::Dot), Arc::new(OnlyScans));
    assert_eq!(other.used().host_builds["unsupported"], SEGMENTS as u64);
    assert_eq!(few.files(), Built::new(config(Metric::Dot), None).files());
    assert_eq!(other.files(), few.files());
}
