//! Damaged files: an error that names the file, never a wrong answer.

use std::path::Path;

use bigrain_lexical::{LexicalError, LexicalReader, Selection};
use bigrain_storage::{Directory, RamDirectory};
use bigrain_types::{Filter, Payload};

use crate::data::{FILE, open, write};

fn rows() -> Vec<Payload> {
    let row = |i: usize| {
        let text = format!(
            r#"{{"n": {i}, "s": "row {} of many", "at": "20{:02}-01-01", "p": {{"lat": {}, "lon": 3}}}}"#,
            i % 91,
            i % 80,
            i % 90
        );
        Payload::from_json(text.as_bytes()).unwrap()
    };
    (0..400).map(row).collect()
}

fn filters() -> Vec<Filter> {
    [
        r#"{"field": "n", "gte": 17, "lt": 311}"#,
        r#"{"field": "s", "prefix": "row 1"}"#,
        r#"{"field": "s", "text": "many of"}"#,
        r#"{"field": "at", "lt": "2044-05-01"}"#,
        r#"{"field": "p", "geo_radius": {"center": {"lat": 5, "lon": 3}, "meters": 1000000}}"#,
        r#"{"must_not": {"field": "n", "in": [1, 2, 399]}}"#,
    ]
    .map(|text| Filter::from_json(text.as_bytes()).unwrap())
    .into()
}

fn bytes_of(directory: &dyn Directory) -> Vec<u8> {
    let file = directory.open(Path::new(FILE)).unwrap();
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn with_bytes(bytes: &[u8]) -> RamDirectory {
    let directory = RamDirectory::new();
    directory.create(Path::new(FILE)).unwrap().append(bytes).unwrap();
    directory
}

fn select_all(directory: &dyn Directory) -> Result<Vec<Selection>, LexicalError> {
    let reader = LexicalReader::open(directory, Path::new(FILE))?;
    filters().iter().map(|filter| reader.select(filter)).collect()
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is_touched() {
    let directory = write(&rows());
    let sound = bytes_of(&directory);
    let expected = select_all(&directory).unwrap();
    let mut found = 0;
    for at in (0..sound.len()).step_by(61) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        match select_all(&with_bytes(&bytes)) {
            // The block was not needed.
            Ok(selections) => assert!(selections == expected, "byte {at}"),
            Err(error) => {
                assert!(error.is_corruption() && error.to_string().contains(FILE), "{error}");
                found += 1;
            }
        }
    }
    assert!(found > sound.len() / 61 / 2, "{found} of {}", sound.len() / 61);
}

#[test]
fn a_shorter_file_is_refused() {
    let sound = bytes_of(&write(&rows()));
    for length in (0..sound.len()).step_by(97) {
        let error = select_all(&with_bytes(&sound[..length])).unwrap_err();
        assert!(error.is_corruption() && error.to_string().contains(FILE), "{error}");
    }
    let error = LexicalReader::open(&RamDirectory::new(), Path::new(FILE)).unwrap_err();
    assert!(error.is_corruption() && error.to_string().contains(FILE), "{error}");
}

#[test]
fn an_index_is_read_by_many_threads() {
    let directory = write(&rows());
    let expected = select_all(&directory).unwrap();
    let reader = open(&directory);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let found: Vec<Selection> =
                    filters().iter().map(|filter| reader.select(filter).unwrap()).collect();
                assert!(found == expected);
            });
        }
    });
}
