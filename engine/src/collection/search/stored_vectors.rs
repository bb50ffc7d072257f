//! The vectors of results, from where they are stored.

use bigrain_types::{MultiVector, PointId, SeqNo, SparseVector};

use crate::collection::handle::Shared;
use crate::field::{Field, MultiField, SparseField};
use crate::scroll::PointParts;
use crate::{Result, StoredPoint};

impl Shared {
    /// Returns the vectors of some points in a field; nothing when one of them was deleted or replaced
    /// since `seq`.
    pub(super) fn stored_vectors(
        &self,
        ids: &[PointId],
        field: &Field,
        seq: SeqNo,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        self.stored(ids, seq, |point| {
            let found = point.vectors.into_iter().find(|vector| vector.field == field.name);
            found.map(|vector| vector.values)
        })
    }

    /// As [`stored_vectors`](Self::stored_vectors), in a sparse field.
    pub(super) fn stored_sparse(
        &self,
        ids: &[PointId],
        field: &SparseField,
        seq: SeqNo,
    ) -> Result<Option<Vec<SparseVector>>> {
        self.stored(ids, seq, |point| {
            let found = point.sparse.into_iter().find(|vector| vector.field == field.name);
            found.map(|vector| vector.vector)
        })
    }

    /// As [`stored_vectors`](Self::stored_vectors), in a field of multi-vectors.
    pub(super) fn stored_multi(
        &self,
        ids: &[PointId],
        field: &MultiField,
        seq: SeqNo,
    ) -> Result<Option<Vec<MultiVector>>> {
        self.stored(ids, seq, |point| {
            let found = point.multi.into_iter().find(|vector| vector.field == field.name);
            found.map(|vector| vector.vector)
        })
    }

    fn stored<T>(
        &self,
        ids: &[PointId],
        seq: SeqNo,
        part: impl Fn(StoredPoint) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        let parts = PointParts { vectors: true, payload: false };
        let Some(points) = self.moment().points(ids, parts)? else { return Ok(None) };
        let points = points.into_iter().map(|point| point.filter(|point| point.seq <= seq));
        Ok(points.map(|point| part(point?)).collect())
    }
}
