//! Searching by a sparse vector, exactly.
//!
//! The view is taken in one step, as by every search: the segments with their deleted rows, and the best
//! of the memtable, which may grow as soon as the lock is released. Then every segment gives its best
//! rows and all that are as good as the last of these, so that equal scores are told apart by ids and
//! not by where points happen to lie.
//!
//! Where the field weighs dimensions by how rare they are, nothing can be scored before it is counted
//! everywhere. Then the view holds, in place of the memtable's best, what was counted there
//! (`weighing`), and all sources are searched with the query that the counts give.

mod weighing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bigrain_index::sparse::{SparseFound, SparseIndex, SparseSearch};
use bigrain_types::{Offset, SearchParams, SearchStats, SeqNo, SparseVector};
use rayon::prelude::*;
use roaring::RoaringBitmap;

use self::weighing::{Active, Weighed};
use super::Hit;
use super::field_source::FieldSource;
use super::hit::keep_best;
use crate::collection::Collection;
use crate::collection::handle::Shared;
use crate::collection::matching::live_slots;
use crate::collection::state::{Frozen, SegmentView, State};
use crate::field::{SparseField, SparseModifier};
use crate::filtering::PreparedFilter;
use crate::memtable::Memtable;
use crate::plan::{SearchPlan, SourcePlan};
use crate::segment::SparseFiles;
use crate::{Error, ErrorKind, Result, SearchOutput, SparseQuery};

impl Collection {
    /// Returns the points of largest dot product with a sparse query, largest first, those of equal
    /// scores by their ids: `limit` of them, or all that match. A point matches if its vector in the
    /// field shares a dimension with the query, whatever the product is, and the point matches the
    /// filter and reaches the score threshold. Scores are exact. Where the field says
    /// so ([`SparseModifier`](crate::SparseModifier)), the query's values are multiplied by how rare their
    /// dimensions are among all live points. Of the parameters, limit, score
    /// threshold, diversity, payload and explain count here.
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that the collection does not have; `FailedPrecondition` for one that is
    /// dense, or where none is sparse; `Cancelled`; `Corruption` when a stored block fails its check, which
    /// names the file.
    pub fn search_sparse(
        &self,
        query: &SparseQuery,
        params: &SearchParams,
    ) -> Result<SearchOutput> {
        let shared = &*self.0;
        shared.run("search", || {
            let search = SparseVectorSearch::prepare(shared, query, *params)?;
            shared.retried(|| search.run())
        })
    }
}

/// One search by a sparse vector, its query checked.
pub(super) struct SparseVectorSearch<'a> {
    pub shared: &'a Shared,
    /// Their limit is that of the candidates where results are to be diverse.
    pub params: SearchParams,
    /// How many results are wanted.
    pub limit: usize,
    pub query: &'a SparseQuery,
    pub field: Arc<SparseField>,
    filter: Option<PreparedFilter>,
    /// The time it took to prepare it.
    prepared: Duration,
}

/// What a search looks at, taken in one step.
struct View {
    segments: Vec<(SegmentView, Arc<SparseFiles>)>,
    frozen: Option<Frozen>,
    active: Active,
    active_plan: SourcePlan,
    seq: SeqNo,
}

/// A segment that has vectors of the field.
type Source = FieldSource<SparseFiles>;

/// Which rows of a source are searched.
struct Passing<'a> {
    /// What matches the filter and is alive, if there is a filter.
    matching: Option<&'a RoaringBitmap>,
    dead: &'a RoaringBitmap,
    /// Rows from here on are passed over; of those before it, what matches.
    end: u32,
}

/// What came of a source.
#[derive(Default)]
struct Searched {
    found: SparseFound,
    lists: u64,
    /// How it was searched, for people.
    index: String,
}

impl Passing<'_> {
    fn skips(&self, row: u32) -> bool {
        match self.matching {
            Some(matching) => !matching.contains(row),
            None => row >= self.end || self.dead.contains(row),
        }
    }
}

