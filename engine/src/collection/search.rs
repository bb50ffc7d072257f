//! Searching: candidates from codes, verification from dense vectors, ids and payloads last.
//!
//! A search looks at one field. It takes its view in one step: under the state lock it copies the
//! list of segments that have files of the field, with their deleted rows, and scans and scores the memtable, which may grow as soon as the lock is
//! released. Everything else happens without a lock. Candidates of all sources compete in one
//! list, so that rows are read in the order of their bounds whatever segment they lie in.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use bigrain_binarize::{QueryCode, QueryWidth};
use bigrain_index::candidates::ivf::{Ivf, Needed, Reach, Scanned};
use bigrain_index::candidates::list_scan::{Epsilon, ListScan};
use bigrain_index::dense::DenseReader;
use bigrain_index::lists::{Effort, Nearness, ResidentLists};
use bigrain_index::verify::{Verified, Verifier, similarity, verify};
use bigrain_index::{Candidate, Candidates, scan};
use bigrain_kernels::TopK;
use bigrain_types::{Payload, PointId, SearchParams, SearchStats, SeqNo};
use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::Collection;
use super::filtered::Filtered;
use super::handle::Shared;
use super::matching::live_slots;
use super::state::{FieldView, Frozen, State};
use crate::field::Field;
use crate::filtering::{FilterMethod, PreparedFilter};
use crate::memtable::Memtable;
use crate::plan::{SearchPlan, SourcePlan};
use crate::{Error, ErrorKind, Query, Result, ScoredPoint, SearchOutput};

/// Searches repeated because a result was deleted between scoring it and reading its payload;
/// after these, writers wait for one.
const MAX_RETRIES: usize = 4;

/// Candidates of one search at most, whatever the caller asks for: 12 bytes each, times two.
const MAX_CANDIDATES: usize = 1 << 20;

/// Below this many codes to scan, handing work to other threads costs more than it saves.
const PARALLEL_CODES: u64 = 200_000;

/// Deviations that bounds of signs cover where whole codes alone rank the results.
const SIGN_EPSILON: f32 = 2.6;

impl Collection {
    /// Returns the points nearest to a query, nearest first: `limit` of them, or all that have a vector
    /// in the query's field and match its filter.
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that the collection does not have; `FailedPrecondition` for a query of another dimension or embedding space;
    /// `InvalidArgument` for one that is not finite, or zero under cosine; `Cancelled`;
    /// `Corruption` when a stored block fails its check, which names the file.
    pub fn search(&self, query: &Query, params: &SearchParams) -> Result<SearchOutput> {
        let shared = &*self.0;
        shared.run("search", || {
            let started = Instant::now();
            let search = Search::prepare(shared, query, params)?;
            let prepared = started.elapsed();
            let mut output = shared.retried(|| search.run())?;
            output.stats.times.prepare = prepared;
            Ok(output)
        })
    }
}

impl Shared {
    /// Searches again when a result was deleted between scoring it and reading its payload; in the end
    /// while writers wait.
    pub(super) fn retried<T>(&self, run: impl Fn() -> Result<Option<T>>) -> Result<T> {
        for _ in 0..MAX_RETRIES {
            if let Some(output) = run()? {
                return Ok(output);
            }
        }
        let _commit = self.commit.lock();
        self.check_usable()?;
        run()?.ok_or_else(|| Error::new(ErrorKind::Internal, "a result has no row in the store"))
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

/// One search, its query checked and encoded.
pub(super) struct Search<'a> {
    pub shared: &'a Shared,
    pub params: &'a SearchParams,
    pub query: &'a Query,
    pub field: Arc<Field>,
    pub filter: Option<PreparedFilter>,
    /// Of length one under cosine.
    pub vector: Vec<f32>,
    code: QueryCode,
    max_candidates: usize,
}

/// What a search looks at, taken in one step.
struct View {
    segments: Vec<FieldView>,
    /// What matches the filter in each segment, if there is one.
    filtered: Vec<Filtered>,
    frozen: Option<Frozen>,
    /// The memtable's best, already scored exactly: it may change once the lock is released.
    active: Vec<Hit>,
    active_plan: Option<SourcePlan>,
    /// The last write that the view shows.
    seq: SeqNo,
}

/// A result before its payload is read.
pub(super) struct Hit {
    pub similarity: f32,
    pub id: PointId,
}

impl<'a> Search<'a> {
    pub fn prepare(shared: &'a Shared, query: &'a Query, params: &'a SearchParams) -> Result<Self> {
        let fields = shared.fields();
        let field = Arc::clone(fields.named(query.field.as_deref())?);
        let checked = field.check_query(&query.vector, query.space);
        checked.map_err(|error| fields.at(&field, error))?;
        let mut vector = query.vector.clone();
        field.normalize(&mut vector);
        let width = QueryWidth::DEFAULT;
        let code = field
            .binarizer
            .prepare_query(&vector, width)
            .map_err(|error| Error::invalid(error.to_string()))?;
        let max_candidates = max_candidates(params, field.config.levels.get());
        let filter = query.filter.as_ref().map(PreparedFilter::new).transpose()?;
        Ok(Self { shared, params, query, field, filter, vector, code, max_candidates })
    }

