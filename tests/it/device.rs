//! A device scans codes in place of the CPU: what is found is the same, and what it cannot do is done and said.
//!
//! The device is the GPU's kernels on the host (`gpu/emulation`), behind one that counts, is full, or fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bigrain_binarize::{
    CodeBlocks, CodeScanner, DeviceError, LoadedCodes, ScanRequest, ScoredCode,
};
use bigrain_emulation::Emulated;
use bigrain_engine::{
    Collection, CollectionConfig, DeviceUse, Engine, EngineConfig, FieldConfig, Filter, Levels,
    Metric, Payload, Point, PointId, Query, ScanDevice, SearchParams, SearchPlan,
};
use bigrain_gpu::GpuScanner;
use bigrain_tests::{Db, Random, clustered};
use serde_json::{Value, json};

/// Points of a segment, before some are deleted.
const ROWS: usize = 700;
const SEGMENTS: usize = 3;
/// Points that stay in the memtable.
const RECENT: usize = 40;

fn emulated() -> Arc<dyn CodeScanner> {
    Arc::new(GpuScanner::new(Arc::new(Emulated::open().unwrap())))
}

fn config() -> EngineConfig {
    EngineConfig { threads: 2, background_threads: 0, ..EngineConfig::default() }
}

/// Fills a collection: segments, deletes in each of them, and some recent points. Field `other`, if there is one, has
/// vectors of two points in three, in an order of its own.
fn filled(config: CollectionConfig) -> Db {
    let dims: Vec<(String, usize)> =
        config.fields().iter().map(|field| (field.name.clone(), field.dims)).collect();
    let db = Db::temp(config, 10_000);
    let rows = SEGMENTS * ROWS + RECENT;
    let vectors: Vec<Vec<Vec<f32>>> =
        (3..).zip(&dims).map(|(seed, (_, dims))| clustered(seed, rows, *dims)).collect();
    for from in (0..rows).step_by(ROWS) {
        let point = |row: usize| {
            let payload = Payload::new().with("n", (row % 100) as u64);
            let point = Point::new(row as u64, vectors[0][row].clone()).with_payload(payload);
            match dims.get(1).filter(|_| !row.is_multiple_of(3)) {
                Some((name, _)) => point.with_vector(name, vectors[1][row].clone()),
                None => point,
            }
        };
        db.collection().upsert((from..rows.min(from + ROWS)).map(point).collect()).unwrap();
        if from + ROWS <= rows {
            db.collection().flush().unwrap();
        }
    }
    let mut random = Random::new(5);
    let deleted: Vec<PointId> =
        (0..rows as u64 / 10).map(|_| random.below(rows as u64).into()).collect();
    db.collection().delete(&deleted).unwrap();
    db
}

/// One search: by what, of which points, how.
type Asked = (Query, SearchParams);

/// Searches of a field: near and far limits, filters for each method, codes alone, few probes.
fn searches(field: Option<&str>, dims: usize, queries: usize) -> Vec<Asked> {
    let limit = |limit| SearchParams::new(limit).unwrap().with_explain(true);
    let most = json!({"field": "n", "lt": 90});
    let few = json!({"field": "n", "lt": 10});
    let cases: [(Option<&Value>, SearchParams); 8] = [
        (None, limit(10)),
        (None, limit(1)),
        (None, limit(1500)),
        (None, limit(10).with_probes(2).unwrap()),
        (None, limit(20).with_verify(false)),
        (Some(&most), limit(10)),
        (Some(&most), limit(7).with_verify(false)),
        (Some(&few), limit(10).with_verify(false)),
    ];
    let queries = clustered(99, queries, dims);
    let asked = |vector: &Vec<f32>| {
        let cases = cases.into_iter().map(move |(filter, params)| {
            let query = match field {
                Some(field) => Query::new(vector.clone()).in_field(field),
                None => Query::new(vector.clone()),
            };
            match filter {
                Some(filter) => (query.with_filter(Filter::from_value(filter).unwrap()), params),
                None => (query, params),
            }
        });
        cases.collect::<Vec<_>>()
    };
    queries.iter().flat_map(asked).collect()
}

