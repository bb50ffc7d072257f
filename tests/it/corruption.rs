//! Damaged files: an error that names the file, never a wrong answer, and the others serve.
//!
//! A folder is damaged in one place, opened, and everything in it is asked for. Each of its files is
//! one of three kinds:
//!
//! | file | damage | is |
//! | --- | --- | --- |
//! | of a segment | any | named; the other collections serve |
//! | of the store: tables, log, manifest, `CURRENT` | any | named; or harmless, where no answer comes from the place |
//! | the newest log | cut short | taken for a torn tail: the last batches are not there |
//! | what nothing is read from: `OPTIONS`, `IDENTITY`, `LOCK`, `LOG`, `RESERVE` | any | harmless |
//!
//! Harmless means that every answer is right: that is what is compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bigrain_engine::{
    Collection, CollectionConfig, Engine, EngineConfig, Error, ErrorKind, Filter, Metric,
    MultiFieldConfig, MultiQuery, MultiVector, Payload, Point, PointId, Query, SearchParams,
    SparseFieldConfig, SparseQuery, SparseVector,
};
use bigrain_tests::{
    Random, Soak, brute_force_multi, brute_force_sparse, fast_folder, multi_vector, sparse_vector,
};
use tempfile::TempDir;

const ROWS: u64 = 300;
const DIMS: usize = 16;
const SPARSE_DIMS: u64 = 300;
const TOKEN_DIMS: usize = 4;
const NAMES: [&str; 2] = ["damaged", "healthy"];
/// Between them they ask for most of an index of payloads.
const FILTERS: [&str; 3] = [
    r#"{"field": "n", "gte": 10, "lt": 150}"#,
    r#"{"field": "text", "text": "row"}"#,
    r#"{"must_not": {"field": "text", "prefix": "row 1"}}"#,
];
/// Commits that only the log holds.
const LOGGED: u64 = 40;

/// Everything two collections answer.
#[derive(Clone, Debug, PartialEq)]
struct Answers(Vec<Vec<Answer>>);

/// A point: its id, its vector, its sparse vector, its multi-vector, its payload.
type Answer = (PointId, Vec<f32>, Option<SparseVector>, Option<MultiVector>, Payload);

/// A closed data folder, and what it answered after each of its last commits.
struct Scene {
    folder: TempDir,
    states: Vec<Answers>,
}

fn open(folder: &Path) -> Result<Engine, Error> {
    // Small buffers, because the room that a store sets aside follows them, and this opens thousands.
    let config = EngineConfig {
        threads: 1,
        background_threads: 0,
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 1 << 20,
        ..EngineConfig::default()
    };
    Engine::open(folder, config)
}

fn point(id: u64, random: &mut Random) -> Point {
    let text = format!("row {id} {}", "x".repeat(500));
    let payload = Payload::new().with("text", text).with("n", id);
    let point = Point::new(id, random.vector(DIMS)).with_payload(payload);
    let point = point.with_sparse("s", sparse_vector(random, SPARSE_DIMS));
    point.with_multi("m", multi_vector(random, TOKEN_DIMS))
}

impl Scene {
    /// Segments, tombstones, tables and a log.
    fn set() -> Self {
        let folder = fast_folder();
        let mut random = Random::new(5);
        let engine = open(folder.path()).unwrap();
        for name in NAMES {
            let config = CollectionConfig::new(DIMS, Metric::Dot);
            let config = config.with_sparse(SparseFieldConfig::new("s"));
            let multi = MultiFieldConfig::new("m", TOKEN_DIMS, Metric::Dot);
            let config = config.with_multi(multi);
            let collection = engine.create_collection(name, config).unwrap();
            let points = (0..ROWS).map(|id| point(id, &mut random)).collect();
            collection.upsert(points).unwrap();
            collection.flush().unwrap();
            collection.delete(&[7.into(), 8.into()]).unwrap();
        }
        drop(engine);
        // RocksDB writes what a log holds into tables when it opens.
        let engine = open(folder.path()).unwrap();
        let mut states = vec![Answers::of(&engine).unwrap()];
        for number in 0..LOGGED {
            let collection = engine.collection(NAMES[number as usize % 2]).unwrap();
            collection.upsert(vec![point(ROWS + number / 4, &mut random)]).unwrap();
            states.push(Answers::of(&engine).unwrap());
        }
        drop(engine);
        Self { folder, states }
    }

