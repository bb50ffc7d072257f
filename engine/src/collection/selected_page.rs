//! Pages of points that match a filter, or in the order of a payload field.
//!
//! Segments offer their rows in the order of the field's values, memtables their slots; the first of
//! all of them, by value and then by id, are the page. A segment stops where it has nothing better to
//! offer. Points are read last, from the store as it is then: if one was replaced meanwhile, all
//! begins again.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use bigrain_types::filter::{FieldPath, SortDirection, SortKey};
use bigrain_types::{Filter, Offset, Payload, PointId, SeqNo};
use roaring::RoaringBitmap;

use super::Collection;
use super::handle::Shared;
use super::matching::{Matched, PAYLOAD_BATCH};
use super::state::SegmentView;
use crate::memtable::Memtable;
use crate::{Cursor, Error, OrderBy, Result, ScrollPage, ScrollParams};

/// Where fewer than one row in so many of a segment match, their payloads are read: most values of the
/// field are of other rows.
const SPARSE: u64 = 16;

/// Reading and testing a payload costs about as much as reading so many ids of a segment.
const IDS_PER_PAYLOAD: u64 = 40;

impl Collection {
    /// Returns a page of points that match a filter, or in the order of a field.
    pub(super) fn selected_page(&self, params: &ScrollParams) -> Result<ScrollPage> {
        params.check_cursor()?;
        let every = Filter::new();
        let filter = params.filter.as_ref().unwrap_or(&every);
        let places = Places::of(params);
        let in_memtable = |table: &Memtable, slots: &RoaringBitmap| {
            let mut first = places.none();
            for slot in slots {
                first.push(places.key(table.payload(slot)), table.id(slot).clone());
            }
            (first.into_sorted(), slots.len())
        };
        self.with_matching("scroll", filter, in_memtable, |matched| {
            if params.order.is_none() && self.0.is_dense(&matched, params.limit) {
                return self.0.moment().page(params, Some(filter));
            }
            let mut first = places.none();
            for (places, _) in &matched.in_memory {
                for place in places {
                    first.push(place.key.clone(), place.id.clone());
                }
            }
            for (view, rows) in &matched.segments {
                let few = view.segment.rows() / SPARSE;
                let offered = match params.order {
                    Some(_) if rows.len() < few.min(PAYLOAD_BATCH as u64) => {
                        self.0.offer_few(&mut first, view, rows, matched.seq)?
                    }
                    _ => Some(first.offer(view, rows)?),
                };
                let Some(()) = offered else { return Ok(None) };
            }
            self.0.read_page(first.into_sorted(), params, matched.seq)
        })
    }
}

impl Shared {
    /// Whether so many points match that a page is found faster by looking at one after the other.
    fn is_dense(&self, matched: &Matched<(Vec<Place>, u64)>, limit: usize) -> bool {
        let matching = matched.points();
        let live = self.state.read().live;
        let looked_at = (limit as u64).saturating_mul(live) / matching.max(1);
        looked_at.min(live).saturating_mul(IDS_PER_PAYLOAD) < matching
    }

    /// Takes what a segment has to offer by the payloads of its rows; nothing when one was replaced or
    /// deleted since `seq`.
    fn offer_few(
        &self,
        first: &mut First<'_>,
        view: &SegmentView,
        rows: &RoaringBitmap,
        seq: SeqNo,
    ) -> Result<Option<()>> {
        let offsets: Vec<u32> = rows.iter().collect();
        let store = self.resources.store.view();
        let payloads = self.row_payloads(&store, &view.segment, &offsets, seq)?;
        let Some(payloads) = payloads else { return Ok(None) };
        for (id, payload) in payloads {
            first.push(first.of.key(&payload), id);
        }
        Ok(Some(()))
    }

    /// Reads the points of a page; nothing when one was replaced or deleted since `seq`.
    fn read_page(
        &self,
        mut places: Vec<Place>,
        params: &ScrollParams,
        seq: SeqNo,
    ) -> Result<Option<ScrollPage>> {
        let more = places.len() > params.limit;
        places.truncate(params.limit);
        let ids: Vec<PointId> = places.iter().map(|place| place.id.clone()).collect();
        let Some(points) = self.moment().points(&ids, params.parts)? else { return Ok(None) };
        let points: Option<Vec<_>> =
            points.into_iter().map(|point| point.filter(|point| point.seq <= seq)).collect();
        let next = places.pop().filter(|_| more).map(|Place { key, id, .. }| match params.order {
            Some(_) => Cursor::behind(key, id),
            None => Cursor::after(id),
        });
        Ok(points.map(|points| ScrollPage { points, next }))
    }
}

