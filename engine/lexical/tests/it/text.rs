//! Words of a segment count as words in memory do.

use std::path::Path;

use bigrain_lexical::text::{Analyzer, Bm25, TextSource, TextStatistics, TextTable};
use bigrain_lexical::{LexicalReader, LexicalWriter};
use bigrain_storage::{Directory, RamDirectory};
use bigrain_types::{Language, Payload, TextField};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::json;

use super::data::{FILE, id, open};

fn fields() -> [TextField; 3] {
    let field = |path, language| TextField::new(path, language).unwrap();
    [
        field("t", Language::None),
        field("t", Language::English).without_stop_words(),
        field("o[].t", Language::German).and("t").unwrap(),
    ]
}

fn write(payloads: &[Payload]) -> RamDirectory {
    let directory = RamDirectory::new();
    let mut writer = LexicalWriter::new(&fields()).unwrap();
    for (offset, payload) in payloads.iter().enumerate() {
        writer.add(&id(offset), payload).unwrap();
    }
    writer.finish(&directory, Path::new(FILE)).unwrap();
    directory
}

fn payloads() -> impl Strategy<Value = Vec<Payload>> {
    let word = prop::sample::select(vec!["the", "Fox", "foxes", "run", "running", "7", "Häuser"]);
    let text = || prop::collection::vec(word.clone(), 0..60).prop_map(|words| words.join(" "));
    let payload = (text(), prop::collection::vec(text(), 0..3)).prop_map(|(a, b)| {
        let elements: Vec<_> = b.iter().map(|text| json!({ "t": text })).collect();
        let text = if b.len() == 1 { json!([a, 5, b[0]]) } else { json!(a) };
        Payload::new().with("t", text).with("o", elements)
    });
    prop::collection::vec(payload, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_segment_scores_as_memory_does(
        payloads in payloads(),
        query in "(the |fox |runs |houses |7 |häuser |zebra ){1,6}",
        dead in prop::collection::btree_set(0_u32..200, 0..50),
    ) {
        let reader = open(&write(&payloads));
        let dead: RoaringBitmap = dead.into_iter().filter(|row| (*row as usize) < payloads.len()).collect();
        for field in fields() {
            let index = reader.text(&field).unwrap().unwrap();
            let mut table = TextTable::new(&field);
            payloads.iter().for_each(|payload| table.add(payload));
            let words = Analyzer::new(&field).query(&query);
            let statistics = |source: &dyn TextSource| {
                let mut statistics = TextStatistics::default();
                statistics.add(source, &words, &dead).unwrap();
                statistics
            };
            prop_assert_eq!(statistics(&*index), statistics(&table));
            let bm25 = Bm25::new(&words, &statistics(&table));
            let scores = bm25.scores(&*index).unwrap();
            prop_assert_eq!(&scores, &bm25.scores(&table).unwrap());
            let is_in = |row: u32| !dead.contains(row);
            let mut found = index.best(&bm25, 5, is_in, &()).unwrap();
            found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            prop_assert_eq!(found, best_of(&scores, 5, is_in));
        }
    }
}

/// The rows that are in, by their scores, down to the `limit`-th and all that score as much.
fn best_of(scores: &[f32], limit: usize, is_in: impl Fn(u32) -> bool) -> Vec<(u32, f32)> {
    let found = (0..).zip(scores.iter().copied());
    let mut found: Vec<(u32, f32)> =
        found.filter(|&(row, score)| score > 0.0 && is_in(row)).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let last = found.get(limit - 1).map_or(0.0, |row| row.1);
    found.retain(|row| row.1 >= last);
    found
}

/// Rows of a few words out of some that are common to all degrees; the first is in nearly every row.
fn common_words(rows: usize, seed: u64) -> Vec<Payload> {
    let mut state = seed;
    let mut below = |end: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let mut row = || {
        // Of 40 words, each half as common as the one before it but one.
        let length = 1 + below(30);
        let words = (0..length).map(|_| {
            let word = (0..).take(39).take_while(|_| below(10) < 7).count();
            format!("w{word}")
        });
        Payload::new().with("t", words.collect::<Vec<_>>().join(" "))
    };
    (0..rows).map(|_| row()).collect()
}

#[test]
fn the_best_rows_are_those_of_the_scores_of_all() {
    let field = &fields()[0];
    for (rows, seed) in [(9000, 1), (20_000, 2)] {
        let reader = open(&write(&common_words(rows, seed)));
        let index = reader.text(field).unwrap().unwrap();
        let dead = RoaringBitmap::from_iter((0..rows as u32).filter(|row| row % 7 == 3));
        for query in [
            "w0",
            "w0 w1",
            "w2 w9",
            "w14 w0 w1 w2",
            "w20 w21 w0",
            "w3 w3 w3 w0 nothing",
            "w5 w4 w3 w2 w1 w0 w6 w7 w8 w9 w10 w11 w12",
            "w30",
            "nothing",
        ] {
            let words = Analyzer::new(field).query(query);
            for dead in [&RoaringBitmap::new(), &dead] {
                let mut statistics = TextStatistics::default();
                statistics.add(&*index, &words, dead).unwrap();
                let bm25 = Bm25::new(&words, &statistics);
                let scores = bm25.scores(&*index).unwrap();
                // What is alive, and what matches a filter of a tenth or of nearly nothing.
                let among: [&dyn Fn(u32) -> bool; 3] = [
                    &|row| !dead.contains(row),
                    &|row| !dead.contains(row) && row % 10 == 4,
                    &|row| row == 77 || row == 8111,
                ];
                for is_in in among {
                    for limit in [1, 10, 300, 30_000] {
                        let mut found = index.best(&bm25, limit, is_in, &()).unwrap();
                        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                        assert_eq!(found, best_of(&scores, limit, is_in), "{query:?} {limit}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_field_that_was_not_written_is_not_found() {
    let reader: LexicalReader = open(&write(&[Payload::new().with("t", "a")]));
    let other = TextField::new("t", Language::French).unwrap();
    assert!(reader.text(&other).unwrap().is_none());
}

#[test]
fn damaged_words_are_named_and_never_scored() {
    let payload = |row: usize| Payload::new().with("t", format!("fox {row} run {}", row % 7));
    let payloads: Vec<Payload> = (0..3000).map(payload).collect();
    let good = write(&payloads);
    let file = good.open(Path::new(FILE)).unwrap();
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes).unwrap();
    let field = &fields()[0];
    let words = Analyzer::new(field).query("fox 3 run");
    let answer = |reader: &LexicalReader| {
        let index = reader.text(field)?.expect("written");
        let mut statistics = TextStatistics::default();
        statistics.add(&*index, &words, &RoaringBitmap::new())?;
        Bm25::new(&words, &statistics).scores(&*index)
    };
    let expected = answer(&open(&good)).unwrap();
    let (mut refused, mut same) = (0, 0);
    for at in (0..bytes.len()).step_by(1999) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let directory = RamDirectory::new();
        directory.create(Path::new(FILE)).unwrap().append(&damaged).unwrap();
        let Ok(reader) = LexicalReader::open(&directory, Path::new(FILE)) else {
            refused += 1;
            continue;
        };
        match answer(&reader) {
            Ok(scores) => {
                assert_eq!(scores, expected, "byte {at}");
                same += 1;
            }
            Err(error) => {
                assert!(error.is_corruption(), "{error}");
                assert!(error.to_string().contains(FILE), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "{same} reads did not touch the damage");
}
