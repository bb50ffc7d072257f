//! The memory budget: writes wait for room, and nothing else does.

use bigrain_engine::{
    Collection, CollectionConfig, Engine, EngineConfig, ErrorKind, FacetQuery, Filter, Language,
    Levels, Metric, Payload, Point, PointId, Query, SearchParams, TextField, TextQuery,
};
use bigrain_tests::Random;

const DIMS: usize = 512;
const MIB: u64 = 1 << 20;

fn config(budget: u64) -> EngineConfig {
    EngineConfig {
        flush_bytes: MIB as usize,
        block_cache_bytes: MIB,
        write_buffer_bytes: MIB,
        filter_cache_bytes: MIB,
        background_threads: 0,
        threads: 2,
        memory_budget_bytes: Some(budget),
        ..EngineConfig::default()
    }
}

/// Writes until there is no room; returns how many points there are, and the refusal.
fn fill(engine: &Engine, collection: &Collection) -> (u64, bigrain_engine::Error) {
    let mut random = Random::new(3);
    for start in (0..20_000_u64).step_by(50) {
        let points = (start..start + 50).map(|id| Point::new(id, random.vector(DIMS)));
        if let Err(error) = collection.upsert(points.collect()) {
            return (start, error);
        }
        let memory = engine.memory();
        let limit = memory.budget.unwrap();
        assert!(memory.used() <= limit + limit / 10, "{memory:?}");
    }
    panic!("the budget never filled: {:?}", engine.memory());
}

#[test]
fn past_the_budget_writes_are_refused_and_searches_and_deletes_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path(), config(6 * MIB)).unwrap();
    let shape = CollectionConfig::new(DIMS, Metric::Dot).with_levels(Levels::new(4).unwrap());
    let collection = engine.create_collection("c", shape).unwrap();
    let (count, error) = fill(&engine, &collection);
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
    assert!(error.retry_hint().is_some());
    assert!(error.to_string().contains("memory budget is reached"), "{error}");
    assert!(count > 500, "only {count} points fit");
    assert_eq!(collection.count(), count);
    let params = SearchParams::new(10).unwrap();
    let found = collection.search(&Query::new(vec![1.0; DIMS]), &params).unwrap();
    assert_eq!(found.points.len(), 10);
    // What goes makes room.
    let ids: Vec<PointId> = (0..count).map(PointId::from).collect();
    let deleted: u64 = ids.chunks(5000).map(|ids| collection.delete(ids).unwrap().deleted).sum();
    assert_eq!(deleted, count);
    collection.compact().unwrap();
    let memory = engine.memory();
    assert!(memory.codes < MIB / 4 && memory.builds == 0, "{memory:?}");
    collection.upsert(vec![Point::new(1, vec![1.0; DIMS])]).unwrap();
}

#[test]
fn an_account_returns_to_nothing_when_its_collection_goes() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path(), config(64 * MIB)).unwrap();
    // What the allocator keeps is nobody's.
    let used = || engine.memory().used() - engine.memory().kept;
    assert_eq!(used(), 3 * MIB);
    let shape = CollectionConfig::new(DIMS, Metric::Dot);
    let collection = engine.create_collection("c", shape).unwrap();
    let points = (0..300).map(|id| Point::new(id, vec![id as f32; DIMS]));
    collection.upsert(points.collect()).unwrap();
    assert!(engine.memory().memtables > 300 * 4 * DIMS as u64);
    collection.flush().unwrap();
    let flushed = engine.memory();
    assert!(flushed.memtables < MIB / 4 && flushed.codes > 0, "{flushed:?}");
    engine.drop_collection("c").unwrap();
    drop(collection);
    assert_eq!(used(), 3 * MIB);
}

#[test]
fn what_is_known_of_frequent_words_is_in_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path(), config(64 * MIB)).unwrap();
    let shape = CollectionConfig::new(2, Metric::Dot)
        .with_text(TextField::new("text", Language::None).unwrap());
    let collection = engine.create_collection("c", shape).unwrap();
    let text = |id: u64| format!("common {}", "word ".repeat(id as usize % 7));
    let point = |id: u64| {
        Point::new(id, vec![1.0, id as f32]).with_payload(Payload::new().with("text", text(id)))
    };
    collection.upsert((0..6000).map(point).collect()).unwrap();
    collection.flush().unwrap();
    let caches = || engine.memory().caches;
    let before = caches();
    let params = SearchParams::new(10).unwrap();
    let search = |words: &str| collection.search_text(&TextQuery::new(words), &params).unwrap();
    let first = search("common");
    let of_one = caches() - before;
    assert!(of_one > 0, "{:?}", engine.memory());
    assert_eq!(search("common").points, first.points);
    assert_eq!(caches() - before, of_one);
    search("word common");
    assert!(caches() - before > of_one);
}

#[test]
fn a_budget_that_the_caches_fill_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Engine::open(folder.path(), config(3 * MIB)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("memory_budget_bytes"), "{error}");
}

#[test]
fn what_segments_take_after_a_life_is_what_they_take_when_it_is_opened_anew() {
    const POINTS: u64 = 1_500;
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path(), config(64 * MIB)).unwrap();
    let shape = CollectionConfig::new(DIMS, Metric::Dot)
        .with_text(TextField::new("text", Language::None).unwrap());
    let collection = engine.create_collection("c", shape).unwrap();
    let mut random = Random::new(5);
    let params = SearchParams::new(10).unwrap();
    for round in 0..4 {
        // A third of each round's points is written over by the next one.
        let point = |id: u64| {
            let payload = Payload::new().with("n", id).with("text", format!("word{}", id % 7));
            Point::new(round * POINTS * 2 / 3 + id, random.vector(DIMS)).with_payload(payload)
        };
        collection.upsert((0..POINTS).map(point).collect()).unwrap();
        collection.flush().unwrap();
        let filter = Filter::from_json(br#"{"field": "n", "lt": 700}"#).unwrap();
        let query = Query::new(random.vector(DIMS));
        collection.search(&query, &params.with_exact(true)).unwrap();
        collection.search(&query.with_filter(filter), &params).unwrap();
        collection.search_text(&TextQuery::new("word3 word5"), &params).unwrap();
        collection.facet(&FacetQuery::new("text").unwrap()).unwrap();
        collection.settle().unwrap();
    }
    collection.compact().unwrap();
    let lived = engine.memory();
    assert!(lived.codes > 4 * POINTS * 2 / 3 * DIMS as u64 / 4, "{lived:?}");
    assert_eq!(lived.builds, 0);
    drop((collection, engine));
    let engine = Engine::open(folder.path(), config(64 * MIB)).unwrap();
    assert_eq!(engine.memory().codes, lived.codes);
    assert_eq!(engine.memory().memtables, lived.memtables);
}