type Hits = Vec<(PointId, f32)>;

fn search(collection: &Collection, (query, params): &Asked) -> (Hits, SearchPlan) {
    let output = collection.search(query, params).unwrap();
    let hits = output.points.into_iter().map(|point| (point.id, point.score)).collect();
    (hits, output.plan.unwrap())
}

/// What each segment was scanned by, the memtable left out.
fn scanned_by(plan: &SearchPlan) -> Vec<&str> {
    let segments = plan.sources.iter().filter(|source| source.source != "memtable");
    segments.map(|source| source.scanned_by.as_deref().unwrap_or("nothing")).collect()
}

/// Opens a folder with a device that scans however few codes there are.
fn open(db: &Db, scanner: &Arc<dyn CodeScanner>) -> (Engine, Collection) {
    let device = ScanDevice::new(Arc::clone(scanner)).with_least_codes(1);
    let engine = Engine::open_with_device(db.path(), config(), device).unwrap();
    let collection = engine.collection("c").unwrap();
    (engine, collection)
}

fn device_use(collection: &Collection) -> DeviceUse {
    collection.info().device.unwrap()
}

/// Checks that a device finds the same, by itself and in batches; returns the device's part of it.
fn compare(db: &mut Db, asked: &[Asked], what: &str) -> DeviceUse {
    let expected: Vec<(Hits, SearchPlan)> =
        asked.iter().map(|asked| search(db.collection(), asked)).collect();
    assert!(expected.iter().all(|(hits, _)| !hits.is_empty()));
    assert!(db.collection().info().device.is_none());
    db.close();
    let (_engine, collection) = open(db, &emulated());
    for (asked, (hits, plan)) in asked.iter().zip(&expected) {
        let (found, device_plan) = search(&collection, asked);
        assert_eq!(&found, hits, "{what}: {:?}", asked.1);
        assert!(scanned_by(plan).iter().all(|by| *by == "nothing"), "{what}: {plan}");
        let by = scanned_by(&device_plan);
        assert_eq!(by, ["emulated"; SEGMENTS], "{what}: {device_plan}");
    }
    let outputs = collection.search_batch(asked);
    for (output, (hits, _)) in outputs.into_iter().zip(&expected) {
        let points = output.unwrap().points.into_iter();
        assert_eq!(&points.map(|point| (point.id, point.score)).collect::<Hits>(), hits, "{what}");
    }
    device_use(&collection)
}

fn check_every_level(metric: Metric) {
    for levels in Levels::ALL {
        let mut db = filled(CollectionConfig::new(48, metric).with_levels(levels));
        let what = format!("{metric} {levels:?}");
        let used = compare(&mut db, &searches(None, 48, 1), &what);
        assert_eq!((used.fields, used.device.as_str()), (SEGMENTS as u64, "emulated"));
        assert!(used.bytes > 0 && used.device_codes > 0, "{used:?}");
        assert!(used.host_scans.values().all(|&count| count == 0), "{used:?}");
        assert_eq!(used.failure, None);
    }
}

#[test]
fn a_device_finds_what_the_cpu_finds_by_cosine() {
    check_every_level(Metric::Cosine);
}

#[test]
fn a_device_finds_what_the_cpu_finds_by_dot_product() {
    check_every_level(Metric::Dot);
}

#[test]
fn a_device_finds_what_the_cpu_finds_by_distance() {
    check_every_level(Metric::L2);
}

#[test]
fn a_field_with_an_order_of_its_own_is_scanned_on_a_device_too() {
    let other = FieldConfig::new("other", 40, Metric::Cosine);
    let config = CollectionConfig::new(24, Metric::L2).with_field(other);
    let mut db = filled(config);
    let used = compare(&mut db, &searches(Some("other"), 40, 1), "other");
    // Nobody has searched the first field.
    assert_eq!(used.fields, SEGMENTS as u64);
}

