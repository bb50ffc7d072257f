//! Exporting and importing: what comes back is what was there, to the bit.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bigrain_engine::{
    CollectionConfig, Engine, EngineConfig, FieldConfig, Levels, Metric, MultiFieldConfig,
    MultiVector, PatchGrid, Payload, Point, PointId, SparseFieldConfig, SparseModifier,
    SparseVector, StoredPoint,
};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use crate::desk::Desk;

fn open(desk: &Desk) -> Engine {
    Engine::open(desk.path("data"), EngineConfig { threads: 1, ..EngineConfig::default() }).unwrap()
}

fn config() -> CollectionConfig {
    CollectionConfig::of(FieldConfig::new("id", 3, Metric::Cosine).with_levels(Levels::ONE))
        .with_field(FieldConfig::new("other", 2, Metric::L2))
        .with_sparse(SparseFieldConfig::new("terms").with_modifier(SparseModifier::Idf))
        .with_sparse(SparseFieldConfig::new("payload"))
        .with_multi(MultiFieldConfig::new("tokens", 3, Metric::Cosine))
        .with_multi(MultiFieldConfig::new("id_is_number", 2, Metric::Dot))
}

/// All points but for their versions, which are new in another collection.
fn points(desk: &Desk, collection: &str) -> Vec<StoredPoint> {
    let points = open(desk).collection(collection).unwrap().scroll(None, 5000).unwrap();
    points.into_iter().map(|point| StoredPoint { seq: Default::default(), ..point }).collect()
}