    /// Returns the results, or nothing when a result was deleted while it was being fetched.
    pub fn run(&self) -> Result<Option<SearchOutput>> {
        let mut stats = SearchStats::default();
        let mut view = self.view(&mut stats)?;
        stats.segments = view.segments.len() as u64;
        let Some(filtered) = self.filtered(&view.segments, view.seq, &mut stats)? else {
            return Ok(None);
        };
        view.filtered = filtered;
        let mut in_memory = std::mem::take(&mut view.active);
        if let Some(frozen) = &view.frozen {
            in_memory.extend(self.timed_memtable_hits(&frozen.table, &frozen.dead, &mut stats));
        }
        let hits = if self.params.exact() {
            self.exact(&view.segments, &view.filtered, in_memory, &mut stats)?
        } else {
            self.approximate(&view, &in_memory, &mut stats)?
        };
        let started = Instant::now();
        let points = self.fetch(hits, view.seq)?;
        stats.times.payload = started.elapsed();
        let plan = self.params.explain().then(|| self.plan(&view));
        Ok(points.map(|points| SearchOutput { points, stats, plan }))
    }

    fn view(&self, stats: &mut SearchStats) -> Result<View> {
        let state: &State = &self.shared.state.read();
        if state.fields.get(self.field.id).is_none() {
            let reason = format!("field {:?} was dropped", self.field.name);
            return Err(Error::new(ErrorKind::NotFound, reason));
        }
        let (active, dead) = (&state.active, state.active.dead());
        let view = View {
            segments: state.segments_with(self.field.id).collect(),
            filtered: Vec::new(),
            frozen: state.frozen.clone(),
            active: self.timed_memtable_hits(active, dead, stats),
            active_plan: self.params.explain().then(|| self.memtable_plan(active, dead)),
            seq: state.seq,
        };
        self.query.cancel.check()?;
        Ok(view)
    }

    fn timed_memtable_hits(
        &self,
        table: &Memtable,
        dead: &RoaringBitmap,
        stats: &mut SearchStats,
    ) -> Vec<Hit> {
        let started = Instant::now();
        let best = self.memtable_best(table, dead, stats);
        stats.times.candidates += started.elapsed();
        let hit = |(similarity, slot)| Hit { similarity, id: table.id(slot).clone() };
        best.into_iter().map(hit).collect()
    }

