//! A data folder: its store, its collections, its threads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bigrain_index::verify::RowIo;
use bigrain_storage::{
    CollectionKey, CollectionRow, Directory, EntryKind, MmapDirectory, Store, StoreConfig, fs,
};
use parking_lot::RwLock;

use crate::background::Background;
use crate::collection::{
    Collection, CollectionState, CollectionStatus, Opening, collections_folder,
    remove_collection_folder,
};
use crate::config::{EngineConfig, check_collection_name};
use crate::error::Doing;
use crate::field::{CollectionConfig, Schema};
use crate::filtering::FilterCache;
use crate::memory::{Charge, Memory, Purpose};
use crate::threads::Threads;
use crate::{BackgroundPause, Error, ErrorKind, MemoryInfo, Result};

/// An open data folder; a cheap handle that threads share.
///
/// One process at a time may have a data folder open. The folder is closed when the last handle,
/// collection handles included, is gone.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data_dir: PathBuf,
    config: EngineConfig,
    store: Arc<Store>,
    directory: Arc<dyn Directory>,
    threads: Threads,
    /// Builds segments: the background's share of the machine, or all of it where there is none.
    builders: Threads,
    row_io: Arc<RowIo>,
    filters: Arc<FilterCache>,
    memory: Arc<Memory>,
    /// What the store and the filters' cache may take, for as long as they are open.
    _caches: Charge,
    background: Arc<Background>,
    collections: RwLock<BTreeMap<String, Slot>>,
}

/// A collection that opened, or why it did not.
#[derive(Debug)]
enum Slot {
    Ready(Collection),
    Quarantined { key: CollectionKey, reason: String },
}

impl Engine {
    /// Opens a data folder, creating it when there is none.
    ///
    /// Opening reads the manifest and the points that are in no segment yet; it does not read
    /// segments. A collection that cannot be opened is quarantined; the others serve.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` when another process has the folder open; `Corruption` when the store
    /// is damaged; `Io`.
    pub fn open(data_dir: impl AsRef<Path>, config: EngineConfig) -> Result<Self> {
        let data_dir = data_dir.as_ref();
        Self::open_folder(data_dir, config).doing(|| format!("open {}", data_dir.display()))
    }

    fn open_folder(data_dir: &Path, config: EngineConfig) -> Result<Self> {
        config.validate()?;
        std::fs::create_dir_all(data_dir)?;
        let store_config = StoreConfig {
            block_cache_bytes: config.block_cache_bytes,
            write_buffer_bytes: config.write_buffer_bytes,
            ..StoreConfig::default()
        };
        let store = Arc::new(Store::open(data_dir, &store_config)?);
        let directory: Arc<dyn Directory> = Arc::new(MmapDirectory::open(data_dir)?);
        let threads = Threads::start(config.threads)
            .map_err(|error| Error::new(ErrorKind::Io, format!("start threads: {error}")))?;
        let builders = match config.background_threads {
            0 => threads.clone(),
            count => Threads::start(count)
                .map_err(|error| Error::new(ErrorKind::Io, format!("start threads: {error}")))?,
        };
        let row_io = Arc::new(RowIo::open(config.verify_io)?);
        let filters = Arc::new(FilterCache::new(config.filter_cache_bytes));
        tracing::debug!(verify_io = %row_io.io(), io_uring = row_io.uses_uring(), "rows are read");
        fs::create_folder(&*directory, collections_folder())?;
        let memory = Memory::new(config.memory_budget_bytes);
        let caches = memory.charge(Purpose::Caches, config.cache_bytes());
        let background = Background::start(config.background_threads)
            .map_err(|error| Error::new(ErrorKind::Io, format!("start threads: {error}")))?;
        let engine = Self(Arc::new(Inner {
            data_dir: data_dir.to_owned(),
            config,
            store,
            directory,
            threads,
            builders,
            row_io,
            filters,
            memory,
            _caches: caches,
            background: Arc::new(background),
            collections: RwLock::new(BTreeMap::new()),
        }));
        engine.open_collections()?;
        Ok(engine)
    }

    fn open_collections(&self) -> Result<()> {
        let rows = self.0.store.view().collections()?;
        self.remove_garbage(&rows)?;
        let mut collections = self.0.collections.write();
        for (key, row) in rows {
            let slot = match self.open_collection(key, &row) {
                Ok(collection) => Slot::Ready(collection),
                Err(error) => {
                    tracing::error!(collection = %row.name, %error, "quarantined");
                    Slot::Quarantined { key, reason: error.to_string() }
                }
            };
            collections.insert(row.name, slot);
        }
        Ok(())
    }

    fn open_collection(&self, key: CollectionKey, row: &CollectionRow) -> Result<Collection> {
        let schema = Schema::from_json(&row.config)?;
        self.opening(&row.name, key, schema).open()
    }

