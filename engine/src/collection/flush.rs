//! Flushing: a full memtable becomes a segment.
//!
//! 1. *Freeze*, under the commit lock: the memtable becomes the frozen one, an empty one takes its
//!    place. Searches see both.
//! 2. *Build*, under no lock that writers or searches want: the frozen memtable's live rows become
//!    files.
//! 3. *Commit*, under the commit lock: one batch moves the points to the segment, buries those
//!    replaced or deleted since the freeze, and names the segment in the manifest.
//!
//! When building or committing fails, the frozen memtable stays as it is, searchable and safe in
//! the store, and the next flush tries again.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bigrain_index::IndexError;
use bigrain_storage::{Batch, Location, PointRow};
use bigrain_types::{FieldId, Offset, Payload, PointId, SegmentId, SparseView, TokensView};
use roaring::RoaringBitmap;

use super::Collection;
use super::building::{Built, NewSegment};
use super::handle::Shared;
use super::progress::Progress;
use super::state::{Frozen, SegmentView};
use crate::column::Column;
use crate::error::Doing;
use crate::field::Fields;
use crate::memory::{Charge, Purpose};
use crate::memtable::Memtable;
use crate::segment::SegmentInput;
use crate::{Error, ErrorKind, Result};

/// After this time a flush that failed may succeed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Writers wait for a running flush once the memtable is this many times its limit.
const MAX_OVERFILL: usize = 2;

/// While points are on their way to the store they are there so often beside what stays in the
/// memtable: encoded, as rows, and as a batch of RocksDB.
const COPIES: u64 = 3;

/// When memory is short, a memtable is flushed from this part of its limit on.
const WORTH_FLUSHING: usize = 16;

impl Collection {
    /// Turns the memtable into a segment now, however small it is.
    ///
    /// # Errors
    ///
    /// `Io` when the disk refuses; the points stay in the memtable and in the store.
    pub fn flush(&self) -> Result<()> {
        let shared = &*self.0;
        shared.run("flush", || {
            let _flush = shared.flush.lock();
            // An earlier flush that failed has left its memtable frozen; that one goes first.
            let left_over = shared.state.read().frozen.is_some();
            if left_over {
                shared.flush_locked()?;
            }
            shared.flush_locked()
        })
    }
}

impl Shared {
    /// Sees to a memtable that has reached its limit: in the background if there are threads for
    /// it, and else here. If another thread is at it already, goes on. A memtable that has grown
    /// far past its limit meanwhile is waited for, whoever flushes it.
    ///
    /// A flush that fails is logged and not the caller's error: its points are on disk and stay
    /// searchable, and the next flush tries again.
    pub fn flush_if_full(&self) {
        if !self.is_fuller_than(1) {
            return;
        }
        if self.resources.appointments.are_kept() && !self.is_fuller_than(MAX_OVERFILL) {
            return self.ask_for_chores();
        }
        let guard = self.flush.try_lock();
        let _flush = match guard {
            Some(guard) => guard,
            None if self.is_fuller_than(MAX_OVERFILL) => self.flush.lock(),
            None => return,
        };
        if self.is_fuller_than(1)
            && let Err(error) = self.flush_locked()
        {
            tracing::warn!(collection = %self.name, %error, "flush failed, will retry");
        }
    }

    /// Refuses further points when flushing keeps failing and the memtable is full, when they do not
    /// fit the memory budget beside the flush that will be due, and while the disk is full. Returns what they take on their way to the
    /// store, beside what stays in the memtable.
    pub fn make_room(&self, bytes: u64) -> Result<Charge> {
        self.make_room_in_memtable()?;
        let memory = &self.resources.memory;
        let on_its_way = bytes.saturating_mul(COPIES);
        let in_memory = bytes.saturating_add(on_its_way).saturating_add(self.flush_bytes());
        self.resources.make_room(in_memory);
        if !memory.has_room(in_memory) {
            if self.is_worth_flushing() {
                let _flush = self.flush.lock();
                self.flush_locked()?;
            }
            // Other collections may have memtables to flush too.
            self.resources.appointments.wake_all();
        }
        memory.admit(in_memory)?;
        self.resources.store.admit(bytes)?;
        Ok(memory.charge(Purpose::Memtables, on_its_way))
    }

