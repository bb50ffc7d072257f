//! The store itself: open, commit, create and drop collections, measure.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rocksdb::{Cache, ColumnFamily, DB, WriteBatch};

use super::batch::{Batch, Operation};
use super::folder_lock::FolderLock;
use super::keys::{CollectionKey, Family, Key, KeyRange};
use super::reserve::Reserve;
use super::rows::{CollectionRow, CountsRow};
use super::{ReadView, StoreConfig, StoreError, log, settings, tables};
use crate::format::{OLDEST_STORE_VERSION, STORE_FOLDER, STORE_VERSION};
use crate::fs;

/// A point goes to the log, from memory into a table, and into a segment.
const COPIES: u64 = 3;

/// The store of one data folder, shared by any number of threads.
///
/// ```
/// use bigrain_storage::{Batch, Location, PointRow, Store, StoreConfig};
/// use bigrain_types::{PointId, SeqNo};
///
/// # let folder = tempfile::tempdir()?;
/// let store = Store::open(folder.path(), &StoreConfig::default())?;
/// let docs = store.create_collection("docs", "{}", 0)?;
/// let row = PointRow { seq: SeqNo(1), location: Location::Head };
/// let mut batch = Batch::new();
/// batch.put_point(docs, &PointId::from(7), &row);
/// store.commit(batch)?;
/// assert_eq!(store.view().point(docs, &PointId::from(7))?, Some(row));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Store {
    // Dropped first: RocksDB closes before the folder is unlocked.
    db: DB,
    cache: Cache,
    folder: PathBuf,
    reserve: Reserve,
    poisoned: AtomicBool,
    /// Held while a collection is created or dropped, the synced write included: two that run at
    /// once must not pick the same key or name. Both are rare and nothing else waits for it.
    catalog: Mutex<()>,
    _lock: FolderLock,
}

/// Bytes of memory in use by the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMemory {
    /// The block cache: blocks, indexes and filters.
    pub block_cache: u64,
    /// Recent writes.
    pub write_buffers: u64,
    /// Readers of open files, outside the cache.
    pub table_readers: u64,
}

impl StoreMemory {
    /// Returns the sum.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.block_cache + self.write_buffers + self.table_readers
    }
}

impl Store {
    /// Opens the store of a data folder, creating both where they are missing.
    ///
    /// Everything that was acknowledged before a crash is there. Reads every log once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] when the folder is in use, [`StoreError::Version`] for one of another
    /// format, [`StoreError::DamagedLog`] or [`StoreError::Damaged`] when recovery would lose
    /// something, and others when the configuration or the file system refuses.
    pub fn open(folder: impl AsRef<Path>, config: &StoreConfig) -> Result<Self, StoreError> {
        config.validate()?;
        let folder = folder.as_ref();
        create_folder(folder).map_err(|error| StoreError::io("create", folder, error))?;
        let lock = FolderLock::take(folder)?;
        let measure = |error| StoreError::io("measure free space of", folder, error);
        let reserve =
            Reserve::before_open(folder, settings::buffer_bytes(config)).map_err(measure)?;
        let path = folder.join(STORE_FOLDER);
        log::check_folder(&path)?;
        let cache =
            Cache::new_lru_cache(usize::try_from(config.block_cache_bytes).unwrap_or(usize::MAX));
        let families = settings::families(config, &cache);
        let db = DB::open_cf_descriptors(&settings::database(config), &path, families).map_err(
            |error| tables::named(StoreError::rocks("open store", folder, &error), folder),
        )?;
        // RocksDB fsyncs its own folder; that the folder exists is for us to make durable.
        fs::fsync_folder(folder).map_err(|error| StoreError::io("fsync folder", folder, error))?;
        reserve.after_open().map_err(measure)?;
        let store = Self {
            db,
            cache,
            folder: folder.to_owned(),
            reserve,
            poisoned: AtomicBool::new(false),
            catalog: Mutex::new(()),
            _lock: lock,
        };
        store.mark_version()?;
        Ok(store)
    }

