//! Searching: candidates from codes, verification from dense vectors, ids and payloads last.
//!
//! A search takes its view in one step: under the state lock it copies the list of segments with
//! their deleted rows, and scans and scores the memtable, which may grow as soon as the lock is
//! released. Everything else happens without a lock. Candidates of all sources compete in one
//! list, so that rows are read in the order of their bounds whatever segment they lie in.

use std::time::Instant;

use bigrain_binarize::{QueryCode, QueryWidth};
use bigrain_index::candidates::flat;
use bigrain_index::verify::{similarity, verify};
use bigrain_index::{Candidate, Candidates, IndexError, scan};
use bigrain_kernels::TopK;
use bigrain_types::{
    Metric, Offset, PointId, SearchParams, SearchStats, normalize, validate_vector,
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

/// Below this many codes, handing work to other threads costs more than it saves.
const PARALLEL_CODES: u64 = 50_000;

/// Rows scored between two looks at the cancel flag in an exact search.
const EXACT_CHUNK: u64 = 4096;

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
            let mut output = search.run()?.ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a result has no row in the store")
            })?;
            output.stats.times.prepare = prepared;
            Ok(output)
        })
    }
}

/// One search, its query checked and encoded.
struct Search<'a> {
    shared: &'a Shared,
    params: &'a SearchParams,
    query: &'a Query,
    vector: Vec<f32>,
    code: QueryCode,
    max_candidates: usize,
}

/// What a search looks at, taken in one step.
struct View {
    segments: Vec<SegmentView>,
    frozen: Option<Frozen>,
    /// The memtable's best, already scored exactly: it may change once the lock is released.
    active: Vec<(f32, PointId)>,
    active_plan: SourcePlan,
}

