//! Files written before stay readable.
//!
//! `tests/data/segment` holds the files of one segment, written by the current version of each
//! format. `UPDATE_GOLDEN=1` writes them anew; from the first release on, a format that changes keeps
//! its old files beside the new ones.

use std::fs;
use std::path::{Path, PathBuf};

use bigrain_binarize::{Binarizer, QueryWidth};
use bigrain_engine::{
    Cancel, CheckReport, CollectionConfig, Engine, EngineConfig, ErrorKind, Filter, FindingKind,
    Levels, Metric, MultiFieldConfig, MultiVector, Offset, PatchGrid, Payload, Point, PointId,
    SegmentId, SparseFieldConfig, SparseVector, Watch, check_folder,
};
use bigrain_index::Candidates;
use bigrain_index::candidates::ivf::{Ivf, Reach};
use bigrain_index::candidates::list_scan::{Epsilon, ListScan};
use bigrain_index::codes::CodesReader;
use bigrain_index::dense::DenseReader;
use bigrain_index::ids::IdsReader;
use bigrain_index::lists::{ListsReader, Nearness};
use bigrain_index::multi::{MultiQueryCode, SketchSearch, SketchesReader, TokensReader, widen};
use bigrain_index::order::{self, OrderReader};
use bigrain_index::sparse::{SparseReader, SparseSearch};
use bigrain_lexical::LexicalReader;
use bigrain_storage::{Batch, FileKind, MmapDirectory, Store, StoreConfig};
use bigrain_tests::{Db, Random};

const ROWS: u64 = 40;
const DIMS: usize = 70;
const LISTS: u32 = 3;
const FILES: [&str; 6] =
    ["codes.vector", "lists.vector", "centroids.vector", "dense.vector", "ids", "lexical"];

fn golden_folder() -> PathBuf {
    PathBuf::from("data/segment")
}

fn rows() -> Vec<(PointId, Vec<f32>)> {
    let mut random = Random::new(77);
    let id = |row: u64| match row % 3 {
        0 => PointId::from(row),
        1 => PointId::parse(&format!("936da01f-9abd-4d9d-80c7-{row:012x}")).unwrap(),
        _ => PointId::parse(&format!("пункт/{row}")).unwrap(),
    };
    (0..ROWS).map(|row| (id(row), random.vector(DIMS))).collect()
}

fn payload(row: u64) -> Payload {
    let text =
        format!("{}, {}", if row.is_multiple_of(2) { "even" } else { "odd" }, "long ".repeat(60));
    Payload::new()
        .with("n", row)
        .with("half", row as f64 / 2.0)
        .with("text", text)
        .with("day", format!("2024-03-{:02}", row % 28 + 1))
        .with("home", serde_json::json!({"lat": row, "lon": 7}))
        .with("tags", serde_json::json!([row % 3, null, {"k": row.is_multiple_of(5)}]))
}

/// Writes the files through the engine and copies them.
fn update() {
    let config = CollectionConfig::new(DIMS, Metric::L2).with_levels(Levels::TWO).with_lists(LISTS);
    let db = Db::temp(config, 1000);
    let point =
        |(n, (id, row)): (u64, (PointId, Vec<f32>))| Point::new(id, row).with_payload(payload(n));
    let points = (0..).zip(rows()).map(point).collect();
    db.collection().upsert(points).unwrap();
    db.collection().flush().unwrap();
    let segment: SegmentId = db.collection().inspect()[0].id;
    let folder = db.path().join("collections/00000000").join(segment.to_string());
    fs::create_dir_all(golden_folder()).unwrap();
    for name in FILES {
        fs::copy(folder.join(name), golden_folder().join(name)).unwrap();
    }
}