    /// Returns about how much memory it takes to flush the memtable as it is.
    pub fn flush_bytes(&self) -> u64 {
        let state = self.state.read();
        let (points, payload_bytes) = (state.active.len(), state.active.payload_bytes());
        drop(state);
        self.build_bytes(points, payload_bytes)
    }

    /// Whether flushing frees enough memory to be worth a segment, however small.
    pub fn is_worth_flushing(&self) -> bool {
        let limits = &self.resources.limits;
        let state = self.state.read();
        state.active.len() * WORTH_FLUSHING >= limits.flush_rows
            || state.active.memory_bytes() * WORTH_FLUSHING >= limits.flush_bytes
    }

    fn make_room_in_memtable(&self) -> Result<()> {
        if self.state.read().frozen.is_none() || !self.is_fuller_than(MAX_OVERFILL) {
            return Ok(());
        }
        let _flush = self.flush.lock();
        if self.is_fuller_than(MAX_OVERFILL) {
            self.flush_locked().map_err(|error| {
                let reason = format!("the memtable is full and cannot be flushed: {error}");
                Error::new(ErrorKind::ResourceExhausted, reason).retry_after(RETRY_AFTER)
            })?;
        }
        Ok(())
    }

    pub fn is_fuller_than(&self, times: usize) -> bool {
        let limits = &self.resources.limits;
        let state = self.state.read();
        state.active.len() >= limits.flush_rows.saturating_mul(times)
            || state.active.memory_bytes() >= limits.flush_bytes.saturating_mul(times)
    }

    /// Flushes; the caller holds the flush lock.
    pub fn flush_locked(&self) -> Result<()> {
        // The collection may have been dropped while this thread waited for the lock.
        self.check_usable()?;
        let Some((frozen, id)) = self.freeze() else { return Ok(()) };
        self.resources.store.admit(frozen.table.memory_bytes() as u64)?;
        let work = self.chores.flushing.begin(progress_of(&frozen, &self.fields()));
        let input = FrozenRows::new(&frozen, &work);
        // A flush frees more than it takes, so it is never refused; but others must know.
        let bytes = self.build_bytes(input.slots.len(), frozen.table.payload_bytes());
        let _charge = self.resources.memory.charge(Purpose::Builds, bytes);
        let new = NewSegment { id, seq: frozen.table.newest() };
        let built = if input.slots.is_empty() {
            None
        } else {
            Some(self.build(&input, &new, &self.resources.flushers)?)
        };
        self.commit_flush(built, &input)?;
        drop(input);
        // The memtable goes here, unless a search still reads it.
        drop(frozen);
        self.resources.kept.give_back();
        Ok(())
    }

    /// Freezes the memtable, or returns the one that an earlier, failed flush left frozen.
    fn freeze(&self) -> Option<(Frozen, SegmentId)> {
        let mut commit = self.commit.lock();
        let mut state = self.state.write();
        if state.frozen.is_none() {
            if state.active.is_empty() {
                return None;
            }
            // The next one will hold about as many: searches would wait while it grows.
            let empty = Memtable::new(&state.fields).expecting(state.active.len());
            let table = std::mem::replace(&mut state.active, empty);
            let dead = Arc::new(table.dead().clone());
            let memory = &self.resources.memory;
            let memory = Arc::new(memory.charge(Purpose::Memtables, 0));
            state.frozen = Some(Frozen { table: Arc::new(table), dead, memory });
            state.charge_memtables(&self.chores.memtable);
            self.chores.forget_age();
        }
        let frozen = state.frozen.clone()?;
        Some((frozen, commit.next_segment()))
    }