/// A result before its payload is read.
struct Hit {
    similarity: f32,
    id: PointId,
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
        let width = QueryWidth::default_for(config.levels);
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
        let view = self.view(&mut stats)?;
        stats.segments = view.segments.len() as u64;
        let hits = if self.params.exact() {
            self.exact(&view, &mut stats)?
        } else {
            self.approximate(&view, &mut stats)?
        };
        let started = Instant::now();
        let points = self.fetch(hits)?;
        stats.times.payload = started.elapsed();
        let plan = self.params.explain().then(|| self.plan(&view));
        Ok(points.map(|points| SearchOutput { points, stats, plan }))
    }

    fn view(&self, stats: &mut SearchStats) -> Result<View> {
        let started = Instant::now();
        let state: &State = &self.shared.state.read();
        let active = self.memtable_hits(&state.active, state.active.dead(), stats);
        let view = View {
            segments: state.segments.clone(),
            frozen: state.frozen.clone(),
            active: active
                .into_iter()
                .map(|(similarity, slot)| (similarity, state.active.id(slot).clone()))
                .collect(),
            active_plan: memtable_plan(&state.active, state.active.dead()),
        };
        stats.times.candidates += started.elapsed();
        self.query.cancel.check()?;
        Ok(view)
    }

    /// Scans a memtable's codes and scores the best exactly.
    fn memtable_hits(
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
            return pairs(best);
        }
        let mut candidates = Candidates::new(limit, self.max_candidates);
        stats.codes_scanned += table.with_codes(|codes| {
            scan(codes, &self.code, |slot| dead.contains(slot), &mut candidates)
        });
        let candidates = candidates.into_sorted();
        stats.candidates += candidates.len() as u64;
        let verified = verify(&candidates, limit, |candidate| {
            Ok::<_, std::convert::Infallible>(score(candidate.offset))
        });
        let Ok(verified) = verified;
        stats.rows_read += verified.rows;
        let slot = |index: usize| candidates[index].offset;
        verified.best.into_iter().map(|(score, index)| (score, slot(index))).collect()
    }

    /// Candidates of every source compete; the best bounds are verified.
    fn approximate(&self, view: &View, stats: &mut SearchStats) -> Result<Vec<Hit>> {
        let started = Instant::now();
        let mut candidates = self.segment_candidates(view, stats)?;
        let sources = view.segments.len() as u32;
        let frozen_hits = match &view.frozen {
            Some(frozen) => self.memtable_hits(&frozen.table, &frozen.dead, stats),
            None => Vec::new(),
        };
        // What is already scored takes part with a bound that is its score.
        let scored = |source: u32, similarities: &mut dyn Iterator<Item = f32>| {
            similarities
                .enumerate()
                .map(|(offset, optimistic)| Candidate { source, offset: offset as u32, optimistic })
                .collect::<Vec<_>>()
        };
        stats.candidates += candidates.len() as u64;
        candidates.extend(scored(sources, &mut frozen_hits.iter().map(|hit| hit.0)));
        candidates.extend(scored(sources + 1, &mut view.active.iter().map(|hit| hit.0)));
        candidates.sort_by(|a, b| b.optimistic.total_cmp(&a.optimistic));
        stats.times.candidates += started.elapsed();

        let started = Instant::now();
        let metric = self.shared.config.metric;
        let mut rows_read = 0;
        let mut bytes_read = 0;
        let verified = verify(&candidates, self.params.limit(), |candidate| {
            let Some(view) = view.segments.get(candidate.source as usize) else {
                return Ok(candidate.optimistic);
            };
            let row = view.segment.dense.row(Offset(candidate.offset))?;
            rows_read += 1;
            bytes_read += view.segment.dense.row_bytes();
            Ok::<_, IndexError>(similarity(metric, &self.vector, row))
        })?;
        stats.rows_read += rows_read;
        stats.bytes_read += bytes_read;
        stats.times.verify += started.elapsed();

        verified
            .best
            .into_iter()
            .map(|(similarity, index)| {
                let Candidate { source, offset, .. } = candidates[index];
                let id = if let Some(view) = view.segments.get(source as usize) {
                    view.segment.ids.get(Offset(offset))?
                } else if source == sources {
                    let (_, slot) = frozen_hits[offset as usize];
                    frozen_id(view, slot)?
                } else {
                    view.active[offset as usize].1.clone()
                };
                Ok(Hit { similarity, id })
            })
            .collect()
    }

    /// Scans the codes of every segment; returns the candidates of all, best bound first.
    fn segment_candidates(&self, view: &View, stats: &mut SearchStats) -> Result<Vec<Candidate>> {
        let scan_into = |candidates: &mut Candidates, (source, view): (usize, &SegmentView)| {
            self.query.cancel.check()?;
            let codes = view.segment.codes.resident()?;
            candidates.begin_source(source as u32);
            Ok(flat::search(&codes, &self.code, &view.deleted, candidates))
        };
        let empty = || Candidates::new(self.params.limit(), self.max_candidates);
        let codes: u64 = view.segments.iter().map(|view| view.segment.rows()).sum();
        let sources = view.segments.len();
        let (scanned, candidates) = if sources > 1 && codes > PARALLEL_CODES {
            let scan_one = |source: (usize, &SegmentView)| {
                let mut candidates = empty();
                Ok::<_, Error>((scan_into(&mut candidates, source)?, candidates))
            };
            let merge = |mut a: (u64, Candidates), b: (u64, Candidates)| {
                a.1.merge(b.1);
                Ok((a.0 + b.0, a.1))
            };
            let scan_all = || {
                let segments = view.segments.par_iter().enumerate();
                segments.map(scan_one).try_reduce(|| (0, empty()), merge)
            };
            self.shared.resources.pool.install(scan_all)?
        } else {
            let mut candidates = empty();
            let mut scanned = 0;
            for source in view.segments.iter().enumerate() {
                let result: Result<u64> = scan_into(&mut candidates, source);
                scanned += result?;
            }
            (scanned, candidates)
        };
        stats.codes_scanned += scanned;
        Ok(candidates.into_sorted())
    }

    /// Scores every live row of every source.
    fn exact(&self, view: &View, stats: &mut SearchStats) -> Result<Vec<Hit>> {
        let started = Instant::now();
        let limit = self.params.limit();
        let mut tasks = Vec::new();
        for (source, view) in view.segments.iter().enumerate() {
            let starts = (0..view.segment.rows()).step_by(EXACT_CHUNK as usize);
            tasks.extend(starts.map(|start| (source, start)));
        }
        let chunks: Vec<Vec<(f32, u32, u32)>> = self.shared.resources.pool.install(|| {
            tasks
                .into_par_iter()
                .map(|(source, start)| self.exact_chunk(&view.segments[source], source, start))
                .collect::<Result<_>>()
        })?;
        for view in &view.segments {
            let live = view.segment.rows() - view.deleted.len();
            stats.rows_read += live;
            stats.bytes_read += live * view.segment.dense.row_bytes();
        }
        let mut hits = Vec::new();
        for (similarity, source, offset) in chunks.into_iter().flatten() {
            hits.push((similarity, source, offset));
        }
        hits.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        hits.truncate(limit);
        let mut results = Vec::with_capacity(limit);
        for (similarity, source, offset) in hits {
            let id = view.segments[source as usize].segment.ids.get(Offset(offset))?;
            results.push(Hit { similarity, id });
        }
        if let Some(frozen) = &view.frozen {
            for (similarity, slot) in self.memtable_hits(&frozen.table, &frozen.dead, stats) {
                results.push(Hit { similarity, id: frozen.table.id(slot).clone() });
            }
        }
        let active = view.active.iter();
        results
            .extend(active.map(|(similarity, id)| Hit { similarity: *similarity, id: id.clone() }));
        results.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        results.truncate(limit);
        stats.times.verify += started.elapsed();
        Ok(results)
    }

    fn exact_chunk(
        &self,
        view: &SegmentView,
        source: usize,
        start: u64,
    ) -> Result<Vec<(f32, u32, u32)>> {
        self.query.cancel.check()?;
        let metric = self.shared.config.metric;
        let end = (start + EXACT_CHUNK).min(view.segment.rows());
        let mut best = TopK::new(self.params.limit());
        for offset in start as u32..end as u32 {
            if !view.deleted.contains(offset) {
                let row = view.segment.dense.row(Offset(offset))?;
                best.push(similarity(metric, &self.vector, row), offset);
            }
        }
        let best = pairs(best).into_iter();
        Ok(best.map(|(similarity, offset)| (similarity, source as u32, offset)).collect())
    }

    /// Reads the payloads of the results; nothing when one of them is gone by now.
    fn fetch(&self, hits: Vec<Hit>) -> Result<Option<Vec<ScoredPoint>>> {
        let ids: Vec<PointId> = hits.iter().map(|hit| hit.id.clone()).collect();
        let payloads = self.shared.resources.store.view().payloads(self.shared.key, &ids)?;
        let metric = self.shared.config.metric;
        // A point without a payload row does not exist any more.
        let points = hits.into_iter().zip(payloads).map(|(hit, payload)| {
            let (id, score) = (hit.id, metric.score(hit.similarity));
            payload.map(|payload| ScoredPoint { id, score, payload })
        });
        Ok(points.collect())
    }

    fn plan(&self, view: &View) -> SearchPlan {
        let exact = self.params.exact();
        let mut sources: Vec<SourcePlan> = view
            .segments
            .iter()
            .map(|view| SourcePlan {
                source: format!("segment {}", view.segment.id),
                index: if exact { "exact scan" } else { "flat scan of codes" }.into(),
                rows: view.segment.rows(),
                deleted: view.deleted.len(),
            })
            .collect();
        sources.extend(view.frozen.iter().map(|frozen| memtable_plan(&frozen.table, &frozen.dead)));
        sources.push(view.active_plan.clone());
        SearchPlan {
            method: if exact { "exact" } else { "codes, then verify" }.into(),
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
    match params.oversampling() {
        Some(oversampling) => (params.limit() as f32 * oversampling).ceil() as usize,
        None => ((params.limit() as f32 * oversampling) as usize).max(least),
    }
}

fn memtable_plan(table: &Memtable, dead: &RoaringBitmap) -> SourcePlan {
    SourcePlan {
        source: "memtable".into(),
        index: "flat scan".into(),
        rows: table.len() as u64,
        deleted: dead.len(),
    }
}

fn frozen_id(view: &View, slot: u32) -> Result<PointId> {
    let frozen = view.frozen.as_ref();
    let gone = || Error::new(ErrorKind::Internal, "frozen memtable is gone");
    frozen.map(|frozen| frozen.table.id(slot).clone()).ok_or_else(gone)
}

fn pairs(best: TopK) -> Vec<(f32, u32)> {
    best.into_sorted().into_iter().map(|scored| (scored.score, scored.offset)).collect()
}
