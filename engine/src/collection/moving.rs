//! Moving points from merged segments to their new one, some with each commit.
//!
//! All points at once would be one batch of gigabytes, and writers would wait for it. Instead each
//! commit moves the points of the next offsets: their locations change, their rows in the old
//! segments are buried, and the new segment's manifest row says how far it has come
//! ([`SegmentRow::arrived`]). Before, between and after these commits
//! every point is alive in exactly one segment, in the store and for searches alike; so a crash or an
//! error between two of them loses nothing and leaves nothing to repair. Both segments then have many
//! dead rows, and the policy sees to them.
//!
//! ```text
//!  old   | x x x x x x . . . . . . |      x buried: has moved, or was deleted
//!  new   | . . . x . . x x x x x x |      ^ arrived
//! ```

use std::ops::Range;
use std::sync::Arc;

use bigrain_storage::{Batch, Location, PointRow, SegmentRow};
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
struct Moved {
    segment: Arc<Segment>,
    offsets: Range<u32>,
    /// The id of each point, where it lay, and what the store had of it before the commit lock.
    points: Vec<(PointId, SegmentId, Offset, Option<PointRow>)>,
}

/// Points on their way from merged segments to the one built from them.
pub(super) struct Moving<'a> {
    input: &'a MergeInput<'a>,
    segment: Arc<Segment>,
    row: SegmentRow,
    /// For each offset of the new segment, the point of the input.
    order: Vec<u32>,
}

impl Shared {
    /// Moves the points of merged segments to the segment built from them, and removes those.
    pub fn move_points(&self, built: Built, input: &MergeInput<'_>) -> Result<()> {
        let mut moving = self.begin_moving(built, input);
        while self.move_some(&mut moving, POINTS)? {}
        Ok(())
    }

    fn begin_moving<'a>(&self, built: Built, input: &'a MergeInput<'a>) -> Moving<'a> {
        let Built { segment, mut row, order } = built;
        row.arrived = 0;
        // Fields may have been dropped while it was built.
        let segment = Arc::new(segment.with_only(&self.fields()).with_points_arriving());
        Moving { input, segment, row, order }
    }

    /// Moves the next points, in one commit; returns whether there are more.
    fn move_some(&self, moving: &mut Moving<'_>, points: u32) -> Result<bool> {
        let (start, rows) = (moving.row.arrived as u32, moving.row.rows as u32);
        let end = rows.min(start.saturating_add(points));
        let moved = self.read_moved(moving, start..end)?;
        let old = if end == rows { moving.input.ids() } else { Vec::new() };
        let mut batch = Batch::new();
        let commit = self.commit.lock();
        self.check_usable()?;
        let dead = self.fill(&mut batch, &moved)?;
        let row = SegmentRow { arrived: u64::from(end), ..moving.row.clone() };
        batch.put_segment(self.key, &row).put_counts(self.key, &commit.counts);
        old.iter().for_each(|&id| {
            batch.delete_segment(self.key, id);
        });
        self.resources.store.commit(batch).doing(|| "commit merge".into())?;
        let mut state = self.state.write();
        state.arrive(&moved, dead);
        let retired = self.retire(&mut state, &old);
        self.chores.churned(moved.points.len() as u64);
        // Locks first: files may go with the segments.
        drop(state);
        drop(commit);
        drop(retired);
        moving.row = row;
        Ok(end < rows)
    }

    /// Reads what is known of the next points, before writers have to wait: what is not buried by
    /// then has not changed either.
    fn read_moved(&self, moving: &Moving<'_>, offsets: Range<u32>) -> Result<Moved> {
        let Moving { input, segment, order, .. } = moving;
        let ids: Vec<PointId> =
            offsets.clone().map(|at| segment.ids.get(Offset(at))).collect::<Result<_, _>>()?;
        let rows = self.resources.store.view().points(self.key, &ids)?;
        let places = offsets.clone().map(|at| input.place(order[at as usize] as usize));
        let points = ids.into_iter().zip(rows).zip(places);
        let points = points.map(|((id, row), (from, offset))| (id, from, offset, row)).collect();
        Ok(Moved { segment: Arc::clone(segment), offsets, points })
    }