    /// Opens the store of a data folder that nobody has open, to look at it: nothing in the folder
    /// changes, and every commit is refused.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]; [`StoreError::Io`] of kind `NotFound` for a folder without a store.
    pub fn open_read_only(
        folder: impl AsRef<Path>,
        config: &StoreConfig,
    ) -> Result<Self, StoreError> {
        config.validate()?;
        let folder = folder.as_ref();
        let lock = FolderLock::take_existing(folder)?;
        let path = folder.join(STORE_FOLDER);
        path.metadata().map_err(|error| StoreError::io("open", &path, error))?;
        log::check_folder(&path)?;
        let cache =
            Cache::new_lru_cache(usize::try_from(config.block_cache_bytes).unwrap_or(usize::MAX));
        let families = settings::families(config, &cache);
        let options = settings::looking(config);
        let db = DB::open_cf_descriptors_read_only(&options, &path, families, false).map_err(
            |error| tables::named(StoreError::rocks("open store", folder, &error), folder),
        )?;
        let store = Self {
            db,
            cache,
            folder: folder.to_owned(),
            reserve: Reserve::unused(folder),
            // A commit would fail anyway; this way it says so at once.
            poisoned: AtomicBool::new(true),
            catalog: Mutex::new(()),
            _lock: lock,
        };
        if store.check_version()?.is_none() {
            store.check_empty()?;
        }
        Ok(store)
    }

    /// Whether somebody has the store of a data folder open. A folder without one is in nobody's use.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when the system does not tell.
    pub fn is_in_use(folder: impl AsRef<Path>) -> Result<bool, StoreError> {
        match FolderLock::take_existing(folder.as_ref()) {
            Ok(_) => Ok(false),
            Err(StoreError::Locked { .. }) => Ok(true),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses points while the disk has no room for them: to be asked before a batch that stores
    /// `bytes` is made. Deletes need not ask.
    ///
    /// # Errors
    ///
    /// [`StoreError::DiskFull`], until there is room again; [`StoreError::Io`] when the system does
    /// not tell.
    pub fn admit(&self, bytes: u64) -> Result<(), StoreError> {
        self.admit_files(bytes.saturating_mul(COPIES))
    }

    /// Refuses files while the disk has no room for `bytes` of them.
    ///
    /// # Errors
    ///
    /// As [`Store::admit`].
    pub fn admit_files(&self, bytes: u64) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("measure free space of", &self.folder, error);
        if self.reserve.admits(bytes).map_err(failed)? {
            return Ok(());
        }
        let reason = format!("no room to store {bytes} bytes");
        Err(StoreError::DiskFull { operation: "write to", path: self.folder.clone(), reason })
    }

    /// Writes a batch: all of it is on disk when this returns, or none of it ever.
    ///
    /// Batches of several threads share a sync.
    ///
    /// # Errors
    ///
    /// [`StoreError::Encode`] when the batch holds a value that cannot be stored, and
    /// [`StoreError::DiskFull`] when there is no space for it; nothing happened. After any other
    /// error it is unknown whether the batch will be there when the store is opened next, and until
    /// then every commit is refused with [`StoreError::Poisoned`].
    pub fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if self.is_poisoned() {
            return Err(StoreError::Poisoned { path: self.folder.clone() });
        }
        let operations = batch.into_operations().map_err(StoreError::Encode)?;
        if operations.is_empty() {
            return Ok(());
        }
        let writes = self.write_batch(&operations)?;
        let Err(error) = self.db.write_opt(writes, &settings::synced()) else { return Ok(()) };
        // What failed may be a compaction before it, which reads.
        let error = self.failed_reading("commit", &error);
        if !matches!(error, StoreError::DiskFull { .. }) {
            self.poisoned.store(true, Ordering::Release);
            return Err(error);
        }
        self.reserve.ran_out();
        // RocksDB syncs a batch, applies it, and may then have no space to note that the log before
        // this one has ended. That error is not the batch's.
        if self.is_applied(&operations)? { Ok(()) } else { Err(error) }
    }

    fn write_batch(&self, operations: &[Operation]) -> Result<WriteBatch, StoreError> {
        let mut writes = WriteBatch::default();
        for operation in operations {
            match operation {
                Operation::Put(key, value) => {
                    writes.put_cf(self.family(key.family)?, &key.bytes, value);
                }
                Operation::Delete(key) => writes.delete_cf(self.family(key.family)?, &key.bytes),
                Operation::DeleteRange(range) => {
                    writes.delete_range_cf(self.family(range.family)?, &range.prefix, &range.end);
                }
            }
        }
        Ok(writes)
    }

