//! Moving points from merged segments to their new one, some with each commit.
//!
//! All points at once would be one batch of gigabytes, and writers would wait for it. Instead each
//! commit moves the points of the next offsets: their locations change, their rows in the old
//! segments are buried, and the new segment's manifest row says how far it has come
//! ([`SegmentRow::arrived`](bigrain_storage::SegmentRow)). Before, between and after these commits
//! every point is alive in exactly one segment, in the store and for searches alike; so a crash or an
//! error between two of them loses nothing and leaves nothing to repair. Both segments then have many
//! dead rows, and the policy sees to them.
//!
//! ```text
//!  old   | x x x x x x . . . . . . |      x buried: has moved, or was deleted
//!  new   | . . . x . . x x x x x x |      ^ arrived
//! ```

use std::sync::Arc;

use bigrain_storage::{Batch, Location, PointRow};
use bigrain_types::{Offset, PointId, SegmentId};
use roaring::RoaringBitmap;

use super::building::Built;
use super::handle::Shared;
use super::merge::MergeInput;
use super::state::{SegmentView, State};
use crate::error::Doing;
use crate::segment::Segment;
use crate::{Error, ErrorKind, Result};

/// Points that one commit moves: writers wait for so many.
const POINTS: u32 = 4096;

/// The points of some offsets of a new segment.
struct Move<'a> {
    segment: &'a Arc<Segment>,
    start: u32,
    end: u32,
    /// The id of each point, where it lay, and what the store had of it before the commit lock.
    points: Vec<(PointId, SegmentId, Offset, Option<PointRow>)>,
}

impl Shared {
    /// Moves the points of merged segments to the segment built from them, and removes those.
    pub fn move_points(&self, built: Built, input: &MergeInput<'_>) -> Result<()> {
        let Built { segment, mut row, order } = built;
        // Fields may have been dropped while it was built.
        let segment = Arc::new(segment.with_only(&self.fields()));
        let rows = row.rows as u32;
        let old = input.ids();
        for start in (0..rows).step_by(POINTS as usize) {
            let end = rows.min(start.saturating_add(POINTS));
            let moved = self.read_moved(&segment, start..end, &order, input)?;
            let mut batch = Batch::new();
            let commit = self.commit.lock();
            self.check_usable()?;
            let dead = self.fill(&mut batch, &moved)?;
            row.arrived = u64::from(end);
            batch.put_segment(self.key, &row).put_counts(self.key, &commit.counts);
            let is_last = end == rows;
            if is_last {
                old.iter().for_each(|&id| {
                    batch.delete_segment(self.key, id);
                });
            }
            self.resources.store.commit(batch).doing(|| "commit merge".into())?;
            let mut state = self.state.write();
            state.arrive(&moved, dead);
            let retired = if is_last { self.retire(&mut state, &old) } else { Vec::new() };
            self.chores.churned(moved.points.len() as u64);
            // Locks first: files may go with the segments.
            drop(state);
            drop(commit);
            drop(retired);
        }
        Ok(())
    }

    /// Reads what is known of the next points, before writers have to wait: what is not buried by
    /// then has not changed either.
    fn read_moved<'a>(
        &self,
        segment: &'a Arc<Segment>,
        offsets: std::ops::Range<u32>,
        order: &[u32],
        input: &MergeInput<'_>,
    ) -> Result<Move<'a>> {
        let ids: Vec<PointId> =
            offsets.clone().map(|at| segment.ids.get(Offset(at))).collect::<Result<_, _>>()?;
        let rows = self.resources.store.view().points(self.key, &ids)?;
        let places = offsets.clone().map(|at| input.place(order[at as usize] as usize));
        let points = ids.into_iter().zip(rows).zip(places);
        let points = points.map(|((id, row), (from, offset))| (id, from, offset, row)).collect();
        Ok(Move { segment, start: offsets.start, end: offsets.end, points })
    }

    /// Fills a batch with the moves of points that are still alive; returns the new offsets of those
    /// that are not. The caller holds the commit lock.
    fn fill(&self, batch: &mut Batch, moved: &Move<'_>) -> Result<RoaringBitmap> {
        let state = self.state.read();
        let mut dead = RoaringBitmap::new();
        for (at, (id, from, offset, row)) in (moved.start..).zip(&moved.points) {
            if state.segment(*from).is_none_or(|view| view.deleted.contains(offset.0)) {
                dead.insert(at);
                batch.put_tombstone(self.key, moved.segment.id, Offset(at));
                continue;
            }
            let before = Location::Segment(*from, *offset);
            let Some(row) = row.filter(|row| row.location == before) else {
                let reason = format!("point {id} is not where segment {from} has it");
                return Err(Error::new(ErrorKind::Internal, reason));
            };
            let location = Location::Segment(moved.segment.id, Offset(at));
            batch.put_point(self.key, id, &PointRow { location, ..row });
            batch.put_tombstone(self.key, *from, *offset);
        }
        Ok(dead)
    }

    /// Removes segments that the manifest has no longer; their files go with the last who holds
    /// them, which may be the caller.
    pub fn retire(&self, state: &mut State, ids: &[SegmentId]) -> Vec<SegmentView> {
        for id in ids {
            if let Some(view) = state.segment(*id) {
                view.segment.retire(&self.resources.directory, self.segment_folder(*id));
            }
        }
        state.segments.extract_if(.., |view| ids.contains(&view.segment.id)).collect()
    }
}

impl State {
    /// Shows the points that a commit has moved, in the new segment and no longer in the old.
    fn arrive(&mut self, moved: &Move<'_>, dead: RoaringBitmap) {
        for (_, from, offset, _) in &moved.points {
            self.bury(*from, *offset);
        }
        let id = moved.segment.id;
        if self.segment(id).is_none() {
            let mut deleted = RoaringBitmap::new();
            deleted.insert_range(0..moved.segment.rows() as u32);
            let segment = Arc::clone(moved.segment);
            self.segments.push(SegmentView { segment, deleted: Arc::new(deleted) });
        }
        if let Some(view) = self.segments.iter_mut().find(|view| view.segment.id == id) {
            let deleted = Arc::make_mut(&mut view.deleted);
            deleted.remove_range(moved.start..moved.end);
            *deleted |= dead;
        }
    }
}