    /// Returns the best slots of a memtable with their exact similarities: found through codes, or
    /// by scoring every row in an exact search.
    fn memtable_best(
        &self,
        table: &Memtable,
        dead: &RoaringBitmap,
        stats: &mut SearchStats,
    ) -> Vec<(f32, u32)> {
        let Some(column) = table.column(self.field.id) else { return Vec::new() };
        let metric = self.field.config.metric;
        let limit = self.params.limit();
        let score = |row: u32| similarity(metric, &self.vector, column.row(row));
        let matching = self.filter.as_ref().map(|filter| live_slots(table, dead, filter));
        let is_out = |row: u32| match &matching {
            Some(matching) => !matching.contains(column.slot(row)),
            None => dead.contains(column.slot(row)),
        };
        if self.params.exact() {
            let mut best = TopK::new(limit);
            for row in (0..column.len() as u32).filter(|&row| !is_out(row)) {
                best.push(score(row), row);
                stats.rows_read += 1;
            }
            let best = best.into_sorted().into_iter();
            return best.map(|scored| (scored.score, column.slot(scored.offset))).collect();
        }
        let mut candidates = Candidates::new(limit, self.max_candidates);
        stats.codes_scanned +=
            column.with_codes(|codes| scan(codes, &self.code, is_out, &mut candidates));
        let candidates = candidates.into_sorted();
        stats.candidates += candidates.len() as u64;
        let Ok(verified) =
            verify(&candidates, limit, |candidate| Ok::<_, Infallible>(score(candidate.offset)));
        stats.rows_read += verified.rows;
        let slot = |index: usize| column.slot(candidates[index].offset);
        verified.best.into_iter().map(|(score, index)| (score, slot(index))).collect()
    }

    /// Candidates of every source compete; the best bounds are verified.
    fn approximate(
        &self,
        view: &View,
        in_memory: &[Hit],
        stats: &mut SearchStats,
    ) -> Result<Vec<Hit>> {
        let started = Instant::now();
        let segments = &view.segments[..];
        let mut candidates = self.segment_candidates(segments, &view.filtered, stats)?;
        for (source, filtered) in (0..).zip(&view.filtered) {
            candidates.extend(filtered.certain(source));
        }
        stats.candidates += candidates.len() as u64;
        // What is already scored takes part as one more source, with its score as its bound.
        let in_memory_source = segments.len() as u32;
        candidates.extend(in_memory.iter().enumerate().map(|(offset, hit)| Candidate {
            source: in_memory_source,
            offset: offset as u32,
            optimistic: hit.similarity,
        }));
        candidates.sort_by(|a, b| b.optimistic.total_cmp(&a.optimistic));
        stats.times.candidates += started.elapsed();

        let started = Instant::now();
        let verified = if self.params.verify() {
            self.verify(segments, &candidates)?
        } else {
            let best = candidates.iter().take(self.params.limit()).enumerate();
            let best = best.map(|(index, candidate)| (candidate.optimistic, index)).collect();
            Verified { best, ..Verified::default() }
        };
        stats.rows_read += verified.rows;
        stats.bytes_read += verified.bytes;
        let hit = |(similarity, index): (f32, usize)| {
            let Candidate { source, offset, .. } = candidates[index];
            let id = match segments.get(source as usize) {
                Some(view) => view.id(offset)?,
                None => in_memory[offset as usize].id.clone(),
            };
            Ok(Hit { similarity, id })
        };
        let hits = verified.best.into_iter().map(hit).collect();
        stats.times.verify += started.elapsed();
        hits
    }

    fn verify(&self, segments: &[FieldView], candidates: &[Candidate]) -> Result<Verified> {
        let sources: Vec<&DenseReader> = segments.iter().map(|view| &view.files.dense).collect();
        let verifier = Verifier {
            metric: self.field.config.metric,
            query: &self.vector,
            limit: self.params.limit(),
            sources: &sources,
            io: &self.shared.resources.row_io,
            cancel: &self.query.cancel,
        };
        Ok(verifier.run(candidates)?)
    }

