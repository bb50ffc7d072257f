//! Writing: validate, encode, join a group, one synced batch, publish.
//!
//! Concurrent writers share a sync. Each puts its work in a queue and asks for the commit lock;
//! whoever gets it commits everything queued by then in one store batch, and the others find their
//! outcome waiting when the lock comes to them. While one group syncs, the next one gathers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bigrain_storage::{Batch, CollectionKey, CountsRow, HeadRow, Location, PointRow};
use bigrain_types::{FieldId, Offset, PointId, SegmentId, SeqNo};
use parking_lot::Mutex;

use super::Collection;
use super::handle::Shared;
use crate::config::{MAX_POINTS_PER_BATCH, check_batch};
use crate::encoded_points::EncodedPoints;
use crate::field::{Fields, Schema};
use crate::{
    Conditions, DeleteOutput, Error, ErrorKind, Filter, MatchingPoints, MultiPointVector, Point,
    PointVector, Result, SparsePointVector, UpsertOutput,
};

/// What the commit lock guards: the counters of the next batch, and the fields as the store has them.
#[derive(Debug)]
pub(crate) struct CommitState {
    pub counts: CountsRow,
    pub schema: Schema,
}

impl CommitState {
    pub fn new(counts: CountsRow, schema: Schema) -> Self {
        Self { counts, schema }
    }

    /// Gives out a segment id. Ids of builds that fail are not used again while this process
    /// lives; their folders are garbage afterwards.
    pub fn next_segment(&mut self) -> SegmentId {
        let id = self.counts.next_segment;
        self.counts.next_segment = SegmentId(id.0 + 1);
        id
    }
}

/// One caller's write in the queue.
#[derive(Debug)]
pub(crate) struct Request {
    operation: Operation,
    conditions: Conditions,
    ticket: Arc<Ticket>,
}

/// Where a caller finds the outcome of its write.
#[derive(Debug, Default)]
struct Ticket(Mutex<Option<Result<Applied>>>);

#[derive(Debug)]
pub(super) enum Operation {
    Upsert {
        points: EncodedPoints,
        /// Writes the payloads; made on the caller's thread.
        payloads: Batch,
    },
    Delete {
        ids: Vec<PointId>,
        /// Points of later writes are passed over.
        until: Option<SeqNo>,
    },
}

impl Operation {
    /// Returns the points it writes.
    fn ids(&self) -> &[PointId] {
        match self {
            Self::Upsert { points, .. } => points.ids(),
            Self::Delete { ids, .. } => ids,
        }
    }

    /// Returns about how much memory it takes once it is applied.
    pub fn memory_bytes(&self) -> u64 {
        match self {
            Self::Upsert { points, payloads } => {
                points.memory_bytes() + payloads.size_bytes() as u64
            }
            Self::Delete { .. } => 0,
        }
    }
}

/// What one write did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied {
    pub seq: SeqNo,
    /// Points that existed before.
    pub existed: u64,
}

impl Collection {
    /// Stores points, replacing those of the same id. When this returns, they are on disk and
    /// every later search sees them. On an error of kind `Io` it is unknown until the folder is opened
    /// anew whether they are stored; on any other none is.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a vector component that is not finite, a zero vector under cosine, a
    /// point without vectors or with two in one field, two points of one id, or more than
    /// [`MAX_POINTS_PER_BATCH`](crate::MAX_POINTS_PER_BATCH) points; `NotFound` for a field that the
    /// collection does not have; `FailedPrecondition` for a vector of another dimension or embedding
    /// space;
    /// `ResourceExhausted` while the disk is full, or segments cannot be built and the memtable is full;
    /// `Poisoned` after
    /// an earlier write failed.
    pub fn upsert(&self, points: Vec<Point>) -> Result<UpsertOutput> {
        self.upsert_if(points, Conditions::default())
    }

    /// Stores points if conditions hold, and else changes nothing.
    ///
    /// # Errors
    ///
    /// `Aborted` when a condition does not hold, naming the point; and as
    /// [`upsert`](Self::upsert).
    pub fn upsert_if(&self, points: Vec<Point>, conditions: Conditions) -> Result<UpsertOutput> {
        let shared = &*self.0;
        shared.run("upsert into", || {
            let given = points.len() as u64;
            let operation = shared.prepare_upsert(points)?;
            let _on_its_way = shared.make_room(operation.memory_bytes())?;
            let applied = shared.write(operation, conditions)?;
            shared.flush_if_full();
            Ok(UpsertOutput {
                seq: applied.seq,
                inserted: given - applied.existed,
                updated: applied.existed,
            })
        })
    }

