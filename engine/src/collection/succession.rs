//! A field goes over to another encoder.
//!
//! Vectors of one encoder cannot be made from those of another, so that they go over as they are written anew: from
//! texts that were kept, or as the caller gives them. Meanwhile there are two fields (see
//! `field/succession.rs`), and one query of the later encoder finds points of both (see
//! `search/predecessor.rs`).

use std::sync::Arc;

use bigrain_types::FieldId;

use super::Collection;
use super::state::State;
use super::upgrade::UpgradeInfo;
use crate::field::Field;
use crate::{Error, ErrorKind, FieldConfig, Result};

/// A field whose points go over to one of a later encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormerField {
    /// What it is called now.
    pub name: String,
    /// Whether the later binarizer has learned to find its points: else a query takes what the former encoder makes
    /// of it, too ([`Query::with_former_vector`](crate::Query::with_former_vector)).
    pub is_learned: bool,
}

impl Collection {
    /// Puts a field of a later encoder in the place of a dense field (the first one without a name), and keeps
    /// the vectors that points have as those of a field with the same name and `-former` behind it. When this
    /// returns, queries and vectors are of the later encoder, and a query finds points that have a vector of
    /// either. A point goes over when a vector is written into the field.
    ///
    /// What has not gone over is found by the query's vector by the encoder before
    /// ([`Query::with_former_vector`](crate::Query::with_former_vector)). Where the later binarizer was trained with
    /// the field's own as the parent, one vector of the later encoder is enough: its code is compared with
    /// codes of both.
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that is not there; `FailedPrecondition` where `later` has another name or metric, or
    /// a binarizer that was trained to follow another than the field's own, and where an earlier upgrade has not
    /// ended; `AlreadyExists` where a field with the former one's new name is there;
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

    /// Returns the field that a dense field (the first one without a name) has followed, while points may have
    /// vectors in it.
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that is not there.
    pub fn former_field(&self, field: Option<&str>) -> Result<Option<FormerField>> {
        let fields = self.0.fields();
        let field = fields.named(field)?;
        let former = |before: &Arc<Field>| FormerField {
            name: before.name.to_string(),
            is_learned: field.former.is_some(),
        };
        Ok(fields.before(field).map(former))
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
        UpgradeInfo {
            from: before.binarizer.id(),
            to: field.binarizer.id(),
            vectors_left: in_segments + self.rows_in_memory(before.id),
            paused: false,
            of_other_encoder: true,
        }
    }

    /// Returns how many points of memtables have a vector in a field.
    pub(super) fn rows_in_memory(&self, field: FieldId) -> u64 {
        let frozen = self.frozen.iter().map(|frozen| (&*frozen.table, &*frozen.dead));
        let tables = frozen.chain([(&self.active, self.active.dead())]);
        let rows = tables.filter_map(|(table, dead)| {
            let column = table.column(field)?;
            Some(column.len() as u64 - column.count_in(dead))
        });
        rows.sum()
    }
}
