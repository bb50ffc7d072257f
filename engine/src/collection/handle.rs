//! The handle callers hold, and how a collection is opened.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bigrain_storage::{CollectionKey, Directory, HeadRow, ReadView, SegmentRow, fs};
use bigrain_types::{Offset, PointId, SegmentId, SeqNo};
use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use super::chores::ChoreState;
use super::state::{SegmentView, State};
use super::writer::{CommitState, Request};
use crate::background::Background;
use crate::device::ScanCounts;
use crate::encoded_points::EncodedPoints;
use crate::error::Doing;
use crate::field::{CollectionConfig, FieldKind, Fields, Schema};
use crate::memtable::Memtable;
use crate::resources::Resources;
use crate::segment::Segment;
use crate::{Error, ErrorKind, Result};

/// Points encoded at a time while the memtable is rebuilt.
const REBUILD_BATCH: usize = 1024;

/// A named set of points of one shape; a cheap handle that threads share.
#[derive(Clone, Debug)]
pub struct Collection(
    pub(super) Arc<Shared>,
    /// Ends the workers with the last handle, and so closes the folder.
    #[expect(dead_code, reason = "what counts is when it is dropped")]
    Arc<Background>,
);

/// What all handles of one collection share.
#[derive(Debug)]
pub(super) struct Shared {
    pub name: String,
    pub key: CollectionKey,
    pub resources: Arc<Resources>,
    pub state: RwLock<State>,
    pub queue: Mutex<Vec<Request>>,
    pub commit: Mutex<CommitState>,
    pub flush: Mutex<()>,
    pub merge: Mutex<()>,
    pub chores: ChoreState,
    /// What a device has scanned, and what the CPU has in its place.
    pub scans: ScanCounts,
    quarantined: OnceLock<String>,
    /// Somebody wants to drop the collection: what takes long should end.
    dropping: AtomicBool,
    dropped: AtomicBool,
}

/// How to open a collection.
pub(crate) struct Opening<'a> {
    pub name: &'a str,
    pub key: CollectionKey,
    pub schema: Schema,
    pub resources: &'a Arc<Resources>,
    pub background: &'a Arc<Background>,
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
        let fields = Fields::new(&self.schema)?;
        let Resources { store, directory, .. } = &**self.resources;
        let view = store.view();
        let missing = || Error::new(ErrorKind::Corruption, "store has no counts");
        let counts = view.counts(self.key)?.ok_or_else(missing)?;
        let folder = collection_folder(self.key);
        let rows = view.segments(self.key)?;
        remove_garbage(&**directory, &folder, &rows)?;
        let mut segments = Vec::with_capacity(rows.len());
        for row in &rows {
            let path = folder.join(row.id.to_string());
            let present = Segment::fields_in(row, &fields);
            let segment = Segment::open(&**directory, &path, row.id, &present)?;
            check_against_manifest(&segment, row)?;
            let segment = segment.with_left_over_of(row).charged_to(&self.resources.memory);
            let deleted = view.tombstones(self.key, row.id)?;
            let mut deleted: RoaringBitmap =
                deleted.into_iter().map(|Offset(offset)| offset).collect();
            if deleted.max().is_some_and(|last| u64::from(last) >= row.rows) {
                let reason = format!("segment {}: a tombstone lies behind its last row", row.id);
                return Err(Error::new(ErrorKind::Corruption, reason));
            }
            // A merge was cut short: the other points are still where they were.
            deleted.insert_range(row.arrived.min(row.rows) as u32..row.rows as u32);
            segments.push(SegmentView { segment: Arc::new(segment), deleted: Arc::new(deleted) });
        }
        let (active, dead_rows) = rebuild_memtable(&view, self.key, &self.schema, &fields)?;
        let (live, seq) = (counts.live, counts.last_seq);
        let state = State { fields, segments, frozen: None, active, live, seq };
        let shared = Arc::new_cyclic(|me: &Weak<Shared>| Shared {
            name: self.name.to_owned(),
            key: self.key,
            resources: Arc::clone(self.resources),
            chores: ChoreState::new(Weak::clone(me), &self.resources.memory),
            state: RwLock::new(state),
            queue: Mutex::new(Vec::new()),
            commit: Mutex::new(CommitState::new(counts, self.schema)),
            flush: Mutex::new(()),
            merge: Mutex::new(()),
            scans: ScanCounts::default(),
            dropping: AtomicBool::new(false),
            quarantined: OnceLock::new(),
            dropped: AtomicBool::new(false),
        });
        shared.chores.churned(dead_rows);
        shared.begin_chores();
        Ok(Collection(shared, Arc::clone(self.background)))
    }
}

