//! Payloads and filters that meet each other often.

use std::path::Path;

use bigrain_lexical::{LexicalReader, LexicalWriter, Selection};
use bigrain_storage::{Directory, RamDirectory};
use bigrain_types::{Filter, Payload, PointId};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

pub const FILE: &str = "lexical";

/// Writes the index of some payloads; their ids are their offsets.
pub fn write(payloads: &[Payload]) -> RamDirectory {
    let directory = RamDirectory::new();
    let mut writer = LexicalWriter::new(&[]).unwrap();
    for (offset, payload) in payloads.iter().enumerate() {
        writer.add(&id(offset), payload).unwrap();
    }
    writer.finish(&directory, Path::new(FILE)).unwrap();
    directory
}

pub fn open(directory: &dyn Directory) -> LexicalReader {
    LexicalReader::open(directory, Path::new(FILE)).unwrap()
}

pub fn id(offset: usize) -> PointId {
    match offset % 3 {
        0 => PointId::from(offset as u64),
        1 => PointId::parse(&format!("row {offset}")).unwrap(),
        _ => PointId::parse(&format!("936da01f-9abd-4d9d-80c7-{offset:012x}")).unwrap(),
    }
}

/// Checks a selection against the meaning of a filter; returns how many rows it left undecided.
pub fn check(selection: &Selection, filter: &Filter, payloads: &[Payload]) -> u64 {
    for (offset, payload) in payloads.iter().enumerate() {
        let row = offset as u32;
        let context = || format!("{filter:?}\n{payload:?}");
        let matches = filter.matches(payload, &id(offset));
        if selection.matching.contains(row) {
            assert!(matches, "selected but does not match: {}", context());
            assert!(!selection.undecided.contains(row));
        } else if !selection.undecided.contains(row) {
            assert!(!matches, "left out but matches: {}", context());
        }
    }
    let past = payloads.len() as u64;
    let all = &selection.matching | &selection.undecided;
    assert!(all.max().is_none_or(|last| u64::from(last) < past));
    selection.undecided.len()
}

fn numbers() -> impl Strategy<Value = Value> {
    let near = |edge: i64| (edge - 2..=edge + 2).prop_map(Value::from);
    prop_oneof![
        3 => (-3..6_i64).prop_map(Value::from),
        2 => (-6..12_i32).prop_map(|half| Value::from(f64::from(half) / 2.0)),
        1 => near(1 << 53),
        1 => (0..3_u64).prop_map(|by| Value::from(u64::MAX - by)),
        1 => near(-(1 << 53)),
        1 => (0..70_000_i64).prop_map(Value::from),
        1 => prop::num::f64::NORMAL.prop_map(Value::from),
    ]
}

fn texts() -> impl Strategy<Value = String> {
    let long = |end: &'static str| format!("{}{end}", "long ".repeat(60));
    prop_oneof![
        4 => prop::sample::select(vec!["a", "ab", "abc", "b", "", "Red fox", "red Dog, fox", "7"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["", "x", "y"]).prop_map(long),
        1 => (250..262_usize).prop_map(|length| "é".repeat(length / 2) + &"z".repeat(length % 2)),
        2 => moments(),
        1 => "\\PC{0,6}",
    ]
}

fn moments() -> impl Strategy<Value = String> {
    let spelled = (2023..2026_i32, 1..13_u8, 1..29_u8, 0..24_u8, 0..60_u8, 0..3_u8);
    spelled.prop_map(|(year, month, day, hour, minute, zone)| match zone {
        0 => format!("{year}-{month:02}-{day:02}"),
        1 => format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z"),
        _ => format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:00.25+05:30"),
    })
}

fn places() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-2..3_i32, -2..3_i32).prop_map(|(lat, lon)| json!({"lat": lat, "lon": lon})),
        (-90.0..=90.0_f64, -180.0..=180.0_f64)
            .prop_map(|(lat, lon)| json!({"lat": lat, "lon": lon})),
        (80..101_i32, 170..185_i32).prop_map(|(lat, lon)| json!({"lat": lat, "lon": lon, "a": 1})),
    ]
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        3 => numbers(),
        3 => texts().prop_map(Value::from),
        1 => places(),
    ]
}

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "o", "x.y", ""]).prop_map(str::to_owned)
}