#[test]
fn a_segment_written_before_is_read() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update();
    }
    let directory = MmapDirectory::open(golden_folder()).unwrap();
    let [codes, lists, centroids, dense, ids, lexical] = FILES.map(Path::new);
    let codes = CodesReader::open(&directory, codes, FileKind::Codes).unwrap();
    let lists = ListsReader::open(&directory, lists, centroids).unwrap();
    let dense = DenseReader::open(&directory, dense).unwrap();
    let ids = IdsReader::open(&directory, ids).unwrap();
    assert_eq!([codes.rows(), lists.rows(), dense.rows(), ids.rows()], [ROWS; 4]);
    assert_eq!(lists.lists(), LISTS);
    let offset_of = |id: &PointId| {
        (0..ROWS as u32).map(Offset).find(|&offset| ids.get(offset).unwrap() == *id).unwrap()
    };
    check_lexical(&LexicalReader::open(&directory, lexical).unwrap(), &ids);
    let (space, codes, resident) =
        (codes.space(), codes.resident().unwrap(), lists.resident().unwrap());
    let centroids = lists.centroids(&resident, Nearness::Distance).unwrap();
    let ivf = Ivf { codes: &codes, layout: &resident.layout, centroids, device: None };
    // The codes still mean what they meant: the nearest code to each row is its own.
    let binarizer = Binarizer::new_rotation(DIMS, Levels::TWO, Metric::L2, 0x6269_6772_6169_6e31);
    let binarizer = binarizer.unwrap();
    assert_eq!(space, binarizer.id(), "the default code space has changed");
    for (id, row) in rows() {
        let offset = offset_of(&id);
        assert_eq!(dense.row(offset).unwrap().to_vec(), row);
        let query = binarizer.prepare_query(&row, QueryWidth::DEFAULT).unwrap();
        let mut candidates = Candidates::new(1, 10);
        let reach = Reach { probes: LISTS as usize, epsilon: Epsilon { sign: 1.9, full: 1.9 } };
        let mut scan = ListScan::new(&query);
        ivf.search(&query, &mut scan, reach, |_| false, &mut candidates);
        assert_eq!(candidates.into_sorted()[0].offset, offset.0);
    }
}

/// Terms still mean what they meant: every kind of condition finds its rows.
fn check_lexical(lexical: &LexicalReader, ids: &IdsReader) {
    for filter in [
        r#"{"field": "n", "gte": 7, "lt": 31}"#,
        r#"{"field": "half", "eq": 4}"#,
        r#"{"field": "text", "prefix": "even"}"#,
        r#"{"field": "text", "text": "LONG odd"}"#,
        r#"{"field": "day", "gt": "2024-03-04", "lte": "2024-03-20T00:00:00Z"}"#,
        r#"{"field": "home", "geo_radius": {"center": {"lat": 20, "lon": 7}, "meters": 500000}}"#,
        r#"{"field": "tags[].k", "eq": true}"#,
        r#"{"field": "tags", "is_null": true}"#,
        r#"{"field": "tags", "count": {"gte": 3}}"#,
        r#"{"ids": [3, 6, "936da01f-9abd-4d9d-80c7-000000000004"]}"#,
    ] {
        let filter = Filter::from_json(filter.as_bytes()).unwrap();
        let selection = lexical.select(&filter).unwrap();
        assert!(selection.undecided.is_empty());
        assert!(!selection.matching.is_empty(), "{filter:?}");
        for (n, (id, _)) in (0..).zip(rows()) {
            let offset = (0..ROWS as u32).find(|&at| ids.get(Offset(at)).unwrap() == id).unwrap();
            let expected = filter.matches(&payload(n), &id);
            assert_eq!(selection.matching.contains(offset), expected, "{filter:?}, row {n}");
        }
    }
}

/// For each position the offset of its point, in a segment of ten points.
const ORDER: [u32; 6] = [7, 2, 0, 9, 4, 3];

#[test]
fn an_order_written_before_is_read() {
    let directory = MmapDirectory::open(golden_folder()).unwrap();
    let path = Path::new("order.image");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        order::write(&directory, path, &ORDER, 10).unwrap();
    }
    let order = OrderReader::open(&directory, path).unwrap();
    assert_eq!((order.rows(), order.points()), (6, 10));
    assert_eq!(order.offsets().unwrap(), ORDER);
    let positions = (0..10).map(|offset| order.position(Offset(offset)).unwrap());
    let expected = [Some(2), None, Some(1), Some(5), Some(4), None, None, Some(0), None, Some(3)];
    assert_eq!(positions.collect::<Vec<_>>(), expected);
}

