//! A collection in a temporary folder.

use std::collections::BTreeMap;

use bigrain_engine::{
    Collection, CollectionConfig, Engine, EngineConfig, Metric, Payload, Point, PointId, Query,
    SearchParams, Watch, restore,
};
use tempfile::TempDir;

use crate::{Random, fast_folder};

/// A collection named `c` in a temporary folder, and the few verbs tests need.
#[derive(Debug)]
pub struct Db {
    folder: TempDir,
    config: EngineConfig,
    open: Option<(Engine, Collection)>,
}

impl Db {
    /// Creates the collection; memtables flush at `flush_rows` points.
    #[must_use]
    pub fn temp(config: CollectionConfig, flush_rows: usize) -> Self {
        Self::create_in(tempfile::tempdir().expect("temporary folder"), config, flush_rows)
    }

    /// Creates the collection in memory, where syncs take no time: for many operations.
    #[must_use]
    pub fn fast(config: CollectionConfig, flush_rows: usize) -> Self {
        Self::create_in(fast_folder(), config, flush_rows)
    }

    fn create_in(folder: TempDir, config: CollectionConfig, flush_rows: usize) -> Self {
        let engine_config = EngineConfig {
            flush_rows,
            threads: 2,
            background_threads: 0,
            ..EngineConfig::default()
        };
        let engine = Engine::open(folder.path(), engine_config.clone()).expect("open");
        let collection = engine.create_collection("c", config).expect("create");
        Self { folder, config: engine_config, open: Some((engine, collection)) }
    }

    /// Opens the collection `c` of a folder that something else has filled.
    #[must_use]
    pub fn at(folder: TempDir, config: EngineConfig) -> Self {
        let mut db = Self { folder, config, open: None };
        db.reopen();
        db
    }

    /// Returns a collection of three dimensions under dot product.
    #[must_use]
    pub fn tiny() -> Self {
        Self::temp(CollectionConfig::new(3, Metric::Dot), 1000)
    }

    /// Returns the data folder.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Returns the engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.open.as_ref().expect("open").0
    }

    /// Returns the collection.
    #[must_use]
    pub fn collection(&self) -> &Collection {
        &self.open.as_ref().expect("open").1
    }

    /// Stores one point with payload `{"n": id}`.
    pub fn upsert(&self, id: u64, vector: impl Into<Vec<f32>>) {
        let point = Point::new(id, vector.into()).with_payload(Payload::new().with("n", id));
        self.collection().upsert(vec![point]).expect("upsert");
    }

    /// Deletes one point; returns whether it existed.
    pub fn delete(&self, id: u64) -> bool {
        self.collection().delete(&[id.into()]).expect("delete").deleted == 1
    }

    /// Deletes up to five ids below `ids` and those of a model, which must be as many.
    pub fn delete_some<T>(&self, model: &mut BTreeMap<u64, T>, random: &mut Random, ids: u64) {
        let ids: Vec<u64> = (0..=random.below(4)).map(|_| random.below(ids)).collect();
        let keys: Vec<PointId> = ids.iter().map(|&id| id.into()).collect();
        let before = model.len();
        model.retain(|id, _| !ids.contains(id));
        let deleted = self.collection().delete(&keys).expect("delete").deleted;
        assert_eq!(deleted, (before - model.len()) as u64);
    }

    /// Returns the ids nearest to a vector.
    #[must_use]
    pub fn nearest(&self, vector: &[f32], limit: usize) -> Vec<PointId> {
        let params = SearchParams::new(limit).expect("limit");
        let output = self.collection().search(&Query::new(vector.to_vec()), &params);
        output.expect("search").points.into_iter().map(|point| point.id).collect()
    }

    /// Returns every id, page by page.
    #[must_use]
    pub fn scroll(&self) -> Vec<PointId> {
        let mut ids: Vec<PointId> = Vec::new();
        loop {
            let page = self.collection().scroll(ids.last(), 100).expect("scroll");
            if page.is_empty() {
                return ids;
            }
            ids.extend(page.into_iter().map(|point| point.id));
        }
    }

    /// Backs up the data folder and returns what is restored from it, in a folder of its own. The
    /// first one goes away.
    #[must_use]
    pub fn restored(self) -> Self {
        let folder = fast_folder();
        let archive = folder.path().join("backup.tar");
        self.engine().backup(&archive, None, &mut Watch::new()).expect("backup");
        let data = tempfile::tempdir_in(folder.path().parent().expect("parent")).expect("folder");
        restore(&archive, data.path(), &mut Watch::new()).expect("restore");
        Self::at(data, self.config.clone())
    }

    /// Closes the data folder.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Closes and opens again.
    pub fn reopen(&mut self) {
        self.close();
        let engine = Engine::open(self.folder.path(), self.config.clone()).expect("reopen");
        let collection = engine.collection("c").expect("collection after reopen");
        self.open = Some((engine, collection));
    }
}