    fn commit_flush(&self, built: Option<Built>, input: &FrozenRows<'_>) -> Result<()> {
        let commit = self.commit.lock();
        // While the commit lock is held nobody can kill another slot.
        let dead = self.state.read().frozen.as_ref().map(|frozen| Arc::clone(&frozen.dead));
        let dead =
            dead.ok_or_else(|| Error::new(ErrorKind::Internal, "frozen memtable is gone"))?;
        let mut deleted = RoaringBitmap::new();
        let mut batch = Batch::new();
        if let Some(Built { segment, row, order }) = &built {
            let view = self.resources.store.view();
            let slots: Vec<u32> = order.iter().map(|&row| input.slots[row as usize]).collect();
            let mut rows = view.points(self.key, &input.live_ids(&slots, &dead))?.into_iter();
            for (offset, &slot) in slots.iter().enumerate() {
                let offset = Offset(offset as u32);
                if dead.contains(slot) {
                    deleted.insert(offset.0);
                    batch.put_tombstone(self.key, segment.id, offset);
                    continue;
                }
                let id = input.table.id(slot);
                let current = rows.next().flatten().ok_or_else(|| {
                    Error::new(ErrorKind::Internal, format!("point {id} has no row"))
                })?;
                let location = Location::Segment(segment.id, offset);
                batch.put_point(self.key, id, &PointRow { seq: current.seq, location });
                batch.delete_head(self.key, id);
            }
            batch.put_segment(self.key, row);
            batch.put_counts(self.key, &commit.counts);
            self.resources.store.commit(batch).doing(|| "commit flush".into())?;
        }
        let mut state = self.state.write();
        if let Some(Built { segment, .. }) = built {
            tracing::info!(collection = %self.name, segment = %segment.id, rows = segment.rows(), "flushed");
            // Fields may have been dropped while it was built.
            let segment = Arc::new(segment.with_only(&state.fields));
            state.segments.push(SegmentView { segment, deleted: Arc::new(deleted) });
        }
        state.frozen = None;
        drop(state);
        drop(commit);
        self.chores.churned(input.slots.len() as u64);
        self.note_change();
        Ok(())
    }
}

/// Returns what flushing a memtable takes.
fn progress_of(frozen: &Frozen, fields: &Fields) -> Progress {
    let columns = fields.iter().filter_map(|field| frozen.table.column(field.id));
    let live =
        |column: &Column| (column.len() as u64).saturating_sub(column.count_in(&frozen.dead));
    let rows = (frozen.table.len() as u64).saturating_sub(frozen.dead.len());
    let sparse = fields.sparse().filter_map(|field| frozen.table.sparse(field.id));
    let sparse: u64 = sparse.map(|table| table.rows().numbers().len() as u64).sum();
    let multi = fields.multi().filter_map(|field| frozen.table.multi(field.id));
    let multi: u64 = multi.map(|column| column.rows().len() as u64).sum();
    Progress::new(1, rows, columns.map(live).sum::<u64>() + sparse + multi)
}

/// The live points of a frozen memtable, in slot order.
struct FrozenRows<'a> {
    table: &'a Memtable,
    slots: Vec<u32>,
    work: &'a Progress,
}

impl<'a> FrozenRows<'a> {
    fn new(frozen: &'a Frozen, work: &'a Progress) -> Self {
        let live = |slot: &u32| !frozen.dead.contains(*slot);
        let slots = (0..frozen.table.len() as u32).filter(live).collect();
        Self { table: &frozen.table, slots, work }
    }

    /// Returns the ids of those `slots` that are not dead.
    fn live_ids(&self, slots: &[u32], dead: &RoaringBitmap) -> Vec<PointId> {
        let live = slots.iter().filter(|slot| !dead.contains(**slot));
        live.map(|&slot| self.table.id(slot).clone()).collect()
    }
}

