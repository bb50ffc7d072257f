//! The handle callers hold, and how a collection is opened.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bigrain_binarize::Binarizer;
use bigrain_index::verify::RowIo;
use bigrain_storage::{CollectionKey, Directory, ReadView, SegmentRow, Store, fs};
use bigrain_types::{Offset, SeqNo};
use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use super::state::{SegmentView, State};
use super::writer::{CommitState, Request};
use crate::config::{CollectionConfig, EngineConfig};
use crate::error::Doing;
use crate::memtable::{EncodedPoints, Memtable};
use crate::segment::Segment;
use crate::threads::Threads;
use crate::{Error, ErrorKind, Result};

/// The seed of every collection's rotation. Codes of equal shape share one code space, so that
/// their segments can be copied from one collection to another.
const ROTATION_SEED: u64 = 0x6269_6772_6169_6e31;

/// Points encoded at a time while the memtable is rebuilt.
const REBUILD_BATCH: usize = 1024;

/// A named set of points of one shape; a cheap handle that threads share.
#[derive(Clone, Debug)]
pub struct Collection(pub(super) Arc<Shared>);

/// What all handles of one collection share.
#[derive(Debug)]
pub(super) struct Shared {
    pub name: String,
    pub key: CollectionKey,
    pub config: CollectionConfig,
    pub binarizer: Binarizer,
    pub resources: Resources,
    pub state: RwLock<State>,
    pub queue: Mutex<Vec<Request>>,
    pub commit: Mutex<CommitState>,
    pub flush: Mutex<()>,
    quarantined: OnceLock<String>,
    dropped: AtomicBool,
}

/// What a collection borrows from its engine.
#[derive(Clone, Debug)]
pub(super) struct Resources {
    pub store: Arc<Store>,
    pub directory: Arc<dyn Directory>,
    pub threads: Threads,
    pub row_io: Arc<RowIo>,
    pub limits: EngineConfig,
}

/// How to open a collection.
pub(crate) struct Opening<'a> {
    pub name: &'a str,
    pub key: CollectionKey,
    pub config: CollectionConfig,
    pub store: &'a Arc<Store>,
    pub directory: &'a Arc<dyn Directory>,
    pub threads: &'a Threads,
    pub row_io: &'a Arc<RowIo>,
    pub limits: &'a EngineConfig,
}

/// Returns where the folders of collections lie, below the data folder.
pub(crate) fn collections_folder() -> &'static Path {
    Path::new("collections")
}

impl Opening<'_> {
    /// Opens the segments that the manifest names, removes folders it does not name, and rebuilds
    /// the memtable from the store.
    pub fn open(self) -> Result<Collection> {
        let doing = format!("open collection {:?}", self.name);
        self.open_parts().doing(|| doing)
    }

    fn open_parts(self) -> Result<Collection> {
        let config = self.config;
        let binarizer =
            Binarizer::new_rotation(config.dims, config.levels, config.metric, ROTATION_SEED)
                .map_err(|error| Error::invalid(error.to_string()))?;
        let view = self.store.view();
        let missing = || Error::new(ErrorKind::Corruption, "store has no counts");
        let counts = view.counts(self.key)?.ok_or_else(missing)?;
        let folder = collection_folder(self.key);
        let rows = view.segments(self.key)?;
        remove_garbage(&**self.directory, &folder, &rows)?;
        let mut segments = Vec::with_capacity(rows.len());
        for row in &rows {
            let path = folder.join(row.id.to_string());
            let segment = Segment::open(&**self.directory, &path, row.id, &binarizer)?;
            check_against_manifest(&segment, row)?;
            let deleted = view.tombstones(self.key, row.id)?;
            let deleted: RoaringBitmap = deleted.into_iter().map(|Offset(offset)| offset).collect();
            if deleted.max().is_some_and(|last| u64::from(last) >= row.rows) {
                let reason = format!("segment {}: a tombstone lies behind its last row", row.id);
                return Err(Error::new(ErrorKind::Corruption, reason));
            }
            segments.push(SegmentView { segment: Arc::new(segment), deleted: Arc::new(deleted) });
        }
        let active = rebuild_memtable(&view, self.key, &binarizer)?;
        let (live, seq) = (counts.live, counts.last_seq);
        let state = State { segments, frozen: None, active, live, seq };
        Ok(Collection(Arc::new(Shared {
            name: self.name.to_owned(),
            key: self.key,
            config,
            binarizer,
            resources: Resources {
                store: Arc::clone(self.store),
                directory: Arc::clone(self.directory),
                threads: self.threads.clone(),
                row_io: Arc::clone(self.row_io),
                limits: self.limits.clone(),
            },
            state: RwLock::new(state),
            queue: Mutex::new(Vec::new()),
            commit: Mutex::new(CommitState::new(counts)),
            flush: Mutex::new(()),
            quarantined: OnceLock::new(),
            dropped: AtomicBool::new(false),
        })))
    }
}