/// Vectors of sixty dimensions, of which some have none.
fn sparse_rows() -> Vec<SparseVector> {
    let row = |row: u32| {
        let dimensions: Vec<u32> = (0..row % 7).map(|at| (row * 3 + at * 11) % 60).collect();
        let values = dimensions.iter().map(|&dimension| dimension as f32 / 4.0 - 3.0).collect();
        SparseVector::new(dimensions, values).unwrap()
    };
    (0..50).map(row).collect()
}

/// Writes `sparse.terms` through the engine, in a segment of sparse vectors only: its offsets are the
/// order in which they were written.
fn update_sparse() {
    let db = Db::temp(CollectionConfig::of_sparse(SparseFieldConfig::new("terms")), 1000);
    let points = (0..).zip(sparse_rows());
    let points = points.map(|(id, row): (u64, _)| Point::empty(id).with_sparse("terms", row));
    db.collection().upsert(points.collect()).unwrap();
    db.collection().flush().unwrap();
    let segment = db.collection().inspect()[0].id.to_string();
    let file = db.path().join("collections/00000000").join(segment).join("sparse.terms");
    fs::copy(file, golden_folder().join("sparse.terms")).unwrap();
}

#[test]
fn sparse_vectors_written_before_are_read() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update_sparse();
    }
    let directory = MmapDirectory::open(golden_folder()).unwrap();
    let reader = SparseReader::open(&directory, Path::new("sparse.terms")).unwrap();
    let rows = sparse_rows();
    assert_eq!(reader.rows(), rows.len() as u64);
    assert_eq!(reader.vectors(), rows.iter().filter(|row| !row.is_empty()).count() as u64);
    for (offset, row) in rows.iter().enumerate() {
        let stored = reader.vector(Offset(offset as u32)).unwrap();
        assert_eq!(stored, Some(row.view()).filter(|row| !row.is_empty()));
    }
    // Lists and their bounds still mean what they meant.
    let query = SparseVector::new((0..60).collect(), vec![0.5; 60]).unwrap();
    let search = SparseSearch::new(&reader, query.view()).unwrap();
    let found = search.best(5, f32::NEG_INFINITY, |_| false, &Cancel::new()).unwrap().rows;
    let best = rows.iter().filter_map(|row| row.dot(&query)).max_by(f32::total_cmp).unwrap();
    assert_eq!((found[0].score, found.len()), (best, 5));
}

/// Multi-vectors of one to thirty tokens, of which every third point has none, and some have a grid.
fn multi_rows() -> Vec<Option<MultiVector>> {
    let mut random = Random::new(78);
    let mut row = |row: usize| {
        let tokens = 1 + (row * 7) % 30;
        let values = (0..tokens * 24).map(|_| (random.below(64) as f32 - 31.5) / 32.0).collect();
        let vector = MultiVector::new(24, values).unwrap();
        let grid = PatchGrid { height: 1, width: tokens as u8 };
        let vector = if row.is_multiple_of(2) { vector.with_grid(grid).unwrap() } else { vector };
        (row % 3 != 1).then_some(vector)
    };
    (0..40).map(&mut row).collect()
}

/// Writes the files of a field of multi-vectors through the engine.
fn update_multi() {
    let field = MultiFieldConfig::new("patches", 24, Metric::Dot);
    let config = CollectionConfig::of_multi(field).with_sparse(SparseFieldConfig::new("terms"));
    let db = Db::temp(config, 1000);
    let point = |(id, row): (u64, Option<MultiVector>)| match row {
        Some(row) => Point::empty(id).with_multi("patches", row),
        None => Point::empty(id).with_sparse("terms", SparseVector::default()),
    };
    db.collection().upsert((0..).zip(multi_rows()).map(point).collect()).unwrap();
    db.collection().flush().unwrap();
    let segment = db.collection().inspect()[0].id.to_string();
    let folder = db.path().join("collections/00000000").join(segment);
    for name in ["tokens.patches", "sketches.patches"] {
        fs::copy(folder.join(name), golden_folder().join(name)).unwrap();
    }
}

