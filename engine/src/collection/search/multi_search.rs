//! Searching by a multi-vector: sketches in memory say which points are worth an exact MaxSim.
//!
//! The view is taken in one step, as by every search: the segments with their deleted rows, and the
//! tokens of the memtables, which are shared and scored exactly once the lock is released. Candidates of
//! all segments compete by the estimates of their sketches; the best are read from disk, and scored
//! exactly. Where fewer match than would be read, no sketch is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bigrain_index::multi::{
    MultiQueryCode, ScoredRows, SketchFound, SketchSearch, TokensReader, TokensVerifier, max_sim,
};
use bigrain_types::{HalfTokens, MultiVector, Offset, PointId, SearchParams, SearchStats, SeqNo};
use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::Hit;
use super::field_source::FieldSource;
use super::hit::keep_best;
use crate::collection::Collection;
use crate::collection::handle::Shared;
use crate::collection::matching::live_slots;
use crate::collection::state::{SegmentView, State};
use crate::field::MultiField;
use crate::filtering::PreparedFilter;
use crate::memtable::Memtable;
use crate::plan::{SearchPlan, SourcePlan};
use crate::segment::MultiFiles;
use crate::{Error, ErrorKind, MultiQuery, Result, SearchOutput};

/// Points scored exactly for each result, and at least.
const OVERSAMPLING: usize = 20;
const LEAST_CANDIDATES: usize = 200;

/// Points scored exactly by one search at most, however many are asked for.
const MAX_CANDIDATES: usize = 1 << 16;

/// Points scored by one task.
const TASK_POINTS: usize = 64;

impl Collection {
    /// Returns the points of largest MaxSim with a multi-vector, largest first, those of equal scores
    /// by their ids: `limit` of them, or all that have a multi-vector in the field, match the filter and
    /// reach the score threshold. The score is the mean, over the query's tokens, of the largest
    /// similarity with any token of the point; it is exact for what is stored, tokens of halves.
    ///
    /// Token states of a text encoder (ColBERT) and patches of an image encoder (FILIP) alike:
    ///
    /// ```
    /// use bigrain_engine::{
    ///     CollectionConfig, Engine, EngineConfig, Metric, MultiFieldConfig, MultiQuery, MultiVector,
    ///     Point, PointId, SearchParams,
    /// };
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// // The last hidden states of each text, a vector for each token that is not padding. Under cosine
    /// // they are brought to length one.
    /// let fox = MultiVector::from_tokens(&[[0.9, 0.1, 0.0], [0.1, 0.9, 0.2]])?;
    /// let dog = MultiVector::from_tokens(&[[0.0, 0.2, 0.9], [0.2, 0.1, 0.8], [0.1, 0.9, 0.1]])?;
    ///
    /// let engine = Engine::open(folder, EngineConfig::default())?;
    /// let tokens = MultiFieldConfig::new("tokens", 3, Metric::Cosine);
    /// let texts = engine.create_collection("texts", CollectionConfig::of_multi(tokens))?;
    /// texts.upsert(vec![
    ///     Point::empty(PointId::parse("the quick fox")?).with_multi("tokens", fox),
    ///     Point::empty(PointId::parse("the lazy dog")?).with_multi("tokens", dog),
    /// ])?;
    /// let asked = MultiVector::from_tokens(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])?;
    /// let found = texts.search_multi(&MultiQuery::new(asked), &SearchParams::new(1)?)?;
    /// assert_eq!(found.points[0].id.to_string(), "the quick fox");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Which points are scored is decided by sketches: 20 for each result and at least 200, or as
    /// many as [oversampling](SearchParams::with_oversampling) says.
    /// [Exact](SearchParams::with_exact) searches score all.
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that the collection does not have; `FailedPrecondition` for one of another
    /// kind, or tokens of another dimension or embedding space; `InvalidArgument` for a token that is
    /// zero under cosine; `Cancelled`; `Corruption` when a stored block fails its check, which names the
    /// file.
    pub fn search_multi(&self, query: &MultiQuery, params: &SearchParams) -> Result<SearchOutput> {
        let shared = &*self.0;
        shared.run("search", || {
            let search = MultiVectorSearch::prepare(shared, query, *params)?;
            shared.retried(|| search.run())
        })
    }
}

/// One search by a multi-vector, its query checked and encoded.
pub(super) struct MultiVectorSearch<'a> {
    pub shared: &'a Shared,
    /// Their limit is that of the candidates where results are to be diverse.
    pub params: SearchParams,
    /// How many results are wanted.
    pub limit: usize,
    pub query: &'a MultiQuery,
    pub field: Arc<MultiField>,
    /// Tokens of length one under cosine.
    vector: MultiVector,
    code: MultiQueryCode,
    filter: Option<PreparedFilter>,
    max_candidates: usize,
    /// The time it took to prepare it.
    prepared: Duration,
}