impl SegmentInput for FrozenRows<'_> {
    fn len(&self) -> usize {
        self.slots.len()
    }

    fn id(&self, point: usize) -> Result<Cow<'_, PointId>, IndexError> {
        Ok(Cow::Borrowed(self.table.id(self.slots[point])))
    }

    fn has(&self, point: usize, field: FieldId) -> Result<bool, IndexError> {
        let column = self.table.column(field);
        Ok(column.is_some_and(|column| column.vector(self.slots[point]).is_some()))
    }

    fn vector(&self, point: usize, field: FieldId) -> Result<Option<Cow<'_, [f32]>>, IndexError> {
        self.work.advance(1);
        let column = self.table.column(field);
        let vector = column.and_then(|column| column.vector(self.slots[point]));
        Ok(vector.map(Cow::Borrowed))
    }

    fn sparse(&self, point: usize, field: FieldId) -> Result<Option<SparseView<'_>>, IndexError> {
        self.work.advance(1);
        let table = self.table.sparse(field);
        Ok(table.and_then(|table| table.rows().row(self.slots[point])))
    }

    fn has_multi(&self, point: usize, field: FieldId) -> Result<bool, IndexError> {
        let column = self.table.multi(field);
        Ok(column.is_some_and(|column| column.tokens(self.slots[point]).is_some()))
    }

    fn multi(&self, point: usize, field: FieldId) -> Result<Option<TokensView<'_>>, IndexError> {
        self.work.advance(1);
        let column = self.table.multi(field);
        let tokens = column.and_then(|column| column.tokens(self.slots[point]));
        Ok(tokens.map(|tokens| tokens.view()))
    }

    fn payloads(&self, points: &[u32]) -> Result<Vec<Cow<'_, Payload>>> {
        let payload = |point: &u32| self.table.payload(self.slots[*point as usize]);
        Ok(points.iter().map(|point| Cow::Borrowed(payload(point))).collect())
    }

    fn clustered(&self, vectors: u64) {
        self.work.advance(vectors);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use bigrain_types::Metric;

    use super::*;
    use crate::{CollectionConfig, Engine, EngineConfig, Point};

    const DIMS: usize = 64;
    const POINTS: u64 = 100;

    fn filled(folder: &Path) -> (Engine, Collection) {
        let config = EngineConfig { threads: 1, background_threads: 1, ..EngineConfig::default() };
        let engine = Engine::open(folder, config).unwrap();
        let shape = CollectionConfig::new(DIMS, Metric::L2);
        let collection = engine.create_collection("c", shape).unwrap();
        let point = |id: u64| Point::new(id, vec![id as f32; DIMS]);
        collection.upsert((0..POINTS).map(point).collect()).unwrap();
        (engine, collection)
    }

    #[test]
    fn a_flushed_memtable_is_in_the_account_until_the_last_search_that_reads_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, collection) = filled(folder.path());
        let least = POINTS * 4 * DIMS as u64;
        let (search, _) = collection.0.freeze().unwrap();
        collection.flush().unwrap();
        assert_eq!(collection.inspect().len(), 1);
        assert!(engine.memory().memtables > least, "{:?}", engine.memory());
        drop(search);
        assert!(engine.memory().memtables < least, "{:?}", engine.memory());
    }

    #[test]
    fn a_flush_does_not_wait_for_a_merge() {
        let folder = tempfile::tempdir().unwrap();
        let (_engine, collection) = filled(folder.path());
        let (end_merge, merge_ends) = channel::<()>();
        let (flushed, is_flushed) = channel();
        let (began, merge_began) = channel();
        std::thread::scope(|scope| {
            let (merging, flushing) = (collection.clone(), collection.clone());
            let merge = move || (began.send(()), merge_ends.recv());
            scope.spawn(move || merging.0.resources.builders.run(merge));
            merge_began.recv().unwrap();
            scope.spawn(move || flushed.send(flushing.flush()));
            let flushed = is_flushed.recv_timeout(Duration::from_secs(60));
            drop(end_merge);
            flushed.expect("a flush that needs no thread of a merge").unwrap();
        });
    }
}
