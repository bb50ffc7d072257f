//! From ids and scores to points.

use bigrain_types::{Payload, PointId, SearchParams, SeqNo};

use crate::collection::handle::Shared;
use crate::{Result, ScoredPoint};

impl Shared {
    /// Returns results as they are wanted: with their payloads, read as by
    /// [`with_payloads`](Self::with_payloads), or without, and then nothing is read and they are those of
    /// the search's view.
    pub(super) fn results(
        &self,
        scored: Vec<(PointId, f32)>,
        params: &SearchParams,
        seq: SeqNo,
    ) -> Result<Option<Vec<ScoredPoint>>> {
        if params.payload() {
            return self.with_payloads(scored, seq);
        }
        Ok(Some(scored.into_iter().map(without_payload).collect()))
    }

    /// Reads the payloads of results; nothing when one of them was deleted or replaced since `seq`,
    /// because its score belongs to a version that is gone.
    pub(super) fn with_payloads(
        &self,
        scored: Vec<(PointId, f32)>,
        seq: SeqNo,
    ) -> Result<Option<Vec<ScoredPoint>>> {
        let ids: Vec<PointId> = scored.iter().map(|(id, _)| id.clone()).collect();
        let view = self.resources.store.view();
        let rows = view.points(self.key, &ids)?;
        if !rows.iter().all(|row| row.is_some_and(|row| row.seq <= seq)) {
            return Ok(None);
        }
        let payloads = view.payloads(self.key, &ids)?;
        let points = scored.into_iter().zip(payloads);
        let point = |((id, score), payload): (_, Option<Payload>)| {
            payload.map(|payload| ScoredPoint { id, score, payload })
        };
        Ok(points.map(point).collect())
    }
}

/// Returns a result whose payload nobody wants.
pub(super) fn without_payload((id, score): (PointId, f32)) -> ScoredPoint {
    ScoredPoint { id, score, payload: Payload::default() }
}
