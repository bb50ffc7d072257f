//! Changes of points that the engine has no call for: read, change, and write if nobody was faster.

use bigrain_engine::{
    Collection, Condition, Conditions, ErrorKind, MAX_POINTS_PER_BATCH, MultiPointVector, Point,
    PointId, PointVector, SparsePointVector, StoredPoint,
};
use tonic::Status;

use super::Chosen;
use crate::status;

/// How often a batch is tried again when another writer changed one of its points.
const ATTEMPTS: usize = 32;

/// Changes points one batch at a time. Points that are gone are passed over, unless a client named them. Returns
/// the number of the last write, if there was one.
pub(super) fn rewrite(
    collection: &Collection,
    chosen: &Chosen,
    change: &dyn Fn(Point) -> Result<Point, Status>,
) -> Result<Option<u64>, Status> {
    let mut seq = None;
    for ids in chosen.ids.chunks(MAX_POINTS_PER_BATCH) {
        seq = attempts(|| rewrite_batch(collection, ids, chosen.by_name, change))?.or(seq);
    }
    Ok(seq)
}

fn rewrite_batch(
    collection: &Collection,
    ids: &[PointId],
    by_name: bool,
    change: &dyn Fn(Point) -> Result<Point, Status>,
) -> Result<Option<u64>, Refused> {
    let stored = collection.get(ids)?;
    let mut conditions = Conditions::all(Condition::Absent);
    let mut points = Vec::new();
    for (id, stored) in ids.iter().zip(stored) {
        let Some(stored) = stored else {
            if by_name {
                return Err(Refused::Status(no_point(id)));
            }
            continue;
        };
        let version = Condition::Version(stored.seq);
        conditions = conditions.with(stored.id.clone(), version);
        points.push(change(of_stored(stored)).map_err(Refused::Status)?);
    }
    if points.is_empty() {
        return Ok(None);
    }
    Ok(Some(collection.upsert_if(points, conditions)?.seq.0))
}

/// Returns the error for a point that must be there.
pub(super) fn no_point(id: impl std::fmt::Display) -> Status {
    Status::not_found(format!("No point with id {id} found"))
}

/// Why a batch was not written.
pub(super) enum Refused {
    /// By the engine.
    Engine(bigrain_engine::Error),
    /// By what was asked for.
    Status(Status),
}

impl From<bigrain_engine::Error> for Refused {
    fn from(error: bigrain_engine::Error) -> Self {
        Self::Engine(error)
    }
}

/// Tries a conditional write until no other write comes between, some times.
pub(super) fn attempts<T>(mut attempt: impl FnMut() -> Result<T, Refused>) -> Result<T, Status> {
    let mut left = ATTEMPTS;
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(Refused::Engine(error)) if error.kind() == ErrorKind::Aborted && left > 0 => {
                left -= 1;
            }
            Err(Refused::Engine(error)) => return Err(status::from_engine(error)),
            Err(Refused::Status(status)) => return Err(status),
        }
    }
}

/// Returns a stored point as it would be written.
fn of_stored(stored: StoredPoint) -> Point {
    let StoredPoint { id, vectors, sparse, multi, payload, .. } = stored;
    let vectors = vectors.into_iter().map(|vector| PointVector {
        field: Some(vector.field.to_string()),
        values: vector.values,
        space: None,
    });
    let sparse = sparse
        .into_iter()
        .map(|vector| SparsePointVector { field: vector.field.to_string(), vector: vector.vector });
    let multi = multi.into_iter().map(|vector| MultiPointVector {
        field: vector.field.to_string(),
        vector: vector.vector,
        space: None,
    });
    Point {
        id,
        vectors: vectors.collect(),
        sparse: sparse.collect(),
        multi: multi.collect(),
        payload,
    }
}