    /// Returns every file, with the part of its name that does not depend on the run.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.folder.path().join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let path = folder.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(path);
                } else {
                    let name = entry.file_name().into_string().unwrap();
                    files.insert(path, kind(&name));
                }
            }
        }
        files
    }

    /// Copies the folder with one file changed, or left out.
    fn spoiled(&self, path: &Path, spoil: impl FnOnce(&mut Vec<u8>) -> bool) -> TempDir {
        let copy = fast_folder();
        for (file, kind) in self.files() {
            let to = copy.path().join(&file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            if file != path && kind != "LOG" {
                fs::copy(self.folder.path().join(&file), to).unwrap();
            }
        }
        let mut bytes = fs::read(self.folder.path().join(path)).unwrap();
        if spoil(&mut bytes) {
            fs::write(copy.path().join(path), bytes).unwrap();
        }
        copy
    }

    /// Asks a spoiled folder for everything. Returns how many of the last commits are not there, or
    /// the error, which names the file.
    ///
    /// # Panics
    ///
    /// On a wrong answer, and an error of another kind or about another file.
    fn judge(&self, folder: &Path, path: &Path) -> Result<usize, String> {
        let result = open(folder).and_then(|engine| {
            if path.starts_with(collection_folder(0)) {
                let healthy = engine.collection(NAMES[1]).unwrap();
                assert_eq!(all_of(&healthy).unwrap(), self.states.last().unwrap().0[1]);
            }
            Answers::of(&engine)
        });
        match result {
            Ok(answers) => {
                let state = self.states.iter().rposition(|state| *state == answers);
                Ok(self.states.len() - 1 - state.expect("a wrong answer instead of an error"))
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
                let name = path.file_name().unwrap().to_str().unwrap();
                assert!(error.to_string().contains(name), "{error} does not name {name}");
                Err(error.to_string())
            }
        }
    }
}

impl Answers {
    fn of(engine: &Engine) -> Result<Self, Error> {
        let all = |name: &&str| all_of(&engine.collection(name)?);
        NAMES.iter().map(all).collect::<Result<_, _>>().map(Self)
    }
}

/// Reads a collection in every way there is; all must agree.
fn all_of(collection: &Collection) -> Result<Vec<Answer>, Error> {
    let params = SearchParams::new(2 * ROWS as usize)?;
    let query = Query::new(vec![1.0; DIMS]);
    let found = collection.search(&query, &params)?.points;
    let exact = collection.search(&query, &params.with_exact(true))?.points;
    let ids: Vec<PointId> = found.iter().map(|point| point.id.clone()).collect();
    assert_eq!(ids, exact.into_iter().map(|point| point.id).collect::<Vec<_>>());
    assert_eq!(collection.count(), ids.len() as u64);
    let stored = collection.get(&ids)?.into_iter().zip(found);
    let stored: Vec<Answer> = stored
        .map(|(stored, found)| {
            let stored = stored.expect("it was found");
            assert_eq!(stored.payload, found.payload);
            let vector = stored.vector("vector").unwrap().to_vec();
            let sparse = stored.sparse("s").cloned();
            let multi = stored.multi("m").cloned();
            (stored.id, vector, sparse, multi, stored.payload)
        })
        .collect();
    check_sparse(collection, &stored, &params)?;
    check_multi(collection, &stored, params)?;
    for filter in FILTERS {
        let filter = Filter::from_json(filter.as_bytes()).unwrap();
        let matching =
            stored.iter().filter(|(id, .., payload)| filter.matches(payload, id)).count();
        assert_eq!(collection.count_matching(&filter)?, matching as u64, "{filter:?}");
    }
    Ok(stored)
}

