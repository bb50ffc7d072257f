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
            prop_assert_eq!(bm25.scores(&*index).unwrap(), bm25.scores(&table).unwrap());
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
