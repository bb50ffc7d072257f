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

use std::path::Path;
use std::sync::Arc;

use bigrain_index::build::{BuildParams, Rows};
use bigrain_storage::{Batch, FileRow, Location, PointRow, SegmentRow, fs};
use bigrain_types::{Offset, PointId, SegmentId};
use roaring::RoaringBitmap;

use super::Collection;
use super::handle::Shared;
use super::state::{Frozen, SegmentView};
use crate::error::Doing;
use crate::memtable::Memtable;
use crate::segment::{Segment, SegmentInput, SegmentParams, build_segment};
use crate::{Error, ErrorKind, Result};

/// Writers wait for a running flush once the memtable is this many times its limit.
const MAX_OVERFILL: usize = 2;

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
    /// Flushes when the memtable has reached its limit. If another thread is at it already, goes
    /// on, unless the memtable has grown far past its limit meanwhile: then it waits.
    ///
    /// A flush that fails is logged and not the caller's error: its points are on disk and stay
    /// searchable, and the next flush tries again.
    pub fn flush_if_full(&self) {
        if !self.is_fuller_than(1) {
            return;
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

    /// Refuses further points when flushing keeps failing and memory is full.
    pub fn make_room(&self) -> Result<()> {
        if self.state.read().frozen.is_none() || !self.is_fuller_than(MAX_OVERFILL) {
            return Ok(());
        }
        let _flush = self.flush.lock();
        if self.is_fuller_than(MAX_OVERFILL) {
            self.flush_locked().map_err(|error| {
                let reason = format!("the memtable is full and cannot be flushed: {error}");
                Error::new(ErrorKind::ResourceExhausted, reason)
            })?;
        }
        Ok(())
    }

    fn is_fuller_than(&self, times: usize) -> bool {
        let limits = &self.resources.limits;
        let state = self.state.read();
        state.active.len() >= limits.flush_rows.saturating_mul(times)
            || state.active.memory_bytes() >= limits.flush_bytes.saturating_mul(times)
    }

    /// Flushes; the caller holds the flush lock.
    fn flush_locked(&self) -> Result<()> {
        // The collection may have been dropped while this thread waited for the lock.
        self.check_usable()?;
        let Some((frozen, id)) = self.freeze() else { return Ok(()) };
        self.resources.store.admit(frozen.table.memory_bytes())?;
        let input = FrozenRows::new(&frozen);
        let built = if input.slots.is_empty() { None } else { Some(self.build(&input, id)?) };
        self.commit_flush(built, &input)
    }

    /// Freezes the memtable, or returns the one that an earlier, failed flush left frozen.
    fn freeze(&self) -> Option<(Frozen, SegmentId)> {
        let mut commit = self.commit.lock();
        let mut state = self.state.write();
        if state.frozen.is_none() {
            if state.active.is_empty() {
                return None;
            }
            let table = std::mem::replace(&mut state.active, Memtable::new(&self.binarizer));
            let dead = Arc::new(table.dead().clone());
            state.frozen = Some(Frozen { table: Arc::new(table), dead });
        }
        let frozen = state.frozen.clone()?;
        Some((frozen, commit.next_segment()))
    }

    fn build(&self, input: &FrozenRows<'_>, id: SegmentId) -> Result<Built> {
        let directory = &*self.resources.directory;
        let folder = self.folder().join(id.to_string());
        fs::create_folder(directory, &folder)?;
        self.build_in(&folder, input, id).inspect_err(|_| {
            // Unfinished files would take the room that the next try needs.
            if let Err(error) = fs::remove_folder(directory, &folder) {
                tracing::warn!(folder = %folder.display(), %error, "unfinished segment stays");
            }
        })
    }

    fn build_in(&self, folder: &Path, input: &FrozenRows<'_>, id: SegmentId) -> Result<Built> {
        let directory = &*self.resources.directory;
        let params = SegmentParams {
            binarizer: &self.binarizer,
            dense: self.config.dense,
            index: BuildParams { lists: self.config.lists, seed: id.0 },
        };
        let order = build_segment(directory, folder, input, &params, &self.resources.threads)
            .doing(|| format!("build segment {id}"))?;
        let segment = Segment::open(directory, folder, id, &self.binarizer)
            .doing(|| format!("open new segment {id}"))?;
        let files = segment.files().map(|(name, file)| FileRow::new(name, file.identity()));
        let row =
            SegmentRow { id, rows: segment.rows(), files: files.into(), seq: input.table.newest() };
        Ok(Built { segment, row, order })
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
            let (segment, deleted) = (Arc::new(segment), Arc::new(deleted));
            state.segments.push(SegmentView { segment, deleted });
        }
        state.frozen = None;
        Ok(())
    }
}

/// A segment that no manifest names yet.
struct Built {
    segment: Segment,
    row: SegmentRow,
    /// For each offset, the row of the input that lies there.
    order: Vec<u32>,
}

/// The live rows of a frozen memtable, in slot order.
struct FrozenRows<'a> {
    table: &'a Memtable,
    slots: Vec<u32>,
}

impl<'a> FrozenRows<'a> {
    fn new(frozen: &'a Frozen) -> Self {
        let live = |slot: &u32| !frozen.dead.contains(*slot);
        let slots = (0..frozen.table.len() as u32).filter(live).collect();
        Self { table: &frozen.table, slots }
    }

    /// Returns the ids of those `slots` that are not dead.
    fn live_ids(&self, slots: &[u32], dead: &RoaringBitmap) -> Vec<PointId> {
        let live = slots.iter().filter(|slot| !dead.contains(**slot));
        live.map(|&slot| self.table.id(slot).clone()).collect()
    }
}

impl Rows for FrozenRows<'_> {
    fn len(&self) -> usize {
        self.slots.len()
    }

    fn row(&self, at: usize) -> &[f32] {
        self.table.row(self.slots[at])
    }
}

impl SegmentInput for FrozenRows<'_> {
    fn id(&self, row: usize) -> &PointId {
        self.table.id(self.slots[row])
    }
}