    /// Searches the codes of every segment; returns the candidates of all, best bound first.
    fn segment_candidates(
        &self,
        segments: &[FieldView],
        filtered: &[Filtered],
        stats: &mut SearchStats,
    ) -> Result<Vec<Candidate>> {
        let empty = || Candidates::new(self.params.limit(), self.max_candidates);
        let codes = |(source, view)| self.expected_codes(view, filtered.get(source));
        let codes: u64 = segments.iter().enumerate().map(codes).sum();
        let (scanned, candidates) = if segments.len() > 1 && codes > PARALLEL_CODES {
            let search_one = |(source, view): (usize, &FieldView)| {
                let mut candidates = empty();
                let scan = &mut ListScan::new(&self.code);
                candidates.begin_source(source as u32);
                let filtered = filtered.get(source);
                let scanned = self.search_segment(view, filtered, scan, &mut candidates)?;
                Ok::<_, Error>((scanned, candidates))
            };
            let merge = |mut a: (Scanned, Candidates), b: (Scanned, Candidates)| {
                a.0 += b.0;
                a.1.merge(b.1);
                Ok(a)
            };
            let search_all = || {
                let segments = segments.par_iter().enumerate().map(search_one);
                segments.try_reduce(|| (Scanned::default(), empty()), merge)
            };
            self.shared.resources.threads.run(search_all)?
        } else {
            let (mut scanned, mut candidates) = (Scanned::default(), empty());
            let mut scan = ListScan::new(&self.code);
            for (source, view) in segments.iter().enumerate() {
                candidates.begin_source(source as u32);
                let filtered = filtered.get(source);
                scanned += self.search_segment(view, filtered, &mut scan, &mut candidates)?;
            }
            (scanned, candidates)
        };
        stats.lists += scanned.lists;
        stats.codes_scanned += scanned.codes;
        Ok(candidates.into_sorted())
    }

    fn search_segment(
        &self,
        view: &FieldView,
        filtered: Option<&Filtered>,
        scan: &mut ListScan,
        candidates: &mut Candidates,
    ) -> Result<Scanned> {
        self.query.cancel.check()?;
        let files = &view.files;
        let codes = files.codes.resident()?;
        let lists = files.lists.resident()?;
        let nearness = Nearness::of(self.field.config.metric);
        let centroids = files.lists.centroids(&lists, nearness)?;
        let ivf = Ivf { codes: &codes, layout: &lists.layout, centroids };
        let reach = self.reach(&lists);
        if let Some(filtered) = filtered {
            let needed = |share: f64| self.needed_lists(filtered, &lists, share);
            let needed = Needed { lists: &needed, epsilon: reach.epsilon };
            return Ok(match filtered.method {
                FilterMethod::ScoreRows => Scanned::default(),
                FilterMethod::ScanAll | FilterMethod::ScanLists => {
                    ivf.search_masked(&self.code, scan, &filtered.mask, &needed, candidates)
                }
            });
        }
        let deleted = files.by_position(&view.deleted)?;
        Ok(if deleted.is_empty() {
            ivf.search(&self.code, scan, reach, |_| false, candidates)
        } else {
            ivf.search(&self.code, scan, reach, |position| deleted.contains(position), candidates)
        })
    }

    /// Turns what the caller wants into how hard to look in one segment.
    fn reach(&self, lists: &ResidentLists) -> Reach {
        let count = lists.layout.len() as u32;
        let params = self.params;
        let effort = lists.calibration.effort(params.target_recall(), params.limit(), count);
        let Effort { probes, epsilon, .. } = effort;
        let epsilon = if params.verify() {
            Epsilon { sign: epsilon, full: epsilon }
        } else {
            Epsilon { sign: SIGN_EPSILON, full: 0.0 }
        };
        Reach { probes: params.probes().unwrap_or(probes as usize), epsilon }
    }

    /// Returns how many lists to probe where a share of the rows near the query matches: as many as
    /// it takes to find so many more neighbours that this share of them is enough. What was calibrated
    /// for all rows holds for a part of them roughly, so half of what the target gives up is kept.
    fn needed_lists(&self, filtered: &Filtered, lists: &ResidentLists, share: f64) -> usize {
        let count = lists.layout.len();
        if filtered.method == FilterMethod::ScanAll {
            return count;
        }
        let neighbours = (self.params.limit() as f64 / share).ceil() as usize;
        let effort = |limit| {
            let target = f32::midpoint(self.params.target_recall(), 1.0);
            lists.calibration.effort(target, limit, count as u32).probes
        };
        self.params.probes().unwrap_or_else(|| effort(neighbours) as usize)
    }