/// A sparse query of every dimension asks every list.
fn check_sparse(
    collection: &Collection,
    stored: &[Answer],
    params: &SearchParams,
) -> Result<(), Error> {
    let dimensions: Vec<u32> = (0..SPARSE_DIMS as u32).map(|at| at * 1000).collect();
    let values = vec![1.5; dimensions.len()];
    let query = SparseVector::new(dimensions, values).unwrap();
    let points = stored.iter().filter_map(|(id, _, sparse, ..)| Some((id, sparse.as_ref()?)));
    let points = points.map(|(id, sparse)| (id.as_number().unwrap(), sparse));
    let expected = brute_force_sparse(points, &query, params.limit());
    let found = collection.search_sparse(&SparseQuery::new(query), params)?.points;
    let found: Vec<(PointId, f32)> =
        found.into_iter().map(|point| (point.id, point.score)).collect();
    assert_eq!(found, expected);
    Ok(())
}

/// An exact search reads all tokens; another one asks the sketches, and is exact in what it finds.
fn check_multi(
    collection: &Collection,
    stored: &[Answer],
    params: SearchParams,
) -> Result<(), Error> {
    let query = multi_vector(&mut Random::new(9), TOKEN_DIMS);
    let points = stored.iter().filter_map(|(id, _, _, multi, _)| Some((id, multi.as_ref()?)));
    let points = points.map(|(id, multi)| (id.as_number().unwrap(), multi));
    let expected = brute_force_multi(points, &query, params.limit());
    for params in [params.with_exact(true), params.with_exact(false)] {
        let found = collection.search_multi(&MultiQuery::new(query.clone()), &params)?.points;
        let found: Vec<(PointId, f32)> =
            found.into_iter().map(|point| (point.id, point.score)).collect();
        assert_eq!(found, expected);
    }
    Ok(())
}

fn collection_folder(key: u32) -> PathBuf {
    Path::new("collections").join(format!("{key:08x}"))
}

/// Returns the kind of a file from its name: `000012.sst` is an `sst`.
fn kind(name: &str) -> String {
    match name.strip_prefix(|c: char| c.is_ascii_digit()) {
        Some(_) => name.rsplit('.').next().unwrap().to_owned(),
        None => name.split('-').next().unwrap().split(".old").next().unwrap().to_owned(),
    }
}

fn is_never_read(kind: &str) -> bool {
    ["OPTIONS", "IDENTITY", "LOCK", "LOG", "RESERVE"].contains(&kind)
}

#[test]
fn a_flipped_bit_anywhere_is_named() {
    let soak = Soak::start("flipped bits", "flips in each 4 KiB", 2, 20);
    let scene = Scene::set();
    let mut random = Random::new(9 + soak.seed());
    let mut flips: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (path, kind) in scene.files().into_iter().filter(|(_, kind)| kind != "LOG") {
        let length = fs::metadata(scene.folder.path().join(&path)).unwrap().len();
        let (named, harmless) = flips.entry(kind.clone()).or_default();
        let rounds = if is_never_read(&kind) { 1 } else { soak.count() };
        for _ in 0..rounds {
            for start in (0..length).step_by(4096) {
                let bit = 8 * start + random.below(8 * (length - start).min(4096));
                let folder = scene.spoiled(&path, |bytes| {
                    bytes[bit as usize / 8] ^= 1 << (bit % 8);
                    true
                });
                match scene.judge(folder.path(), &path) {
                    Ok(0) => *harmless += 1,
                    Ok(missing) => panic!("bit {bit} of {}: {missing} missing", path.display()),
                    Err(_) => *named += 1,
                }
            }
        }
    }
    for (kind, (named, harmless)) in &flips {
        println!("{kind}: {named} named, {harmless} harmless");
        // Of a table, nothing reads its properties, and not every bit of its footer means something; of
        // an index of payloads, nothing reads what no filter asks for.
        let partly_read = ["sst", "lexical"].contains(&kind.as_str());
        let most = is_never_read(kind) || partly_read && harmless < named;
        assert!(most || *harmless == 0, "{kind}: {harmless} went unnoticed");
    }
    let total: u64 = flips.values().map(|(named, harmless)| named + harmless).sum();
    let harmless: u64 = flips.values().map(|(_, harmless)| harmless).sum();
    soak.done(&format!("{} named, {harmless} harmless; no wrong answer", total - harmless));
}

