//! Reading points by id and in id order.

use std::collections::HashMap;
use std::sync::Arc;

use bigrain_index::multi::widen;
use bigrain_storage::{Location, PointRow, ReadView};
use bigrain_types::{
    FieldId, Filter, MultiVector, Offset, Payload, PointId, SegmentId, SeqNo, SparseVector,
};

use super::Collection;
use super::handle::Shared;
use super::matching::PAYLOAD_BATCH;
use crate::config::check_batch;
use crate::field::Fields;
use crate::scroll::PointParts;
use crate::segment::Segment;
use crate::{
    Cursor, Error, ErrorKind, Result, ScrollPage, ScrollParams, StoredMultiVector, StoredPoint,
    StoredSparseVector, StoredVector,
};

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
        self.get_parts(ids, PointParts::ALL)
    }

    /// Returns points by id as [`get`](Self::get) does, without their vectors, which are then not read.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_payloads(&self, ids: &[PointId]) -> Result<Vec<Option<StoredPoint>>> {
        self.get_parts(ids, PointParts { vectors: false, payload: true })
    }

    fn get_parts(&self, ids: &[PointId], parts: PointParts) -> Result<Vec<Option<StoredPoint>>> {
        let shared = &*self.0;
        shared.run("get from", || {
            check_batch(ids.len())?;
            shared.read(|moment| moment.points(ids, parts))
        })
    }

    /// Returns the points after `after` in id order (from the first, without it), at most `limit`.
    /// To read all, pass the last id of each page to the next call;
    /// [`scroll_page`](Self::scroll_page) does that, and reads only what is asked for.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a limit of 0 or above [`MAX_LIMIT`](crate::MAX_LIMIT); `Corruption` when stored bytes
    /// fail a check.
    pub fn scroll(&self, after: Option<&PointId>, limit: usize) -> Result<Vec<StoredPoint>> {
        let mut params = ScrollParams::new(limit)?.with_vectors(true);
        params.cursor = after.cloned().map(Cursor::after);
        Ok(self.scroll_page(&params)?.points)
    }

    /// Returns one page of the points that match the filter, in the order asked for, by id unless
    /// stated. A page is the collection at one moment; see [`Cursor`] for what holds from page to page.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a filter past its limits, or a cursor of another order; `Corruption` when
    /// stored bytes fail a check.
    pub fn scroll_page(&self, params: &ScrollParams) -> Result<ScrollPage> {
        if params.filter.is_some() || params.order.is_some() {
            return self.selected_page(params);
        }
        let shared = &*self.0;
        shared.run("scroll", || {
            params.check_cursor()?;
            shared.read(|moment| moment.page(params, None))
        })
    }
}

/// Vectors with the fields they belong to, of all kinds.
#[derive(Default)]
struct FieldVectors {
    dense: Vec<(FieldId, Vec<f32>)>,
    sparse: Vec<(FieldId, SparseVector)>,
    multi: Vec<(FieldId, MultiVector)>,
}

/// What is stored, at one moment: the rows of the store, and the segments that they point into.
pub(super) struct Moment<'a> {
    shared: &'a Shared,
    view: ReadView<'a>,
    segments: Vec<Arc<Segment>>,
    pub fields: Fields,
}

impl Shared {
    /// Reads at one moment. `read` returns nothing when rows point into a segment that the moment
    /// does not have: a flush or merge was between its commit and its publication.
    pub fn read<T>(&self, read: impl Fn(&Moment<'_>) -> Result<Option<T>>) -> Result<T> {
        if let Some(found) = read(&self.moment())? {
            return Ok(found);
        }
        let commit = self.commit.lock();
        let moment = self.moment();
        drop(commit);
        read(&moment)?.ok_or_else(no_segment)
    }

    /// Takes a moment. For a caller that holds the commit lock, rows and segments agree.
    pub fn moment(&self) -> Moment<'_> {
        let view = self.resources.store.view();
        let state = self.state.read();
        let segments = state.segments.iter().map(|view| Arc::clone(&view.segment)).collect();
        Moment { shared: self, view, segments, fields: state.fields.clone() }
    }
}

