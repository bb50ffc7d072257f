//! One search by vector, from the query to the points.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bigrain_binarize::QueryCode;
use bigrain_types::{CodeSpaceId, SearchParams, SearchStats, SeqNo};

use super::Hit;
use super::adapted::adapted_params;
use super::predecessor::during_succession;
use super::query_versions::QueryVersions;
use super::view::View;
use crate::collection::Collection;
use crate::collection::handle::Shared;
use crate::field::Field;
use crate::filtering::PreparedFilter;
use crate::{Error, ErrorKind, Query, Result, ScoredPoint, SearchOutput};

/// Candidates of one search at most, whatever the caller asks for: 12 bytes each, times two.
const MAX_CANDIDATES: usize = 1 << 20;

impl Collection {
    /// Returns the points nearest to a query, nearest first: `limit` of them, or all that have a vector
    /// in the query's field, match its filter and score well enough. Diverse results come in the order in
    /// which they were picked.
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that the collection does not have; `FailedPrecondition` for a query of
    /// another dimension or embedding space; `InvalidArgument` for one that is not finite, or zero
    /// under cosine; `Cancelled`; `Corruption` when a stored block fails its check, which names the file.
    pub fn search(&self, query: &Query, params: &SearchParams) -> Result<SearchOutput> {
        let shared = &*self.0;
        shared.run("search", || {
            let search = VectorSearch::prepare(shared, query, params)?;
            shared.retried(|| search.run())
        })
    }
}

/// One search, its query checked and encoded.
#[derive(Clone)]
pub(super) struct VectorSearch<'a> {
    pub shared: &'a Shared,
    /// Their limit is that of the candidates where results are to be diverse, an adapter scores them, or they are
    /// compared with those of an encoder before.
    pub params: SearchParams,
    /// How many of the best count once all are scored; diverse ones are picked from these.
    pub ranked: usize,
    /// How many results are wanted.
    pub limit: usize,
    pub query: &'a Query,
    pub field: Arc<Field>,
    pub filter: Option<PreparedFilter>,
    /// Of length one under cosine.
    pub vector: Vec<f32>,
    pub code: QueryVersions,
    pub max_candidates: usize,
    /// The time it took to prepare it.
    pub prepared: Duration,
}

/// The best of one view, best first.
pub(super) struct Found {
    pub hits: Vec<Hit>,
    pub view: View,
}

impl<'a> VectorSearch<'a> {
    pub fn prepare(shared: &'a Shared, query: &'a Query, params: &SearchParams) -> Result<Self> {
        let started = Instant::now();
        let (limit, mut params) = (params.limit(), *params);
        if let Some(diversity) = params.diversity() {
            params = params.with_limit(diversity.depth_for(limit))?;
        }
        let ranked = params.limit();
        let fields = shared.fields();
        let field = Arc::clone(fields.named(query.field.as_deref())?);
        let checked = field.check_query(&query.vector, query.space);
        checked.map_err(|error| fields.at(&field, error))?;
        if let Some(before) = fields.before(&field) {
            let params_of_both = during_succession(query, params, &field, before);
            params = params_of_both.map_err(|error| fields.at(&field, error))?;
        }
        if let Some(adapter) = &query.adapter {
            let checked = adapter.check_field(&field.config);
            checked.map_err(|error| fields.at(&field, error))?;
            params = adapted_params(adapter, params)?;
        }
        let mut vector = query.vector.clone();
        field.normalize(&mut vector);
        let code = QueryVersions::new(&field, &vector)?;
        let max_candidates = max_candidates(&params, field.config.levels.get());
        let filter = query.filter.as_ref().map(PreparedFilter::new).transpose()?;
        let prepared = started.elapsed();
        Ok(Self {
            shared,
            params,
            ranked,
            limit,
            query,
            field,
            filter,
            vector,
            code,
            max_candidates,
            prepared,
        })
    }