/// Codes of which the CPU scans the signs first: with bounds that lose next to nothing the same is found, and with
/// narrow ones the device, which asks no signs, finds no less of the truth.
#[test]
fn where_signs_come_first_a_device_finds_the_same_or_as_much_of_the_truth() {
    const DIMS: usize = 256;
    let mut db = filled(CollectionConfig::new(DIMS, Metric::Cosine).with_levels(Levels::TWO));
    let verified = searches(None, DIMS, 3).into_iter().filter(|(_, params)| params.verify());
    let verified: Vec<Asked> = verified.collect();
    let at = |target: f32| {
        let params = |params: &SearchParams| params.with_target_recall(target).unwrap();
        verified.iter().map(|(query, p)| (query.clone(), params(p))).collect::<Vec<Asked>>()
    };
    let narrow = at(0.5);
    let find = |collection: &Collection| -> Vec<Hits> {
        narrow.iter().map(|asked| search(collection, asked).0).collect()
    };
    let exact = |(query, params): &Asked| {
        search(db.collection(), &(query.clone(), params.with_exact(true))).0
    };
    let truth: Vec<Hits> = narrow.iter().map(exact).collect();
    let in_truth = |found: &[Hits]| -> usize {
        let of = |(found, truth): (&Hits, &Hits)| {
            found.iter().filter(|(id, _)| truth.iter().any(|(true_id, _)| true_id == id)).count()
        };
        found.iter().zip(&truth).map(of).sum()
    };
    let by_cpu = in_truth(&find(db.collection()));
    compare(&mut db, &at(1.0), "signs first");
    let (_engine, collection) = open(&db, &emulated());
    let by_device = in_truth(&find(&collection));
    assert!(by_device >= by_cpu, "the device found {by_device}, the CPU {by_cpu}");
}

/// What a fake device does.
#[derive(Clone, Copy, Debug)]
enum Nature {
    /// Has room for so many sets of codes.
    Room(usize),
    /// Fails at this scan, counted from 0, and at all that follow.
    FailsAt(usize),
    /// Answers with a row that nobody asked for.
    Strays,
    /// Has no kernels for any codes.
    Refuses,
}

#[derive(Debug)]
struct Counts {
    nature: Nature,
    /// How often codes were to be copied.
    loads: AtomicUsize,
    /// Sets of codes that are there.
    there: AtomicUsize,
    scans: AtomicUsize,
}

/// The emulated device, with another nature.
#[derive(Debug)]
struct Fake(Arc<dyn CodeScanner>, Arc<Counts>);

#[derive(Debug)]
struct FakeCodes(Box<dyn LoadedCodes>, Arc<Counts>);

impl Drop for FakeCodes {
    fn drop(&mut self) {
        self.1.there.fetch_sub(1, Ordering::Relaxed);
    }
}

fn fake(nature: Nature) -> (Arc<dyn CodeScanner>, Arc<Counts>) {
    let [loads, there, scans] = [(); 3].map(|()| AtomicUsize::new(0));
    let counts = Arc::new(Counts { nature, loads, there, scans });
    (Arc::new(Fake(emulated(), Arc::clone(&counts))), counts)
}

impl CodeScanner for Fake {
    fn device(&self) -> String {
        "fake".to_owned()
    }

    fn load(&self, codes: &CodeBlocks<'_>) -> Result<Box<dyn LoadedCodes>, DeviceError> {
        self.1.loads.fetch_add(1, Ordering::Relaxed);
        match self.1.nature {
            Nature::Room(room) if self.1.there.load(Ordering::Relaxed) >= room => {
                Err(DeviceError::DoesNotFit { needed: 1000, free: 10 })
            }
            Nature::Refuses => Err(DeviceError::Unsupported("no such kernel".to_owned())),
            Nature::Room(_) | Nature::FailsAt(_) | Nature::Strays => {
                let loaded = self.0.load(codes)?;
                self.1.there.fetch_add(1, Ordering::Relaxed);
                Ok(Box::new(FakeCodes(loaded, Arc::clone(&self.1))))
            }
        }
    }
}

impl LoadedCodes for FakeCodes {
    fn memory_bytes(&self) -> u64 {
        self.0.memory_bytes()
    }