impl<'a> SparseVectorSearch<'a> {
    pub fn prepare(
        shared: &'a Shared,
        query: &'a SparseQuery,
        mut params: SearchParams,
    ) -> Result<Self> {
        let started = Instant::now();
        let limit = params.limit();
        if let Some(diversity) = params.diversity() {
            params = params.with_limit(diversity.depth_for(limit))?;
        }
        let field = Arc::clone(shared.fields().named_sparse(query.field.as_deref())?);
        let filter = query.filter.as_ref().map(PreparedFilter::new).transpose()?;
        let prepared = started.elapsed();
        Ok(Self { shared, params, limit, query, field, filter, prepared })
    }

    /// Returns the results, or nothing when a result was deleted while it was being fetched.
    pub fn run(&self) -> Result<Option<SearchOutput>> {
        let mut stats = SearchStats::default();
        stats.times.prepare = self.prepared;
        let view = self.view(&mut stats)?;
        self.answer(view, stats)
    }

    /// Answers by a view.
    fn answer(&self, view: View, mut stats: SearchStats) -> Result<Option<SearchOutput>> {
        let View { segments, frozen, active, active_plan, seq } = view;
        stats.segments = segments.len() as u64;
        let started = Instant::now();
        let (filter, cancel) = (self.filter.as_ref(), &self.query.cancel);
        let sources = Source::all(self.shared, segments, filter, cancel, seq)?;
        let Some(sources) = sources else { return Ok(None) };
        stats.times.filter = started.elapsed();

        let started = Instant::now();
        let query = self.weigh(&active, frozen.as_ref(), &sources)?;
        let mut memtables = vec![active_plan];
        let hits = self.in_active(active, &query, &mut memtables[0], &mut stats)?;
        let Some(mut hits) = hits else { return Ok(None) };
        if let Some(Frozen { table, dead, .. }) = &frozen {
            let (of_frozen, plan) = self.in_memtable(table, dead, &query.vector, &mut stats)?;
            hits.extend(of_frozen);
            memtables.insert(0, plan);
        }
        let searched = self.in_segments(&sources, &query.vector)?;
        for (source, searched) in sources.iter().zip(&searched) {
            searched.count(&mut stats);
            for row in &searched.found.rows {
                let id = source.view.segment.ids.get(Offset(row.offset))?;
                hits.push(Hit { similarity: row.score, id });
            }
        }
        keep_best(&mut hits, self.params.limit());
        stats.times.candidates += started.elapsed();

        let started = Instant::now();
        let Some(hits) = self.diverse(hits, seq)? else { return Ok(None) };
        let scored = hits.into_iter().map(|hit| (hit.id, hit.similarity)).collect();
        let points = self.shared.results(scored, &self.params, seq)?;
        stats.times.payload = started.elapsed();
        let plan = self.params.explain().then(|| self.plan(&query, &sources, searched, memtables));
        Ok(points.map(|points| SearchOutput { points, stats, plan }))
    }

    fn view(&self, stats: &mut SearchStats) -> Result<View> {
        let state: &State = &self.shared.state.read();
        if state.fields.get_sparse(self.field.id).is_none() {
            let reason = format!("field {:?} was dropped", self.field.name);
            return Err(Error::new(ErrorKind::NotFound, reason));
        }
        let with_file = |view: &SegmentView| {
            let files = Arc::clone(view.segment.sparse(self.field.id)?);
            Some((view.clone(), files))
        };
        let started = Instant::now();
        let (table, dead) = (&state.active, state.active.dead());
        let (active, active_plan) = match self.field.config.modifier {
            SparseModifier::None => {
                let (hits, plan) = self.in_memtable(table, dead, &self.query.vector, stats)?;
                (Active::Scored(hits), plan)
            }
            SparseModifier::Idf => self.count(table, dead)?,
        };
        stats.times.candidates += started.elapsed();
        Ok(View {
            segments: state.segments.iter().filter_map(with_file).collect(),
            frozen: state.frozen.clone(),
            active,
            active_plan,
            seq: state.seq,
        })
    }

