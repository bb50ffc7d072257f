//! A data folder: its store, its collections, its threads.

mod aliases;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bigrain_storage::{CollectionKey, CollectionRow, EntryKind, Store, fs};
use parking_lot::RwLock;

use crate::background::Background;
use crate::backup::{self, BackupContents};
use crate::check::{self, CheckReport};
use crate::collection::{
    Collection, CollectionState, CollectionStatus, Opening, collections_folder,
    remove_collection_folder,
};
use crate::config::{EngineConfig, check_collection_name};
use crate::device::ScanDevice;
use crate::error::Doing;
use crate::field::{CollectionConfig, Schema};
use crate::resources::Resources;
use crate::watch::Watch;
use crate::{BackgroundPause, Error, ErrorKind, MemoryInfo, Result};

pub use aliases::AliasChange;

/// An open data folder; a cheap handle that threads share.
///
/// One process at a time may have a data folder open. The folder is closed when the last handle,
/// collection handles included, is gone.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data_dir: PathBuf,
    resources: Arc<Resources>,
    background: Arc<Background>,
    collections: RwLock<BTreeMap<String, Slot>>,
    /// Other names of collections; locked after these.
    aliases: RwLock<BTreeMap<String, String>>,
}

/// A collection that opened, or why it did not.
#[derive(Debug)]
enum Slot {
    Ready(Collection),
    Failed { key: CollectionKey, kind: ErrorKind, reason: String },
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
        Self::open_on(data_dir, config, None)
    }

    /// As [`open`](Self::open), and has a device scan the codes of segments where it can; what it cannot, the CPU scans.
    ///
    /// # Errors
    ///
    /// As there. A device that fails later costs time and no search: [`CollectionInfo::device`] and the plans of
    /// searches say so.
    ///
    /// [`CollectionInfo::device`]: crate::CollectionInfo::device
    pub fn open_with_device(
        data_dir: impl AsRef<Path>,
        config: EngineConfig,
        device: ScanDevice,
    ) -> Result<Self> {
        Self::open_on(data_dir.as_ref(), config, Some(device))
    }

    fn open_on(data_dir: &Path, config: EngineConfig, device: Option<ScanDevice>) -> Result<Self> {
        let doing = || format!("open {}", data_dir.display());
        Self::open_folder(data_dir, config, device).doing(doing)
    }

    fn open_folder(
        data_dir: &Path,
        config: EngineConfig,
        device: Option<ScanDevice>,
    ) -> Result<Self> {
        config.validate()?;
        std::fs::create_dir_all(data_dir)?;
        let (resources, background) = Resources::open(data_dir, config, device)?;
        fs::create_folder(&*resources.directory, collections_folder())?;
        let engine = Self(Arc::new(Inner {
            data_dir: data_dir.to_owned(),
            resources: Arc::new(resources),
            background: Arc::new(background),
            collections: RwLock::new(BTreeMap::new()),
            aliases: RwLock::new(BTreeMap::new()),
        }));
        engine.open_collections()?;
        engine.open_aliases()?;
        Ok(engine)
    }

    fn open_collections(&self) -> Result<()> {
        let rows = self.0.resources.store.view().collections()?;
        self.remove_garbage(&rows)?;
        let mut collections = self.0.collections.write();
        for (key, row) in rows {
            let slot = match self.open_collection(key, &row) {
                Ok(collection) => Slot::Ready(collection),
                Err(error) => {
                    tracing::error!(collection = %row.name, %error, "quarantined");
                    Slot::failed(key, &error)
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
        let Inner { resources, background, .. } = &*self.0;
        Opening { name, key, schema, resources, background }
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
        if self.of_alias(name).is_some() {
            return Err(Error::new(ErrorKind::AlreadyExists, "an alias has this name"));
        }
        let key = self.0.resources.store.create_collection(name, &schema.to_json()?, unix_ms())?;
        let opened = self.opening(name, key, schema).open();
        let slot = match &opened {
            Ok(collection) => Slot::Ready(collection.clone()),
            Err(error) => Slot::failed(key, error),
        };
        collections.insert(name.to_owned(), slot);
        opened
    }

    /// Returns a collection, by its name or an [alias](Self::aliases).
    ///
    /// # Errors
    ///
    /// `NotFound`; for a quarantined one the error that made it so. If that was not damage, opening
    /// it is tried again.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        let doing = || format!("open collection {name:?}");
        let collections = self.0.collections.read();
        let alias = if collections.contains_key(name) { None } else { self.of_alias(name) };
        let name = alias.as_deref().unwrap_or(name);
        match collections.get(name) {
            Some(Slot::Ready(collection)) => return Ok(collection.clone()),
            Some(Slot::Failed { kind: ErrorKind::Corruption, reason, .. }) => {
                let reason = format!("collection is quarantined: {reason}");
                return Err(Error::new(ErrorKind::Corruption, reason).doing(doing));
            }
            Some(Slot::Failed { .. }) => {}
            None => return Err(Error::new(ErrorKind::NotFound, "no such collection").doing(doing)),
        }
        drop(collections);
        self.try_again(name).doing(doing)
    }

    /// Opens a collection that the system kept from being opened before.
    fn try_again(&self, name: &str) -> Result<Collection> {
        let mut collections = self.0.collections.write();
        let key = match collections.get(name) {
            Some(Slot::Ready(collection)) => return Ok(collection.clone()),
            Some(Slot::Failed { key, .. }) => *key,
            None => return Err(Error::new(ErrorKind::NotFound, "no such collection")),
        };
        let missing = || Error::new(ErrorKind::Corruption, "store has no such collection");
        let row = self.0.resources.store.view().collection(key)?.ok_or_else(missing)?;
        let opened = self.open_collection(key, &row);
        let slot = match &opened {
            Ok(collection) => Slot::Ready(collection.clone()),
            Err(error) => Slot::failed(key, error),
        };
        collections.insert(name.to_owned(), slot);
        opened
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

    /// Returns how many points there are in the collections that `of` says, exactly; none in quarantined ones.
    #[must_use]
    pub fn count_points(&self, of: impl Fn(&str) -> bool) -> u64 {
        let collections = self.0.collections.read();
        let count = |(name, slot): (&String, &Slot)| match slot {
            Slot::Ready(collection) if of(name) => collection.count(),
            Slot::Ready(_) | Slot::Failed { .. } => 0,
        };
        collections.iter().map(count).sum()
    }

    /// Removes a collection and everything in it, its aliases and quarantined ones too. When this returns, it is
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
            Some(Slot::Failed { key, .. }) => {
                let dropped = self.0.resources.store.drop_collection(*key).map_err(Error::from);
                dropped.inspect(|()| remove_collection_folder(&*self.0.resources.directory, *key))
            }
        }
        .doing(doing)?;
        collections.remove(name);
        self.0.aliases.write().retain(|_, of| of != name);
        Ok(())
    }

    /// Writes what some collections hold now, or all of them, to one archive that does not exist yet.
    ///
    /// The backup holds what was committed when it began, in all collections at one moment. Writes,
    /// flushes and merges go on meanwhile. The archive gets its name when it is complete and on disk.
    /// What it copies is compared with its checksums: damage is an error now, not when the backup is
    /// needed.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when there is a file of that name; `NotFound` for an unknown collection;
    /// `Corruption` for damage or a quarantined collection; `Cancelled`; `ResourceExhausted` when the
    /// disk is full; `Io`.
    pub fn backup(
        &self,
        to: impl AsRef<Path>,
        collections: Option<&[&str]>,
        watch: &mut Watch<'_>,
    ) -> Result<BackupContents> {
        let to = to.as_ref();
        let wanted = self.named(collections);
        let written = wanted.and_then(|wanted| {
            backup::write(&self.0.resources.store, &wanted, to, unix_ms(), watch)
        });
        written.doing(|| format!("back up to {}", to.display()))
    }

    /// Checks everything that is stored, while it is in use: every byte of every file, every row of
    /// the store, and that all of it agrees. Changes nothing, and quarantines nothing. What nobody
    /// needs any more is listed only by [`check_folder`](crate::check_folder), for a closed folder.
    ///
    /// # Errors
    ///
    /// `Cancelled`; `Io`. Anything else that is wrong is in the report.
    pub fn check(&self, watch: &mut Watch<'_>) -> Result<CheckReport> {
        check::check_engine(self, watch).doing(|| format!("check {}", self.0.data_dir.display()))
    }

    /// Returns collections by name, or all of them, in the order of their names.
    fn named(&self, names: Option<&[&str]>) -> Result<Vec<Collection>> {
        let names: BTreeSet<String> = match names {
            Some(names) => names.iter().map(|&name| name.to_owned()).collect(),
            None => self.0.collections.read().keys().cloned().collect(),
        };
        let named = names.iter().map(|name| {
            let collection = self.collection(name)?;
            Ok((collection.name().to_owned(), collection))
        });
        // By their own names: an alias stands for a collection that may be named as well.
        Ok(named.collect::<Result<BTreeMap<_, _>>>()?.into_values().collect())
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.resources.store
    }

    /// Returns the memory in use, by what it is taken for.
    #[must_use]
    pub fn memory(&self) -> MemoryInfo {
        self.0.resources.memory.info()
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
        let directory = &*self.0.resources.directory;
        let created = self.0.resources.store.view().collections_created()?;
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
    fn failed(key: CollectionKey, error: &Error) -> Self {
        Self::Failed { key, kind: error.kind(), reason: error.to_string() }
    }

    fn key(&self) -> CollectionKey {
        match self {
            Self::Ready(collection) => collection.key(),
            Self::Failed { key, .. } => *key,
        }
    }

    fn state(&self) -> CollectionState {
        match self {
            Self::Ready(collection) => match collection.quarantine_reason() {
                Some(reason) => CollectionState::Quarantined(reason.to_owned()),
                None => CollectionState::Ready(Box::new(collection.info())),
            },
            Self::Failed { reason, .. } => CollectionState::Quarantined(reason.clone()),
        }
    }
}

/// Returns the time now, for people to read; nothing is decided by it.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
