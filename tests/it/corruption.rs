//! Damaged files: an error that names the file, never a wrong answer, and the others serve.

use std::fs;
use std::path::{Path, PathBuf};

use bigrain_engine::{
    CollectionConfig, CollectionState, Engine, EngineConfig, ErrorKind, Filter, Metric, Payload,
    Point, PointId, Query, SearchParams,
};
use bigrain_tests::{Db, Random};

const ROWS: u64 = 300;

/// Two flushed collections, closed: `c` to be damaged, `healthy` to go on serving.
fn two_collections() -> Db {
    let mut db = Db::temp(CollectionConfig::new(16, Metric::Dot), 1000);
    let healthy = db.engine().create_collection("healthy", CollectionConfig::new(2, Metric::Dot));
    let healthy = healthy.unwrap();
    healthy.upsert(vec![Point::new(1, vec![1.0, 1.0])]).unwrap();
    healthy.flush().unwrap();
    let mut random = Random::new(5);
    let payload = |id: u64| Payload::new().with("n", id).with("words", format!("row {id}"));
    let points = (0..ROWS).map(|id| Point::new(id, random.vector(16)).with_payload(payload(id)));
    let points = points.collect();
    db.collection().upsert(points).unwrap();
    db.collection().flush().unwrap();
    drop(healthy);
    db.close();
    db
}

/// Returns the files of the largest segment: the one of `c`.
fn files(db: &Db) -> Vec<PathBuf> {
    let mut segments: Vec<PathBuf> = subfolders(&db.path().join("collections"))
        .iter()
        .flat_map(|collection| subfolders(collection))
        .collect();
    segments.sort_by_key(|folder| fs::metadata(folder.join("dense.vector")).unwrap().len());
    let folder = segments.pop().unwrap();
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Opens the damaged folder and uses everything. Returns the error, if any came.
fn use_everything(db: &Db, expected: &[PointId]) -> Option<String> {
    let engine = Engine::open(db.path(), EngineConfig::default()).unwrap();
    let healthy = engine.collection("healthy").unwrap();
    assert_eq!(
        healthy.get(&[1.into()]).unwrap()[0].as_ref().unwrap().vector("vector").unwrap(),
        [1.0, 1.0]
    );
    let error = touch_all(&engine, expected).err();
    if let Some(error) = &error {
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        let state = &engine.collections()[0].state;
        assert!(matches!(state, CollectionState::Quarantined(_)), "{state:?}");
        let again = engine.collection("c").and_then(|c| c.upsert(vec![])).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Corruption);
    }
    error.map(|error| error.to_string())
}

fn touch_all(engine: &Engine, expected: &[PointId]) -> Result<(), bigrain_engine::Error> {
    let collection = engine.collection("c")?;
    let params = SearchParams::new(ROWS as usize)?;
    let found = collection.search(&Query::new(vec![1.0; 16]), &params)?;
    let ids: Vec<PointId> = found.points.into_iter().map(|point| point.id).collect();
    assert_eq!(ids, expected, "a wrong answer instead of an error");
    collection.search(&Query::new(vec![1.0; 16]), &params.with_exact(true))?;
    for (filter, expected) in [
        (r#"{"field": "n", "gte": 10, "lt": 150}"#, 140),
        (r#"{"field": "words", "text": "row"}"#, ROWS),
        (r#"{"must_not": {"field": "words", "prefix": "row 1"}}"#, ROWS - 111),
    ] {
        let filter = Filter::from_json(filter.as_bytes()).unwrap();
        let count = collection.count_matching(&filter)?;
        assert_eq!(count, expected, "a wrong answer instead of an error");
    }
    Ok(())
}

fn expected_answer(db: &Db) -> Vec<PointId> {
    let engine = Engine::open(db.path(), EngineConfig::default()).unwrap();
    let params = SearchParams::new(ROWS as usize).unwrap();
    let collection = engine.collection("c").unwrap();
    let found = collection.search(&Query::new(vec![1.0; 16]), &params).unwrap();
    found.points.into_iter().map(|point| point.id).collect()
}

#[test]
fn a_flipped_bit_anywhere_is_named_or_harmless() {
    let db = two_collections();
    let expected = expected_answer(&db);
    assert_eq!(use_everything(&db, &expected), None);
    let mut random = Random::new(9);
    for path in files(&db) {
        let healthy = fs::read(&path).unwrap();
        for block in 0..healthy.len().div_ceil(4096) {
            let start = block * 4096;
            let length = (healthy.len() - start).min(4096);
            let at = start + random.below(length as u64) as usize;
            let mut damaged = healthy.clone();
            damaged[at] ^= 1 << random.below(8);
            fs::write(&path, &damaged).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let Some(error) = use_everything(&db, &expected) else {
                // Parts of the index that no filter asks for are never read.
                assert_eq!(name, "lexical", "flip at {at} of {} went unnoticed", path.display());
                continue;
            };
            assert!(error.contains(name), "{error:?} does not name {name}");
        }
        fs::write(&path, &healthy).unwrap();
    }
    assert_eq!(use_everything(&db, &expected), None);
}

#[test]
fn a_truncated_or_missing_file_is_named() {
    let db = two_collections();
    let expected = expected_answer(&db);
    let mut random = Random::new(10);
    for path in files(&db) {
        let healthy = fs::read(&path).unwrap();
        let lengths = (0..12).map(|_| random.below(healthy.len() as u64) as usize);
        for length in [0, healthy.len() - 1].into_iter().chain(lengths) {
            fs::write(&path, &healthy[..length]).unwrap();
            let error = use_everything(&db, &expected)
                .unwrap_or_else(|| panic!("{length} bytes of {} will do?", path.display()));
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(error.contains(name), "{error:?} does not name {name}");
        }
        fs::remove_file(&path).unwrap();
        assert!(use_everything_missing(&db), "missing {} went unnoticed", path.display());
        fs::write(&path, &healthy).unwrap();
    }
    assert_eq!(use_everything(&db, &expected), None);
}

#[test]
fn a_folder_without_its_store_is_refused_not_emptied() {
    let db = two_collections();
    let before = files(&db);
    fs::remove_dir_all(db.path().join("store")).unwrap();
    let error = Engine::open(db.path(), EngineConfig::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    assert_eq!(files(&db), before);
}

/// A missing file quarantines the collection too, though the system says so, not a checksum.
fn use_everything_missing(db: &Db) -> bool {
    let engine = Engine::open(db.path(), EngineConfig::default()).unwrap();
    assert!(engine.collection("healthy").is_ok());
    engine.collection("c").is_err()
}
