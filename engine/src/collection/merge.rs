//! Merging: segments become one, without the rows that are dead.
//!
//! 1. *Choose*, by the policy, and note which rows are alive.
//! 2. *Build*, under no lock that writers or searches want: the live rows become files.
//! 3. *Move* the points, some thousand with each commit (`moving.rs`).
//! 4. The old segments leave the manifest with the last commit. Their files go when the last
//!    search that reads them ends.
//!
//! What is replaced or deleted meanwhile is buried in the old segments, as ever, and does not move.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bigrain_index::IndexError;
use bigrain_storage::{Batch, ReadError};
use bigrain_types::{
    Cancel, Cancelled, FieldId, Offset, Payload, PointId, SegmentId, SparseView, TokensView,
};

use super::building::NewSegment;
use super::handle::Shared;
use super::progress::Progress;
use super::state::SegmentView;
use crate::memory::Purpose;
use crate::merge_policy::SegmentSize;
use crate::segment::{Segment, SegmentInput};
use crate::{Error, ErrorKind, Result};

/// After this time there may be memory for a merge.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Chooses what to merge next among the segments of a collection, for segments of limited rows.
pub(super) type Choose = fn(&[SegmentSize], u64) -> Option<Vec<SegmentId>>;

impl Shared {
    /// Does one merge, if the policy wants one and there is memory for it; the caller holds the
    /// merge lock.
    pub fn merge_locked(&self, choose: Choose, cancel: &Cancel) -> Result<bool> {
        self.check_usable()?;
        let merged = self.with_merge_input(choose, cancel, |input| self.merge(input))?;
        Ok(merged.unwrap_or(false))
    }

    /// Calls `with` on the rows of the segments to be merged next, if there are any.
    pub fn with_merge_input<T>(
        &self,
        choose: Choose,
        cancel: &Cancel,
        with: impl FnOnce(&MergeInput<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let Some(chosen) = self.choose(choose) else { return Ok(None) };
        let sources: Vec<Source> = chosen.iter().map(Source::new).collect();
        let rows = sources.iter().map(|source| source.live.len() as u64).sum();
        let vectors = sources.iter().map(Source::vectors).sum();
        let work = self.chores.merging.begin(Progress::new(sources.len(), rows, vectors));
        let input = MergeInput::new(sources, Watch { shared: self, cancel, work: &work });
        with(&input).map(Some)
    }

    fn merge(&self, input: &MergeInput<'_>) -> Result<bool> {
        if input.len() == 0 {
            self.remove_segments(&input.ids())?;
            self.note_change();
            return Ok(true);
        }
        let bytes = self.build_bytes(input.len(), input.lexical_bytes());
        self.resources.make_room(bytes);
        let Some(_charge) = self.resources.memory.try_charge(Purpose::Builds, bytes) else {
            let reason = format!("no memory to merge: {bytes} bytes do not fit the budget");
            return Err(Error::new(ErrorKind::ResourceExhausted, reason).retry_after(RETRY_AFTER));
        };
        self.resources.store.admit_files(input.disk_bytes())?;
        let new = NewSegment { id: self.commit.lock().next_segment(), seq: self.state.read().seq };
        let built = self.build(input, &new, &self.resources.builders)?;
        let rows = built.row.rows;
        self.move_points(built, input)?;
        self.resources.kept.give_back();
        tracing::info!(collection = %self.name, segment = %new.id, from = input.sources.len(), rows, "merged");
        self.note_change();
        Ok(true)
    }

    /// Whether the policy wants a merge.
    pub fn is_merge_due(&self, choose: Choose) -> bool {
        self.choose(choose).is_some()
    }

    fn choose(&self, choose: Choose) -> Option<Vec<SegmentView>> {
        let state = self.state.read();
        let size = |view: &SegmentView| SegmentSize {
            id: view.segment.id,
            rows: view.segment.rows(),
            dead: view.deleted.len(),
            stale: state.is_stale(&view.segment),
        };
        let sizes: Vec<SegmentSize> = state.segments.iter().map(size).collect();
        let ids = choose(&sizes, self.resources.limits.max_segment_rows as u64)?;
        Some(ids.iter().filter_map(|&id| state.segment(id).cloned()).collect())
    }

    /// Removes segments without a live row.
    fn remove_segments(&self, ids: &[SegmentId]) -> Result<()> {
        let _commit = self.commit.lock();
        self.check_usable()?;
        let mut batch = Batch::new();
        ids.iter().for_each(|&id| {
            batch.delete_segment(self.key, id);
        });
        self.resources.store.commit(batch)?;
        let retired = self.retire(&mut self.state.write(), ids);
        drop(retired);
        Ok(())
    }
}

/// The live points of some segments, segment after segment, in the order of their offsets.
pub(super) struct MergeInput<'a> {
    sources: Vec<Source>,
    /// The first point of each source, and the number of all.
    starts: Vec<usize>,
    watch: Watch<'a>,
}

/// One segment that is merged.
struct Source {
    segment: Arc<Segment>,
    live: Vec<u32>,
}

/// Who may want the merge to end early.
struct Watch<'a> {
    shared: &'a Shared,
    cancel: &'a Cancel,
    work: &'a Progress,
}

