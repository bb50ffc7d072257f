//! Searching: candidates from codes, verification from dense vectors, ids and payloads last.
//!
//! A search takes its view in one step: under the state lock it copies the list of segments with
//! their deleted rows, and scans and scores the memtable, which may grow as soon as the lock is
//! released. Everything else happens without a lock. Candidates of all sources compete in one
//! list, so that rows are read in the order of their bounds whatever segment they lie in.

use std::convert::Infallible;
use std::time::Instant;

use bigrain_binarize::{QueryCode, QueryWidth};
use bigrain_index::candidates::ivf::{Ivf, Reach, Scanned};
use bigrain_index::candidates::list_scan::{Epsilon, ListScan};
use bigrain_index::dense::DenseReader;
use bigrain_index::lists::{Effort, Nearness, ResidentLists};
use bigrain_index::verify::{Verified, Verifier, similarity, verify};
use bigrain_index::{Candidate, Candidates, scan};
use bigrain_kernels::TopK;
use bigrain_types::{
    Metric, Offset, Payload, PointId, SearchParams, SearchStats, SeqNo, normalize, validate_vector,
};
use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::Collection;
use super::handle::Shared;
use super::state::{Frozen, SegmentView, State};
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
    /// Returns the points nearest to a query, nearest first: `min(limit, count)` of them.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` for a query of another dimension or embedding space;
    /// `InvalidArgument` for one that is not finite, or zero under cosine; `Cancelled`;
    /// `Corruption` when a stored block fails its check, which names the file.
    pub fn search(&self, query: &Query, params: &SearchParams) -> Result<SearchOutput> {
        let shared = &*self.0;
        shared.run("search", || {
            let started = Instant::now();
            let search = Search::prepare(shared, query, params)?;
            let prepared = started.elapsed();
            for _ in 0..MAX_RETRIES {
                if let Some(mut output) = search.run()? {
                    output.stats.times.prepare = prepared;
                    return Ok(output);
                }
            }
            let _commit = shared.commit.lock();
            shared.check_usable()?;
            let mut output = search.run()?.ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a result has no row in the store")
            })?;
            output.stats.times.prepare = prepared;
            Ok(output)
        })
    }
}

/// One search, its query checked and encoded.
pub(super) struct Search<'a> {
    pub shared: &'a Shared,
    pub params: &'a SearchParams,
    pub query: &'a Query,
    /// Of length one under cosine.
    pub vector: Vec<f32>,
    code: QueryCode,
    max_candidates: usize,
}

/// What a search looks at, taken in one step.
struct View {
    segments: Vec<SegmentView>,
    frozen: Option<Frozen>,
    /// The memtable's best, already scored exactly: it may change once the lock is released.
    active: Vec<Hit>,
    active_plan: SourcePlan,
    /// The last write that the view shows.
    seq: SeqNo,
}

/// A result before its payload is read.
pub(super) struct Hit {
    pub similarity: f32,
    pub id: PointId,
}

impl<'a> Search<'a> {
    fn prepare(shared: &'a Shared, query: &'a Query, params: &'a SearchParams) -> Result<Self> {
        let config = &shared.config;
        config.check_space(query.space)?;
        validate_vector(&query.vector, config.dims, config.metric)?;
        let mut vector = query.vector.clone();
        if config.metric == Metric::Cosine {
            normalize(&mut vector);
        }
        let width = QueryWidth::DEFAULT;
        let code = shared
            .binarizer
            .prepare_query(&vector, width)
            .map_err(|error| Error::invalid(error.to_string()))?;
        let max_candidates = max_candidates(params, config.levels.get());
        Ok(Self { shared, params, query, vector, code, max_candidates })
    }

