//! Which points match a filter: in segments by their lexical index, in memtables by their payloads.
//!
//! What the index leaves undecided is decided by the stored payload. That may be newer than the view
//! of a caller: the point was replaced meanwhile. Then the caller takes a new view and tries again,
//! as it does when a result has changed, and after a few rounds writers wait for it.

use std::sync::Arc;

use bigrain_index::RowMask;
use bigrain_storage::ReadView;
use bigrain_types::{FieldId, Filter, Offset, Payload, PointId, SeqNo};
use roaring::RoaringBitmap;

use super::Collection;
use super::handle::Shared;
use super::state::{FieldView, SegmentView};
use crate::filtering::PreparedFilter;
use crate::memtable::Memtable;
use crate::segment::Segment;
use crate::{MatchingPoints, Result};

/// Payloads that are read together.
pub(super) const PAYLOAD_BATCH: usize = 1024;

impl Collection {
    /// Returns how many points match a filter, exactly.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a filter past its limits; `Corruption` when stored bytes fail a check.
    pub fn count_matching(&self, filter: &Filter) -> Result<u64> {
        let slots = |_: &Memtable, slots: &RoaringBitmap| slots.len();
        self.with_matching("count in", filter, slots, |matched| {
            let in_segments = matched.segments.iter().map(|(_, rows)| rows.len());
            Ok(Some(in_segments.sum::<u64>() + matched.in_memory.iter().sum::<u64>()))
        })
    }

    /// Returns the ids of the points that match a filter, all as they were at one moment, in no
    /// particular order.
    ///
    /// # Errors
    ///
    /// As [`count_matching`](Self::count_matching).
    pub fn matching(&self, filter: &Filter) -> Result<MatchingPoints> {
        let ids = |table: &Memtable, slots: &RoaringBitmap| -> Vec<PointId> {
            slots.iter().map(|slot| table.id(slot).clone()).collect()
        };
        self.with_matching("find in", filter, ids, |matched| {
            let mut ids = matched.in_memory.concat();
            for (view, rows) in &matched.segments {
                for row in rows {
                    ids.push(view.segment.ids.get(Offset(row))?);
                }
            }
            Ok(Some(MatchingPoints { ids, seq: matched.seq }))
        })
    }

    /// Calls `take` with the points that match at one moment; `in_memtable` says what to take of those
    /// in memory, which may move or go right after. When `take` returns nothing, because something has
    /// changed since, both are called again.
    pub(super) fn with_matching<M, T>(
        &self,
        operation: &str,
        filter: &Filter,
        in_memtable: impl Fn(&Memtable, &RoaringBitmap) -> M,
        take: impl Fn(Matched<M>) -> Result<Option<T>>,
    ) -> Result<T> {
        let shared = &*self.0;
        shared.run(operation, || {
            let filter = PreparedFilter::new(filter)?;
            shared.retried(|| match shared.matched(&filter, &in_memtable)? {
                Some(matched) => take(matched),
                None => Ok(None),
            })
        })
    }
}

/// The points that match, where they are.
pub(super) struct Matched<M> {
    /// The rows of each segment.
    pub segments: Vec<(SegmentView, RoaringBitmap)>,
    /// What was taken of each memtable.
    pub in_memory: Vec<M>,
    /// The last write that was seen.
    pub seq: SeqNo,
}

impl<T> Matched<(T, u64)> {
    /// Returns how many points match, where that many were counted in each memtable.
    pub fn points(&self) -> u64 {
        let in_segments: u64 = self.segments.iter().map(|(_, rows)| rows.len()).sum();
        in_segments + self.in_memory.iter().map(|(_, slots)| slots).sum::<u64>()
    }
}

