//! One suite for every implementation of `Directory`.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::{Directory, Entry, EntryKind, FaultyDirectory, MmapDirectory, RamDirectory};

/// Runs a test on each implementation, empty.
fn on_each(test: impl Fn(&dyn Directory)) {
    let folder = tempfile::tempdir().unwrap();
    test(&RamDirectory::new());
    test(&MmapDirectory::open(folder.path().join("mmap")).unwrap());
    test(&FaultyDirectory::new(Arc::new(RamDirectory::new())).unwrap());
    let mapped = MmapDirectory::open(folder.path().join("faulty")).unwrap();
    test(&FaultyDirectory::new(Arc::new(mapped)).unwrap());
}

fn put(directory: &dyn Directory, path: &str, bytes: &[u8]) {
    let mut writer = directory.create(Path::new(path)).unwrap();
    for part in bytes.chunks(3) {
        writer.append(part).unwrap();
    }
    writer.fsync().unwrap();
}

fn entry(name: &str, kind: EntryKind) -> Entry {
    Entry { name: name.to_owned(), kind }
}

#[test]
fn what_was_written_is_read_both_ways() {
    on_each(|directory| {
        put(directory, "a", b"0123456789");
        let reader = directory.open(Path::new("a")).unwrap();
        assert_eq!(reader.len(), 10);
        let mut middle = [0; 4];
        reader.read_at(3, &mut middle).unwrap();
        assert_eq!(&middle, b"3456");
        let map = reader.map().unwrap().unwrap();
        assert_eq!(map, b"0123456789");
        assert_eq!(map.as_ptr().align_offset(8), 0);
    });
}

#[test]
fn an_empty_file_is_a_file() {
    on_each(|directory| {
        put(directory, "a", b"");
        let reader = directory.open(Path::new("a")).unwrap();
        assert_eq!((reader.len(), reader.map().unwrap()), (0, None));
        reader.read_at(0, &mut []).unwrap();
    });
}

#[test]
fn reads_past_the_end_are_refused() {
    on_each(|directory| {
        put(directory, "a", b"0123");
        let reader = directory.open(Path::new("a")).unwrap();
        for (offset, length) in [(0, 5), (4, 1), (5, 0), (u64::MAX, 1)] {
            let error = reader.read_at(offset, &mut vec![0; length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{offset} {length}");
        }
    });
}

#[test]
fn an_open_file_outlives_its_name() {
    on_each(|directory| {
        directory.create_dir(Path::new("f")).unwrap();
        put(directory, "f/a", b"first");
        put(directory, "f/b", b"second");
        let first = directory.open(Path::new("f/a")).unwrap();
        directory.rename(Path::new("f/b"), Path::new("f/a")).unwrap();
        let second = directory.open(Path::new("f/a")).unwrap();
        directory.remove_dir_all(Path::new("f")).unwrap();
        assert_eq!(first.map().unwrap().unwrap(), b"first");
        assert_eq!(second.map().unwrap().unwrap(), b"second");
        assert_eq!(directory.list(Path::new("")).unwrap(), []);
    });
}

#[test]
fn lists_are_sorted_and_shallow() {
    on_each(|directory| {
        directory.create_dir(Path::new("f")).unwrap();
        put(directory, "f/x", b"");
        put(directory, "g", b"");
        put(directory, "a", b"");
        let names = directory.list(Path::new("")).unwrap();
        let expected = [
            entry("a", EntryKind::File),
            entry("f", EntryKind::Folder),
            entry("g", EntryKind::File),
        ];
        assert_eq!(names, expected);
        assert_eq!(directory.list(Path::new("f")).unwrap(), [entry("x", EntryKind::File)]);
        directory.fsync(Path::new("f")).unwrap();
        directory.fsync(Path::new("")).unwrap();
    });
}

#[test]
fn missing_and_taken_names_are_told_apart() {
    on_each(|directory| {
        let path = Path::new("nobody");
        let inside = Path::new("nobody/a");
        let errors = [
            directory.open(path).unwrap_err(),
            directory.delete(path).unwrap_err(),
            directory.rename(path, Path::new("b")).unwrap_err(),
            directory.remove_dir_all(path).unwrap_err(),
            directory.list(path).unwrap_err(),
            directory.fsync(path).unwrap_err(),
            directory.create(inside).unwrap_err(),
            directory.create_dir(inside).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            assert!(error.to_string().contains("nobody"), "{error}");
        }
        directory.create_dir(path).unwrap();
        assert_eq!(directory.create_dir(path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(directory.open(path).is_err());
        assert!(directory.create(path).is_err());
    });
}

#[test]
fn paths_stay_below_the_root() {
    on_each(|directory| {
        for path in ["/a", "../a", "a/../../b", "a/./b", "a//b", ".", "a/"] {
            let error = directory.create(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path}");
        }
        let error = directory.remove_dir_all(Path::new("")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}
