//! Counting values: by the terms of segments, by the payloads of memtables.

use std::cmp::Reverse;
use std::collections::HashMap;

use bigrain_types::filter::{FieldPath, Scalar};
use bigrain_types::{Filter, SeqNo};
use roaring::RoaringBitmap;

use super::Collection;
use super::handle::Shared;
use super::matching::{Matched, PAYLOAD_BATCH};
use crate::filtering::PreparedFilter;
use crate::memtable::Memtable;
use crate::segment::Segment;
use crate::{FacetOutput, FacetQuery, FacetValue, Result};

/// How many points have each value.
type Counts = HashMap<Scalar, u64>;

impl Collection {
    /// Counts the values of a payload field among the points that match a filter, exactly and at one
    /// moment.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a filter past its limits; `Corruption` when stored bytes fail a check.
    pub fn facet(&self, query: &FacetQuery) -> Result<FacetOutput> {
        let in_memtable = count_in(&query.field);
        self.with_matching("count values in", &query.filter, in_memtable, |matched| {
            let points = matched.points();
            let counts = self.0.counts(&query.field, matched)?;
            Ok(counts.map(|counts| most_frequent(counts, points, query.limit)))
        })
    }
}

impl Shared {
    /// Returns the values of a field among the points that match a filter, in no particular order;
    /// nothing when a point was replaced while its payload was read.
    pub(super) fn values(&self, field: &FieldPath, filter: &Filter) -> Result<Option<Vec<Scalar>>> {
        let filter = PreparedFilter::new(filter)?;
        let Some(matched) = self.matched(&filter, count_in(field))? else { return Ok(None) };
        Ok(self.counts(field, matched)?.map(|counts| counts.into_keys().collect()))
    }

    fn counts(&self, field: &FieldPath, matched: Matched<(Counts, u64)>) -> Result<Option<Counts>> {
        let mut counts = Counts::new();
        for (of_memtable, _) in matched.in_memory {
            merge(&mut counts, of_memtable);
        }
        for (view, rows) in &matched.segments {
            let counted = self.values_in(&view.segment, field, rows, matched.seq)?;
            let Some(of_segment) = counted else { return Ok(None) };
            merge(&mut counts, of_segment);
        }
        Ok(Some(counts))
    }

    /// Counts the values of a field in some rows of a segment; nothing when one of them was replaced
    /// while its payload was read.
    fn values_in(
        &self,
        segment: &Segment,
        field: &FieldPath,
        rows: &RoaringBitmap,
        seq: SeqNo,
    ) -> Result<Option<Counts>> {
        let found = segment.lexical.facet(field, rows)?;
        let mut counts: Counts = found.counts.into_iter().collect();
        if found.long_texts.is_empty() {
            return Ok(Some(counts));
        }
        // A row with a long text may have short ones too, which are counted.
        let view = self.resources.store.view();
        let offsets: Vec<u32> = found.long_texts.into_iter().collect();
        let mut long_texts = Counts::new();
        for offsets in offsets.chunks(PAYLOAD_BATCH) {
            let payloads = self.row_payloads(&view, segment, offsets, seq)?;
            let Some(payloads) = payloads else { return Ok(None) };
            for (_, payload) in &payloads {
                add(&mut long_texts, field.scalars(payload));
            }
        }
        long_texts.retain(|value, _| !counts.contains_key(value));
        merge(&mut counts, long_texts);
        Ok(Some(counts))
    }
}

/// Counts the values of a field in some slots of a memtable, and the slots.
fn count_in(field: &FieldPath) -> impl Fn(&Memtable, &RoaringBitmap) -> (Counts, u64) {
    |table, slots| {
        let mut counts = Counts::new();
        for slot in slots {
            add(&mut counts, field.scalars(table.payload(slot)));
        }
        (counts, slots.len())
    }
}

fn add(counts: &mut Counts, values: impl IntoIterator<Item = Scalar>) {
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
}

fn merge(counts: &mut Counts, others: Counts) {
    for (value, count) in others {
        *counts.entry(value).or_default() += count;
    }
}

fn most_frequent(counts: Counts, points: u64, limit: usize) -> FacetOutput {
    let distinct = counts.len() as u64;
    let mut values: Vec<FacetValue> =
        counts.into_iter().map(|(value, count)| FacetValue { value, count }).collect();
    values.sort_unstable_by(|a, b| (Reverse(a.count), &a.value).cmp(&(Reverse(b.count), &b.value)));
    values.truncate(limit);
    FacetOutput { values, distinct, points }
}