fn values() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            2 => prop::collection::btree_map(names(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

pub fn payloads() -> impl Strategy<Value = Payload> {
    prop::collection::btree_map(names(), values(), 0..5)
        .prop_map(|members| Payload::from(members.into_iter().collect::<Map<String, Value>>()))
}

pub fn paths() -> impl Strategy<Value = String> {
    let steps =
        prop::collection::vec(prop::sample::select(vec![".a", ".b", ".o", "[]", "[]"]), 0..3);
    (prop::sample::select(vec!["a", "b", "o", "\"x.y\"", "\"\""]), steps)
        .prop_map(|(name, steps)| format!("{name}{}", steps.concat()))
}

fn tests() -> impl Strategy<Value = Value> {
    let scalar = || {
        prop_oneof![any::<bool>().prop_map(Value::from), numbers(), texts().prop_map(Value::from),]
    };
    let ends =
        || prop::sample::select(vec![("gt", "lt"), ("gt", "lte"), ("gte", "lt"), ("gte", "lte")]);
    let range = |ends: (&str, &str), low: Value, high: Value, which: u8| match which {
        0 => json!({ends.0: low}),
        1 => json!({ends.1: high}),
        _ => json!({ends.0: low, ends.1: high}),
    };
    prop_oneof![
        3 => scalar().prop_map(|value| json!({"eq": value})),
        1 => prop::collection::vec(scalar(), 0..12).prop_map(|values| json!({"in": values})),
        2 => prop::collection::vec(scalar(), 0..3).prop_map(|values| json!({"not_in": values})),
        2 => texts().prop_map(|text| json!({"prefix": text})),
        1 => texts().prop_map(|text| json!({"contains": text})),
        1 => prop::sample::select(vec!["red", "FOX red", "dog red", "long x", ""])
            .prop_map(|text| json!({"phrase": text})),
        4 => (ends(), numbers(), numbers(), 0..3_u8).prop_map(move |(ends, a, b, n)| range(ends, a, b, n)),
        2 => (ends(), moments(), moments(), 0..3_u8)
            .prop_map(move |(ends, a, b, n)| range(ends, a.into(), b.into(), n)),
        2 => prop::sample::select(vec!["red", "FOX red", "dog red", "long x", "", "2024"])
            .prop_map(|text| json!({"text": text})),
        1 => any::<bool>().prop_map(|asked| json!({"is_null": asked})),
        1 => any::<bool>().prop_map(|asked| json!({"is_empty": asked})),
        1 => any::<bool>().prop_map(|asked| json!({"exists": asked})),
        2 => (ends(), 0..4_u64, 0..4_u64, 0..3_u8)
            .prop_map(move |(ends, a, b, n)| json!({"count": range(ends, a.into(), b.into(), n)})),
        2 => (-91.0..=90.0_f64, -180.0..=180.0_f64, 0.0..2e7_f64).prop_map(|(lat, lon, meters)| json!(
            {"geo_radius": {"center": {"lat": lat.max(-90.0), "lon": lon}, "meters": meters}}
        )),
        1 => (-80.0..=60.0_f64, -170.0..=150.0_f64, 0.1..=20.0_f64).prop_map(|(lat, lon, side)| {
            let place = |up: f64, right: f64| json!({"lat": lat + up * side, "lon": lon + right * side});
            json!({"geo_polygon": {"exterior": [place(0.0, 0.0), place(0.0, 1.0), place(1.0, 0.5), place(0.0, 0.0)]}})
        }),
        2 => (-90..=90_i32, -90..=90_i32, -180..=180_i32, -180..=180_i32).prop_map(|(a, b, left, right)| json!(
            {"geo_box": {"top_left": {"lat": a.max(b), "lon": left}, "bottom_right": {"lat": a.min(b), "lon": right}}}
        )),
    ]
}

fn leaves() -> impl Strategy<Value = Value> {
    let field = (paths(), tests()).prop_map(|(path, mut test)| {
        if let Some(members) = test.as_object_mut() {
            members.insert("field".into(), path.into());
        }
        test
    });
    let ids = prop::collection::vec(0..12_usize, 0..5).prop_map(|offsets| {
        let ids: Vec<PointId> = offsets.into_iter().map(id).collect();
        json!({ "ids": ids })
    });
    prop_oneof![8 => field, 1 => ids]
}

pub fn filters() -> impl Strategy<Value = Filter> {
    let trees = leaves().prop_recursive(4, 16, 4, |inner| {
        let list = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            2 => (list(), list()).prop_map(|(a, b)| json!({"must": a, "must_not": b})),
            2 => list().prop_map(|a| json!({"must": a})),
            1 => list().prop_map(|a| json!({"must_not": a})),
            1 => list().prop_map(|a| json!({"should": a})),
            1 => (list(), 0..4_u64)
                .prop_map(|(a, n)| json!({"min_should": {"count": n, "conditions": a}})),
            2 => (paths(), inner.clone()).prop_map(|(path, a)| json!({"nested": path, "filter": a})),
        ]
    });
    trees.prop_map(|tree| Filter::from_value(&tree).unwrap())
}
