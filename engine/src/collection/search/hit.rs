//! A result on its way.

use bigrain_types::PointId;

/// A result before its payload is read.
pub(super) struct Hit {
    pub similarity: f32,
    pub id: PointId,
}

/// Leaves the best, in the order of answers: best first, equal ones by their ids.
pub(super) fn keep_best(hits: &mut Vec<Hit>, limit: usize) {
    hits.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then_with(|| a.id.cmp(&b.id)));
    hits.truncate(limit);
}