    fn scan(&self, requests: &[ScanRequest<'_>]) -> Result<Vec<Vec<ScoredCode>>, DeviceError> {
        let before = self.1.scans.fetch_add(1, Ordering::Relaxed);
        match self.1.nature {
            Nature::FailsAt(at) if before >= at => Err(DeviceError::Failed("cable pulled".into())),
            Nature::Strays => {
                let mut found = self.0.scan(requests)?;
                found
                    .iter_mut()
                    .for_each(|found| found.push(ScoredCode { row: u32::MAX, score: 9 }));
                Ok(found)
            }
            Nature::FailsAt(_) | Nature::Room(_) | Nature::Refuses => self.0.scan(requests),
        }
    }
}

/// A collection, what it answers without a device, and the same folder with one.
struct Faked {
    /// Dropped before the folder is.
    collection: Collection,
    engine: Engine,
    counts: Arc<Counts>,
    asked: Vec<Asked>,
    expected: Vec<Hits>,
    _db: Db,
}

impl Faked {
    fn new(nature: Nature) -> Self {
        let mut db = filled(CollectionConfig::new(48, Metric::Cosine));
        let asked = searches(None, 48, 1);
        let expected = asked.iter().map(|asked| search(db.collection(), asked).0).collect();
        db.close();
        let (scanner, counts) = fake(nature);
        let (engine, collection) = open(&db, &scanner);
        Self { collection, engine, counts, asked, expected, _db: db }
    }

    /// Searches for all that is asked; what is found must not depend on the device.
    fn search_all(&self) -> Vec<SearchPlan> {
        let pairs = self.asked.iter().zip(&self.expected);
        let one = |(asked, expected): (&Asked, &Hits)| {
            let (found, plan) = search(&self.collection, asked);
            assert_eq!(&found, expected, "{plan}");
            plan
        };
        pairs.map(one).collect()
    }

    fn loads(&self) -> usize {
        self.counts.loads.load(Ordering::Relaxed)
    }

    fn there(&self) -> usize {
        self.counts.there.load(Ordering::Relaxed)
    }