/// What a search looks at, taken in one step.
struct View {
    segments: Vec<(SegmentView, Arc<MultiFiles>)>,
    memtables: Vec<InMemory>,
    seq: SeqNo,
}

/// What a memtable has for a search.
struct InMemory {
    points: Vec<(PointId, Arc<HalfTokens>)>,
    plan: SourcePlan,
}

/// A segment that has vectors of the field.
type Source = FieldSource<MultiFiles>;

/// A point of a segment, by what its sketch says; infinite where that was not asked.
#[derive(Clone, Copy)]
struct Candidate {
    estimate: f32,
    source: u32,
    offset: Offset,
}

/// The candidates of one segment, and what they cost.
struct Found {
    candidates: Vec<Candidate>,
    sketches: SketchFound,
    /// How they were found, for people.
    index: String,
}

impl<'a> MultiVectorSearch<'a> {
    pub fn prepare(
        shared: &'a Shared,
        query: &'a MultiQuery,
        mut params: SearchParams,
    ) -> Result<Self> {
        let started = Instant::now();
        let limit = params.limit();
        if let Some(diversity) = params.diversity() {
            params = params.with_limit(diversity.depth_for(limit))?;
        }
        let fields = shared.fields();
        let field = Arc::clone(fields.named_multi(query.field.as_deref())?);
        let checked = field.config.check_query(&query.vector, query.space);
        checked.map_err(|error| fields.at_name(&field.name, error))?;
        let mut vector = query.vector.clone();
        field.normalize(&mut vector);
        let code = MultiQueryCode::new(&field.binarizer, &vector)
            .map_err(|error| Error::invalid(error.to_string()))?;
        let filter = query.filter.as_ref().map(PreparedFilter::new).transpose()?;
        let wanted = match params.oversampling() {
            Some(oversampling) => (params.limit() as f32 * oversampling).ceil() as usize,
            None => (params.limit() * OVERSAMPLING).max(LEAST_CANDIDATES),
        };
        let max_candidates = wanted.min(MAX_CANDIDATES).max(params.limit());
        let prepared = started.elapsed();
        Ok(Self {
            shared,
            params,
            limit,
            query,
            field,
            vector,
            code,
            filter,
            max_candidates,
            prepared,
        })
    }

    /// Returns the results, or nothing when a result was deleted while it was being fetched.
    pub fn run(&self) -> Result<Option<SearchOutput>> {
        let mut stats = SearchStats::default();
        stats.times.prepare = self.prepared;
        let View { segments, memtables, seq } = self.view()?;
        stats.segments = segments.len() as u64;
        let started = Instant::now();
        let (filter, cancel) = (self.filter.as_ref(), &self.query.cancel);
        let sources = Source::all(self.shared, segments, filter, cancel, seq)?;
        let Some(sources) = sources else { return Ok(None) };
        stats.times.filter = started.elapsed();

        let started = Instant::now();
        let mut hits: Vec<Hit> = self.in_memory(&memtables);
        let found = self.in_segments(&sources)?;
        for found in &found {
            stats.lists += found.sketches.lists;
            stats.codes_scanned += found.sketches.codes;
        }
        let candidates = self.best_candidates(&found);
        stats.candidates += candidates.len() as u64;
        stats.times.candidates += started.elapsed();

        let started = Instant::now();
        hits.extend(self.verified(&sources, &candidates, &mut stats)?);
        hits.retain(|hit| self.params.is_good_enough(hit.similarity, true));
        keep_best(&mut hits, self.params.limit());
        stats.times.verify += started.elapsed();

        let started = Instant::now();
        let Some(hits) = self.diverse(hits, seq)? else { return Ok(None) };
        let scored = hits.into_iter().map(|hit| (hit.id, hit.similarity)).collect();
        let points = self.shared.results(scored, &self.params, seq)?;
        stats.times.payload = started.elapsed();
        let plan = self.params.explain().then(|| self.plan(&sources, found, memtables));
        Ok(points.map(|points| SearchOutput { points, stats, plan }))
    }

