//! The vectors of results, from where they are stored.

use bigrain_types::{PointId, SeqNo};

use crate::Result;
use crate::collection::handle::Shared;
use crate::field::Field;
use crate::scroll::PointParts;

impl Shared {
    /// Returns the vectors of some points in a field; nothing when one of them was deleted or replaced
    /// since `seq`.
    pub(super) fn stored_vectors(
        &self,
        ids: &[PointId],
        field: &Field,
        seq: SeqNo,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        let parts = PointParts { vectors: true, payload: false };
        let Some(points) = self.moment().points(ids, parts)? else { return Ok(None) };
        let vectors = points.into_iter().map(|point| {
            let point = point.filter(|point| point.seq <= seq)?;
            let found = point.vectors.into_iter().find(|vector| vector.field == field.name);
            found.map(|vector| vector.values)
        });
        Ok(vectors.collect())
    }
}
