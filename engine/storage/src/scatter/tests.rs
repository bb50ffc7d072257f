//! One suite for every way of reading.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Extent, ScatterReader};
use crate::{
    BLOCK_BYTES, BlockFile, BlockFileWriter, Directory, FaultyDirectory, FileKind, MmapDirectory,
    RamDirectory, ReadError,
};

const NAME: &str = "dense.v";
const BODY_BYTES: usize = 300 * BLOCK_BYTES - 1000;

fn body() -> Vec<u8> {
    (0..BODY_BYTES as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn write(directory: &dyn Directory) {
    let mut writer = BlockFileWriter::create(directory, Path::new(NAME), FileKind::Dense).unwrap();
    writer.append(&body()).unwrap();
    writer.finish().unwrap();
}

fn open(directory: &dyn Directory) -> BlockFile {
    BlockFile::open(directory, Path::new(NAME), FileKind::Dense).unwrap()
}

/// Returns every way of reading that this machine has.
fn readers() -> Vec<ScatterReader> {
    let refused = ScatterReader::auto_with(|| Err(io::ErrorKind::PermissionDenied.into()));
    assert!(!refused.uses_uring(), "without io_uring, threads read");
    let mut readers = vec![ScatterReader::pread(), refused, ScatterReader::that_lost_its_rings()];
    match ScatterReader::uring() {
        Ok(reader) => readers.push(reader),
        Err(error) => println!("skipped: no io_uring here: {error}"),
    }
    readers
}

fn extents<'f>(file: &'f BlockFile, ranges: &[(u64, usize)]) -> Vec<Extent<'f>> {
    ranges.iter().map(|&(offset, length)| Extent { file, offset, length }).collect()
}

#[test]
fn every_way_brings_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mapped = MmapDirectory::open(folder.path()).unwrap();
    let faulty = FaultyDirectory::new(Arc::new(mapped.clone())).unwrap();
    let body = body();
    for directory in [&RamDirectory::new() as &dyn Directory, &mapped, &faulty] {
        write(directory);
        let file = open(directory);
        file.expect_scattered_reads();
        let last = (BODY_BYTES - 7) as u64;
        let ranges: Vec<(u64, usize)> = (0..150)
            .map(|i| ((i * 997_331) % (BODY_BYTES as u64 - 9000), 1 + i as usize * 59))
            .chain([(0, 0), (0, 1), (last, 7), (4096, 4096), (4095, 2)])
            .collect();
        for reader in readers() {
            let mut batch = reader.batch();
            for ranges in [&ranges[..], &ranges[150..], &[], &ranges[..3]] {
                batch.read(&extents(&file, ranges)).unwrap();
                for (i, &(offset, length)) in ranges.iter().enumerate() {
                    let offset = offset as usize;
                    assert!(batch.bytes(i) == &body[offset..offset + length], "{offset} {length}");
                }
            }
        }
    }
}

#[test]
fn bytes_read_are_blocks_each_counted_once() {
    let directory = RamDirectory::new();
    write(&directory);
    let file = open(&directory);
    for reader in readers() {
        let mut batch = reader.batch();
        let read = batch.read(&extents(&file, &[(10, 10), (100, 10), (4090, 10)])).unwrap();
        assert_eq!(read, 2 * BLOCK_BYTES as u64);
        let short_block = BODY_BYTES as u64 % BLOCK_BYTES as u64;
        let read = batch.read(&extents(&file, &[(BODY_BYTES as u64 - 1, 1)])).unwrap();
        assert_eq!(read, short_block);
    }
}

#[test]
fn a_damaged_block_is_named_and_its_neighbours_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    write(&directory);
    let mut bytes = std::fs::read(folder.path().join(NAME)).unwrap();
    bytes[100 * BLOCK_BYTES + 9] ^= 4;
    std::fs::write(folder.path().join(NAME), bytes).unwrap();
    let file = open(&directory);
    for reader in readers() {
        let mut batch = reader.batch();
        let damaged = 100 * BLOCK_BYTES as u64;
        batch.read(&extents(&file, &[(damaged - 10, 10), (damaged + 4096, 10)])).unwrap();
        let error = batch.read(&extents(&file, &[(0, 10), (damaged + 4000, 10)])).unwrap_err();
        assert!(
            matches!(error, ReadError::Checksum { offset, .. } if offset == damaged),
            "{error}"
        );
        assert!(error.to_string().contains(NAME), "{error}");
    }
}

