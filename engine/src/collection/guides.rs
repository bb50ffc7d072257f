//! Keeping the guides of memtables ([`Guide`]) up to the segments.

use std::sync::Arc;

use super::handle::Shared;
use super::state::FieldView;
use crate::field::{Field, Fields};
use crate::guide::Guide;

/// A segment of fewer rows says little about where others lie.
const MIN_ROWS: u64 = 4096;

impl Shared {
    /// Sees to it that each field is guided by its largest segment. Where that cannot be read memtables go on
    /// unguided: searches will say what is wrong.
    pub fn refresh_guides(&self, fields: &Fields) {
        for field in fields.iter() {
            let largest =
                self.state.read().segments_with(field.id).max_by_key(|view| view.files.rows());
            let Some(largest) = largest.filter(|view| view.files.rows() >= MIN_ROWS) else {
                continue;
            };
            let known = field.guide.load();
            if known.as_ref().is_none_or(|guide| guide.source() != largest.segment.id) {
                self.guide_by(field, &largest);
            }
        }
    }

    fn guide_by(&self, field: &Field, FieldView { segment, files, .. }: &FieldView) {
        match Guide::of_segment(field, segment.id, files) {
            Ok(guide) => field.guide.store(guide.map(Arc::new)),
            Err(error) => {
                tracing::warn!(collection = %self.name, segment = %segment.id, %error, "no guide");
            }
        }
    }
}
