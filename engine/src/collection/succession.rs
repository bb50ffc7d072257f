//! A field goes over to another encoder.
//!
//! Vectors of one encoder cannot be made from those of another, so that they go over as they are written anew: from
//! texts that were kept, or as the caller gives them. Meanwhile there are two fields (see
//! `field/succession.rs`), and one query of the later encoder finds points of both (see
//! `search/predecessor.rs`).

use std::sync::Arc;

use super::Collection;
use super::state::State;
use super::upgrade::UpgradeInfo;
use crate::field::Field;
use crate::{Error, ErrorKind, FieldConfig, Result};

impl Collection {
    /// Puts a field of a later encoder in the place of a dense field (the first one without a name), and keeps
    /// the vectors that points have as those of a field with the same name and `-former` behind it. When this
    /// returns, queries and vectors are of the later encoder, and a query finds points that have a vector of
    /// either: those of the former encoder by their codes, and by what the later binarizer has
    /// learned of how vectors of both compare. A point goes over when a vector is written into the field.
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that is not there; `FailedPrecondition` where `later` has another name, or
    /// no learned binarizer whose parent is the field's own, of another encoder, and where an earlier
    /// upgrade has not ended; `AlreadyExists` where a field with the former one's new name is there;
    /// `InvalidArgument` for a value out of range; `Io` when the disk refuses; `Poisoned` after an earlier write
    /// failed.
    pub fn upgrade_encoder(&self, field: Option<&str>, later: FieldConfig) -> Result<()> {
        let shared = &*self.0;
        shared.upgrade_field(field, |id| {
            shared.alter(|schema, _| {
                let (former, later) = schema.succeed(id, later)?;
                let (former, later) = (Arc::new(Field::new(former)?), Arc::new(Field::new(later)?));
                Ok(move |state: &mut State| state.succeed_field(&former, &later))
            })
        })
    }

    /// Drops the field of the former encoder, when no point has a vector in it any more.
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that is not there; `FailedPrecondition` for one that follows none, and while points
    /// have vectors of the former encoder: [`drop_field`](Self::drop_field) leaves these without.
    pub fn finish_upgrade(&self, field: Option<&str>) -> Result<()> {
        let former = {
            let state = self.0.state.read();
            let field = state.fields.named(field)?;
            let Some(before) = state.fields.before(field) else {
                let reason = format!("field {:?} follows no other one", field.name);
                return Err(Error::new(ErrorKind::FailedPrecondition, reason));
            };
            let left = state.succession_of(field, before).vectors_left;
            if left > 0 {
                let reason = format!("{left} points have vectors of the former encoder");
                return Err(Error::new(ErrorKind::FailedPrecondition, reason));
            }
            before.name.to_string()
        };
        self.drop_field(&former)
    }
}

impl State {
    /// Returns how many points have a vector in the field before another one.
    pub(super) fn succession_of(&self, field: &Field, before: &Field) -> UpgradeInfo {
        let segments = self.segments_with(before.id);
        let in_segments: u64 = segments.map(|view| view.files.rows() - view.deleted_rows()).sum();
        let frozen = self.frozen.iter().map(|frozen| (&*frozen.table, &*frozen.dead));
        let tables = frozen.chain([(&self.active, self.active.dead())]);
        let in_memory: u64 = tables
            .filter_map(|(table, dead)| {
                let column = table.column(before.id)?;
                Some(column.len() as u64 - column.count_in(dead))
            })
            .sum();
        UpgradeInfo {
            from: before.binarizer.id(),
            to: field.binarizer.id(),
            vectors_left: in_segments + in_memory,
            paused: false,
            of_other_encoder: true,
        }
    }
}