    fn opening<'a>(&'a self, name: &'a str, key: CollectionKey, schema: Schema) -> Opening<'a> {
        let Inner { store, directory, threads, builders, row_io, filters, .. } = &*self.0;
        let Inner { config: limits, memory, background, .. } = &*self.0;
        Opening {
            name,
            key,
            schema,
            store,
            directory,
            threads,
            builders,
            row_io,
            filters,
            limits,
            memory,
            background,
        }
    }

    /// Creates a collection. When this returns, it is on disk.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; `InvalidArgument` for a bad name or a value out of range.
    pub fn create_collection(&self, name: &str, config: CollectionConfig) -> Result<Collection> {
        self.create_checked(name, config).doing(|| format!("create collection {name:?}"))
    }

    fn create_checked(&self, name: &str, config: CollectionConfig) -> Result<Collection> {
        check_collection_name(name)?;
        let schema = Schema::new(config)?;
        // Held over the commit, so that two creations of one name cannot both succeed.
        let mut collections = self.0.collections.write();
        if collections.contains_key(name) {
            return Err(Error::new(ErrorKind::AlreadyExists, "collection exists"));
        }
        let key = self.0.store.create_collection(name, &schema.to_json()?, unix_ms())?;
        let opened = self.opening(name, key, schema).open();
        let slot = match &opened {
            Ok(collection) => Slot::Ready(collection.clone()),
            Err(error) => Slot::Quarantined { key, reason: error.to_string() },
        };
        collections.insert(name.to_owned(), slot);
        opened
    }

    /// Returns a collection.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Corruption` for a quarantined one, with the reason.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        let doing = || format!("open collection {name:?}");
        match self.0.collections.read().get(name) {
            Some(Slot::Ready(collection)) => Ok(collection.clone()),
            Some(Slot::Quarantined { reason, .. }) => Err(Error::new(
                ErrorKind::Corruption,
                format!("collection is quarantined: {reason}"),
            )
            .doing(doing)),
            None => Err(Error::new(ErrorKind::NotFound, "no such collection").doing(doing)),
        }
    }

    /// Returns every collection, sorted by name.
    #[must_use]
    pub fn collections(&self) -> Vec<CollectionStatus> {
        let collections = self.0.collections.read();
        let status = |(name, slot): (&String, &Slot)| CollectionStatus {
            name: name.clone(),
            state: slot.state(),
        };
        collections.iter().map(status).collect()
    }

    /// Removes a collection and everything in it, quarantined ones too. When this returns, it is
    /// gone from disk.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Io`.
    pub fn drop_collection(&self, name: &str) -> Result<()> {
        let doing = || format!("drop collection {name:?}");
        let mut collections = self.0.collections.write();
        match collections.get(name) {
            None => Err(Error::new(ErrorKind::NotFound, "no such collection")),
            Some(Slot::Ready(collection)) => collection.drop_everything(),
            Some(Slot::Quarantined { key, .. }) => {
                let dropped = self.0.store.drop_collection(*key).map_err(Error::from);
                dropped.inspect(|()| remove_collection_folder(&*self.0.directory, *key))
            }
        }
        .doing(doing)?;
        collections.remove(name);
        Ok(())
    }

    /// Returns the memory in use, by what it is taken for.
    #[must_use]
    pub fn memory(&self) -> MemoryInfo {
        self.0.memory.info()
    }

    /// Lets no flush or merge begin in the background until the pause is dropped, and waits for
    /// those that run. Writers that fill a memtable flush it by themselves meanwhile.
    pub fn pause_background(&self) -> BackgroundPause {
        self.0.background.pause()
    }

    /// Returns the data folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.0.data_dir
    }

    /// Removes folders of collections that were dropped. A folder whose collection this store never
    /// created means that the store was lost, not the collection: that is refused, because its files
    /// may be all that is left.
    fn remove_garbage(&self, rows: &[(CollectionKey, CollectionRow)]) -> Result<()> {
        let directory = &*self.0.directory;
        let created = self.0.store.view().collections_created()?;
        for entry in directory.list(collections_folder())? {
            let key = u32::from_str_radix(&entry.name, 16).map(CollectionKey);
            let (Ok(key), EntryKind::Folder) = (key, entry.kind) else { continue };
            let path = collections_folder().join(&entry.name);
            if key.0 >= created {
                let reason = format!("{}: the store knows no such collection", path.display());
                return Err(Error::new(ErrorKind::Corruption, reason));
            }
            if !rows.iter().any(|(known, _)| *known == key) {
                fs::remove_folder(directory, &path)?;
            }
        }
        Ok(())
    }
}

impl Slot {
    fn state(&self) -> CollectionState {
        match self {
            Self::Ready(collection) => match collection.quarantine_reason() {
                Some(reason) => CollectionState::Quarantined(reason.to_owned()),
                None => CollectionState::Ready(collection.info()),
            },
            Self::Quarantined { reason, .. } => CollectionState::Quarantined(reason.clone()),
        }
    }
}

/// Returns the time now, for people to read; nothing is decided by it.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
