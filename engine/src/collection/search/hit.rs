//! A result on its way.

use bigrain_types::PointId;

/// A result before its payload is read.
pub(super) struct Hit {
    pub similarity: f32,
    pub id: PointId,
}