impl Shared {
    /// Returns the points that match; nothing when one was replaced while its payload was read.
    pub fn matched<M>(
        &self,
        filter: &PreparedFilter,
        in_memtable: impl Fn(&Memtable, &RoaringBitmap) -> M,
    ) -> Result<Option<Matched<M>>> {
        let of = |table: &Memtable, dead: &RoaringBitmap| {
            in_memtable(table, &live_slots(table, dead, filter))
        };
        let (segments, frozen, active, seq) = {
            let state = self.state.read();
            let active = of(&state.active, state.active.dead());
            (state.segments.clone(), state.frozen.clone(), active, state.seq)
        };
        let frozen = frozen.map(|frozen| of(&frozen.table, &frozen.dead));
        let in_memory = frozen.into_iter().chain([active]).collect();
        let mut matched = Matched { segments: Vec::with_capacity(segments.len()), in_memory, seq };
        for view in segments {
            let rows = self.matching_rows(&view.segment, &view.deleted, filter, seq)?;
            let Some(rows) = rows else { return Ok(None) };
            matched.segments.push((view, rows));
        }
        Ok(Some(matched))
    }

    /// As [`matching_rows`](Self::matching_rows), where there may be no filter: then there are no rows.
    pub fn matching_if(
        &self,
        view: &SegmentView,
        filter: Option<&PreparedFilter>,
        seq: SeqNo,
    ) -> Result<Option<Option<RoaringBitmap>>> {
        let Some(filter) = filter else { return Ok(Some(None)) };
        Ok(self.matching_rows(&view.segment, &view.deleted, filter, seq)?.map(Some))
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
        let rows = self.rows_with_dead(segment, deleted, filter, seq)?;
        Ok(rows.map(|rows| &*rows - deleted))
    }

    /// Returns the same rows as a mask of the positions of a field.
    pub fn matching_mask(
        &self,
        view: &FieldView,
        field: FieldId,
        filter: &PreparedFilter,
        seq: SeqNo,
    ) -> Result<Option<Arc<RowMask>>> {
        let FieldView { segment, files, deleted } = view;
        let cache = &self.resources.filters;
        let mut mask = match cache.mask(self.key, segment.id, filter.key(), field) {
            Some(mask) => mask,
            None => {
                let rows = self.rows_with_dead(segment, deleted, filter, seq)?;
                let Some(rows) = rows else { return Ok(None) };
                let mask = Arc::new(files.mask(&rows)?);
                cache.put_mask(self.key, segment.id, filter.key(), &rows, (field, &mask));
                mask
            }
        };
        if !deleted.is_empty() {
            let positions = deleted.iter().map(|offset| files.position(Offset(offset)));
            let positions: Result<Vec<_>, _> = positions.collect();
            Arc::make_mut(&mut mask).remove(positions?.into_iter().flatten());
        }
        Ok(Some(mask))
    }

    /// Returns the rows that match, of which some may be deleted; of the deleted, some may be missing.
    fn rows_with_dead(
        &self,
        segment: &Segment,
        deleted: &RoaringBitmap,
        filter: &PreparedFilter,
        seq: SeqNo,
    ) -> Result<Option<Arc<RoaringBitmap>>> {
        let cache = &self.resources.filters;
        if let Some(rows) = cache.get(self.key, segment.id, filter.key()) {
            return Ok(Some(rows));
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
        Ok(Some(rows))
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
        let payloads = self.row_payloads(view, segment, offsets, seq)?;
        let matching = |(id, payload): &(PointId, Payload)| filter.filter().matches(payload, id);
        Ok(payloads.map(|payloads| {
            let rows = offsets.iter().zip(&payloads);
            rows.filter(|(_, row)| matching(row)).map(|(&offset, _)| offset).collect()
        }))
    }

    /// Returns the ids and payloads of some rows of a segment; nothing when one of them was deleted or
    /// replaced after `seq`.
    pub fn row_payloads(
        &self,
        view: &ReadView<'_>,
        segment: &Segment,
        offsets: &[u32],
        seq: SeqNo,
    ) -> Result<Option<Vec<(PointId, Payload)>>> {
        let ids: Result<Vec<PointId>, _> =
            offsets.iter().map(|&offset| segment.ids.get(Offset(offset))).collect();
        let ids = ids?;
        let rows = view.points(self.key, &ids)?;
        if !rows.iter().all(|row| row.is_some_and(|row| row.seq <= seq)) {
            return Ok(None);
        }
        let payloads = view.payloads(self.key, &ids)?;
        Ok(ids.into_iter().zip(payloads).map(|(id, payload)| Some((id, payload?))).collect())
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
