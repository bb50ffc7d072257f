//! A segment as searches of sparse fields and of multi-vectors look at it.

use std::sync::Arc;

use bigrain_types::{Cancel, SeqNo};
use roaring::RoaringBitmap;

use crate::Result;
use crate::collection::handle::Shared;
use crate::collection::state::SegmentView;
use crate::filtering::PreparedFilter;

/// A segment that has vectors of a field.
pub(super) struct FieldSource<F> {
    pub view: SegmentView,
    /// The files of the field.
    pub files: Arc<F>,
    /// What matches the filter and is alive, if there is a filter.
    pub matching: Option<RoaringBitmap>,
}

impl<F> FieldSource<F> {
    /// Finds what matches a filter in each of some segments; nothing when a point was replaced while its
    /// payload was read.
    pub fn all(
        shared: &Shared,
        segments: Vec<(SegmentView, Arc<F>)>,
        filter: Option<&PreparedFilter>,
        cancel: &Cancel,
        seq: SeqNo,
    ) -> Result<Option<Vec<Self>>> {
        let mut sources = Vec::with_capacity(segments.len());
        for (view, files) in segments {
            cancel.check()?;
            let Some(matching) = shared.matching_if(&view, filter, seq)? else { return Ok(None) };
            sources.push(Self { view, files, matching });
        }
        Ok(Some(sources))
    }

    /// Whether a row is alive and matches.
    pub fn passes(&self, offset: u32) -> bool {
        match &self.matching {
            Some(matching) => matching.contains(offset),
            None => !self.view.deleted.contains(offset),
        }
    }
}