impl Collection {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the shape, as it is now: fields may be added and dropped.
    #[must_use]
    pub fn config(&self) -> CollectionConfig {
        self.0.fields().config()
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

    /// Returns the key in the store.
    pub(crate) fn key(&self) -> CollectionKey {
        self.0.key
    }

    /// Returns the segments that searches see now.
    pub(crate) fn segments_now(&self) -> Vec<Arc<Segment>> {
        let state = self.0.state.read();
        state.segments.iter().map(|view| Arc::clone(&view.segment)).collect()
    }

    /// Returns the segments of everything that was committed before the call.
    pub(crate) fn segments_settled(&self) -> Vec<Arc<Segment>> {
        // A segment is committed and published under one hold of this lock.
        let _commit = self.0.commit.lock();
        self.segments_now()
    }

    /// Removes every row and file. Handles that remain answer `NotFound`, or that nothing is there.
    pub(crate) fn drop_everything(&self) -> Result<()> {
        let shared = &self.0;
        shared.dropping.store(true, Ordering::Release);
        let _flush = shared.flush.lock();
        let _merge = shared.merge.lock();
        let _commit = shared.commit.lock();
        if shared.dropped.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::NotFound, "collection was dropped"));
        }
        let dropped = shared.resources.store.drop_collection(shared.key);
        shared.dropping.store(false, Ordering::Release);
        dropped?;
        shared.dropped.store(true, Ordering::Release);
        // What is left of it is gone from handles too: their counts, and the files they hold open.
        shared.state.write().clear();
        remove_collection_folder(&*shared.resources.directory, shared.key);
        Ok(())
    }
}

impl Shared {
    /// Returns the folder of a segment, below the data folder.
    pub fn segment_folder(&self, id: SegmentId) -> PathBuf {
        collection_folder(self.key).join(id.to_string())
    }

    /// Returns the fields as they are now.
    pub fn fields(&self) -> Fields {
        self.state.read().fields.clone()
    }

    /// Runs one operation: refuses when the collection is gone or quarantined, names the operation
    /// in errors, and quarantines the collection when stored bytes turn out damaged.
    pub fn run<T>(&self, operation: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let checked = self.check_usable().and_then(|()| run());
        checked.map_err(|error| {
            // What was dropped meanwhile may have lost its files.
            let error = match self.check_usable() {
                Err(gone) if gone.kind() == ErrorKind::NotFound => gone,
                Ok(()) | Err(_) => error,
            };
            if error.kind() == ErrorKind::Corruption && self.quarantined.get().is_none() {
                tracing::error!(collection = %self.name, %error, "quarantined");
                let _ = self.quarantined.set(error.to_string());
            }
            error.doing(|| format!("{operation} {:?}", self.name))
        })
    }

    /// Whether somebody waits to drop the collection.
    pub fn is_dropping(&self) -> bool {
        self.dropping.load(Ordering::Acquire)
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

pub(crate) fn collection_folder(key: CollectionKey) -> PathBuf {
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
pub(crate) fn check_against_manifest(segment: &Segment, row: &SegmentRow) -> Result<()> {
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

/// Reads the points that are in no segment; says how many rows of others still lie among theirs.
/// Vectors of fields that were dropped are passed over.
fn rebuild_memtable(
    view: &ReadView<'_>,
    key: CollectionKey,
    schema: &Schema,
    fields: &Fields,
) -> Result<(Memtable, u64)> {
    let mut table = Memtable::new(fields);
    let mut batch = Vec::new();
    let mut rows = view.head_rows(key)?;
    for row in rows.by_ref() {
        batch.push(row?);
        if batch.len() == REBUILD_BATCH {
            append_rows(&mut table, view, key, (schema, fields), std::mem::take(&mut batch))?;
        }
    }
    append_rows(&mut table, view, key, (schema, fields), batch)?;
    Ok((table, rows.dead_rows()))
}

/// Encodes some points of the head, and adds them with their payloads.
fn append_rows(
    table: &mut Memtable,
    view: &ReadView<'_>,
    key: CollectionKey,
    (schema, fields): (&Schema, &Fields),
    rows: Vec<(PointId, HeadRow)>,
) -> Result<()> {
    let (mut points, mut newest) = (EncodedPoints::new(fields), SeqNo::default());
    let ids: Vec<PointId> = rows.iter().map(|(id, _)| id.clone()).collect();
    let payloads = view.payloads(key, &ids)?;
    for ((id, row), payload) in rows.into_iter().zip(payloads) {
        let corrupt = |reason| Err(Error::new(ErrorKind::Corruption, reason));
        let slot = points.len() as u32;
        for (field, vector) in row.vectors {
            schema.check_stored(field, FieldKind::Dense, &id)?;
            let Some(column) = points.column_mut(field) else { continue };
            if vector.len() != column.field().config.dims {
                return corrupt(format!("stored vector of {id} has {} dimensions", vector.len()));
            }
            column.push(slot, &vector);
        }
        for (field, vector) in row.sparse {
            schema.check_stored(field, FieldKind::Sparse, &id)?;
            points.sparse_mut(field).into_iter().for_each(|rows| rows.push(slot, vector.view()));
        }
        for (field, tokens) in row.multi {
            schema.check_stored(field, FieldKind::Multi, &id)?;
            let Some(column) = points.multi_mut(field) else { continue };
            let dims = tokens.view().header().dims();
            if dims != column.field.config.dims {
                return corrupt(format!("stored tokens of {id} have {dims} dimensions"));
            }
            if column.last_slot() == Some(slot) {
                return corrupt(format!("point {id} has two multi-vectors in one field"));
            }
            column.push(slot, Arc::new(tokens));
        }
        let Some(payload) = payload else {
            return corrupt(format!("point {id} has no stored payload"));
        };
        points.push(id, payload);
        newest = newest.max(row.seq);
    }
    table.append(&mut points.encoded(), newest);
    drop(table.put(table.packed()));
    Ok(())
}