    fn scans(&self) -> usize {
        self.counts.scans.load(Ordering::Relaxed)
    }
}

#[test]
fn codes_are_copied_once_and_go_with_their_segments() {
    let faked = Faked::new(Nature::Room(100));
    assert_eq!(faked.loads(), 0, "nothing is copied before a search");
    faked.search_all();
    faked.search_all();
    assert_eq!((faked.loads(), faked.there()), (SEGMENTS, SEGMENTS));
    // A delete makes another mask, and no other codes.
    assert_eq!(faked.collection.delete(&[faked.expected[0][0].0.clone()]).unwrap().deleted, 1);
    let (found, plan) = search(&faked.collection, &faked.asked[0]);
    assert_eq!(found[..9], faked.expected[0][1..], "{plan}");
    assert_eq!(faked.loads(), SEGMENTS);

    faked.collection.compact().unwrap();
    assert_eq!(faked.collection.info().segments, 1);
    assert_eq!(faked.there(), 0, "codes of merged segments are still there");
    search(&faked.collection, &faked.asked[0]);
    assert_eq!((faked.loads(), faked.there()), (SEGMENTS + 1, 1));
    assert_eq!(device_use(&faked.collection).fields, 1);

    faked.engine.drop_collection("c").unwrap();
    let Faked { collection, engine, counts, .. } = faked;
    drop((collection, engine));
    assert_eq!(counts.there.load(Ordering::Relaxed), 0, "codes of a dropped collection");
}

#[test]
fn codes_that_do_not_fit_stay_with_the_cpu_until_others_have_gone() {
    let faked = Faked::new(Nature::Room(1));
    for plan in faked.search_all() {
        let by = scanned_by(&plan);
        assert_eq!(by[0], "fake", "{plan}");
        let why = "the CPU: 1000 bytes do not fit into the device's memory, of which 10 are free";
        assert_eq!(by[1..], [why; SEGMENTS - 1], "{plan}");
        assert!(plan.to_string().contains("scanned by the CPU: 1000 bytes"), "{plan}");
    }
    faked.search_all();
    // What is there stays there, and what does not fit is not tried at each search.
    assert_eq!((faked.loads(), faked.there()), (SEGMENTS, 1));
    let used = device_use(&faked.collection);
    let searches = 2 * faked.asked.len() as u64;
    assert_eq!((used.fields, used.device_scans), (1, searches));
    assert_eq!(used.host_scans["does_not_fit"], 2 * searches);
    assert_eq!(used.failure, None);

    faked.collection.compact().unwrap();
    let (_, plan) = search(&faked.collection, &faked.asked[0]);
    assert_eq!(scanned_by(&plan), ["fake"]);
    assert_eq!((faked.loads(), faked.there()), (SEGMENTS + 1, 1));
}

#[test]
fn a_device_that_fails_in_the_middle_is_replaced_by_the_cpu_and_not_asked_again() {
    for at in [0, 1, 4] {
        let faked = Faked::new(Nature::FailsAt(at));
        let plans = faked.search_all();
        let by: Vec<&str> = plans.iter().flat_map(scanned_by).collect();
        let failed = "the CPU: the device failed: cable pulled";
        let first = by.iter().position(|by| *by == failed).unwrap();
        assert!(by[..first].iter().all(|by| *by == "fake"), "{by:?}");
        assert!(by[first..].iter().all(|by| *by == failed), "{by:?}");
        assert_eq!(faked.scans(), at + 1, "it was asked again");
        faked.search_all();
        assert_eq!(faked.scans(), at + 1, "it was asked again");
        let used = device_use(&faked.collection);
        assert_eq!(used.failure.as_deref(), Some("the device failed: cable pulled"));
        assert_eq!(used.host_scans["failed"], (by.len() * 2 - first) as u64);
    }
}

#[test]
fn codes_without_a_kernel_are_tried_once() {
    let faked = Faked::new(Nature::Refuses);
    for plan in faked.search_all() {
        assert_eq!(scanned_by(&plan), ["the CPU: no such kernel"; SEGMENTS]);
    }
    faked.search_all();
    faked.collection.flush().unwrap();
    assert_eq!(faked.loads(), SEGMENTS);
    assert_eq!(faked.scans(), 0);
}

#[test]
fn an_answer_with_rows_that_nobody_asked_for_is_not_taken() {
    let faked = Faked::new(Nature::Strays);
    for plan in faked.search_all() {
        let by = scanned_by(&plan);
        assert!(by.iter().all(|by| by.contains("is in none of the lists")), "{by:?}");
    }
    assert_eq!(device_use(&faked.collection).device_scans, 0);
}

#[test]
fn few_codes_are_left_to_the_cpu_and_a_plan_says_so() {
    let mut db = filled(CollectionConfig::new(48, Metric::Dot));
    let asked = &searches(None, 48, 1)[0];
    let (expected, _) = search(db.collection(), asked);
    db.close();
    let (scanner, counts) = fake(Nature::Room(100));
    let device = ScanDevice::new(scanner);
    let engine = Engine::open_with_device(db.path(), config(), device).unwrap();
    let collection = engine.collection("c").unwrap();
    let (found, plan) = search(&collection, asked);
    assert_eq!(found, expected);
    assert_eq!(scanned_by(&plan), ["the CPU: too few codes for the device"; SEGMENTS]);
    let recent = plan.sources.iter().find(|source| source.source == "memtable").unwrap();
    let why = "the CPU: codes of recent writes are not on the device";
    assert_eq!(recent.scanned_by.as_deref(), Some(why));
    // An exact search scans no codes.
    let (_, plan) = search(&collection, &(asked.0.clone(), asked.1.with_exact(true)));
    assert_eq!(scanned_by(&plan), ["nothing"; SEGMENTS]);
    assert_eq!(counts.loads.load(Ordering::Relaxed), 0);
    assert_eq!(device_use(&collection).host_scans["few_codes"], SEGMENTS as u64);
}