    fn view(&self) -> Result<View> {
        let state: &State = &self.shared.state.read();
        if state.fields.get_multi(self.field.id).is_none() {
            let reason = format!("field {:?} was dropped", self.field.name);
            return Err(Error::new(ErrorKind::NotFound, reason));
        }
        let with_files = |view: &SegmentView| {
            let files = Arc::clone(view.segment.multi(self.field.id)?);
            Some((view.clone(), files))
        };
        let frozen = state.frozen.iter().map(|frozen| self.of(&frozen.table, &frozen.dead));
        let active = self.of(&state.active, state.active.dead());
        Ok(View {
            segments: state.segments.iter().filter_map(with_files).collect(),
            memtables: frozen.chain([active]).collect(),
            seq: state.seq,
        })
    }

    /// Takes along what a memtable has.
    fn of(&self, table: &Memtable, dead: &RoaringBitmap) -> InMemory {
        let matching = self.filter.as_ref().map(|filter| live_slots(table, dead, filter));
        let passes = |slot: u32| match &matching {
            Some(matching) => matching.contains(slot),
            None => !dead.contains(slot),
        };
        let rows = table.multi(self.field.id).map(|column| column.rows()).unwrap_or_default();
        let passing = rows.iter().filter(|(slot, _)| passes(*slot));
        let points: Vec<_> =
            passing.map(|(slot, tokens)| (table.id(*slot).clone(), Arc::clone(tokens))).collect();
        let plan = SourcePlan {
            source: "memtable".into(),
            index: format!("{} scored one by one", points.len()),
            reads: None,
            filter: matching.map(|slots| format!("{} match, by their payloads", slots.len())),
            version: None,
            scanned_by: None,
            rows: rows.len() as u64,
            deleted: if self.params.explain() {
                rows.iter().filter(|(slot, _)| dead.contains(*slot)).count() as u64
            } else {
                0
            },
        };
        InMemory { points, plan }
    }

    /// Scores the points of memtables.
    fn in_memory(&self, memtables: &[InMemory]) -> Vec<Hit> {
        let points: Vec<_> = memtables.iter().flat_map(|table| &table.points).collect();
        let score = |(id, tokens): &&(PointId, Arc<HalfTokens>)| Hit {
            similarity: max_sim(&self.vector, tokens.view()),
            id: id.clone(),
        };
        if points.len() <= TASK_POINTS {
            return points.iter().map(score).collect();
        }
        let all = || points.par_iter().with_min_len(TASK_POINTS).map(score).collect();
        self.shared.resources.threads.run(all)
    }

    /// Searches the sketches of all segments.
    fn in_segments(&self, sources: &[Source]) -> Result<Vec<Found>> {
        let search = |(source, at): (u32, &Source)| self.in_segment(source, at);
        let all = || {
            let numbered: Vec<(u32, &Source)> = (0..).zip(sources).collect();
            numbered.into_par_iter().map(search).collect()
        };
        self.shared.resources.threads.run(all)
    }

    fn in_segment(&self, number: u32, source: &Source) -> Result<Found> {
        self.query.cancel.check()?;
        let certain = |offset: u32| Candidate {
            estimate: f32::INFINITY,
            source: number,
            offset: Offset(offset),
        };
        let few = |rows: &&RoaringBitmap| rows.len() <= self.max_candidates as u64;
        let few = source.matching.as_ref().filter(few).filter(|_| self.params.verify());
        if self.params.exact() || few.is_some() {
            let mut candidates = Vec::new();
            let mut take = |offset: u32| -> Result<()> {
                if source.files.tokens.has(Offset(offset))? {
                    candidates.push(certain(offset));
                }
                Ok(())
            };
            match &source.matching {
                Some(rows) => rows.iter().try_for_each(&mut take)?,
                None => {
                    let rows = 0..source.view.segment.rows() as u32;
                    let mut alive = rows.filter(|offset| !source.view.deleted.contains(*offset));
                    alive.try_for_each(&mut take)?;
                }
            }
            let index = if few.is_some() {
                "scored one by one, because few match".to_owned()
            } else {
                "scored one by one".to_owned()
            };
            return Ok(Found { candidates, sketches: SketchFound::default(), index });
        }
        let sketches = source.files.sketches.resident()?;
        let probes = self.params.probes().or_else(|| sketches.probes_for(self.target()));
        let search = SketchSearch { sketches: &sketches, query: &self.code };
        let found = search.best(self.max_candidates, probes, |offset| source.passes(offset));
        let of_rows = found.best.iter().map(|scored| Candidate {
            estimate: scored.score,
            source: number,
            offset: Offset(scored.offset),
        });
        let index = format!(
            "{} of {} lists, sketches of {} codes",
            found.lists,
            sketches.lists(),
            found.codes
        );
        Ok(Found { candidates: of_rows.collect(), sketches: found, index })
    }

