//! Writing: validate, encode, join a group, one synced batch, publish.
//!
//! Concurrent writers share a sync. Each puts its work in a queue and asks for the commit lock;
//! whoever gets it commits everything queued by then in one store batch, and the others find their
//! outcome waiting when the lock comes to them. While one group syncs, the next one gathers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bigrain_storage::{Batch, CollectionKey, CountsRow, HeadRow, Location, PointRow};
use bigrain_types::{Metric, Offset, PointId, SegmentId, SeqNo, normalize, validate_vector};
use parking_lot::Mutex;

use super::Collection;
use super::handle::Shared;
use crate::config::check_batch;
use crate::memtable::EncodedPoints;
use crate::{DeleteOutput, Error, ErrorKind, Point, Result, UpsertOutput};

/// What the commit lock guards: the counters of the next batch.
#[derive(Debug)]
pub(crate) struct CommitState {
    pub counts: CountsRow,
}

impl CommitState {
    pub fn new(counts: CountsRow) -> Self {
        Self { counts }
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
    ticket: Arc<Ticket>,
}

/// Where a caller finds the outcome of its write.
#[derive(Debug, Default)]
struct Ticket(Mutex<Option<Result<Applied>>>);

#[derive(Debug)]
enum Operation {
    Upsert {
        points: EncodedPoints,
        /// Writes the payloads; made on the caller's thread.
        payloads: Batch,
    },
    Delete(Vec<PointId>),
}

impl Operation {
    /// Returns about how many bytes it stores.
    fn size_bytes(&self) -> usize {
        match self {
            Self::Upsert { points, payloads } => points.size_bytes() + payloads.size_bytes(),
            Self::Delete(_) => 0,
        }
    }
}

/// What one write did.
#[derive(Clone, Copy, Debug)]
struct Applied {
    seq: SeqNo,
    /// Points that existed before.
    existed: u64,
}

impl Collection {
    /// Stores points, replacing those of the same id. When this returns, they are on disk and
    /// every later search sees them. On an error of kind `Io` it is unknown until the folder is opened
    /// anew whether they are stored; on any other none is.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a vector component that is not finite, a zero vector under cosine,
    /// two points of one id, or more than [`MAX_POINTS_PER_BATCH`](crate::MAX_POINTS_PER_BATCH) points;
    /// `FailedPrecondition` for a vector of another dimension or embedding space;
    /// `ResourceExhausted` while the disk is full, or segments cannot be built and the memtable is full;
    /// `Poisoned` after
    /// an earlier write failed.
    pub fn upsert(&self, points: Vec<Point>) -> Result<UpsertOutput> {
        let shared = &*self.0;
        shared.run("upsert into", || {
            let given = points.len() as u64;
            let operation = shared.prepare_upsert(points)?;
            shared.make_room()?;
            shared.resources.store.admit(operation.size_bytes())?;
            let applied = shared.write(operation)?;
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
        let shared = &*self.0;
        shared.run("delete from", || {
            check_batch(ids.len())?;
            let mut seen = HashSet::new();
            let ids = ids.iter().filter(|id| seen.insert(*id)).cloned().collect();
            let applied = shared.write(Operation::Delete(ids))?;
            Ok(DeleteOutput { seq: applied.seq, deleted: applied.existed })
        })
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
        let mut ids = Vec::with_capacity(points.len());
        let mut rows = Vec::with_capacity(points.len() * self.config.dims);
        let mut payloads = Batch::new();
        for point in points {
            self.check_point(&point).map_err(|error| at_point(&point.id, &error))?;
            payloads.put_payload(self.key, &point.id, &point.payload);
            if let Some(reason) = payloads.refusal() {
                return Err(at_point(&point.id, &Error::invalid(reason)));
            }
            let start = rows.len();
            rows.extend_from_slice(&point.vector);
            if self.config.metric == Metric::Cosine {
                normalize(&mut rows[start..]);
            }
            ids.push(point.id);
        }
        let points = EncodedPoints::encode(&self.binarizer, ids, rows);
        Ok(Operation::Upsert { points, payloads })
    }

    fn check_point(&self, point: &Point) -> Result<()> {
        self.config.check_space(point.space)?;
        validate_vector(&point.vector, self.config.dims, self.config.metric)?;
        self.config.check_dense(&point.vector)
    }

    /// Commits one operation, possibly together with those of other threads.
    fn write(&self, operation: Operation) -> Result<Applied> {
        let ticket = Arc::new(Ticket::default());
        self.queue.lock().push(Request { operation, ticket: Arc::clone(&ticket) });
        let mut commit = self.commit.lock();
        if let Some(outcome) = ticket.0.lock().take() {
            return outcome;
        }
        // Nobody took this request while its thread waited for the lock, so it is in the queue.
        let group = std::mem::take(&mut *self.queue.lock());
        self.commit_group(&mut commit, group);
        let outcome = ticket.0.lock().take();
        outcome.unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "write was not committed")))
    }