/// Which places a page may have.
struct Places<'a> {
    order: Option<&'a OrderBy>,
    /// They lie behind this one.
    after: Option<Place>,
    /// One more than the page has: it tells whether there is a next one.
    count: usize,
}

impl<'a> Places<'a> {
    fn of(params: &'a ScrollParams) -> Self {
        let order = params.order.as_ref();
        let direction = direction(order);
        let place = |cursor: &Cursor| Place {
            key: cursor.key().flatten().cloned(),
            id: cursor.id().clone(),
            direction,
        };
        let after = params.cursor.as_ref().map(place);
        Self { order, after, count: params.limit + 1 }
    }

    /// Returns by what a point is sorted.
    fn key(&self, payload: &Payload) -> Option<SortKey> {
        let order = self.order?;
        order.field.sort_key(payload, order.direction)
    }

    fn none(&self) -> First<'_> {
        First { of: self, heap: BinaryHeap::with_capacity(self.count + 1) }
    }
}

fn direction(order: Option<&OrderBy>) -> SortDirection {
    order.map_or(SortDirection::Ascending, |order| order.direction)
}

/// The first of the places that were seen.
struct First<'a> {
    of: &'a Places<'a>,
    /// The last of them on top.
    heap: BinaryHeap<Place>,
}

impl First<'_> {
    fn push(&mut self, key: Option<SortKey>, id: PointId) {
        let place = Place { key, id, direction: direction(self.of.order) };
        if self.of.after.as_ref().is_some_and(|after| place <= *after) || self.ends_before(&place) {
            return;
        }
        self.heap.push(place);
        if self.heap.len() > self.of.count {
            self.heap.pop();
        }
    }

    /// Whether there are enough places that come before this one.
    fn ends_before(&self, place: &Place) -> bool {
        self.heap.len() == self.of.count && self.heap.peek().is_some_and(|last| last < place)
    }

    /// Whether there are enough places with a value before `key`, or any value.
    fn has_enough_before(&self, key: Option<&SortKey>) -> bool {
        let Some(last) = self.heap.peek() else { return false };
        let last = last.key.as_ref();
        self.heap.len() == self.of.count
            && last.is_some_and(|last| {
                key.is_none_or(|key| direction(self.of.order).compare(last, key).is_lt())
            })
    }

    /// Takes what a segment has to offer.
    fn offer(&mut self, view: &SegmentView, rows: &RoaringBitmap) -> Result<()> {
        let Some(order) = self.of.order else {
            return self.push_all(None, view, rows);
        };
        let lexical = &view.segment.lexical;
        let from = self.of.after.as_ref().map(|after| after.key.as_ref());
        // Behind all values there are only points without one.
        if from != Some(None) {
            let (from, field): (_, &FieldPath) = (from.flatten(), &order.field);
            lexical.sorted(field, order.direction, from, rows, |key, rows| {
                if self.has_enough_before(Some(&key)) {
                    return Ok(false);
                }
                self.push_all(Some(&key), view, &rows)?;
                Ok::<_, Error>(true)
            })?;
        }
        if self.has_enough_before(None) {
            return Ok(());
        }
        self.push_all(None, view, &(rows - lexical.sortable(&order.field)?))
    }

    fn push_all(
        &mut self,
        key: Option<&SortKey>,
        view: &SegmentView,
        rows: &RoaringBitmap,
    ) -> Result<()> {
        for row in rows {
            self.push(key.cloned(), view.segment.ids.get(Offset(row))?);
        }
        Ok(())
    }

    fn into_sorted(self) -> Vec<Place> {
        self.heap.into_sorted_vec()
    }
}

/// Where a point stands: by its value, if it has one, and then by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    key: Option<SortKey>,
    id: PointId,
    /// The same for all that are compared.
    direction: SortDirection,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_key = match (&self.key, &other.key) {
            (Some(a), Some(b)) => self.direction.compare(a, b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by_key.then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