    /// What lists aim at. They were measured with points as queries, and what they miss no exact score
    /// brings back; so they give up a quarter of what the target does.
    fn target(&self) -> f32 {
        let target = self.params.target_recall();
        target + 0.75 * (1.0 - target)
    }

    /// Returns the best candidates of all segments, and all whose sketches were not asked.
    fn best_candidates(&self, found: &[Found]) -> Vec<Candidate> {
        let all = found.iter().flat_map(|found| &found.candidates).copied();
        let (mut candidates, mut rest): (Vec<_>, Vec<_>) =
            all.partition(|candidate| candidate.estimate == f32::INFINITY);
        rest.sort_by(|a, b| b.estimate.total_cmp(&a.estimate));
        rest.truncate(self.max_candidates);
        candidates.extend(rest);
        candidates
    }

    /// Scores candidates exactly, unless that is not wanted.
    fn verified(
        &self,
        sources: &[Source],
        candidates: &[Candidate],
        stats: &mut SearchStats,
    ) -> Result<Vec<Hit>> {
        let scores = if self.params.verify() || self.params.exact() {
            let scored = self.scores(sources, candidates)?;
            stats.rows_read += scored.scores.len() as u64;
            stats.bytes_read += scored.bytes;
            scored.scores
        } else {
            candidates.iter().map(|candidate| candidate.estimate).collect()
        };
        let mut best: Vec<(f32, &Candidate)> = scores.into_iter().zip(candidates).collect();
        best.sort_by(|a, b| b.0.total_cmp(&a.0));
        // Equal scores are told apart by ids, so those of the last one's score are kept too.
        let last = best.get(self.params.limit() - 1).map_or(f32::NEG_INFINITY, |last| last.0);
        let hit = |(similarity, candidate): (f32, &Candidate)| {
            let segment = &sources[candidate.source as usize].view.segment;
            Ok(Hit { similarity, id: segment.ids.get(candidate.offset)? })
        };
        best.into_iter().take_while(|(score, _)| *score >= last).map(hit).collect()
    }

    fn scores(&self, sources: &[Source], candidates: &[Candidate]) -> Result<ScoredRows> {
        let readers: Vec<&TokensReader> = sources.iter().map(|at| &at.files.tokens).collect();
        let verifier = TokensVerifier {
            query: &self.vector,
            sources: &readers,
            io: &self.shared.resources.row_io,
            cancel: &self.query.cancel,
        };
        let points: Vec<(u32, Offset)> =
            candidates.iter().map(|candidate| (candidate.source, candidate.offset)).collect();
        if points.len() <= TASK_POINTS {
            return Ok(verifier.score(&points)?);
        }
        let parts: Result<Vec<ScoredRows>, _> =
            self.shared.resources.threads.run(|| {
                points.par_chunks(TASK_POINTS).map(|points| verifier.score(points)).collect()
            });
        let mut all = ScoredRows::default();
        for part in parts? {
            all.scores.extend(part.scores);
            all.bytes += part.bytes;
        }
        Ok(all)
    }

    fn plan(&self, sources: &[Source], found: Vec<Found>, memtables: Vec<InMemory>) -> SearchPlan {
        let verify = self.params.verify() || self.params.exact();
        let why = "sketches of multi-vectors are not on the device";
        let scanned_by = self.shared.resources.scanned_here(why);
        let segment = |(source, found): (&Source, Found)| SourcePlan {
            source: format!("segment {}", source.view.segment.id),
            index: found.index,
            reads: verify.then(|| {
                self.shared.resources.row_io.describe(source.files.tokens.file()).to_owned()
            }),
            filter: source.matching.as_ref().map(|rows| format!("{} match", rows.len())),
            version: None,
            scanned_by: if self.params.exact() { None } else { scanned_by.clone() },
            rows: source.files.tokens.vectors(),
            deleted: source.view.deleted.len(),
        };
        let sources = sources.iter().zip(found).map(segment);
        let tokens = self.vector.tokens();
        let method = match (self.params.exact(), self.params.verify()) {
            (true, _) => "exact MaxSim",
            (false, true) => "sketches, then exact MaxSim",
            (false, false) => "sketches alone",
        };
        SearchPlan {
            method: format!("{method} of {tokens} tokens"),
            field: self.field.name.to_string(),
            levels: 1,
            query_bits: self.code.width() as u8,
            max_candidates: self.max_candidates,
            sources: sources.chain(memtables.into_iter().map(|table| table.plan)).collect(),
            parts: Vec::new(),
        }
    }
}