    /// Returns the results, or nothing when a result was deleted, or the version of the codes changed, while they
    /// were being fetched.
    pub fn run(&self) -> Result<Option<SearchOutput>> {
        match self.shared.fields().get(self.field.id) {
            Some(field) if field.is_followed && !self.field.is_followed => {
                let reason = format!("field {:?} went over to another encoder", self.field.name);
                Err(Error::new(ErrorKind::FailedPrecondition, reason))
            }
            Some(field) if !self.is_of_version(field) => {
                let code = QueryVersions::new(field, &self.vector)?;
                let field = Arc::clone(field);
                Self { field, code, ..self.clone() }.run_prepared()
            }
            Some(_) | None => self.run_prepared(),
        }
    }

    /// Whether the query was encoded as a version of its field does, and the field stands where it stood.
    pub fn is_of_version(&self, field: &Field) -> bool {
        field.binarizer.id() == self.field.binarizer.id()
            && field.is_followed == self.field.is_followed
    }

    /// Returns the query's code for codes of a space.
    pub fn code_for(&self, space: CodeSpaceId) -> Result<&QueryCode> {
        self.code.for_codes_of(space)
    }

    fn run_prepared(&self) -> Result<Option<SearchOutput>> {
        let mut stats = SearchStats::default();
        stats.times.prepare = self.prepared;
        // First: a point that goes over meanwhile is found by both, and never by neither.
        let Some(before) = self.before(&mut stats)? else { return Ok(None) };
        let Some(mut found) = self.find(&mut stats)? else { return Ok(None) };
        let (mut seq, mut plan_before) = (found.view.seq, None);
        if let Some(mut before) = before {
            seq = seq.min(before.found.view.seq);
            plan_before = before.plan.take();
            self.join(&mut found, before);
        }
        let Found { hits, view } = found;
        let Some(mut hits) = self.adapted(hits, seq, &mut stats)? else { return Ok(None) };
        let started = Instant::now();
        hits.truncate(self.ranked);
        let hits = self.good_enough(hits);
        let Some(hits) = self.diverse(hits, seq)? else { return Ok(None) };
        let points = self.fetch(hits, seq)?;
        stats.times.payload = started.elapsed();
        let plan = self.params.explain().then(|| {
            let mut plan = self.plan(&view);
            plan.parts.extend(plan_before);
            plan
        });
        Ok(points.map(|points| SearchOutput { points, stats, plan }))
    }

    /// Returns the best of one view, or nothing when the version of the codes changed meanwhile, or a point while
    /// a filter asked for its payload.
    pub fn find(&self, stats: &mut SearchStats) -> Result<Option<Found>> {
        let Some(mut view) = self.view(stats)? else { return Ok(None) };
        stats.segments += view.segments.len() as u64;
        let Some(filtered) = self.filtered(&view.segments, view.seq, stats)? else {
            return Ok(None);
        };
        view.filtered = filtered;
        let mut in_memory = std::mem::take(&mut view.active);
        if let Some(frozen) = &view.frozen {
            let frozen = (&*frozen.table, &*frozen.dead);
            in_memory.extend(self.memtable_hits(frozen, &in_memory, stats)?);
        }
        let hits = if self.params.exact() {
            self.exact(&view.segments, &view.filtered, in_memory, stats)?
        } else {
            self.approximate(&view, &in_memory, stats)?
        };
        Ok(Some(Found { hits, view }))
    }

    /// Leaves out what scores worse than the threshold.
    fn good_enough(&self, mut hits: Vec<Hit>) -> Vec<Hit> {
        let metric = self.field.config.metric;
        hits.retain(|hit| {
            self.params.is_good_enough(metric.score(hit.similarity), metric.larger_is_nearer())
        });
        hits
    }

    /// Reads the payloads of the results; nothing when one of them was deleted or replaced since
    /// the view was taken. Without payloads nothing is read, and the results are those of the view.
    fn fetch(&self, hits: Vec<Hit>, seq: SeqNo) -> Result<Option<Vec<ScoredPoint>>> {
        let metric = self.field.config.metric;
        let scored = hits.into_iter().map(|hit| (hit.id, metric.score(hit.similarity)));
        self.shared.results(scored.collect(), &self.params, seq)
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