impl Source {
    fn new(view: &SegmentView) -> Self {
        let rows = view.segment.rows() as u32;
        let live = (0..rows).filter(|&offset| !view.deleted.contains(offset)).collect();
        Self { segment: Arc::clone(&view.segment), live }
    }

    /// Returns about how many bytes its live points have on disk.
    fn disk_bytes(&self) -> u64 {
        let rows = self.segment.rows().max(1) as f64;
        (self.segment.disk_bytes() as f64 * self.live.len() as f64 / rows) as u64
    }

    /// Returns about how many vectors its live points have.
    fn vectors(&self) -> u64 {
        let rows = self.live.len() as u64;
        let dense = self.segment.fields().map(|files| files.rows());
        let sparse = self.segment.sparse_fields().map(|files| files.reader.vectors());
        let multi = self.segment.multi_fields().map(|files| files.tokens.vectors());
        dense.chain(sparse).chain(multi).map(|vectors| vectors.min(rows)).sum()
    }
}

impl<'a> MergeInput<'a> {
    fn new(sources: Vec<Source>, watch: Watch<'a>) -> Self {
        let mut starts = vec![0];
        for source in &sources {
            starts.push(starts[starts.len() - 1] + source.live.len());
        }
        Self { sources, starts, watch }
    }

    /// Returns the segments that are merged.
    pub fn ids(&self) -> Vec<SegmentId> {
        self.sources.iter().map(|source| source.segment.id).collect()
    }

    /// Returns about how many bytes its files will have.
    fn disk_bytes(&self) -> u64 {
        self.sources.iter().map(Source::disk_bytes).sum()
    }

    /// Returns the bytes of the indexes of payloads that it reads.
    fn lexical_bytes(&self) -> u64 {
        self.sources.iter().map(|source| source.segment.lexical.file().body_bytes()).sum()
    }

    /// Returns where a point lies.
    pub fn place(&self, point: usize) -> (SegmentId, Offset) {
        let (source, offset) = self.locate(point);
        (source.segment.id, offset)
    }

    fn locate(&self, point: usize) -> (&Source, Offset) {
        let at = self.starts.partition_point(|&start| start <= point) - 1;
        let source = &self.sources[at];
        (source, Offset(source.live[point - self.starts[at]]))
    }
}

impl SegmentInput for MergeInput<'_> {
    fn len(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    fn id(&self, point: usize) -> Result<Cow<'_, PointId>, IndexError> {
        let (source, offset) = self.locate(point);
        source.segment.ids.get(offset).map(Cow::Owned)
    }

    fn has(&self, point: usize, field: FieldId) -> Result<bool, IndexError> {
        let (source, offset) = self.locate(point);
        let Some(files) = source.segment.field(field) else { return Ok(false) };
        Ok(files.position(offset)?.is_some())
    }

    fn vector(&self, point: usize, field: FieldId) -> Result<Option<Cow<'_, [f32]>>, IndexError> {
        self.watch.check().map_err(ReadError::Cancelled)?;
        let (source, offset) = self.locate(point);
        let Some(files) = source.segment.field(field) else { return Ok(None) };
        files.vector_in_place(offset)
    }

    fn sparse(&self, point: usize, field: FieldId) -> Result<Option<SparseView<'_>>, IndexError> {
        let (source, offset) = self.locate(point);
        let Some(files) = source.segment.sparse(field) else { return Ok(None) };
        let vector = files.reader.vector(offset)?;
        if vector.is_some() {
            self.watch.check().map_err(ReadError::Cancelled)?;
        }
        Ok(vector)
    }

    fn has_multi(&self, point: usize, field: FieldId) -> Result<bool, IndexError> {
        let (source, offset) = self.locate(point);
        source.segment.multi(field).map_or(Ok(false), |files| files.tokens.has(offset))
    }

    fn multi(&self, point: usize, field: FieldId) -> Result<Option<TokensView<'_>>, IndexError> {
        self.watch.check().map_err(ReadError::Cancelled)?;
        let (source, offset) = self.locate(point);
        let Some(files) = source.segment.multi(field) else { return Ok(None) };
        files.tokens.fetch_ahead(offset);
        files.tokens.tokens(offset)
    }

    fn payloads(&self, points: &[u32]) -> Result<Vec<Cow<'_, Payload>>> {
        let id = |&point: &u32| self.id(point as usize).map(Cow::into_owned);
        let ids: Vec<PointId> = points.iter().map(id).collect::<Result<_, _>>()?;
        let shared = self.watch.shared;
        let payloads = shared.resources.store.view().payloads(shared.key, &ids)?;
        // A point that was deleted meanwhile has none.
        Ok(payloads.into_iter().map(|payload| Cow::Owned(payload.unwrap_or_default())).collect())
    }

    fn clustered(&self, vectors: u64) {
        self.watch.work.advance(vectors);
    }
}

impl Watch<'_> {
    /// Counts one more step, unless somebody wants no more of them.
    fn check(&self) -> Result<(), Cancelled> {
        self.work.advance(1);
        if self.shared.is_dropping() {
            return Err(Cancelled);
        }
        self.cancel.check()
    }
}