    /// Deletes points; ids that do not exist are not an error. When this returns, the points are
    /// gone from disk and from every later search.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for more than [`MAX_POINTS_PER_BATCH`](crate::MAX_POINTS_PER_BATCH) ids; `Poisoned` after an earlier
    /// write failed.
    pub fn delete(&self, ids: &[PointId]) -> Result<DeleteOutput> {
        self.delete_if(ids, Conditions::default())
    }

    /// Deletes points if conditions hold, and else changes nothing.
    ///
    /// # Errors
    ///
    /// `Aborted` when a condition does not hold, naming the point; and as
    /// [`delete`](Self::delete).
    pub fn delete_if(&self, ids: &[PointId], conditions: Conditions) -> Result<DeleteOutput> {
        let shared = &*self.0;
        shared.run("delete from", || {
            check_batch(ids.len())?;
            let mut seen = HashSet::new();
            let ids = ids.iter().filter(|id| seen.insert(*id)).cloned().collect();
            let applied = shared.write(Operation::Delete { ids, until: None }, conditions)?;
            Ok(DeleteOutput { seq: applied.seq, deleted: applied.existed })
        })
    }

    /// Deletes the points that match a filter at one moment. When this returns, each of them is gone
    /// from disk and from every later search, unless it was written anew since that moment. Points go
    /// some thousand at a time; after an error some may be gone.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete) and [`matching`](Self::matching).
    pub fn delete_matching(&self, filter: &Filter) -> Result<DeleteOutput> {
        let MatchingPoints { ids, seq } = self.matching(filter)?;
        let mut output = DeleteOutput { seq, deleted: 0 };
        let shared = &*self.0;
        for ids in ids.chunks(MAX_POINTS_PER_BATCH) {
            let delete = Operation::Delete { ids: ids.to_vec(), until: Some(seq) };
            let applied =
                shared.run("delete from", || shared.write(delete, Conditions::default()))?;
            output = DeleteOutput { seq: applied.seq, deleted: output.deleted + applied.existed };
        }
        Ok(output)
    }
}

impl Shared {
    /// Checks every point before anything is written, and encodes them on the caller's thread.
    fn prepare_upsert(&self, points: Vec<Point>) -> Result<Operation> {
        check_batch(points.len())?;
        let mut seen = HashSet::with_capacity(points.len());
        for point in &points {
            if !seen.insert(&point.id) {
                return Err(Error::invalid(format!("duplicate id {} in one batch", point.id)));
            }
        }
        drop(seen);
        // A field that is dropped before the commit takes its vectors with it, as if this write had
        // come before; one that is added has none here.
        let fields = self.fields();
        self.refresh_guides(&fields);
        let mut encoded = EncodedPoints::new(&fields).expecting(points.len());
        let mut payloads = Batch::new();
        for point in points {
            let pushed = check_not_empty(&point);
            let Point { id, vectors, sparse, multi, payload } = point;
            let pushed = pushed
                .and_then(|()| push_vectors(&mut encoded, &fields, vectors))
                .and_then(|()| push_sparse(&mut encoded, &fields, &sparse))
                .and_then(|()| push_multi(&mut encoded, &fields, &multi));
            pushed.map_err(|error| at_point(&id, &error))?;
            payloads.put_payload(self.key, &id, &payload);
            if let Some(reason) = payloads.refusal() {
                return Err(at_point(&id, &Error::invalid(reason)));
            }
            encoded.push(id, payload);
        }
        Ok(Operation::Upsert { points: encoded.encoded(), payloads })
    }

    /// Commits one operation, possibly together with those of other threads.
    pub(super) fn write(&self, operation: Operation, conditions: Conditions) -> Result<Applied> {
        let ticket = Arc::new(Ticket::default());
        let request = Request { operation, conditions, ticket: Arc::clone(&ticket) };
        self.queue.lock().push(request);
        let mut commit = self.commit.lock();
        if let Some(outcome) = ticket.0.lock().take() {
            return outcome;
        }
        // Nobody took this request while its thread waited for the lock, so it is in the queue.
        let group = std::mem::take(&mut *self.queue.lock());
        self.commit_group(&mut commit, group);
        ticket.outcome()
    }

    /// Commits one operation for a caller that holds the commit lock.
    pub(super) fn write_locked(
        &self,
        commit: &mut CommitState,
        operation: Operation,
    ) -> Result<Applied> {
        let ticket = Arc::new(Ticket::default());
        let conditions = Conditions::default();
        let request = Request { operation, conditions, ticket: Arc::clone(&ticket) };
        self.commit_group(commit, vec![request]);
        ticket.outcome()
    }

