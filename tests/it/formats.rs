//! Files written by released versions stay readable.
//!
//! `tests/data/segment-v1` holds the files of one segment, written by version 1 of each format.
//! `UPDATE_GOLDEN=1` writes them anew; do that only before version 1 is released.

use std::fs;
use std::path::{Path, PathBuf};

use bigrain_binarize::{Binarizer, QueryWidth};
use bigrain_engine::{CollectionConfig, Levels, Metric, Point, PointId, SegmentId};
use bigrain_index::codes::CodesReader;
use bigrain_index::dense::DenseReader;
use bigrain_index::ids::IdsReader;
use bigrain_index::{Candidates, candidates::flat};
use bigrain_storage::MmapDirectory;
use bigrain_tests::{Db, Random};

const ROWS: u64 = 40;
const DIMS: usize = 70;
const FILES: [&str; 3] = ["codes.vector", "dense.vector", "ids"];

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/segment-v1")
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

/// Writes the files through the engine and copies them.
fn update() {
    let config = CollectionConfig::new(DIMS, Metric::L2).with_levels(Levels::TWO);
    let db = Db::temp(config, 1000);
    let points = rows().into_iter().map(|(id, row)| Point::new(id, row)).collect();
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
fn segments_of_version_1_are_read() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update();
    }
    let directory = MmapDirectory::open(golden_folder()).unwrap();
    let codes = CodesReader::open(&directory, Path::new(FILES[0])).unwrap();
    let dense = DenseReader::open(&directory, Path::new(FILES[1])).unwrap();
    let ids = IdsReader::open(&directory, Path::new(FILES[2])).unwrap();
    assert_eq!((codes.rows(), dense.rows(), ids.rows()), (ROWS, ROWS, ROWS));
    let (codes, space) = (codes.resident().unwrap(), codes.space());
    for (offset, (id, row)) in rows().iter().enumerate() {
        let offset = bigrain_engine::Offset(offset as u32);
        assert_eq!(&dense.row(offset).unwrap().to_vec(), row);
        assert_eq!(&ids.get(offset).unwrap(), id);
    }
    // The codes still mean what they meant: the nearest code to each row is its own.
    let binarizer = Binarizer::new_rotation(DIMS, Levels::TWO, Metric::L2, 0x6269_6772_6169_6e31);
    let binarizer = binarizer.unwrap();
    assert_eq!(space, binarizer.id(), "the default code space has changed");
    for (offset, (_, row)) in rows().iter().enumerate() {
        let query = binarizer.prepare_query(row, QueryWidth::default_for(Levels::TWO)).unwrap();
        let mut candidates = Candidates::new(1, 10);
        flat::search(&codes, &query, &Default::default(), &mut candidates);
        assert_eq!(candidates.into_sorted()[0].offset as usize, offset);
    }
}
