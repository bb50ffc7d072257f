//! Reading points by id and in id order.

use std::sync::Arc;

use bigrain_storage::{Location, PointRow, ReadView};
use bigrain_types::{FieldId, MAX_LIMIT, Offset, PointId, SegmentId};

use super::Collection;
use super::handle::Shared;
use crate::config::check_batch;
use crate::field::Fields;
use crate::segment::Segment;
use crate::{Error, ErrorKind, Result, StoredPoint, StoredVector};

impl Collection {
    /// Returns points by id, in the order asked; `None` for ids that do not exist.
    ///
    /// Vectors are what the collection stores: of length one under cosine, and once they have left the
    /// memtable rounded to its [`DenseFormat`](crate::DenseFormat).
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for more than [`MAX_POINTS_PER_BATCH`](crate::MAX_POINTS_PER_BATCH) ids; `Corruption` when stored
    /// bytes fail a check.
    pub fn get(&self, ids: &[PointId]) -> Result<Vec<Option<StoredPoint>>> {
        let shared = &*self.0;
        shared.run("get from", || {
            check_batch(ids.len())?;
            let view = shared.resources.store.view();
            let rows = view.points(shared.key, ids)?;
            shared.stored_points(&view, ids, rows)
        })
    }

    /// Returns the points after `after` in id order (from the first, without it), at most `limit`.
    /// To read all, pass the last id of each page to the next call.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a limit of 0 or above [`MAX_LIMIT`]; `Corruption` when stored bytes
    /// fail a check.
    pub fn scroll(&self, after: Option<&PointId>, limit: usize) -> Result<Vec<StoredPoint>> {
        let shared = &*self.0;
        shared.run("scroll", || {
            if limit == 0 || limit > MAX_LIMIT {
                return Err(Error::invalid(format!(
                    "limit out of range: expected 1 to {MAX_LIMIT}, got {limit}"
                )));
            }
            let view = shared.resources.store.view();
            let page = view.scroll(shared.key, after, limit)?;
            let (ids, rows): (Vec<_>, Vec<_>) =
                page.into_iter().map(|(id, row)| (id, Some(row))).unzip();
            Ok(shared.stored_points(&view, &ids, rows)?.into_iter().flatten().collect())
        })
    }
}

impl Shared {
    fn stored_points(
        &self,
        view: &ReadView<'_>,
        ids: &[PointId],
        rows: Vec<Option<PointRow>>,
    ) -> Result<Vec<Option<StoredPoint>>> {
        let fields = self.fields();
        let payloads = view.payloads(self.key, ids)?;
        let heads = view.heads(self.key, ids)?;
        let mut points = Vec::with_capacity(ids.len());
        for (((id, row), payload), head) in ids.iter().zip(rows).zip(payloads).zip(heads) {
            let Some(PointRow { seq, location }) = row else {
                points.push(None);
                continue;
            };
            let missing = |what: &str| {
                Error::new(ErrorKind::Corruption, format!("point {id} has no stored {what}"))
            };
            let vectors = match location {
                Location::Head => head.ok_or_else(|| missing("vectors"))?.vectors,
                Location::Segment(segment, offset) => self.segment_vectors(segment, offset)?,
            };
            let vectors = named(&fields, vectors);
            let payload = payload.ok_or_else(|| missing("payload"))?;
            points.push(Some(StoredPoint { id: id.clone(), vectors, payload, seq }));
        }
        Ok(points)
    }

    fn segment_vectors(&self, id: SegmentId, offset: Offset) -> Result<Vec<(FieldId, Vec<f32>)>> {
        let found = self.find_segment(id).or_else(|| {
            // A flush has committed the segment and is about to publish it: wait for that.
            drop(self.commit.lock());
            self.find_segment(id)
        });
        let missing =
            || Error::new(ErrorKind::Corruption, format!("manifest does not name segment {id}"));
        let segment = found.ok_or_else(missing)?;
        let mut vectors = Vec::new();
        for files in segment.fields() {
            vectors.extend(files.vector(offset)?.map(|vector| (files.id(), vector)));
        }
        Ok(vectors)
    }

    fn find_segment(&self, id: SegmentId) -> Option<Arc<Segment>> {
        self.state.read().segment(id).map(|view| Arc::clone(&view.segment))
    }
}

/// Names the fields of vectors; vectors of fields that were dropped meanwhile are left out.
fn named(fields: &Fields, vectors: Vec<(FieldId, Vec<f32>)>) -> Vec<StoredVector> {
    let named = |(field, values)| {
        let field = Arc::clone(&fields.get(field)?.name);
        Some(StoredVector { field, values })
    };
    vectors.into_iter().filter_map(named).collect()
}
