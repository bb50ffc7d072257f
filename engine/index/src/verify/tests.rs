//! One suite for every way of reading rows.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bigrain_storage::{Directory, FaultyDirectory, MmapDirectory, RamDirectory, ReadError};
use bigrain_types::{Cancel, DenseFormat, Metric, Offset, VerifyIo};
use proptest::prelude::*;

use super::{RowIo, Verified, Verifier, verify};
use crate::dense::{DenseReader, DenseWriter};
use crate::{Candidate, IndexError};

const FORMATS: [DenseFormat; 3] = [DenseFormat::F32, DenseFormat::F16, DenseFormat::I8];
const DIMS: usize = 100;

fn path() -> &'static Path {
    Path::new("dense.v")
}

/// Returns every way of reading that this machine has.
fn ways() -> Vec<RowIo> {
    let open = |io| match RowIo::open(io) {
        Err(error) if io == VerifyIo::Uring => {
            assert!(error.to_string().contains("io_uring is not available"), "{error}");
            println!("skipped: {error}");
            None
        }
        opened => Some(opened.unwrap()),
    };
    let ways = [VerifyIo::Auto, VerifyIo::Map, VerifyIo::Uring, VerifyIo::Pread];
    ways.into_iter().filter_map(open).collect()
}

fn vector(seed: u64, dims: usize) -> Vec<f32> {
    let value = |d: u64| ((seed * 7919 + d * 104_729 + seed * d * 31) % 2003) as f32 / 1001.0 - 1.0;
    (0..dims as u64).map(value).collect()
}

fn dense(directory: &dyn Directory, rows: u64, dims: usize, format: DenseFormat) -> DenseReader {
    let mut writer = DenseWriter::create(directory, path(), rows, dims, format).unwrap();
    (0..rows).for_each(|row| writer.push(&vector(row, dims)).unwrap());
    writer.finish().unwrap();
    DenseReader::open(directory, path()).unwrap()
}

/// Returns every row of `sources` as a candidate whose bound is above its similarity by up to
/// `slack`, and one more source with scores that are exact.
fn candidates(
    sources: &[&DenseReader],
    (metric, query): (Metric, &[f32]),
    slack: impl Fn(u64) -> f32,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (source, reader) in sources.iter().enumerate() {
        for offset in 0..reader.rows() as u32 {
            let similarity = reader.row(Offset(offset)).unwrap().similarity(metric, query);
            let optimistic = similarity + slack(u64::from(offset) * 3 + source as u64);
            candidates.push(Candidate { source: source as u32, offset, optimistic });
        }
    }
    let largest = candidates.iter().fold(f32::MIN, |most, c| c.optimistic.max(most));
    for offset in 0..5 {
        let optimistic = largest - 0.3 * offset as f32;
        candidates.push(Candidate { source: sources.len() as u32, offset, optimistic });
    }
    candidates.sort_by(|a, b| b.optimistic.total_cmp(&a.optimistic));
    candidates
}

/// The rule as it is defined, over rows read one by one.
fn plain(verifier: &Verifier<'_>, candidates: &[Candidate]) -> Verified {
    verify(candidates, verifier.limit, |candidate| {
        let Some(reader) = verifier.sources.get(candidate.source as usize) else {
            return Ok(candidate.optimistic);
        };
        let row = reader.row(Offset(candidate.offset))?;
        Ok::<_, IndexError>(row.similarity(verifier.metric, verifier.query))
    })
    .unwrap()
}

fn run(
    io: &RowIo,
    sources: &[&DenseReader],
    query: &[f32],
    candidates: &[Candidate],
) -> Result<Verified, IndexError> {
    let (metric, limit, cancel) = (Metric::L2, 10, &Cancel::new());
    Verifier { metric, query, limit, sources, io, cancel }.run(candidates)
}

/// Every row of a file as a candidate that could be anything.
fn all_rows(reader: &DenseReader) -> Vec<Candidate> {
    let candidate = |offset| Candidate { source: 0, offset, optimistic: f32::INFINITY };
    (0..reader.rows() as u32).map(candidate).collect()
}

