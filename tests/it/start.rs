//! Opening a folder: what it takes does not grow with the points in segments.

use std::time::Instant;

use bigrain_engine::{
    CollectionConfig, CollectionState, Engine, EngineConfig, Filter, Metric, Point, Query,
    SearchParams,
};
use bigrain_tests::Random;

#[test]
fn many_small_collections_open_and_list() {
    const COLLECTIONS: u64 = 200;
    let folder = tempfile::tempdir().unwrap();
    let open = || Engine::open(folder.path(), EngineConfig::default()).unwrap();
    let engine = open();
    for number in 0..COLLECTIONS {
        let shape = CollectionConfig::new(4, Metric::Dot);
        let collection = engine.create_collection(&format!("c{number:04}"), shape).unwrap();
        collection.upsert(vec![Point::new(number, vec![number as f32; 4])]).unwrap();
        if number % 10 == 0 {
            collection.flush().unwrap();
        }
    }
    drop(engine);
    let engine = open();
    let collections = engine.collections();
    assert_eq!(collections.len() as u64, COLLECTIONS);
    for (number, status) in (0..).zip(&collections) {
        let CollectionState::Ready(info) = &status.state else { panic!("{status:?}") };
        assert_eq!((info.points, &*info.name), (1, &*format!("c{number:04}")));
    }
}

#[test]
fn a_file_is_mapped_when_it_is_looked_into_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Engine::open(folder.path(), EngineConfig::default()).unwrap();
    let engine = open();
    for name in ["a", "b", "c"] {
        let collection = engine.create_collection(name, CollectionConfig::new(4, Metric::Dot));
        let collection = collection.unwrap();
        collection.upsert((0..50).map(|id| Point::new(id, vec![id as f32; 4])).collect()).unwrap();
        collection.flush().unwrap();
    }
    drop(engine);
    let mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let collections = folder.path().join("collections");
        maps.lines().filter(|map| map.contains(collections.to_str().unwrap())).count()
    };
    let engine = open();
    assert_eq!(engine.collections().len(), 3);
    assert_eq!(mapped(), 0);
    let collection = engine.collection("b").unwrap();
    let search = |filter: &str| {
        let filter = Filter::from_json(filter.as_bytes()).unwrap();
        let query = Query::new(vec![1.0; 4]).with_filter(filter);
        collection.search(&query, &SearchParams::new(3).unwrap()).unwrap().points.len()
    };
    assert_eq!(search(r#"{"must_not": {"field": "n", "eq": 1}}"#), 3);
    assert!((1..=4).contains(&mapped()), "{} maps of a segment", mapped());
}

/// Prints how long opening takes; takes minutes to get there.
#[test]
#[ignore = "measures, and takes minutes"]
fn a_million_points_open() {
    let folder = tempfile::tempdir().unwrap();
    let open = |background_threads| {
        let config = EngineConfig { background_threads, ..EngineConfig::default() };
        Engine::open(folder.path(), config).unwrap()
    };
    let engine = open(0);
    let collection = engine.create_collection("c", CollectionConfig::new(32, Metric::Dot)).unwrap();
    let mut random = Random::new(1);
    for start in (0..1_000_000_u64).step_by(10_000) {
        let points = (start..start + 10_000).map(|id| Point::new(id, random.vector(32)));
        collection.upsert(points.collect()).unwrap();
    }
    println!("{:?}", collection.info());
    collection.settle().unwrap();
    println!("{} points in {} segments", collection.count(), collection.inspect().len());
    drop((collection, engine));
    let started = Instant::now();
    let engine = open(1);
    assert_eq!(engine.collection("c").unwrap().count(), 1_000_000);
    println!("open: {:?}", started.elapsed());
}

/// Prints what many collections with a segment each cost; takes minutes to get there.
#[test]
#[ignore = "measures, and takes minutes"]
fn five_thousand_collections_with_segments() {
    const COLLECTIONS: u64 = 5_000;
    const POINTS: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let open = || Engine::open(folder.path(), EngineConfig::default()).unwrap();
    let name = |number: u64| format!("c{number:04}");
    let mut random = Random::new(1);
    let engine = open();
    let started = Instant::now();
    for number in 0..COLLECTIONS {
        let shape = CollectionConfig::new(32, Metric::Dot);
        let collection = engine.create_collection(&name(number), shape).unwrap();
        let points = (0..POINTS).map(|id| Point::new(id, random.vector(32)));
        collection.upsert(points.collect()).unwrap();
        collection.flush().unwrap();
    }
    println!("made: {:?}, {}", started.elapsed(), process());
    drop(engine);
    println!("closed: {}", process());
    let started = Instant::now();
    let engine = open();
    println!("open: {:?}, {}", started.elapsed(), process());
    let started = Instant::now();
    assert_eq!(engine.collections().len() as u64, COLLECTIONS);
    println!("list: {:?}", started.elapsed());
    let started = Instant::now();
    for number in 0..COLLECTIONS {
        let query = Query::new(random.vector(32));
        let collection = engine.collection(&name(number)).unwrap();
        let found = collection.search(&query, &SearchParams::new(3).unwrap()).unwrap();
        assert_eq!(found.points.len(), 3);
    }
    println!("search each: {:?}, {}", started.elapsed(), process());
}

/// Says how many files, maps and bytes of memory this process has.
fn process() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let rss =
        status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon"));
    let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    format!("{files} files, {maps} maps, {}", rss.collect::<Vec<_>>().join(", "))
}