    /// Fills a batch with the moves of points that are still alive; returns the new offsets of those
    /// that are not. The caller holds the commit lock.
    fn fill(&self, batch: &mut Batch, moved: &Moved) -> Result<RoaringBitmap> {
        let state = self.state.read();
        let mut dead = RoaringBitmap::new();
        for (at, (id, from, offset, row)) in moved.offsets.clone().zip(&moved.points) {
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
    fn arrive(&mut self, moved: &Moved, dead: RoaringBitmap) {
        for (_, from, offset, _) in &moved.points {
            self.bury(*from, *offset);
        }
        let id = moved.segment.id;
        if self.segment(id).is_none() {
            let mut deleted = RoaringBitmap::new();
            deleted.insert_range(0..moved.segment.rows() as u32);
            let segment = Arc::clone(&moved.segment);
            self.segments.push(SegmentView { segment, deleted: Arc::new(deleted) });
        }
        if let Some(view) = self.segments.iter_mut().find(|view| view.segment.id == id) {
            let deleted = Arc::make_mut(&mut view.deleted);
            deleted.remove_range(moved.offsets.clone());
            *deleted |= dead;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bigrain_types::{Cancel, Metric, SearchParams};

    use super::super::Collection;
    use super::super::building::NewSegment;
    use super::*;
    use crate::merge_policy::next_compaction;
    use crate::{CollectionConfig, Engine, EngineConfig, Point, Query};

    fn open(folder: &Path) -> Engine {
        let config = EngineConfig { threads: 1, background_threads: 0, ..EngineConfig::default() };
        Engine::open(folder, config).unwrap()
    }

    fn check(collection: &Collection, expected: &[u64]) {
        let ids: Vec<PointId> = expected.iter().map(|&id| id.into()).collect();
        assert_eq!(collection.count(), ids.len() as u64);
        let stored = collection.scroll(None, 1000).unwrap();
        assert_eq!(stored.iter().map(|point| point.id.clone()).collect::<Vec<_>>(), ids);
        for point in &stored {
            assert_eq!(point.vectors[0].values[0], point.id.as_number().unwrap() as f32);
        }
        for exact in [false, true] {
            let params = SearchParams::new(1000).unwrap().with_exact(exact);
            let found = collection.search(&Query::new(vec![0.0, 1.0]), &params).unwrap().points;
            let mut found: Vec<PointId> = found.into_iter().map(|point| point.id).collect();
            found.sort();
            assert_eq!(found, ids, "exact {exact}");
        }
    }

    /// Merges three segments and stops after some commits, with a write before each.
    fn stop_after(commits: u32, folder: &Path) -> Vec<u64> {
        let engine = open(folder);
        let collection = match engine.collection("c") {
            Ok(collection) => collection,
            Err(_) => engine.create_collection("c", CollectionConfig::new(2, Metric::L2)).unwrap(),
        };
        for start in [0, 20, 40] {
            let point = |id: u64| Point::new(id, vec![id as f32, 1.0]);
            collection.upsert((start..start + 20).map(point).collect()).unwrap();
            collection.flush().unwrap();
        }
        let mut live: Vec<u64> = (0..60).collect();
        let shared = &*collection.0;
        let cancel = Cancel::new();
        shared
            .with_merge_input(next_compaction, &cancel, |input| {
                let id = shared.commit.lock().next_segment();
                let new = NewSegment { id, seq: shared.state.read().seq };
                let built = shared.build(input, &new, &shared.resources.builders)?;
                let mut moving = shared.begin_moving(built, input);
                for commit in 0..commits {
                    let gone = [u64::from(commit) * 7, 59 - u64::from(commit) * 5];
                    live.retain(|id| !gone.contains(id));
                    collection.delete(&gone.map(PointId::from)).unwrap();
                    let more = shared.move_some(&mut moving, 16)?;
                    assert_eq!(more, commit < 3);
                    check(&collection, &live);
                }
                Ok(())
            })
            .unwrap();
        live
    }

    #[test]
    fn a_merge_that_stops_anywhere_loses_nothing_and_is_made_good() {
        for commits in 0..=4 {
            let folder = tempfile::tempdir().unwrap();
            let live = stop_after(commits, folder.path());
            for _ in 0..2 {
                let engine = open(folder.path());
                let collection = engine.collection("c").unwrap();
                check(&collection, &live);
                collection.compact().unwrap();
                check(&collection, &live);
                assert_eq!(collection.inspect().len(), 1);
                assert_eq!(collection.inspect()[0].deleted, 0);
                let folders = folder.path().join("collections/00000000").read_dir().unwrap();
                assert_eq!(folders.count(), 1, "files of merged segments stay");
            }
        }
    }
}