impl Moment<'_> {
    /// Returns points by id.
    pub fn points(
        &self,
        ids: &[PointId],
        parts: PointParts,
    ) -> Result<Option<Vec<Option<StoredPoint>>>> {
        self.stored(ids, self.view.points(self.shared.key, ids)?, parts)
    }

    /// Returns since which write some points are.
    pub fn versions<'i>(
        &self,
        ids: impl Iterator<Item = &'i PointId>,
    ) -> Result<HashMap<PointId, Option<SeqNo>>> {
        let ids: Vec<PointId> = ids.cloned().collect();
        let rows = self.view.points(self.shared.key, &ids)?;
        Ok(ids.into_iter().zip(rows).map(|(id, row)| (id, row.map(|row| row.seq))).collect())
    }

    /// Returns a page in the order of ids: of the points that match a filter, found by looking at one
    /// after the other.
    pub fn page(
        &self,
        params: &ScrollParams,
        filter: Option<&Filter>,
    ) -> Result<Option<ScrollPage>> {
        // One more than wanted tells whether there is a next page.
        let mut rows =
            self.rows_after(params.cursor.as_ref().map(Cursor::id), params.limit + 1, filter)?;
        let more = rows.len() > params.limit;
        rows.truncate(params.limit);
        let (ids, rows): (Vec<_>, Vec<_>) =
            rows.into_iter().map(|(id, row)| (id, Some(row))).unzip();
        let Some(points) = self.stored(&ids, rows, params.parts)? else { return Ok(None) };
        let next = ids.into_iter().next_back().filter(|_| more).map(Cursor::after);
        Ok(Some(ScrollPage { points: points.into_iter().flatten().collect(), next }))
    }

    fn rows_after(
        &self,
        after: Option<&PointId>,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Vec<(PointId, PointRow)>> {
        let Some(filter) = filter else {
            return Ok(self.view.scroll(self.shared.key, after, limit)?);
        };
        let (mut found, mut last) = (Vec::new(), after.cloned());
        while found.len() < limit {
            let rows = self.view.scroll(self.shared.key, last.as_ref(), PAYLOAD_BATCH)?;
            let Some((id, _)) = rows.last() else { break };
            last = Some(id.clone());
            let ids: Vec<PointId> = rows.iter().map(|(id, _)| id.clone()).collect();
            let payloads = self.view.payloads(self.shared.key, &ids)?;
            let matches = |(row, payload): (_, Option<Payload>)| {
                let (id, _): &(PointId, PointRow) = &row;
                payload.is_some_and(|payload| filter.matches(&payload, id)).then_some(row)
            };
            found.extend(rows.into_iter().zip(payloads).filter_map(matches));
        }
        found.truncate(limit);
        Ok(found)
    }

    fn stored(
        &self,
        ids: &[PointId],
        rows: Vec<Option<PointRow>>,
        parts: PointParts,
    ) -> Result<Option<Vec<Option<StoredPoint>>>> {
        let key = self.shared.key;
        let mut payloads =
            if parts.payload { self.view.payloads(key, ids)? } else { Vec::new() }.into_iter();
        let mut heads =
            if parts.vectors { self.view.heads(key, ids)? } else { Vec::new() }.into_iter();
        let mut points = Vec::with_capacity(ids.len());
        for (id, row) in ids.iter().zip(rows) {
            let (payload, head) = (payloads.next().flatten(), heads.next().flatten());
            let Some(PointRow { seq, location }) = row else {
                points.push(None);
                continue;
            };
            let missing = |what: &str| {
                Error::new(ErrorKind::Corruption, format!("point {id} has no stored {what}"))
            };
            let vectors = match location {
                _ if !parts.vectors => FieldVectors::default(),
                Location::Head => {
                    let head = head.ok_or_else(|| missing("vectors"))?;
                    let multi = head.multi.iter();
                    let multi = multi.map(|(field, tokens)| (*field, widen(tokens.view())));
                    FieldVectors {
                        dense: head.vectors,
                        sparse: head.sparse,
                        multi: multi.collect(),
                    }
                }
                Location::Segment(segment, offset) => match self.vectors(segment, offset)? {
                    Some(vectors) => vectors,
                    None => return Ok(None),
                },
            };
            let (vectors, sparse, multi) = named(&self.fields, vectors);
            let payload = if parts.payload {
                payload.ok_or_else(|| missing("payload"))?
            } else {
                Payload::new()
            };
            let id = id.clone();
            points.push(Some(StoredPoint { id, vectors, sparse, multi, payload, seq }));
        }
        Ok(Some(points))
    }

    fn vectors(&self, id: SegmentId, offset: Offset) -> Result<Option<FieldVectors>> {
        let segment = self.segments.iter().find(|segment| segment.id == id);
        let Some(segment) = segment else { return Ok(None) };
        let mut vectors = FieldVectors::default();
        for files in segment.fields() {
            vectors.dense.extend(files.vector(offset)?.map(|vector| (files.id(), vector)));
        }
        for files in segment.sparse_fields() {
            let vector = files.reader.vector(offset)?;
            vectors.sparse.extend(vector.map(|vector| (files.id(), vector.into())));
        }
        for files in segment.multi_fields() {
            let tokens = files.tokens.tokens(offset)?;
            vectors.multi.extend(tokens.map(|tokens| (files.id(), widen(tokens))));
        }
        Ok(Some(vectors))
    }
}

/// Names the fields of vectors; vectors of fields that were dropped are left out.
fn named(
    fields: &Fields,
    vectors: FieldVectors,
) -> (Vec<StoredVector>, Vec<StoredSparseVector>, Vec<StoredMultiVector>) {
    let dense = |(field, values)| {
        let field = Arc::clone(&fields.get(field)?.name);
        Some(StoredVector { field, values })
    };
    let sparse = |(field, vector)| {
        let field = Arc::clone(&fields.get_sparse(field)?.name);
        Some(StoredSparseVector { field, vector })
    };
    let multi = |(field, vector)| {
        let field = Arc::clone(&fields.get_multi(field)?.name);
        Some(StoredMultiVector { field, vector })
    };
    let FieldVectors { dense: of_dense, sparse: of_sparse, multi: of_multi } = vectors;
    (
        of_dense.into_iter().filter_map(dense).collect(),
        of_sparse.into_iter().filter_map(sparse).collect(),
        of_multi.into_iter().filter_map(multi).collect(),
    )
}

/// What is wrong when rows point into a segment that nobody is about to publish.
pub(super) fn no_segment() -> Error {
    Error::new(ErrorKind::Corruption, "a point lies in a segment that the manifest does not name")
}
