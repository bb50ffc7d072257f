//! Which points match a filter: in segments by their lexical index, in memtables by their payloads.
//!
//! What the index leaves undecided is decided by the stored payload. That may be newer than the view
//! of a caller: the point was replaced meanwhile. Then the caller takes a new view and tries again,
//! as it does when a result has changed, and after a few rounds writers wait for it.

use std::sync::Arc;

use bigrain_storage::ReadView;
use bigrain_types::{Filter, Offset, PointId, SeqNo};
use roaring::RoaringBitmap;

use super::Collection;
use super::handle::Shared;
use super::state::{Frozen, SegmentView};
use crate::filtering::PreparedFilter;
use crate::memtable::Memtable;
use crate::segment::Segment;
use crate::{Error, ErrorKind, MatchingPoints, Result};

/// Views taken before writers wait for one.
const MAX_RETRIES: usize = 4;

/// Payloads that are read together.
const PAYLOAD_BATCH: usize = 1024;

impl Collection {
    /// Returns how many points match a filter, exactly.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a filter past its limits; `Corruption` when stored bytes fail a check.
    pub fn count_matching(&self, filter: &Filter) -> Result<u64> {
        self.with_matching("count in", filter, |matched| {
            let in_segments = matched.segments.iter().map(|(_, rows)| rows.len());
            let frozen = matched.frozen.as_ref().map_or(0, |(_, slots)| slots.len());
            Ok(in_segments.sum::<u64>() + frozen + matched.active.len() as u64)
        })
    }

    /// Returns the ids of the points that match a filter, all as they were at one moment, in no
    /// particular order.
    ///
    /// # Errors
    ///
    /// As [`count_matching`](Self::count_matching).
    pub fn matching(&self, filter: &Filter) -> Result<MatchingPoints> {
        self.with_matching("find in", filter, |matched| {
            let mut ids = matched.active;
            if let Some((frozen, slots)) = &matched.frozen {
                ids.extend(slots.iter().map(|slot| frozen.table.id(slot).clone()));
            }
            for (view, rows) in &matched.segments {
                for row in rows {
                    ids.push(view.segment.ids.get(Offset(row))?);
                }
            }
            Ok(MatchingPoints { ids, seq: matched.seq })
        })
    }

    fn with_matching<T>(
        &self,
        operation: &str,
        filter: &Filter,
        take: impl FnOnce(Matched) -> Result<T>,
    ) -> Result<T> {
        let shared = &*self.0;
        shared.run(operation, || {
            let filter = PreparedFilter::new(filter)?;
            for _ in 0..MAX_RETRIES {
                if let Some(matched) = shared.matched(&filter)? {
                    return take(matched);
                }
            }
            let _commit = shared.commit.lock();
            shared.check_usable()?;
            let matched = shared.matched(&filter)?;
            take(matched.ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a row of a segment has no row in the store")
            })?)
        })
    }
}

/// The points that match, where they are.
struct Matched {
    segments: Vec<(SegmentView, RoaringBitmap)>,
    frozen: Option<(Frozen, RoaringBitmap)>,
    /// Those in the memtable, which may change.
    active: Vec<PointId>,
    seq: SeqNo,
}

impl Shared {
    /// Returns the points that match; nothing when one was replaced while its payload was read.
    fn matched(&self, filter: &PreparedFilter) -> Result<Option<Matched>> {
        let (segments, frozen, active, seq) = {
            let state = self.state.read();
            let slots = live_slots(&state.active, state.active.dead(), filter);
            let active = slots.iter().map(|slot| state.active.id(slot).clone()).collect();
            (state.segments.clone(), state.frozen.clone(), active, state.seq)
        };
        let mut matched = Matched { segments: Vec::new(), frozen: None, active, seq };
        matched.frozen = frozen.map(|frozen| {
            let slots = live_slots(&frozen.table, &frozen.dead, filter);
            (frozen, slots)
        });
        for view in segments {
            let rows = self.matching_rows(&view.segment, &view.deleted, filter, seq)?;
            let Some(rows) = rows else { return Ok(None) };
            matched.segments.push((view, rows));
        }
        Ok(Some(matched))
    }

    /// Returns the rows of a segment that match and are not deleted; nothing when one of them was
    /// replaced after `seq` while its payload was read.
    pub fn matching_rows(
        &self,
        segment: &Segment,
        deleted: &RoaringBitmap,
        filter: &PreparedFilter,
        seq: SeqNo,
    ) -> Result<Option<RoaringBitmap>> {
        let cache = &self.resources.filters;
        if let Some(rows) = cache.get(self.key, segment.id, filter.key()) {
            return Ok(Some(&*rows - deleted));
        }
        let selection = segment.lexical.select(filter.filter())?;
        let mut rows = selection.matching;
        // What is not decided now because it is dead must not be remembered as no match, if it may
        // come alive.
        let is_final = !segment.is_arriving() || selection.undecided.is_disjoint(deleted);
        let undecided = selection.undecided - deleted;
        if !undecided.is_empty() {
            let view = self.resources.store.view();
            let offsets: Vec<u32> = undecided.into_iter().collect();
            for offsets in offsets.chunks(PAYLOAD_BATCH) {
                let Some(matching) = self.decide(&view, segment, offsets, filter, seq)? else {
                    return Ok(None);
                };
                rows.extend(matching);
            }
        }
        let rows = Arc::new(rows);
        if is_final {
            cache.put(self.key, segment.id, filter.key(), &rows);
        }
        Ok(Some(&*rows - deleted))
    }

    /// Returns those of some rows whose payloads match.
    fn decide(
        &self,
        view: &ReadView<'_>,
        segment: &Segment,
        offsets: &[u32],
        filter: &PreparedFilter,
        seq: SeqNo,
    ) -> Result<Option<Vec<u32>>> {
        let ids: Result<Vec<PointId>, _> =
            offsets.iter().map(|&offset| segment.ids.get(Offset(offset))).collect();
        let ids = ids?;
        let rows = view.points(self.key, &ids)?;
        if !rows.iter().all(|row| row.is_some_and(|row| row.seq <= seq)) {
            return Ok(None);
        }
        let payloads = view.payloads(self.key, &ids)?;
        let mut matching = Vec::new();
        for ((&offset, id), payload) in offsets.iter().zip(&ids).zip(payloads) {
            let Some(payload) = payload else { return Ok(None) };
            if filter.filter().matches(&payload, id) {
                matching.push(offset);
            }
        }
        Ok(Some(matching))
    }
}

/// Returns the slots of a memtable that match and are not dead.
pub(super) fn live_slots(
    table: &Memtable,
    dead: &RoaringBitmap,
    filter: &PreparedFilter,
) -> RoaringBitmap {
    &*table.matching(filter) - dead
}