    /// Commits a group as one batch, and tells every caller its outcome.
    fn commit_group(&self, commit: &mut CommitState, mut group: Vec<Request>) {
        match self.commit_batch(commit, &mut group) {
            Ok(applied) => {
                self.publish(&mut group, &applied);
                self.pack();
                for (request, outcome) in group.iter().zip(applied.requests) {
                    *request.ticket.0.lock() = Some(outcome);
                }
            }
            Err(error) => {
                for request in &group {
                    let copy = Error::new(error.kind(), error.to_string());
                    *request.ticket.0.lock() = Some(Err(copy));
                }
            }
        }
    }

    fn commit_batch(
        &self,
        commit: &mut CommitState,
        group: &mut [Request],
    ) -> Result<GroupApplied> {
        self.check_usable()?;
        let mut work = GroupWork::load(self, group)?;
        let mut counts = commit.counts;
        let mut requests = Vec::with_capacity(group.len());
        for request in group {
            if let Err(error) = work.check(request) {
                requests.push(Err(error));
                continue;
            }
            counts.last_seq = SeqNo(counts.last_seq.0 + 1);
            let seq = counts.last_seq;
            let existed = match &mut request.operation {
                Operation::Upsert { points, payloads } => {
                    let existed = work.upsert(points, seq);
                    work.batch.append(std::mem::take(payloads));
                    counts.live = (counts.live + points.len() as u64).saturating_sub(existed);
                    existed
                }
                Operation::Delete { ids, until } => {
                    work.pass_over_later(ids, *until);
                    let existed = work.delete(ids);
                    counts.live = counts.live.saturating_sub(existed);
                    existed
                }
            };
            requests.push(Ok(Applied { seq, existed }));
        }
        if counts != commit.counts {
            work.batch.put_counts(self.key, &counts);
            self.resources.store.commit(work.batch)?;
        }
        commit.counts = counts;
        Ok(GroupApplied { requests, buried: work.buried, live: counts.live })
    }

    /// Brings the state up to a committed batch, in one step.
    fn publish(&self, group: &mut [Request], applied: &GroupApplied) {
        let mut state = self.state.write();
        for (request, outcome) in group.iter_mut().zip(&applied.requests) {
            let Ok(applied) = outcome else { continue };
            state.seq = applied.seq;
            match &mut request.operation {
                Operation::Upsert { points, .. } => state.append(points, applied.seq),
                Operation::Delete { ids, .. } => ids.iter().for_each(|id| state.remove(id)),
            }
        }
        for &(segment, offset) in &applied.buried {
            state.bury(segment, offset);
        }
        state.live = applied.live;
        drop(state);
        let applied = applied.requests.iter().flatten();
        self.chores.churned(applied.map(|applied| applied.existed).sum());
        self.note_change();
    }

    /// Puts codes of the memtable into blocks where there are enough of them. Nobody adds rows meanwhile, because the
    /// commit lock is held; searches go on.
    fn pack(&self) {
        let packed = self.state.read().active.packed();
        if !packed.is_empty() {
            let replaced = self.state.write().active.put(packed);
            drop(replaced);
        }
    }
}

/// What a committed group did.
struct GroupApplied {
    /// A request whose conditions do not hold has changed nothing.
    requests: Vec<Result<Applied>>,
    /// Rows of segments whose points were replaced or deleted.
    buried: Vec<(SegmentId, Offset)>,
    live: u64,
}

/// A batch in the making, and where each of its points lies as it proceeds.
struct GroupWork {
    key: CollectionKey,
    batch: Batch,
    rows: HashMap<PointId, PointRow>,
    buried: Vec<(SegmentId, Offset)>,
}

impl GroupWork {
    /// Looks up where the group's points lie before the batch.
    fn load(shared: &Shared, group: &[Request]) -> Result<Self> {
        let ids: Vec<PointId> = group
            .iter()
            .flat_map(|request| request.operation.ids().iter().chain(request.conditions.named()))
            .cloned()
            .collect();
        let rows = shared.resources.store.view().points(shared.key, &ids)?;
        let found = ids.into_iter().zip(rows);
        let rows = found.filter_map(|(id, row)| row.map(|row| (id, row))).collect();
        Ok(Self { key: shared.key, batch: Batch::new(), rows, buried: Vec::new() })
    }

    /// Checks the conditions of a request against what the batch has come to.
    fn check(&self, request: &Request) -> Result<()> {
        let version = |id: &PointId| self.rows.get(id).map(|row| row.seq);
        request.conditions.check(request.operation.ids(), version)
    }