#[test]
fn multi_vectors_written_before_are_read() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update_multi();
    }
    let directory = MmapDirectory::open(golden_folder()).unwrap();
    let tokens = TokensReader::open(&directory, Path::new("tokens.patches")).unwrap();
    let sketches = SketchesReader::open(&directory, Path::new("sketches.patches")).unwrap();
    let rows = multi_rows();
    let present = rows.iter().flatten().count() as u64;
    assert_eq!([tokens.points(), sketches.points()], [rows.len() as u64; 2]);
    assert_eq!([tokens.vectors(), sketches.vectors()], [present; 2]);
    for (offset, row) in rows.iter().enumerate() {
        let stored = tokens.tokens(Offset(offset as u32)).unwrap();
        assert_eq!(stored.map(widen).as_ref(), row.as_ref());
    }
    // Sketches still mean what they meant: a point of few tokens is nearest to its own.
    let binarizer =
        Binarizer::new_rotation(24, Levels::ONE, Metric::Dot, 0x6269_6772_6169_6e31).unwrap();
    assert_eq!(sketches.space(), binarizer.id(), "the default code space has changed");
    let resident = sketches.resident().unwrap();
    let (mut found, mut asked) = (0, 0);
    for (offset, row) in rows.iter().enumerate() {
        let Some(row) = row.as_ref().filter(|row| row.tokens() <= 12) else { continue };
        let query = MultiQueryCode::new(&binarizer, row).unwrap();
        let search = SketchSearch { sketches: &resident, query: &query };
        found += usize::from(search.best(1, None, |_| true).best[0].offset == offset as u32);
        asked += 1;
    }
    assert!(found * 10 >= asked * 9, "{found} of {asked}");
}

#[test]
fn a_collection_of_a_newer_version_is_refused_by_name_and_the_others_serve() {
    let mut db = Db::tiny();
    db.upsert(1, [1.0, 0.0, 0.0]);
    db.engine().create_collection("newer", CollectionConfig::new(3, Metric::Dot)).unwrap();
    db.close();
    let store = Store::open(db.path(), &StoreConfig::default()).unwrap();
    let rows = store.view().collections().unwrap();
    let (key, mut row) = rows.into_iter().find(|(_, row)| row.name == "newer").unwrap();
    row.config = row.config.replacen("\"version\":1", "\"version\":9,\"what\":[]", 1);
    let mut batch = Batch::new();
    batch.put_collection(key, &row);
    store.commit(batch).unwrap();
    drop(store);
    assert_others_are_checked(&check_folder(db.path(), &mut Watch::new()).unwrap());
    db.reopen();
    assert_others_are_checked(&db.engine().check(&mut Watch::new()).unwrap());
    assert_eq!(db.nearest(&[1.0, 0.0, 0.0], 1), [PointId::from(1)]);
    for _ in 0..2 {
        let error = db.engine().collection("newer").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
        let error = error.to_string();
        assert!(error.contains("\"newer\"") && error.contains("version 9"), "{error}");
        assert!(error.contains("reads version"), "{error}");
    }
    db.close();
    let engine = Engine::open(db.path(), EngineConfig::default()).unwrap();
    engine.drop_collection("newer").unwrap();
}

/// The newer collection is the one thing found, and it is no damage.
fn assert_others_are_checked(report: &CheckReport) {
    assert!(!report.is_healthy(), "{report:?}");
    assert_eq!((report.damage, report.orphans, report.unchecked), (0, 0, 1), "{report:?}");
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!(finding.kind, FindingKind::Unchecked);
    assert_eq!(finding.collection.as_deref(), Some("newer"));
    assert!(finding.problem.contains("version 9"), "{finding:?}");
    let other = report.collections.iter().find(|checked| checked.name != "newer").unwrap();
    assert_eq!((report.collections.len(), other.points, other.damage), (2, 1, 0), "{report:?}");
}