    /// Returns the best points of a memtable.
    fn in_memtable(
        &self,
        table: &Memtable,
        dead: &RoaringBitmap,
        query: &SparseVector,
        stats: &mut SearchStats,
    ) -> Result<(Vec<Hit>, SourcePlan)> {
        let matching = self.filter.as_ref().map(|filter| live_slots(table, dead, filter));
        let searched = match table.sparse(self.field.id) {
            Some(vectors) => {
                let passing = Passing { matching: matching.as_ref(), dead, end: u32::MAX };
                self.search(vectors, query, &passing)?
            }
            None => Searched::default(),
        };
        searched.count(stats);
        let hits = searched.hits(table);
        let plan = self.memtable_plan(table, dead, matching.as_ref());
        Ok((hits, SourcePlan { index: searched.index, ..plan }))
    }

    /// Returns the plan of a memtable, but for how it is searched.
    fn memtable_plan(
        &self,
        table: &Memtable,
        dead: &RoaringBitmap,
        matching: Option<&RoaringBitmap>,
    ) -> SourcePlan {
        let vectors = table.sparse(self.field.id);
        let rows = vectors.map(|vectors| vectors.rows().numbers()).unwrap_or_default();
        SourcePlan {
            source: "memtable".into(),
            index: String::new(),
            reads: None,
            filter: matching.map(|slots| format!("{} match, by their payloads", slots.len())),
            version: None,
            scanned_by: None,
            rows: rows.len() as u64,
            deleted: if self.params.explain() {
                rows.iter().filter(|slot| dead.contains(**slot)).count() as u64
            } else {
                0
            },
        }
    }

    /// Searches all segments.
    fn in_segments(&self, sources: &[Source], query: &SparseVector) -> Result<Vec<Searched>> {
        let search = |source: &Source| {
            let (matching, dead) = (source.matching.as_ref(), &*source.view.deleted);
            let passing = Passing { matching, dead, end: u32::MAX };
            self.search(&source.files.reader, query, &passing)
        };
        let all = || sources.par_iter().map(search).collect();
        self.shared.resources.threads.run(all)
    }

    /// Searches one source: by its lists, or row by row where so few match that this is less work.
    fn search(
        &self,
        index: &impl SparseIndex,
        query: &SparseVector,
        passing: &Passing<'_>,
    ) -> Result<Searched> {
        self.query.cancel.check()?;
        let (limit, cancel) = (self.params.limit(), &self.query.cancel);
        let floor = self.params.score_threshold().unwrap_or(f32::NEG_INFINITY);
        let search = SparseSearch::new(index, query.view())?;
        let (lists, components) = (search.lists() as u64, search.components());
        let few = passing.matching.filter(|rows| search.is_more_work_than_rows(rows.len()));
        let found = match few {
            Some(rows) => search.best_of(rows, limit, floor, cancel)?,
            None => search.best(limit, floor, |row| passing.skips(row), cancel)?,
        };
        let index = match few {
            Some(_) => "rows scored one by one, because few match".to_owned(),
            None => format!("{lists} inverted lists of {components} components"),
        };
        Ok(Searched { found, lists, index })
    }

    fn plan(
        &self,
        query: &Weighed,
        sources: &[Source],
        searched: Vec<Searched>,
        memtables: Vec<SourcePlan>,
    ) -> SearchPlan {
        let segment = |(source, searched): (&Source, Searched)| SourcePlan {
            source: format!("segment {}", source.view.segment.id),
            index: searched.index,
            reads: None,
            filter: source.matching.as_ref().map(|rows| format!("{} match", rows.len())),
            version: None,
            scanned_by: None,
            rows: source.files.reader.vectors(),
            deleted: source.view.deleted.len(),
        };
        SearchPlan {
            method: query.describe(),
            field: self.field.name.to_string(),
            levels: 0,
            query_bits: 0,
            max_candidates: 0,
            sources: sources.iter().zip(searched).map(segment).chain(memtables).collect(),
            parts: Vec::new(),
        }
    }
}

impl Searched {
    /// Returns what was found in a memtable.
    fn hits(&self, table: &Memtable) -> Vec<Hit> {
        let hit = |row: &bigrain_kernels::Scored| Hit {
            similarity: row.score,
            id: table.id(row.offset).clone(),
        };
        self.found.rows.iter().map(hit).collect()
    }

    fn count(&self, stats: &mut SearchStats) {
        stats.lists += self.lists;
        stats.components += self.found.components;
        stats.rows_read += self.found.scored;
    }
}