    /// Returns the results, or nothing when a result was deleted while it was being fetched.
    fn run(&self) -> Result<Option<SearchOutput>> {
        let mut stats = SearchStats::default();
        let mut view = self.view(&mut stats)?;
        stats.segments = view.segments.len() as u64;
        let mut in_memory = std::mem::take(&mut view.active);
        if let Some(frozen) = &view.frozen {
            in_memory.extend(self.timed_memtable_hits(&frozen.table, &frozen.dead, &mut stats));
        }
        let hits = if self.params.exact() {
            self.exact(&view.segments, in_memory, &mut stats)?
        } else {
            self.approximate(&view.segments, &in_memory, &mut stats)?
        };
        let started = Instant::now();
        let points = self.fetch(hits, view.seq)?;
        stats.times.payload = started.elapsed();
        let plan = self.params.explain().then(|| self.plan(&view));
        Ok(points.map(|points| SearchOutput { points, stats, plan }))
    }

    fn view(&self, stats: &mut SearchStats) -> Result<View> {
        let state: &State = &self.shared.state.read();
        let view = View {
            segments: state.segments.clone(),
            frozen: state.frozen.clone(),
            active: self.timed_memtable_hits(&state.active, state.active.dead(), stats),
            active_plan: memtable_plan(&state.active, state.active.dead()),
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
        let metric = self.shared.config.metric;
        let limit = self.params.limit();
        let score = |slot: u32| similarity(metric, &self.vector, table.row(slot));
        if self.params.exact() {
            let mut best = TopK::new(limit);
            for slot in (0..table.len() as u32).filter(|&slot| !dead.contains(slot)) {
                best.push(score(slot), slot);
                stats.rows_read += 1;
            }
            let best = best.into_sorted().into_iter();
            return best.map(|scored| (scored.score, scored.offset)).collect();
        }
        let mut candidates = Candidates::new(limit, self.max_candidates);
        stats.codes_scanned += table.with_codes(|codes| {
            scan(codes, &self.code, |slot| dead.contains(slot), &mut candidates)
        });
        let candidates = candidates.into_sorted();
        stats.candidates += candidates.len() as u64;
        let Ok(verified) =
            verify(&candidates, limit, |candidate| Ok::<_, Infallible>(score(candidate.offset)));
        stats.rows_read += verified.rows;
        let slot = |index: usize| candidates[index].offset;
        verified.best.into_iter().map(|(score, index)| (score, slot(index))).collect()
    }

    /// Candidates of every source compete; the best bounds are verified.
    fn approximate(
        &self,
        segments: &[SegmentView],
        in_memory: &[Hit],
        stats: &mut SearchStats,
    ) -> Result<Vec<Hit>> {
        let started = Instant::now();
        let mut candidates = self.segment_candidates(segments, stats)?;
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
                Some(view) => view.segment.ids.get(Offset(offset))?,
                None => in_memory[offset as usize].id.clone(),
            };
            Ok(Hit { similarity, id })
        };
        let hits = verified.best.into_iter().map(hit).collect();
        stats.times.verify += started.elapsed();
        hits
    }

    fn verify(&self, segments: &[SegmentView], candidates: &[Candidate]) -> Result<Verified> {
        let sources: Vec<&DenseReader> = segments.iter().map(|view| &view.segment.dense).collect();
        let verifier = Verifier {
            metric: self.shared.config.metric,
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
        segments: &[SegmentView],
        stats: &mut SearchStats,
    ) -> Result<Vec<Candidate>> {
        let empty = || Candidates::new(self.params.limit(), self.max_candidates);
        let codes: u64 = segments.iter().map(|view| self.expected_codes(view)).sum();
        let (scanned, candidates) = if segments.len() > 1 && codes > PARALLEL_CODES {
            let search_one = |(source, view): (usize, &SegmentView)| {
                let mut candidates = empty();
                let scan = &mut ListScan::new(&self.code);
                Ok::<_, Error>((
                    self.search_segment(source, view, scan, &mut candidates)?,
                    candidates,
                ))
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
                scanned += self.search_segment(source, view, &mut scan, &mut candidates)?;
            }
            (scanned, candidates)
        };
        stats.lists += scanned.lists;
        stats.codes_scanned += scanned.codes;
        Ok(candidates.into_sorted())
    }

    fn search_segment(
        &self,
        source: usize,
        view: &SegmentView,
        scan: &mut ListScan,
        candidates: &mut Candidates,
    ) -> Result<Scanned> {
        self.query.cancel.check()?;
        let segment = &view.segment;
        let codes = segment.codes.resident()?;
        let lists = segment.lists.resident()?;
        let nearness = Nearness::of(self.shared.config.metric);
        let centroids = segment.lists.centroids(&lists, nearness)?;
        let ivf = Ivf { codes: &codes, layout: &lists.layout, centroids };
        candidates.begin_source(source as u32);
        let reach = self.reach(&lists);
        Ok(ivf.search(&self.code, scan, reach, &view.deleted, candidates))
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

    /// About how many codes a search of a segment scans.
    fn expected_codes(&self, view: &SegmentView) -> u64 {
        let lists = u64::from(view.segment.lists.lists());
        let probes = self.params.probes().map_or(lists, |probes| probes as u64);
        view.segment.rows() * probes.min(lists) / lists
    }

    /// Reads the payloads of the results; nothing when one of them was deleted or replaced since
    /// the view was taken, because its score belongs to a version that is gone.
    ///
    /// Without payloads nothing is read, and the results are those of the view.
    fn fetch(&self, hits: Vec<Hit>, seq: SeqNo) -> Result<Option<Vec<ScoredPoint>>> {
        let metric = self.shared.config.metric;
        let point = |hit: Hit, payload| {
            let (id, score) = (hit.id, metric.score(hit.similarity));
            ScoredPoint { id, score, payload }
        };
        if !self.params.payload() {
            let points = hits.into_iter().map(|hit| point(hit, Payload::default()));
            return Ok(Some(points.collect()));
        }
        let ids: Vec<PointId> = hits.iter().map(|hit| hit.id.clone()).collect();
        let view = self.shared.resources.store.view();
        let rows = view.points(self.shared.key, &ids)?;
        if !rows.iter().all(|row| row.is_some_and(|row| row.seq <= seq)) {
            return Ok(None);
        }
        let payloads = view.payloads(self.shared.key, &ids)?;
        let points = hits.into_iter().zip(payloads);
        Ok(points.map(|(hit, payload)| payload.map(|payload| point(hit, payload))).collect())
    }

    fn index_plan(&self, exact: bool, view: &SegmentView) -> String {
        let lists = match view.segment.lists.resident() {
            Ok(lists) if !exact => lists,
            Ok(_) | Err(_) => return "exact scan".into(),
        };
        let Reach { probes, epsilon } = self.reach(&lists);
        let probes = probes.min(lists.layout.len());
        format!("{probes} of {} lists, bounds of {:.1} sigma", lists.layout.len(), epsilon.full)
    }

    fn plan(&self, view: &View) -> SearchPlan {
        let exact = self.params.exact();
        let mut sources: Vec<SourcePlan> = view
            .segments
            .iter()
            .map(|view| SourcePlan {
                source: format!("segment {}", view.segment.id),
                index: self.index_plan(exact, view),
                rows: view.segment.rows(),
                deleted: view.deleted.len(),
            })
            .collect();
        sources.extend(view.frozen.iter().map(|frozen| memtable_plan(&frozen.table, &frozen.dead)));
        sources.push(view.active_plan.clone());
        SearchPlan {
            method: match (exact, self.params.verify()) {
                (true, _) => "exact",
                (false, true) => "codes, then verify",
                (false, false) => "codes alone",
            }
            .into(),
            levels: self.shared.config.levels.get(),
            query_bits: self.code.width() as u8,
            max_candidates: self.max_candidates,
            sources,
        }
    }
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

fn memtable_plan(table: &Memtable, dead: &RoaringBitmap) -> SourcePlan {
    SourcePlan {
        source: "memtable".into(),
        index: "flat scan".into(),
        rows: table.len() as u64,
        deleted: dead.len(),
    }
}
