//! Counting values: by the terms of segments, by the payloads of memtables.

use std::cmp::Reverse;
use std::collections::HashMap;

use bigrain_types::SeqNo;
use bigrain_types::filter::{FieldPath, Scalar};
use roaring::RoaringBitmap;

use super::Collection;
use super::handle::Shared;
use super::matching::PAYLOAD_BATCH;
use crate::memtable::Memtable;
use crate::segment::Segment;
use crate::{FacetOutput, FacetQuery, FacetValue, Result};

/// How many points have each value.
pub(super) type Counts = HashMap<Scalar, u64>;

impl Collection {
    /// Counts the values of a payload field among the points that match a filter, exactly and at one
    /// moment.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a filter past its limits; `Corruption` when stored bytes fail a check.
    pub fn facet(&self, query: &FacetQuery) -> Result<FacetOutput> {
        let in_memtable = |table: &Memtable, slots: &RoaringBitmap| {
            let mut counts = Counts::new();
            for slot in slots {
                add(&mut counts, query.field.scalars(table.payload(slot)));
            }
            (counts, slots.len())
        };
        self.with_matching("count values in", &query.filter, in_memtable, |matched| {
            let (mut counts, mut points) = (Counts::new(), 0);
            for (of_memtable, slots) in matched.in_memory {
                points += slots;
                merge(&mut counts, of_memtable);
            }
            for (view, rows) in &matched.segments {
                points += rows.len();
                let counted = self.0.values_in(&view.segment, &query.field, rows, matched.seq)?;
                let Some(of_segment) = counted else { return Ok(None) };
                merge(&mut counts, of_segment);
            }
            Ok(Some(most_frequent(counts, points, query.limit)))
        })
    }
}

impl Shared {
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
