//! The index against the meaning of filters.

use bigrain_storage::Directory;
use bigrain_types::{Filter, Payload};
use proptest::prelude::*;

use crate::data::{FILE, check, filters, open, payloads, write};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_row_is_wrong(
        payloads in prop::collection::vec(payloads(), 0..24),
        filters in prop::collection::vec(filters(), 24),
    ) {
        let directory = write(&payloads);
        let reader = open(&directory);
        for filter in &filters {
            check(&reader.select(filter).unwrap(), filter, &payloads);
        }
    }
}

fn payload(text: &str) -> Payload {
    Payload::from_json(text.as_bytes()).unwrap()
}

fn filter(text: &str) -> Filter {
    Filter::from_json(text.as_bytes()).unwrap()
}

#[test]
fn plain_conditions_read_no_payload() {
    let rows: Vec<Payload> = (0..3000)
        .map(|i| {
            let year = 1900 + i % 120;
            payload(&format!(
                r#"{{"n": {i}, "price": {}, "year": {year}, "at": "{year}-06-01T00:00:{:02}Z", "tag": "t{}",
                    "tags": ["x{}", "y"], "text": "the word{} here", "flag": {}, "home": {{"lat": {}, "lon": 7}}}}"#,
                f64::from(i) * 0.37, i % 60, i % 7, i % 5, i % 11, i % 2 == 0, i % 90,
            ))
        })
        .collect();
    let reader_directory = write(&rows);
    let reader = open(&reader_directory);
    for text in [
        r#"{"field": "n", "gte": 100, "lt": 2100}"#,
        r#"{"field": "price", "gt": 37.0, "lte": 740}"#,
        r#"{"field": "at", "gte": "1950-01-01", "lt": "1980-01-01"}"#,
        r#"{"field": "tag", "in": ["t1", "t5", 3]}"#,
        r#"{"field": "tags", "prefix": "x"}"#,
        r#"{"field": "text", "text": "WORD3 the"}"#,
        r#"{"must": {"field": "flag", "eq": true}, "must_not": {"field": "year", "eq": 1950}}"#,
        r#"{"field": "home", "geo_radius": {"center": {"lat": 40, "lon": 7}, "meters": 700000}}"#,
        r#"{"field": "tags", "count": {"gte": 2}}"#,
        r#"{"min_should": {"count": 2, "conditions": [
            {"field": "flag", "eq": false}, {"field": "n", "lt": 50}, {"field": "year", "gt": 2000}
        ]}}"#,
    ] {
        let filter = filter(text);
        let selection = reader.select(&filter).unwrap();
        assert_eq!(check(&selection, &filter, &rows), 0, "{text}");
        assert!(!selection.matching.is_empty(), "{text}");
    }
}

#[test]
fn nested_objects_leave_few_rows_to_check() {
    let rows: Vec<Payload> = (0..1000)
        .map(|i| {
            payload(&format!(
                r#"{{"o": [{{"k": {}, "v": {}}}, {{"k": {}, "v": 1}}]}}"#,
                i % 50,
                i % 3,
                i % 40
            ))
        })
        .collect();
    let directory = write(&rows);
    let filter = filter(
        r#"{"nested": "o", "filter": {"must": [{"field": "k", "eq": 7}, {"field": "v", "eq": 2}]}}"#,
    );
    let undecided = check(&open(&directory).select(&filter).unwrap(), &filter, &rows);
    assert!((1..50).contains(&undecided), "{undecided}");
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let rows: Vec<Payload> =
        (0..500).map(|i| payload(&format!(r#"{{"n": {i}, "s": "text {}"}}"#, i % 17))).collect();
    let bytes = || {
        let directory = write(&rows);
        let file = directory.open(FILE.as_ref()).unwrap();
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    };
    assert!(bytes() == bytes());
}

#[test]
fn a_segment_without_rows_has_an_index() {
    let directory = write(&[]);
    let reader = open(&directory);
    assert_eq!(reader.rows(), 0);
    let selection = reader.select(&filter(r#"{"must_not": {"field": "a", "eq": 1}}"#)).unwrap();
    assert!(selection.matching.is_empty() && selection.undecided.is_empty());
}
