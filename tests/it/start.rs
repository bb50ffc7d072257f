//! Opening a folder: what it takes does not grow with the points in segments.

use std::time::Instant;

use bigrain_engine::{CollectionConfig, CollectionState, Engine, EngineConfig, Metric, Point};
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