#[test]
fn every_way_finds_the_same_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let mapped = MmapDirectory::open(folder.path().join(format.to_string())).unwrap();
        let faulty = FaultyDirectory::new(Arc::new(RamDirectory::new())).unwrap();
        let (a, b) =
            (dense(&mapped, 300, DIMS, format), dense(&faulty, 77, DIMS, DenseFormat::F32));
        let sources = [&a, &b];
        let query = vector(1_000_003, DIMS);
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            for slack in [0.0, 0.5, 100.0] {
                let slack = |i: u64| slack * (i * 37 % 101) as f32 / 100.0;
                let candidates = candidates(&sources, (metric, &query), slack);
                for limit in [0, 1, 10, 100, 1000] {
                    for io in ways() {
                        let cancel = &Cancel::new();
                        let verifier = Verifier {
                            metric,
                            query: &query,
                            limit,
                            sources: &sources,
                            io: &io,
                            cancel,
                        };
                        let found = verifier.run(&candidates).unwrap();
                        let expected = plain(&verifier, &candidates);
                        assert_eq!(found.best, expected.best, "{format} {metric} {}", io.io());
                        let known = candidates[..expected.rows as usize].iter();
                        let known = known.filter(|candidate| candidate.source == 2).count();
                        assert_eq!(found.rows, expected.rows - known as u64);
                    }
                }
            }
        }
    }
}

#[test]
fn bytes_are_rows_in_the_map_and_blocks_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    // A row fills a block to the byte.
    let reader = dense(&directory, 50, 1024, DenseFormat::F32);
    let query = vector(5, 1024);
    let far_apart: Vec<Candidate> = all_rows(&reader).into_iter().step_by(2).collect();
    for io in ways() {
        let found = run(&io, &[&reader], &query, &far_apart).unwrap();
        assert_eq!((found.rows, found.bytes), (25, 25 * 4096), "{}", io.io());
    }
    let quarter = dense(&directory, 50, 256, DenseFormat::F32);
    let first_four = &all_rows(&quarter)[..4];
    for io in ways() {
        let found = run(&io, &[&quarter], &query[..256], first_four).unwrap();
        assert_eq!((found.rows, found.bytes), (4, 4096), "four rows of one block, {}", io.io());
    }
}

#[test]
fn only_candidates_that_can_enter_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    let reader = dense(&directory, 400, 1024, DenseFormat::F32);
    let query = vector(5, 1024);
    let mut candidates: Vec<Candidate> = all_rows(&reader).into_iter().step_by(2).collect();
    // After twenty that could be anything, all are worse than any row is.
    candidates[20..].iter_mut().for_each(|candidate| candidate.optimistic = f32::MIN);
    for io in ways() {
        let found = run(&io, &[&reader], &query, &candidates).unwrap();
        assert_eq!((found.rows, found.bytes), (20, 20 * 4096), "{}", io.io());
    }
}

#[test]
fn rows_of_many_blocks_are_read_in_small_batches() {
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    let reader = dense(&directory, 20, 65_536, DenseFormat::F32);
    let query = vector(5, 65_536);
    for io in ways() {
        let found = run(&io, &[&reader], &query, &all_rows(&reader)).unwrap();
        assert_eq!((found.rows, found.best.len()), (20, 10), "{}", io.io());
    }
}

#[test]
fn a_damaged_block_is_named_on_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    let rows = dense(&directory, 300, DIMS, DenseFormat::F32).rows();
    let file = folder.path().join(path());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096 + 150 * 4 * DIMS] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let query = vector(5, DIMS);
    for io in ways() {
        let reader = DenseReader::open(&directory, path()).unwrap();
        let candidates = all_rows(&reader);
        assert_eq!(candidates.len() as u64, rows);
        run(&io, &[&reader], &query, &candidates[..100]).unwrap();
        let error = run(&io, &[&reader], &query, &candidates).unwrap_err();
        assert!(error.is_corruption(), "{error}");
        let block = (4096 + 150 * 4 * DIMS) / 4096 * 4096;
        assert!(error.to_string().contains(&format!("dense.v: block at {block} is damaged")));
    }
}