#[test]
fn a_file_cut_short_is_named_or_has_a_torn_tail() {
    let soak = Soak::start("files cut short", "lengths of each file", 100, 500);
    let scene = Scene::set();
    let mut random = Random::new(10 + soak.seed());
    let (mut named, mut torn, mut harmless) = (0, 0, 0);
    for (path, kind) in scene.files() {
        let length = fs::metadata(scene.folder.path().join(&path)).unwrap().len();
        let lengths = if is_never_read(&kind) { 1 } else { soak.count() };
        let drawn = (0..lengths).map(|_| random.below(length.max(1)));
        let mut lengths: Vec<u64> = drawn.chain([0, length.saturating_sub(1)]).collect();
        lengths.sort_unstable();
        lengths.dedup();
        for cut in lengths.into_iter().filter(|&cut| cut < length) {
            let folder = scene.spoiled(&path, |bytes| {
                bytes.truncate(cut as usize);
                true
            });
            match scene.judge(folder.path(), &path) {
                Err(_) => named += 1,
                // Edits that a later one repeats may go.
                Ok(0) if is_never_read(&kind) || kind == "MANIFEST" => harmless += 1,
                Ok(missing) if kind == "log" && missing > 0 => torn += 1,
                Ok(missing) => {
                    panic!("{cut} of {length} bytes of {}: {missing} missing", path.display())
                }
            }
        }
    }
    soak.done(&format!(
        "{named} named, {torn} torn tails of the log, {harmless} harmless; no wrong answer"
    ));
}

#[test]
fn a_missing_file_is_named() {
    let scene = Scene::set();
    for (path, kind) in scene.files() {
        let folder = scene.spoiled(&path, |_| false);
        let result = open(folder.path()).and_then(|engine| Answers::of(&engine));
        if is_never_read(&kind) {
            assert_eq!(
                &result.unwrap(),
                scene.states.last().unwrap(),
                "without {}",
                path.display()
            );
            continue;
        }
        let error = result.expect_err(&format!("without {}", path.display()));
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        // Which number a log had that is gone, nobody knows.
        let name = path.file_name().unwrap().to_str().unwrap();
        let named = if kind == "log" { "no log" } else { name };
        assert!(error.to_string().contains(named), "{error} does not name {named}");
    }
}

#[test]
fn a_folder_without_its_store_is_refused_not_emptied() {
    let scene = Scene::set();
    let collections = scene.folder.path().join("collections");
    let before = fs::read_dir(&collections).unwrap().count();
    fs::remove_dir_all(scene.folder.path().join("store")).unwrap();
    let error = open(scene.folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    assert_eq!(fs::read_dir(&collections).unwrap().count(), before);
}

#[test]
fn a_collection_the_system_kept_from_opening_opens_when_it_can() {
    let scene = Scene::set();
    let folder = scene.folder.path().join(collection_folder(0));
    let aside = scene.folder.path().join("aside");
    #[expect(clippy::disallowed_methods, reason = "not to make anything durable")]
    let rename = |from: &Path, to: &Path| fs::rename(from, to).unwrap();
    rename(&folder, &aside);
    fs::write(&folder, b"not a folder").unwrap();
    let engine = open(scene.folder.path()).unwrap();
    for _ in 0..2 {
        let error = engine.collection(NAMES[0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    }
    assert!(engine.collection(NAMES[1]).is_ok());
    fs::remove_file(&folder).unwrap();
    rename(&aside, &folder);
    assert_eq!(&Answers::of(&engine).unwrap(), scene.states.last().unwrap());
}

#[test]
fn a_dropped_collection_has_no_points() {
    let scene = Scene::set();
    let engine = open(scene.folder.path()).unwrap();
    let collection = engine.collection(NAMES[0]).unwrap();
    assert!(collection.count() > ROWS - 2);
    engine.drop_collection(NAMES[0]).unwrap();
    let info = collection.info();
    assert_eq!([collection.count(), info.points, info.segments, info.disk_bytes], [0; 4]);
}
