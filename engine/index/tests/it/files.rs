//! What is written comes back, and what contradicts itself is refused.

use std::path::Path;

use bigrain_binarize::Binarizer;
use bigrain_index::build::{BuildParams, BuiltIndex, build};
use bigrain_index::codes::{self, CodesReader};
use bigrain_index::lists::{self, ListsReader, Nearness};
use bigrain_storage::{BlockFileWriter, FileKind, RamDirectory};
use bigrain_types::{CodeSpaceId, Levels, Metric};

use crate::data::Clustered;

fn write(directory: &RamDirectory, built: &BuiltIndex) {
    let space = CodeSpaceId::from_bytes([7; 16]);
    codes::write(directory, Path::new("codes"), FileKind::Codes, space, &built.codes).unwrap();
    let centroids = built.centroids.codes();
    codes::write(directory, Path::new("centroids"), FileKind::Centroids, space, centroids).unwrap();
    lists::write(directory, Path::new("lists"), space, built).unwrap();
}

fn open(directory: &RamDirectory) -> ListsReader {
    ListsReader::open(directory, Path::new("lists"), Path::new("centroids")).unwrap()
}

#[test]
fn an_index_comes_back_from_its_files() {
    for (rows, levels) in [(0, 1), (1, 2), (31, 1), (33, 2), (900, 3), (900, 4), (4000, 1)] {
        let levels = Levels::new(levels).unwrap();
        let data = Clustered::new(rows, 65, Metric::L2, 1);
        let binarizer = Binarizer::new_rotation(65, levels, Metric::L2, 3).unwrap();
        let built = build(
            &data,
            &binarizer,
            &BuildParams { lists: Some(9), seed: 1, ..BuildParams::default() },
        )
        .unwrap();
        let directory = RamDirectory::new();
        write(&directory, &built);

        let codes = CodesReader::open(&directory, Path::new("codes"), FileKind::Codes).unwrap();
        assert_eq!(*codes.resident().unwrap(), built.codes);
        assert_eq!(codes.resident_bytes(), built.codes.memory_bytes() as u64);
        let lists = open(&directory);
        let resident = lists.resident().unwrap();
        assert_eq!(resident.layout, built.layout);
        assert_eq!(resident.calibration, built.calibration);
        let centroids = lists.centroids(&resident, Nearness::Distance).unwrap();
        assert_eq!(centroids.vectors, built.centroids.as_centroids().vectors);
        assert_eq!(centroids.norms_squared, built.centroids.as_centroids().norms_squared);
        assert_eq!(centroids.mean.0, built.centroids.as_centroids().mean.0);
    }
}

#[test]
fn codes_take_no_more_memory_than_promised() {
    for (levels, planes) in [(Levels::ONE, 1), (Levels::TWO, 2)] {
        let data = Clustered::new(16_000, 768, Metric::Cosine, 1);
        let binarizer = Binarizer::new_rotation(768, levels, Metric::Cosine, 3).unwrap();
        let built = build(&data, &binarizer, &BuildParams::default()).unwrap();
        let directory = RamDirectory::new();
        write(&directory, &built);
        let codes = CodesReader::open(&directory, Path::new("codes"), FileKind::Codes).unwrap();
        let bytes = codes.resident_bytes() + open(&directory).resident_bytes();
        let each = bytes as f64 / 16_000.0;
        assert!(each <= f64::from(planes * 768 / 8 + 14), "{each} bytes at {levels:?}");
    }
}

#[test]
fn lists_that_contradict_themselves_are_refused() {
    let data = Clustered::new(100, 20, Metric::L2, 1);
    let binarizer = Binarizer::new_rotation(20, Levels::ONE, Metric::L2, 3).unwrap();
    let built = build(
        &data,
        &binarizer,
        &BuildParams { lists: Some(4), seed: 1, ..BuildParams::default() },
    )
    .unwrap();
    let header = |rows: u32, lists: u32, dims: u32, entries: u32, starts: &[u32]| {
        let directory = RamDirectory::new();
        write(&directory, &built);
        let mut file =
            BlockFileWriter::create(&directory, Path::new("bad"), FileKind::Lists).unwrap();
        for field in [rows, lists, dims, entries] {
            file.append(&field.to_le_bytes()).unwrap();
        }
        file.append(&[7; 16]).unwrap();
        file.align_to(4096).unwrap();
        file.append_slice(starts).unwrap();
        file.align_to(4096).unwrap();
        file.append_slice(&[0.0_f32; 4 * 64]).unwrap();
        file.finish().unwrap();
        let reader = ListsReader::open(&directory, Path::new("bad"), Path::new("centroids"))?;
        reader.resident().map(|_| ())
    };
    assert!(header(100, 4, 64, 0, &[0, 10, 20, 30, 100]).is_ok());
    for (case, result) in [
        ("no lists", header(100, 0, 64, 0, &[0])),
        ("other dims", header(100, 4, 128, 0, &[0, 10, 20, 30, 100])),
        ("other lists", header(100, 5, 64, 0, &[0, 10, 20, 30, 100])),
        ("too many entries", header(100, 4, 64, u32::MAX, &[0, 10, 20, 30, 100])),
        ("falling starts", header(100, 4, 64, 0, &[0, 20, 10, 30, 100])),
        ("rows missing", header(100, 4, 64, 0, &[0, 10, 20, 30, 99])),
        ("first row missing", header(100, 4, 64, 0, &[1, 10, 20, 30, 100])),
    ] {
        let error = result.unwrap_err();
        assert!(error.is_corruption(), "{case}: {error}");
    }
}