#[test]
fn a_file_that_lost_its_end_is_an_error_on_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    dense(&directory, 300, DIMS, DenseFormat::F16);
    let readers: Vec<(RowIo, DenseReader)> =
        ways().into_iter().map(|io| (io, DenseReader::open(&directory, path()).unwrap())).collect();
    let file = OpenOptions::new().write(true).open(folder.path().join(path())).unwrap();
    file.set_len(4096 * 5 + 17).unwrap();
    let query = vector(5, DIMS);
    for (io, reader) in &readers {
        let error = run(io, &[reader], &query, &all_rows(reader)).unwrap_err();
        assert!(error.is_corruption(), "{}: {error}", io.io());
        assert!(error.to_string().contains("dense.v"), "{error}");
    }
}

#[test]
fn errors_of_the_disk_pass_through_unless_the_rows_were_checked_in_the_map() {
    let directory = FaultyDirectory::new(Arc::new(RamDirectory::new())).unwrap();
    let query = vector(5, DIMS);
    dense(&directory, 300, DIMS, DenseFormat::I8);
    for io in ways() {
        let reader = DenseReader::open(&directory, path()).unwrap();
        directory.fail_reads(Some(io::ErrorKind::TimedOut));
        let error = run(&io, &[&reader], &query, &all_rows(&reader)).unwrap_err();
        directory.fail_reads(None);
        assert!(!error.is_corruption(), "{error}");
        assert!(error.to_string().starts_with("read dense.v: "), "{error}");
    }
}

#[test]
fn a_candidate_without_a_row_is_an_error_and_not_a_panic() {
    let directory = RamDirectory::new();
    let reader = dense(&directory, 3, DIMS, DenseFormat::F32);
    let stray = [Candidate { source: 0, offset: 3, optimistic: 1.0 }];
    for io in ways() {
        let error = run(&io, &[&reader], &vector(5, DIMS), &stray).unwrap_err();
        assert_eq!(error.to_string(), "dense.v: row 3 of 3");
    }
}

#[test]
fn a_raised_flag_ends_verification() {
    let directory = RamDirectory::new();
    let reader = dense(&directory, 3, DIMS, DenseFormat::F32);
    let cancel = &Cancel::new();
    cancel.cancel();
    let (metric, query, limit, sources) = (Metric::Dot, &vector(5, DIMS)[..], 1, &[&reader][..]);
    for io in &ways() {
        let verifier = Verifier { metric, query, limit, sources, io, cancel };
        let error = verifier.run(&all_rows(&reader)).unwrap_err();
        assert!(matches!(error, IndexError::Read(ReadError::Cancelled(_))), "{error}");
        assert!(error.is_cancelled() && !error.is_corruption());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn bounds_that_hold_give_the_brute_force_answer(
        rows in 0..150_u64,
        limit in 1..30_usize,
        slacks in prop::collection::vec(0.0_f32..3.0, 1..40),
        format in prop::sample::select(&FORMATS[..]),
        metric in prop::sample::select(&[Metric::Dot, Metric::L2][..]),
        seed: u16,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let directory = MmapDirectory::open(folder.path()).unwrap();
        let reader = dense(&directory, rows, 33, format);
        let query = vector(u64::from(seed), 33);
        let slack = |i: u64| slacks[i as usize % slacks.len()];
        let mut candidates = candidates(&[&reader], (metric, &query), slack);
        candidates.retain(|candidate| candidate.source == 0);
        let mut exact: Vec<f32> = (0..rows as u32)
            .map(|row| reader.row(Offset(row)).unwrap().similarity(metric, &query))
            .collect();
        exact.sort_by(|a, b| b.total_cmp(a));
        exact.truncate(limit);
        for io in &ways() {
            let (sources, cancel) = (&[&reader][..], &Cancel::new());
            let verifier = Verifier { metric, query: &query, limit, sources, io, cancel };
            let found = verifier.run(&candidates).unwrap();
            let found: Vec<f32> = found.best.iter().map(|best| best.0).collect();
            prop_assert_eq!(&found, &exact);
        }
    }
}