    /// Commits a group as one batch, and tells every caller its outcome.
    fn commit_group(&self, commit: &mut CommitState, mut group: Vec<Request>) {
        match self.commit_batch(commit, &mut group) {
            Ok(applied) => {
                self.publish(&group, &applied);
                for (request, applied) in group.iter().zip(applied.requests) {
                    *request.ticket.0.lock() = Some(Ok(applied));
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
            counts.last_seq = SeqNo(counts.last_seq.0 + 1);
            let seq = counts.last_seq;
            let existed = match &mut request.operation {
                Operation::Upsert { points, payloads } => {
                    let existed = work.upsert(points, seq);
                    work.batch.append(std::mem::take(payloads));
                    counts.live = (counts.live + points.ids.len() as u64).saturating_sub(existed);
                    existed
                }
                Operation::Delete(ids) => {
                    let existed = work.delete(ids);
                    counts.live = counts.live.saturating_sub(existed);
                    existed
                }
            };
            requests.push(Applied { seq, existed });
        }
        work.batch.put_counts(self.key, &counts);
        self.resources.store.commit(work.batch)?;
        commit.counts = counts;
        Ok(GroupApplied { requests, buried: work.buried, live: counts.live })
    }

    /// Brings the state up to a committed batch, in one step.
    fn publish(&self, group: &[Request], applied: &GroupApplied) {
        let mut state = self.state.write();
        for (request, applied) in group.iter().zip(&applied.requests) {
            match &request.operation {
                Operation::Upsert { points, .. } => state.append(points, applied.seq),
                Operation::Delete(ids) => ids.iter().for_each(|id| state.remove(id)),
            }
        }
        for &(segment, offset) in &applied.buried {
            state.bury(segment, offset);
        }
        state.live = applied.live;
        if let Some(last) = applied.requests.last() {
            state.seq = last.seq;
        }
    }
}

/// What a committed group did.
struct GroupApplied {
    requests: Vec<Applied>,
    /// Rows of segments whose points were replaced or deleted.
    buried: Vec<(SegmentId, Offset)>,
    live: u64,
}

/// A batch in the making, and where each of its points lies as it proceeds.
struct GroupWork {
    key: CollectionKey,
    batch: Batch,
    locations: HashMap<PointId, Location>,
    buried: Vec<(SegmentId, Offset)>,
}

impl GroupWork {
    /// Looks up where the group's points lie before the batch.
    fn load(shared: &Shared, group: &[Request]) -> Result<Self> {
        let ids: Vec<PointId> = group
            .iter()
            .flat_map(|request| match &request.operation {
                Operation::Upsert { points, .. } => points.ids.iter(),
                Operation::Delete(ids) => ids.iter(),
            })
            .cloned()
            .collect();
        let rows = shared.resources.store.view().points(shared.key, &ids)?;
        let located = ids.into_iter().zip(rows);
        let locations = located.filter_map(|(id, row)| row.map(|row| (id, row.location))).collect();
        Ok(Self { key: shared.key, batch: Batch::new(), locations, buried: Vec::new() })
    }

    /// Adds points to the batch; returns how many existed.
    fn upsert(&mut self, points: &EncodedPoints, seq: SeqNo) -> u64 {
        let mut existed = 0;
        for (index, id) in points.ids.iter().enumerate() {
            let old = self.locations.insert(id.clone(), Location::Head);
            existed += u64::from(self.bury(old));
            self.batch.put_point(self.key, id, &PointRow { seq, location: Location::Head });
            let row = HeadRow { seq, vectors: points.row(index).to_vec() };
            self.batch.put_head(self.key, id, &row);
        }
        existed
    }

    /// Adds deletes to the batch; returns how many points existed.
    fn delete(&mut self, ids: &[PointId]) -> u64 {
        let mut existed = 0;
        for id in ids {
            let old = self.locations.remove(id);
            if old == Some(Location::Head) {
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
    fn bury(&mut self, old: Option<Location>) -> bool {
        if let Some(Location::Segment(segment, offset)) = old {
            self.batch.put_tombstone(self.key, segment, offset);
            self.buried.push((segment, offset));
        }
        old.is_some()
    }
}

/// Names the point an error is about.
fn at_point(id: &PointId, error: &Error) -> Error {
    Error::new(error.kind(), format!("point {id}: {error}"))
}