    /// Adds points to the batch; returns how many existed.
    fn upsert(&mut self, points: &EncodedPoints, seq: SeqNo) -> u64 {
        let mut existed = 0;
        for (index, id) in points.ids().iter().enumerate() {
            let new = PointRow { seq, location: Location::Head };
            let old = self.rows.insert(id.clone(), new);
            existed += u64::from(self.bury(old));
            self.batch.put_point(self.key, id, &new);
            let owned = |(field, vector): (FieldId, &[f32])| (field, vector.to_vec());
            let vectors = points.vectors(index).map(owned).collect();
            let sparse = points.sparse_vectors(index).collect();
            let row =
                HeadRow { seq, vectors, sparse, multi: points.multi_vectors(index).collect() };
            self.batch.put_head(self.key, id, &row);
        }
        existed
    }

    /// Leaves out points that were written after `until`.
    fn pass_over_later(&self, ids: &mut Vec<PointId>, until: Option<SeqNo>) {
        let Some(until) = until else { return };
        ids.retain(|id| self.rows.get(id).is_none_or(|row| row.seq <= until));
    }

    /// Adds deletes to the batch; returns how many points existed.
    fn delete(&mut self, ids: &[PointId]) -> u64 {
        let mut existed = 0;
        for id in ids {
            let old = self.rows.remove(id);
            if old.is_some_and(|row| row.location == Location::Head) {
                self.batch.delete_head(self.key, id);
            }
            if self.bury(old) {
                existed += 1;
                self.batch.delete_point(self.key, id);
            }
        }
        existed
    }

    /// Buries the old version of a point, if it lies in a segment; returns whether there was one.
    fn bury(&mut self, old: Option<PointRow>) -> bool {
        if let Some(Location::Segment(segment, offset)) = old.map(|row| row.location) {
            self.batch.put_tombstone(self.key, segment, offset);
            self.buried.push((segment, offset));
        }
        old.is_some()
    }
}

impl Ticket {
    fn outcome(&self) -> Result<Applied> {
        let outcome = self.0.lock().take();
        outcome.unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "write was not committed")))
    }
}

/// Refuses a point without any vector.
pub(super) fn check_not_empty(point: &Point) -> Result<()> {
    if point.vectors.is_empty() && point.sparse.is_empty() && point.multi.is_empty() {
        return Err(Error::invalid("no vectors: expected one in at least one field"));
    }
    Ok(())
}

/// Checks the dense vectors of the batch's next point and adds them.
fn push_vectors(
    points: &mut EncodedPoints,
    fields: &Fields,
    vectors: Vec<PointVector>,
) -> Result<()> {
    let (slot, expected) = (points.len() as u32, points.missing());
    for PointVector { field, mut values, space } in vectors {
        let field = fields.named(field.as_deref())?;
        field.check(&values, space).map_err(|error| fields.at(field, error))?;
        field.normalize(&mut values);
        let column = points.column_mut(field.id);
        let column = column.filter(|column| column.slots().last() != Some(&slot));
        let twice = || Error::invalid(format!("two vectors in field {:?}", field.name));
        let column = column.ok_or_else(twice)?;
        if column.is_empty() {
            column.reserve(expected);
        }
        column.push(slot, &values);
    }
    Ok(())
}

/// Checks the sparse vectors of the batch's next point and adds them.
fn push_sparse(
    points: &mut EncodedPoints,
    fields: &Fields,
    vectors: &[SparsePointVector],
) -> Result<()> {
    let slot = points.len() as u32;
    let mut seen = HashSet::new();
    for SparsePointVector { field, vector } in vectors {
        let field = fields.named_sparse(Some(field))?;
        if !seen.insert(field.id) {
            return Err(Error::invalid(format!("two vectors in field {:?}", field.name)));
        }
        if let Some(column) = points.sparse_mut(field.id) {
            column.push(slot, vector.view());
        }
    }
    Ok(())
}

/// Checks the multi-vectors of the batch's next point and adds them.
fn push_multi(
    points: &mut EncodedPoints,
    fields: &Fields,
    vectors: &[MultiPointVector],
) -> Result<()> {
    let slot = points.len() as u32;
    for MultiPointVector { field, vector, space } in vectors {
        let field = fields.named_multi(Some(field))?;
        let stored = field.stored(vector, *space);
        let stored = stored.map_err(|error| fields.at_name(&field.name, error))?;
        let column = points.multi_mut(field.id);
        let column = column.filter(|column| column.last_slot() != Some(slot));
        let twice = || Error::invalid(format!("two vectors in field {:?}", field.name));
        column.ok_or_else(twice)?.push(slot, stored);
    }
    Ok(())
}

/// Names the point an error is about.
pub(super) fn at_point(id: &PointId, error: &Error) -> Error {
    Error::new(error.kind(), format!("point {id}: {error}"))
}
