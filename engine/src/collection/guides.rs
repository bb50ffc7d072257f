//! Keeping the guides of memtables ([`Guide`]) up to the segments.

use std::sync::Arc;

use bigrain_types::{FieldId, SegmentId};

use super::handle::Shared;
use crate::field::Fields;
use crate::guide::Guide;
use crate::segment::FieldFiles;

impl Shared {
    /// Sees to it that each field is guided by its largest segment. Where that cannot be read memtables go on
    /// unguided: searches will say what is wrong.
    ///
    /// Every write asks, so nothing is copied or read unless another segment has become the largest.
    pub fn refresh_guides(&self, fields: &Fields) {
        for field in fields.iter() {
            let known = field.guide.load().as_ref().map(|guide| guide.source());
            let Some((segment, files)) = self.largest_segment(field.id, known) else { continue };
            match Guide::of_segment(field, segment, &files) {
                Ok(guide) => field.guide.store(Some(Arc::new(guide))),
                Err(error) => {
                    tracing::warn!(collection = %self.name, %segment, %error, "no guide");
                }
            }
        }
    }

    /// Returns the largest segment of a field, if it can be a guide and is not `known`.
    fn largest_segment(
        &self,
        field: FieldId,
        known: Option<SegmentId>,
    ) -> Option<(SegmentId, Arc<FieldFiles>)> {
        let state = self.state.read();
        let of_field = state.segments.iter().filter_map(|view| {
            let segment = &view.segment;
            Some((segment.id, segment.field(field)?))
        });
        let (segment, files) = of_field.max_by_key(|(_, files)| files.rows())?;
        (known != Some(segment) && Guide::can_be(files)).then(|| (segment, Arc::clone(files)))
    }
}