    /// About how many codes a search of a segment scans.
    fn expected_codes(&self, view: &FieldView, filtered: Option<&Filtered>) -> u64 {
        match filtered {
            Some(Filtered { method: FilterMethod::ScoreRows, .. }) => return 0,
            Some(Filtered { mask, .. }) => return mask.len(),
            None => {}
        }
        let lists = u64::from(view.files.lists.lists());
        let probes = self.params.probes().map_or(lists, |probes| probes as u64);
        view.files.rows() * probes.min(lists) / lists
    }

    /// Reads the payloads of the results; nothing when one of them was deleted or replaced since
    /// the view was taken. Without payloads nothing is read, and the results are those of the view.
    fn fetch(&self, hits: Vec<Hit>, seq: SeqNo) -> Result<Option<Vec<ScoredPoint>>> {
        let metric = self.field.config.metric;
        let scored = hits.into_iter().map(|hit| (hit.id, metric.score(hit.similarity)));
        if self.params.payload() {
            return self.shared.with_payloads(scored.collect(), seq);
        }
        Ok(Some(scored.map(without_payload).collect()))
    }

    fn index_plan(&self, exact: bool, view: &FieldView) -> String {
        let lists = match view.files.lists.resident() {
            Ok(lists) if !exact => lists,
            Ok(_) | Err(_) => return "exact scan".into(),
        };
        let Reach { probes, epsilon } = self.reach(&lists);
        let probes = probes.min(lists.layout.len());
        format!("{probes} of {} lists, bounds of {:.1} sigma", lists.layout.len(), epsilon.full)
    }

    fn plan(&self, view: &View) -> SearchPlan {
        let (exact, filtered) = (self.params.exact(), &view.filtered);
        let mut sources: Vec<SourcePlan> = view
            .segments
            .iter()
            .enumerate()
            .map(|(source, view)| SourcePlan {
                source: format!("segment {}", view.segment.id),
                index: self.index_plan(exact, view),
                filter: filtered.get(source).map(|filtered| filtered.explain(exact)),
                rows: view.files.rows(),
                deleted: view.deleted_rows(),
            })
            .collect();
        let frozen = view.frozen.iter();
        sources.extend(frozen.map(|frozen| self.memtable_plan(&frozen.table, &frozen.dead)));
        sources.extend(view.active_plan.clone());
        SearchPlan {
            method: match (exact, self.params.verify()) {
                (true, _) => "exact",
                (false, true) => "codes, then verify",
                (false, false) => "codes alone",
            }
            .into(),
            field: self.field.name.to_string(),
            levels: self.field.config.levels.get(),
            query_bits: self.code.width() as u8,
            max_candidates: self.max_candidates,
            sources,
            parts: Vec::new(),
        }
    }

    fn memtable_plan(&self, table: &Memtable, dead: &RoaringBitmap) -> SourcePlan {
        let column = table.column(self.field.id);
        let matching = self.filter.as_ref().map(|filter| live_slots(table, dead, filter).len());
        SourcePlan {
            source: "memtable".into(),
            index: "flat scan".into(),
            filter: matching.map(|count| format!("{count} match, by their payloads")),
            rows: column.map_or(0, |column| column.len() as u64),
            deleted: column.map_or(0, |column| column.count_in(dead)),
        }
    }
}

/// Returns a result whose payload nobody wants.
pub(super) fn without_payload((id, score): (PointId, f32)) -> ScoredPoint {
    ScoredPoint { id, score, payload: Payload::default() }
}

/// How many candidates are verified at most. Bounds decide how many there are, usually far fewer;
/// this is what limits the worst case, vectors that codes cannot tell apart.
fn max_candidates(params: &SearchParams, levels: u8) -> usize {
    let (oversampling, least) = match levels {
        1 => (100.0, 2000),
        _ => (50.0, 1000),
    };
    let wanted = match params.oversampling() {
        Some(oversampling) => (params.limit() as f32 * oversampling).ceil() as usize,
        None => ((params.limit() as f32 * oversampling) as usize).max(least),
    };
    wanted.min(MAX_CANDIDATES)
}
