//! Upgrading a field to the next version of its learned binarizer.
//!
//! ```text
//!  begin      one synced row of the manifest: the new version, and the former one beside it
//!  meanwhile  segments are of one version or the other, and each names its own; one query code, of the new
//!             version, searches both, with what training has fitted for each
//!  re-encode  each segment of the former version is rewritten from its stored vectors, as a merge of one
//! ```
//!
//! Re-encoding is background work as any other merge: it goes on after a restart, and a segment is of one version
//! wholly or not at all. While it is paused, segments of the former version stay, and merges that are
//! due anyway write the new one. Only the parent that training has declared can be a former version,
//! and the next upgrade begins when the one before has ended.

use std::sync::Arc;

use bigrain_types::{Cancel, CodeSpaceId, FieldId, SegmentId};
use serde::{Deserialize, Serialize};

use super::Collection;
use super::handle::Shared;
use super::state::State;
use crate::field::{Field, Schema, SchemaField};
use crate::merge_policy::SegmentSize;
use crate::{Error, ErrorKind, LearnedBinarizer, Result};

/// How far an upgrade of a field has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UpgradeInfo {
    /// The former version.
    pub from: CodeSpaceId,
    /// The present version.
    pub to: CodeSpaceId,
    /// Vectors whose codes are of the former version, those of deleted points included; of the former encoder,
    /// those of points that exist.
    pub vectors_left: u64,
    /// Whether they stay so for now.
    pub paused: bool,
    /// Whether the present version is of another encoder: vectors of the former one go over as they are
    /// [written anew](Collection::upgrade_encoder).
    #[serde(default)]
    pub of_other_encoder: bool,
}

impl Collection {
    /// Makes a learned binarizer that of a dense field (the first one without a name), in place of its
    /// parent. When this returns, queries are of the new version; segments follow in the background, by
    /// [`settle`](Self::settle), or by [`upgrade_next`](Self::upgrade_next).
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that is not there; `FailedPrecondition` where training has not declared the
    /// field's binarizer the parent of the new one, or an earlier upgrade has not ended; `Io` when the
    /// disk refuses; `Poisoned` after an earlier write failed.
    pub fn upgrade_binarizer(
        &self,
        field: Option<&str>,
        binarizer: LearnedBinarizer,
    ) -> Result<()> {
        let shared = &*self.0;
        shared.upgrade_field(field, |id| shared.replace(|schema| schema.upgrade(id, binarizer)))
    }

    /// Stops re-encoding segments of the former version of a field, or goes on with it; on disk when this
    /// returns. A segment that is being rewritten is finished.
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that is not there; `Poisoned` after an earlier write failed.
    pub fn pause_upgrade(&self, field: Option<&str>, paused: bool) -> Result<()> {
        let shared = &*self.0;
        shared.run("pause an upgrade of", || {
            let id = shared.fields().named(field)?.id;
            shared.replace(|schema| schema.pause_upgrade(id, paused))?;
            shared.note_change();
            Ok(())
        })
    }

    /// Re-encodes one segment of a former version now, unless its upgrade is paused; returns whether there was one.
    ///
    /// # Errors
    ///
    /// `Cancelled`, with which nothing is lost but the work on that segment; else as
    /// [`settle`](Self::settle).
    pub fn upgrade_next(&self, cancel: &Cancel) -> Result<bool> {
        let shared = &*self.0;
        shared.run("upgrade", || {
            let _merge = shared.merge.lock();
            shared.merge_locked(next_stale, cancel)
        })
    }
}

/// Returns a segment that lacks something, the smallest of them.
fn next_stale(segments: &[SegmentSize], _max_rows: u64) -> Option<Vec<SegmentId>> {
    let stale = segments.iter().filter(|size| size.stale);
    stale.min_by_key(|size| (size.rows, size.id)).map(|size| vec![size.id])
}

impl Shared {
    /// Changes a dense field (the first one without a name) to what comes after it, when no upgrade of it goes on.
    pub(super) fn upgrade_field(
        &self,
        field: Option<&str>,
        change: impl FnOnce(FieldId) -> Result<()>,
    ) -> Result<()> {
        self.run("upgrade a field of", || {
            let id = self.fields().named(field)?.id;
            // What is being built would be of a version that the next one but one cannot meet.
            let _flush = self.flush.lock();
            let _merge = self.merge.lock();
            while self.state.read().frozen.is_some() {
                self.flush_locked()?;
            }
            self.flush_locked()?;
            self.state.read().check_upgraded(id)?;
            change(id)?;
            self.note_change();
            Ok(())
        })
    }

    /// Changes a dense field in the store and then in the state.
    fn replace(&self, change: impl FnOnce(&mut Schema) -> Result<&SchemaField>) -> Result<()> {
        self.alter(|schema, _| {
            let field = Arc::new(Field::new(change(schema)?)?);
            Ok(move |state: &mut State| state.replace_field(&field))
        })
    }
}

impl State {
    /// Returns how far the upgrade of a field has come; nothing when all segments are of its version.
    pub fn upgrade_of(&self, field: &Field) -> Option<UpgradeInfo> {
        if let Some(before) = self.fields.before(field) {
            return Some(self.succession_of(field, before));
        }
        let former = field.former?;
        let old =
            self.segments_with(field.id).filter(|view| view.files.codes.space() == former.space);
        let vectors_left = old.map(|view| view.files.rows()).sum();
        (vectors_left > 0).then(|| UpgradeInfo {
            from: former.space,
            to: field.binarizer.id(),
            vectors_left,
            paused: field.upgrade_paused,
            of_other_encoder: false,
        })
    }

    fn check_upgraded(&self, id: FieldId) -> Result<()> {
        let field = self.fields.get(id);
        let Some(left) = field.and_then(|field| self.upgrade_of(field)) else { return Ok(()) };
        let reason = format!(
            "an upgrade has not ended: {} vectors have codes of version {}",
            left.vectors_left, left.from
        );
        Err(Error::new(ErrorKind::FailedPrecondition, reason))
    }
}