fn same_bits(a: &[StoredPoint], b: &[StoredPoint]) -> bool {
    let bits = |point: &StoredPoint| -> Vec<u32> {
        let dense = point.vectors.iter().flat_map(|vector| &vector.values);
        let sparse = point.sparse.iter().flat_map(|vector| vector.vector.values());
        let multi = point.multi.iter().flat_map(|vector| vector.vector.values());
        dense.chain(sparse).chain(multi).map(|value| value.to_bits()).collect()
    };
    a == b && a.iter().map(bits).eq(b.iter().map(bits))
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_filter("json has no others", |x| x.is_finite()).prop_map(Into::into),
        "\\PC{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("\\PC{0,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn component() -> impl Strategy<Value = f32> {
    prop_oneof![
        -1.0..1.0_f32,
        any::<u32>().prop_map(f32::from_bits).prop_filter("small", |x| x.abs() < 1e15),
        Just(-0.0),
    ]
}

fn point() -> impl Strategy<Value = Point> {
    let id = prop_oneof![
        any::<u64>().prop_map(PointId::from),
        any::<u64>().prop_map(|number| PointId::parse(&number.to_string()).unwrap()),
        any::<u128>().prop_map(|bits| PointId::parse(&format!("{bits:032x}")).unwrap()),
        "\\PC{1,20}".prop_map(|text| PointId::parse(&text).unwrap()),
    ];
    let vector = |dims| prop::collection::vec(component(), dims);
    let payload = prop::collection::btree_map("\\PC{0,8}", json(), 0..4);
    let some = |v: &Vec<f32>| v.iter().any(|&x| x.abs() > 1e-20);
    let cosine = || vector(3).prop_filter("cosine needs a direction", some);
    let tokens = prop::option::of(prop::collection::vec(cosine(), 1..5));
    let small = prop::collection::vec(prop::collection::vec(-9.0..9.0_f32, 2), 1..5);
    let multi = (tokens, prop::option::of((small, any::<bool>())));
    let sparse = || prop::collection::btree_map(any::<u32>(), component(), 0..5);
    let sparse = [sparse(), sparse()];
    let dense = (prop::option::of(cosine()), prop::option::of(vector(2)));
    (id, dense, sparse, multi, payload).prop_map(|(id, (first, other), sparse, multi, payload)| {
        let mut point = Point::empty(id);
        if let Some(first) = first {
            point = point.with_vector("id", first);
        }
        if let Some(other) = other {
            point = point.with_vector("other", other);
        }
        for (field, components) in ["terms", "payload"].into_iter().zip(sparse) {
            let (dimensions, values) = components.into_iter().unzip();
            let vector = SparseVector::new(dimensions, values).unwrap();
            point = point.with_sparse(field, vector);
        }
        let (tokens, patches) = multi;
        if let Some(tokens) = tokens {
            point = point.with_multi("tokens", MultiVector::from_tokens(&tokens).unwrap());
        }
        if let Some((patches, has_grid)) = patches {
            let grid = PatchGrid { height: 1, width: patches.len() as u8 };
            let vector = MultiVector::from_tokens(&patches).unwrap();
            let vector = if has_grid { vector.with_grid(grid).unwrap() } else { vector };
            point = point.with_multi("id_is_number", vector);
        }
        let payload = payload.into_iter().fold(Payload::new(), |all, (key, v)| all.with(key, v));
        point.with_payload(payload)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, ..ProptestConfig::default() })]

    #[test]
    fn points_of_any_kind_come_back_to_the_bit(
        given in prop::collection::vec(point(), 1..60)
    ) {
        let desk = Desk::new();
        let mut seen = std::collections::HashSet::new();
        let given: Vec<Point> = given.into_iter().filter(|p| seen.insert(p.id.clone())).collect();
        let engine = open(&desk);
        let collection = engine.create_collection("from", config()).unwrap();
        collection.upsert(given).unwrap();
        collection.flush().unwrap();
        drop((collection, engine));
        let before = points(&desk, "from");
        for (number, name) in ["points.jsonl", "points.parquet"].into_iter().enumerate() {
            desk.succeed(&format!("export from --to {name}"));
            let imported = desk.json(&format!("import {name} --collection to{number} --json"));
            prop_assert_eq!(imported["report"]["inserted"].as_u64(), Some(before.len() as u64));
            let target = format!("to{number}");
            prop_assert!(same_bits(&points(&desk, &target), &before));
            let config_of = |name: &str| open(&desk).collection(name).unwrap().config().clone();
            prop_assert_eq!(config_of("from"), config_of(&target));
        }
    }
}

fn numbers(desk: &Desk, count: usize) {
    let line =
        |row: usize| format!("{{\"id\": {row}, \"vector\": [{row}, 1, 0.5], \"row\": {row}}}\n");
    desk.write("in.jsonl", (0..count).map(line).collect::<String>());
    desk.succeed("build in.jsonl --collection rows --metric dot");
}

#[test]
fn an_import_is_idempotent_and_goes_on() {
    let desk = Desk::new();
    numbers(&desk, 700);
    desk.succeed("export rows --to out.jsonl");
    let text = fs::read_to_string(desk.path("out.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 700);
    assert_eq!(
        text.lines().next().unwrap(),
        r#"{"id":0,"vectors":{"vector":[0.0,1.0,0.5]},"payload":{"row":0}}"#
    );
    let half: String = text.lines().take(300).map(|line| format!("{line}\n")).collect();
    desk.write("half.jsonl", half);
    desk.succeed("import half.jsonl --collection again --metric dot");
    let report = desk.json("import out.jsonl --collection again --json");
    let counts = [&report["report"]["inserted"], &report["report"]["unchanged"], &report["points"]];
    assert_eq!(counts.map(|count| count.as_u64().unwrap()), [400, 300, 700]);
    assert!(same_bits(&points(&desk, "rows"), &points(&desk, "again")));
    assert!(desk.fail("export rows --to out.jsonl", 1).contains("out.jsonl exists"));
    assert!(desk.fail("export rows --to out.txt", 1).contains("unknown format"));
    assert!(desk.fail("export none --to none.jsonl", 1).contains("none"));
}

#[test]
fn a_stopped_export_goes_on_where_it_was() {
    let desk = Desk::new();
    numbers(&desk, 700);
    desk.succeed("export rows --to whole.jsonl");
    let whole = fs::read_to_string(desk.path("whole.jsonl")).unwrap();
    // What a run leaves that was killed after it had saved 300 lines, and then half of another.
    let saved: String = whole.lines().take(300).map(|line| format!("{line}\n")).collect();
    desk.write("out.jsonl.part", saved.clone() + "{\"id\":30");
    let cursor = bigrain_engine::Cursor::after(299.into());
    let position = format!(
        r#"{{"collection":"rows","bytes":{},"points":300,"cursor":"{cursor}"}}"#,
        saved.len()
    );
    desk.write("out.jsonl.position", &position);
    desk.succeed("export rows --to out.jsonl");
    assert_eq!(fs::read_to_string(desk.path("out.jsonl")).unwrap(), whole);
    assert!(!desk.path("out.jsonl.position").try_exists().unwrap());
    // A position of more than there is begins anew; one of another collection is refused.
    desk.write("short.jsonl.part", "x").write("short.jsonl.position", &position);
    desk.succeed("export rows --to short.jsonl");
    assert_eq!(fs::read_to_string(desk.path("short.jsonl")).unwrap(), whole);
    desk.write("other.jsonl.position", position.replace("rows", "sheep"));
    assert!(desk.fail("export rows --to other.jsonl", 1).contains("sheep"));
}

#[test]
fn bad_lines_of_an_export_are_named() {
    let desk = Desk::new();
    let good = r#"{"id": 1, "vectors": {"vector": [1, 2]}, "payload": {"a": 1}}"#;
    for (bad, expected) in [
        (
            r#"{"id": 2, "vectors": {"vector": [1, 2]}, "year": 7}"#,
            "line 2: unknown field \"year\"",
        ),
        (r#"{"id": 2, "vectors": {"vector": [1]}, "payload": {}}"#, "line 2: "),
        (r#"{"id": 2, "vectors": {"vector": [1, 2]}, "payload": 3}"#, "expected an object"),
        (r#"{"id": -2, "vectors": {"vector": [1, 2]}}"#, "a string or an unsigned integer"),
        (r#"{"id": 2, "vectors": "#, "not a JSON object"),
    ] {
        desk.write("in.jsonl", format!("{good}\n{bad}\n"));
        let error = desk.fail("import in.jsonl --collection c", 1);
        assert!(error.contains(expected) && error.contains("in.jsonl line 2"), "{bad}: {error}");
    }
    let skipped = desk.json("import in.jsonl --collection c --skip-bad --json");
    assert_eq!(skipped["report"]["bad"], 1);
}

/// A table as other programs write them: integers as ids, lists of doubles, attributes.
fn foreign(path: &Path, short: Option<usize>) {
    let mut vectors = ListBuilder::new(Float64Builder::new());
    for row in 0..20 {
        let dims = if short == Some(row) { 2 } else { 3 };
        (0..dims).for_each(|dim| vectors.values().append_value((row * 10 + dim) as f64 + 0.5));
        vectors.append(true);
    }
    let names = (0..20).map(|row| (row % 5 != 0).then(|| format!("name {row}")));
    let columns: [(&str, ArrayRef); 4] = [
        ("key", Arc::new(Int64Array::from_iter_values(100..120))),
        ("embedding", Arc::new(vectors.finish())),
        ("name", Arc::new(StringArray::from_iter(names))),
        ("year", Arc::new(Int64Array::from_iter_values(1900..1920))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn any_parquet_table_with_ids_and_vectors_can_be_imported() {
    let desk = Desk::new();
    foreign(&desk.path("t.parquet"), None);
    let error = desk.fail("import t.parquet --collection c", 1);
    assert!(error.contains("no column \"id\": it has key, embedding, name, year"), "{error}");
    desk.succeed("import t.parquet --collection c --id-column key --metric l2 --skip-column year");
    let stored = points(&desk, "c");
    assert_eq!(stored.len(), 20);
    assert_eq!(stored[1].id, 101.into());
    assert_eq!(stored[1].vector("vector").unwrap(), [10.5, 11.5, 12.5]);
    assert_eq!(stored[1].payload, Payload::new().with("name", "name 1"));
    assert!(stored[0].payload.is_empty());
    let flags = "--id-column key --vector-column text=embedding";
    desk.succeed(&format!("import t.parquet --collection named {flags}"));
    assert!(points(&desk, "named")[3].vector("text").is_some());
    foreign(&desk.path("short.parquet"), Some(7));
    let error = desk.fail("import short.parquet --collection d --id-column key", 1);
    assert!(error.contains("short.parquet row 7: dimension mismatch"), "{error}");
    let error = desk.fail("import t.parquet --collection e --id-column name", 1);
    assert!(error.contains("row 0: column \"name\": expected"), "{error}");
}

#[test]
fn damaged_parquet_is_an_error_and_never_a_panic() {
    let desk = Desk::new();
    foreign(&desk.path("t.parquet"), None);
    let healthy = fs::read(desk.path("t.parquet")).unwrap();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for case in 0..400 {
        let mut bytes = healthy.clone();
        if case % 4 == 0 {
            bytes.truncate(random(healthy.len()));
        }
        for _ in 0..random(4) {
            let at = random(bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random(8);
            }
        }
        desk.write("d.parquet", &bytes);
        let name: Arc<Path> = Arc::from(desk.path("d.parquet"));
        let columns =
            bigrain_tools::exchange::Columns { id: Some("key".to_owned()), ..Default::default() };
        let file = File::open(&name).unwrap();
        if let Ok(input) = bigrain_tools::input::ParquetInput::open(file, &name, &columns) {
            // Whatever it reads, it ends.
            assert!(input.take(100_000).count() < 100_000);
        }
    }
}