    /// Whether the rows are what a batch makes them.
    fn is_applied(&self, operations: &[Operation]) -> Result<bool, StoreError> {
        let get = |key: &Key| {
            let row =
                self.db.get_cf_opt(self.family(key.family)?, &key.bytes, &settings::checked());
            row.map_err(|error| self.failed_reading("read", &error))
        };
        for operation in operations {
            let holds = match operation {
                Operation::Put(key, value) => get(key)?.as_ref() == Some(value),
                Operation::Delete(key) => get(key)?.is_none(),
                // A batch that removes ranges removes a row by its key as well.
                Operation::DeleteRange(_) => true,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a commit failed since the store was opened.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Returns a fixed view of the rows as they are now. Cheap; hold it for one request, because
    /// what is deleted meanwhile stays on disk as long.
    #[must_use]
    pub fn view(&self) -> ReadView<'_> {
        ReadView::new(self)
    }

    /// Creates an empty collection and returns its key.
    ///
    /// # Errors
    ///
    /// [`StoreError::CollectionExists`] when the name is taken, and what [`Store::commit`] and
    /// reads give.
    pub fn create_collection(
        &self,
        name: &str,
        config: &str,
        created_unix_ms: u64,
    ) -> Result<CollectionKey, StoreError> {
        self.admit(config.len() as u64)?;
        let _catalog = self.catalog.lock();
        let view = self.view();
        if view.collection_key(name)?.is_some() {
            return Err(StoreError::CollectionExists { name: name.to_owned() });
        }
        let key = view.collections_created()?;
        let next = key.checked_add(1).ok_or(StoreError::TooManyCollections)?;
        let collection = CollectionKey(key);
        let (name_row, config) = (name.to_owned(), config.to_owned());
        let row = CollectionRow { name: name_row, config, created_unix_ms };
        let mut batch = Batch::new();
        batch
            .put_value(Key::next_collection(), &next)
            .put_value(Key::name(name), &key)
            .put_collection(collection, &row)
            .put_counts(collection, &CountsRow::default());
        self.commit(batch)?;
        Ok(collection)
    }

    /// Removes a collection: its rows in every family, its name and aliases, in one commit. The files of
    /// its segments are then garbage; its key is not used again.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownCollection`], and what [`Store::commit`] and reads give.
    pub fn drop_collection(&self, collection: CollectionKey) -> Result<(), StoreError> {
        let _catalog = self.catalog.lock();
        let row = self.view().collection(collection)?;
        let row = row.ok_or(StoreError::UnknownCollection { key: collection.0 })?;
        let mut batch = Batch::new();
        batch.delete_collection(collection).delete(Key::name(&row.name));
        for (alias, of) in self.view().aliases()? {
            if of == collection {
                batch.delete(Key::alias(&alias));
            }
        }
        self.commit(batch)
    }

    /// Gives collections other names, and takes such names away, in one commit: to each alias the
    /// collection it is of from now on, if any.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownCollection`], and what [`Store::commit`] and reads give.
    pub fn set_aliases(
        &self,
        aliases: &[(String, Option<CollectionKey>)],
    ) -> Result<(), StoreError> {
        let _catalog = self.catalog.lock();
        let view = self.view();
        let mut batch = Batch::new();
        for (alias, collection) in aliases {
            match collection {
                Some(key) if view.collection(*key)?.is_none() => {
                    return Err(StoreError::UnknownCollection { key: key.0 });
                }
                Some(key) => batch.put_value(Key::alias(alias), &key.0),
                None => batch.delete(Key::alias(alias)),
            };
        }
        self.commit(batch)
    }

    /// Frees the room that deleted and replaced rows of a collection take: rewrites all of its rows,
    /// and drops what the log holds of them. RocksDB does this by itself as well, but when it
    /// suits it. Takes long; reads and commits go on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Backend`] when RocksDB cannot write its memory out.
    pub fn compact(&self, collection: CollectionKey) -> Result<(), StoreError> {
        for family in Family::ALL {
            let flushed = self.db.flush_cf(self.family(family)?);
            flushed.map_err(|error| self.failed_reading("compact", &error))?;
        }
        for family in Family::OF_COLLECTIONS {
            let KeyRange { prefix, end, .. } = KeyRange::collection(family, collection);
            let (family, options) = (self.family(family)?, settings::compaction());
            self.db.compact_range_cf_opt(family, Some(prefix), Some(end), &options);
        }
        Ok(())
    }

    /// Returns the bytes of RocksDB's files, logs included.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when the folder cannot be listed.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        let path = self.folder.join(STORE_FOLDER);
        folder_bytes(&path).map_err(|error| StoreError::io("list", &path, error))
    }

    /// Returns the memory in use.
    ///
    /// # Errors
    ///
    /// [`StoreError::Backend`] when RocksDB does not tell.
    pub fn memory(&self) -> Result<StoreMemory, StoreError> {
        Ok(StoreMemory {
            block_cache: self.cache.get_usage() as u64,
            write_buffers: self.property_sum("rocksdb.cur-size-all-mem-tables")?,
            table_readers: self.property_sum("rocksdb.estimate-table-readers-mem")?,
        })
    }

    /// Returns the data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns what RocksDB refused where it reads tables, with the name of the damaged one.
    pub(super) fn failed_reading(
        &self,
        operation: &'static str,
        error: &rocksdb::Error,
    ) -> StoreError {
        tables::named(StoreError::rocks(operation, &self.folder, error), &self.folder)
    }

    pub(super) fn db(&self) -> &DB {
        &self.db
    }

    pub(super) fn family(&self, family: Family) -> Result<&ColumnFamily, StoreError> {
        // Every family was opened with the database, so this finds it.
        self.db.cf_handle(family.name()).ok_or_else(|| StoreError::Damaged {
            path: self.folder.clone(),
            reason: format!("column family {} is not open", family.name()),
        })
    }

    /// Refuses a store of another version; returns which it is, if any was written.
    fn check_version(&self) -> Result<Option<u32>, StoreError> {
        let found = self.view().value::<u32>(&Key::format())?;
        match found {
            Some(found) if !(OLDEST_STORE_VERSION..=STORE_VERSION).contains(&found) => {
                let (path, supported) = (self.folder.clone(), STORE_VERSION);
                Err(StoreError::Version { path, found, supported })
            }
            found => Ok(found),
        }
    }

    /// Marks a store that is new, or of an older version. Rows without a version were not written by
    /// any version of this program.
    fn mark_version(&self) -> Result<(), StoreError> {
        match self.check_version()? {
            Some(STORE_VERSION) => return Ok(()),
            Some(_) => {}
            None => self.check_empty()?,
        }
        let mut batch = Batch::new();
        batch.put_value(Key::format(), &STORE_VERSION);
        self.commit(batch)
    }

    fn check_empty(&self) -> Result<(), StoreError> {
        let view = self.view();
        for family in Family::ALL {
            if !view.is_family_empty(family)? {
                let reason = "it has rows and no format version".to_owned();
                return Err(StoreError::Damaged { path: self.folder.clone(), reason });
            }
        }
        Ok(())
    }

    fn property_sum(&self, name: &'static str) -> Result<u64, StoreError> {
        let mut sum = 0;
        for family in Family::ALL {
            let value = self.db.property_int_value_cf(self.family(family)?, name);
            let value = value.map_err(|e| StoreError::rocks("measure", &self.folder, &e))?;
            sum += value.unwrap_or(0);
        }
        Ok(sum)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let poisoned = self.is_poisoned();
        f.debug_struct("Store").field("folder", &self.folder).field("poisoned", &poisoned).finish()
    }
}

/// Creates the data folder where it is missing, and makes its name durable.
fn create_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let folder = std::fs::canonicalize(folder)?;
    folder.parent().map_or(Ok(()), fs::fsync_folder)
}

fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        match entry?.metadata() {
            Ok(metadata) => bytes += metadata.len(),
            // Compaction removed it between the two calls.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