#[test]
fn a_file_that_lost_its_end_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    write(&directory);
    let file = open(&directory);
    let truncated = OpenOptions::new().write(true).open(folder.path().join(NAME)).unwrap();
    truncated.set_len(10 * BLOCK_BYTES as u64 + 100).unwrap();
    for reader in readers() {
        let mut batch = reader.batch();
        batch.read(&extents(&file, &[(0, 10), (9 * 4096, 10)])).unwrap();
        for lost in [10 * 4096 + 200, 200 * 4096] {
            let error = batch.read(&extents(&file, &[(0, 10), (lost, 10)])).unwrap_err();
            let ReadError::Io(error) = error else { panic!("{error}") };
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            assert!(error.to_string().contains(NAME), "{error}");
        }
    }
}

#[test]
fn a_disk_that_fails_is_an_error_and_the_next_read_works() {
    let directory = FaultyDirectory::new(Arc::new(RamDirectory::new())).unwrap();
    write(&directory);
    let file = open(&directory);
    for reader in readers() {
        let mut batch = reader.batch();
        directory.fail_reads(Some(io::ErrorKind::TimedOut));
        let error = batch.read(&extents(&file, &[(0, 10), (50_000, 10)])).unwrap_err();
        assert!(error.to_string().starts_with("read dense.v: "), "{error}");
        directory.fail_reads(None);
        batch.read(&extents(&file, &[(0, 10), (50_000, 10)])).unwrap();
        assert_eq!(batch.bytes(1), &body()[50_000..50_010]);
    }
}

#[test]
fn extents_past_the_body_are_refused() {
    let directory = RamDirectory::new();
    write(&directory);
    let file = open(&directory);
    for reader in readers() {
        for (offset, length) in [(BODY_BYTES as u64, 1), (u64::MAX, 2), (0, usize::MAX)] {
            let error = reader.batch().read(&extents(&file, &[(offset, length)])).unwrap_err();
            assert!(matches!(error, ReadError::OutOfBounds { .. }), "{error}");
        }
    }
}

#[test]
fn threads_share_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    write(&directory);
    let (file, body) = (open(&directory), body());
    for reader in readers() {
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                let (file, reader, body) = (&file, &reader, &body);
                scope.spawn(move || {
                    for round in 0..20 {
                        let at =
                            |i: u64| (thread * 7919 + round * 104_729 + i * 31_337) % 1_000_000;
                        let ranges: Vec<(u64, usize)> = (0..20).map(|i| (at(i), 3000)).collect();
                        let mut batch = reader.batch();
                        batch.read(&extents(file, &ranges)).unwrap();
                        for (i, &(offset, length)) in ranges.iter().enumerate() {
                            let offset = offset as usize;
                            assert!(batch.bytes(i) == &body[offset..offset + length]);
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn an_extent_of_nothing_is_nothing_wherever_it_lies() {
    let directory = RamDirectory::new();
    write(&directory);
    let file = open(&directory);
    let reader = ScatterReader::auto();
    let mut batch = reader.batch();
    assert_eq!(batch.read(&extents(&file, &[(1, 0), (BODY_BYTES as u64, 0)])).unwrap(), 0);
    assert!(batch.bytes(0).is_empty() && batch.bytes(1).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_extents_bring_their_bytes(
        ranges in prop::collection::vec((0..BODY_BYTES as u64, 0..30_000_usize), 0..80),
    ) {
        let directory = RamDirectory::new();
        write(&directory);
        let (file, body) = (open(&directory), body());
        let ranges: Vec<(u64, usize)> = ranges
            .into_iter()
            .map(|(offset, length)| (offset, length.min(BODY_BYTES - offset as usize)))
            .collect();
        let reader = ScatterReader::auto();
        let mut batch = reader.batch();
        batch.read(&extents(&file, &ranges)).unwrap();
        for (i, &(offset, length)) in ranges.iter().enumerate() {
            prop_assert!(batch.bytes(i) == &body[offset as usize..offset as usize + length]);
        }
    }
}
