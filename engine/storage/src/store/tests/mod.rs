//! The store against a real RocksDB: rows, recovery, failure.

mod copies;
mod failure;
mod recovery;
mod round_trip;

use std::path::Path;

use bigrain_types::{PointId, SeqNo};

use super::{Batch, CollectionKey, Location, PointRow, Store, StoreConfig, StoreError};

/// A store in a temporary folder, with one collection.
struct Db {
    // Dropped before the folder.
    store: Option<Store>,
    docs: CollectionKey,
    folder: tempfile::TempDir,
}

impl Db {
    fn temp() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        let docs = store.create_collection("docs", "{}", 1).unwrap();
        Self { store: Some(store), docs, folder }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(open(self.folder.path()).unwrap());
    }

    /// Commits one point.
    fn put(&self, id: impl Into<PointId>, seq: u64) {
        let mut batch = Batch::new();
        batch.put_point(self.docs, &id.into(), &in_head(seq));
        self.store().commit(batch).unwrap();
    }

    fn ids(&self) -> Vec<PointId> {
        ids(self.store(), self.docs)
    }
}

fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(folder, &StoreConfig::default())
}

fn in_head(seq: u64) -> PointRow {
    PointRow { seq: SeqNo(seq), location: Location::Head }
}

fn ids(store: &Store, collection: CollectionKey) -> Vec<PointId> {
    let points = store.view().scroll(collection, None, usize::MAX).unwrap();
    points.into_iter().map(|(id, _)| id).collect()
}