impl Collection {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the shape.
    #[must_use]
    pub fn config(&self) -> &CollectionConfig {
        &self.0.config
    }

    /// Returns how many points there are, exactly; none in a collection that was dropped.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.state.read().live
    }

    /// Why the collection refuses to serve, if it found stored bytes to be damaged.
    pub(crate) fn quarantine_reason(&self) -> Option<&str> {
        self.0.quarantined.get().map(String::as_str)
    }

    /// Removes every row and file. Handles that remain answer `NotFound`, or that nothing is there.
    pub(crate) fn drop_everything(&self) -> Result<()> {
        let shared = &self.0;
        let _flush = shared.flush.lock();
        let _commit = shared.commit.lock();
        if shared.dropped.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::NotFound, "collection was dropped"));
        }
        shared.resources.store.drop_collection(shared.key)?;
        shared.dropped.store(true, Ordering::Release);
        // What is left of it is gone from handles too: their counts, and the files they hold open.
        *shared.state.write() = State::empty(Memtable::new(&shared.binarizer));
        remove_collection_folder(&*shared.resources.directory, shared.key);
        Ok(())
    }
}

impl Shared {
    pub fn folder(&self) -> PathBuf {
        collection_folder(self.key)
    }

    /// Runs one operation: refuses when the collection is gone or quarantined, names the operation
    /// in errors, and quarantines the collection when stored bytes turn out damaged.
    pub fn run<T>(&self, operation: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let checked = self.check_usable().and_then(|()| run());
        checked.map_err(|error| {
            if error.kind() == ErrorKind::Corruption && self.quarantined.get().is_none() {
                tracing::error!(collection = %self.name, %error, "quarantined");
                let _ = self.quarantined.set(error.to_string());
            }
            error.doing(|| format!("{operation} {:?}", self.name))
        })
    }

    /// Refuses when the collection is gone or quarantined.
    pub fn check_usable(&self) -> Result<()> {
        if self.dropped.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::NotFound, "collection was dropped"));
        }
        match self.quarantined.get() {
            Some(reason) => Err(Error::new(
                ErrorKind::Corruption,
                format!("collection is quarantined: {reason}"),
            )),
            None => Ok(()),
        }
    }
}

fn collection_folder(key: CollectionKey) -> PathBuf {
    collections_folder().join(format!("{:08x}", key.0))
}

/// Removes what is left of a dropped collection. When that fails, the next open removes it.
pub(crate) fn remove_collection_folder(directory: &dyn Directory, key: CollectionKey) {
    let folder = collection_folder(key);
    if let Err(error) = fs::remove_folder(directory, &folder) {
        tracing::warn!(folder = %folder.display(), %error, "folder of dropped collection stays");
    }
}

/// Removes segment folders that no committed manifest row names: a build that was cut short.
fn remove_garbage(directory: &dyn Directory, folder: &Path, rows: &[SegmentRow]) -> Result<()> {
    let entries = match directory.list(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        if !rows.iter().any(|row| row.id.to_string() == entry.name) {
            let path = folder.join(&entry.name);
            tracing::info!(path = %path.display(), "removing an unfinished segment");
            fs::remove_folder(directory, &path)?;
        }
    }
    Ok(())
}

/// Refuses a segment whose files are not the ones the manifest committed.
fn check_against_manifest(segment: &Segment, row: &SegmentRow) -> Result<()> {
    let corrupt =
        |reason| Err(Error::new(ErrorKind::Corruption, format!("segment {}: {reason}", row.id)));
    if segment.rows() != row.rows {
        return corrupt(format!("manifest has {} rows, files have {}", row.rows, segment.rows()));
    }
    for (name, file) in segment.files() {
        let Some(expected) = row.files.iter().find(|file| file.name == name) else {
            return corrupt(format!("manifest does not name {name}"));
        };
        if expected.identity() != file.identity() {
            return corrupt(format!("{name} is not the file that was committed"));
        }
    }
    Ok(())
}

fn rebuild_memtable(
    view: &ReadView<'_>,
    key: CollectionKey,
    binarizer: &Binarizer,
) -> Result<Memtable> {
    let mut table = Memtable::new(binarizer);
    let (mut ids, mut rows, mut newest) = (Vec::new(), Vec::new(), SeqNo::default());
    for row in view.head_rows(key)? {
        let (id, row) = row?;
        if row.vectors.len() != binarizer.dims() {
            return Err(Error::new(
                ErrorKind::Corruption,
                format!("stored vector of {id} has {} dimensions", row.vectors.len()),
            ));
        }
        ids.push(id);
        rows.extend_from_slice(&row.vectors);
        newest = newest.max(row.seq);
        if ids.len() == REBUILD_BATCH {
            let (ids, rows) = (std::mem::take(&mut ids), std::mem::take(&mut rows));
            table.append(&EncodedPoints::encode(binarizer, ids, rows), newest);
        }
    }
    if !ids.is_empty() {
        table.append(&EncodedPoints::encode(binarizer, ids, rows), newest);
    }
    Ok(table)
}
