//! The best points of each of the best values of a payload field.
//!
//! The nearest points tell most groups, and often all of what is wanted. If they tell too few, the
//! values that exist are counted, and the search goes on among points that have one of the others:
//! whatever it finds is of a new group. A group that came out short is searched by itself.

use std::collections::{BTreeMap, BTreeSet};

use bigrain_types::filter::{Condition, FieldTest, Scalar};
use bigrain_types::{MAX_LIMIT, PointId, SearchParams, SearchStats, SeqNo};

use super::{SparseVectorSearch, VectorSearch, refuse_diversity, without_payload};
use crate::collection::Collection;
use crate::collection::handle::Shared;
use crate::{
    Error, Group, GroupBy, GroupOutput, Result, ScoredPoint, SearchOutput, SearchPlan, VectorQuery,
};

/// Points that are looked at first, for each that is wanted.
const DEPTH_FACTOR: usize = 3;

/// Values that one search is told to look among.
const MAX_VALUES: usize = 16_384;

impl Collection {
    /// Returns the best points of each of the best values of a payload field. The limit of the
    /// parameters counts groups: so many come back, or as many as there are among the points that match
    /// and score well enough.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for diversity, or more than [`MAX_LIMIT`] points in all groups; and as
    /// [`search_by_vector`](Self::search_by_vector).
    pub fn search_groups(
        &self,
        query: impl Into<VectorQuery>,
        by: &GroupBy,
        params: &SearchParams,
    ) -> Result<GroupOutput> {
        let (shared, query) = (&*self.0, &query.into());
        shared.run("search", || {
            refuse_diversity(params)?;
            let points = params.limit().saturating_mul(by.per_group);
            if points > MAX_LIMIT {
                let reason = format!("groups may have {MAX_LIMIT} points in all, got {points}");
                return Err(Error::invalid(reason));
            }
            shared.retried(|| Grouping::new(shared, query, by, params)?.run())
        })
    }
}

/// One search for groups, and what it has found.
struct Grouping<'a> {
    shared: &'a Shared,
    query: &'a VectorQuery,
    by: &'a GroupBy,
    params: &'a SearchParams,
    larger_is_better: bool,
    /// How many points one search returns.
    depth: usize,
    found: BTreeMap<Scalar, Found>,
    stats: SearchStats,
    plan: Option<SearchPlan>,
}

/// What is known of a group.
struct Found {
    /// Nearest first.
    points: Vec<(PointId, f32)>,
    /// Whether there are no better ones, and no others if they are fewer than wanted.
    complete: bool,
}

impl<'a> Grouping<'a> {
    fn new(
        shared: &'a Shared,
        query: &'a VectorQuery,
        by: &'a GroupBy,
        params: &'a SearchParams,
    ) -> Result<Self> {
        let depth = (params.limit() * by.per_group).saturating_mul(DEPTH_FACTOR).min(MAX_LIMIT);
        let larger_is_better = match query {
            VectorQuery::Dense(query) => {
                let fields = shared.fields();
                fields.named(query.field.as_deref())?.config.metric.larger_is_nearer()
            }
            VectorQuery::Sparse(_) => true,
        };
        let (found, stats) = (BTreeMap::new(), SearchStats::default());
        Ok(Self { shared, query, by, params, larger_is_better, depth, found, stats, plan: None })
    }

    /// Returns the groups; nothing when a result was deleted or replaced meanwhile.
    fn run(mut self) -> Result<Option<GroupOutput>> {
        let seq = self.shared.state.read().seq;
        let Some(first) = self.search(None, self.depth)? else { return Ok(None) };
        let is_all = first.points.len() < self.depth;
        self.plan = first.plan;
        self.take(first.points, None);
        if !is_all && self.found.len() < self.params.limit() {
            let Some(()) = self.discover()? else { return Ok(None) };
        }
        let mut best = self.best();
        for (value, found) in &mut best {
            if !found.complete {
                let among = FieldTest::In(BTreeSet::from([value.clone()]));
                let searched = self.search(Some(among), self.by.per_group)?;
                let Some(searched) = searched else { return Ok(None) };
                found.points = scored(searched.points).collect();
            }
        }
        // A point may have lost its value since the group was found.
        best.retain(|(_, found)| !found.points.is_empty());
        self.sort(&mut best);
        self.finish(best, seq)
    }

    /// Finds groups that are not known yet, until there are enough or no others exist.
    fn discover(&mut self) -> Result<Option<()>> {
        let filter = self.query.filter().cloned().unwrap_or_default();
        let Some(values) = self.shared.values(&self.by.field, &filter)? else { return Ok(None) };
        let unknown = values.into_iter().filter(|value| !self.found.contains_key(value));
        let unknown: Vec<Scalar> = unknown.collect::<BTreeSet<Scalar>>().into_iter().collect();
        let wanted = self.params.limit() - self.found.len();
        for values in unknown.chunks(MAX_VALUES) {
            let mut left: BTreeSet<Scalar> = values.iter().cloned().collect();
            // Each part of the values is searched until it alone has enough: which are the best of all
            // is known in the end.
            while !left.is_empty() && values.len() - left.len() < wanted {
                let searched = self.search(Some(FieldTest::In(left.clone())), self.depth)?;
                let Some(searched) = searched else { return Ok(None) };
                let before = left.len();
                self.take(searched.points, Some(&left));
                left.retain(|value| !self.found.contains_key(value));
                if left.len() == before {
                    break;
                }
            }
        }
        Ok(Some(()))
    }

    /// Sorts points into groups: those of some values, or of any.
    fn take(&mut self, points: Vec<ScoredPoint>, among: Option<&BTreeSet<Scalar>>) {
        let is_all = points.len() < self.depth;
        let mut groups: BTreeMap<Scalar, Found> = BTreeMap::new();
        for ScoredPoint { id, score, payload } in points {
            for value in self.by.field.scalars(&payload) {
                if among.is_some_and(|among| !among.contains(&value)) {
                    continue;
                }
                let found = Found { points: Vec::new(), complete: is_all };
                let found = groups.entry(value).or_insert(found);
                if found.points.len() < self.by.per_group {
                    found.points.push((id.clone(), score));
                }
                found.complete |= found.points.len() == self.by.per_group;
            }
        }
        self.found.append(&mut groups);
    }

    /// Returns the groups whose first points are best.
    fn best(&mut self) -> Vec<(Scalar, Found)> {
        let mut groups: Vec<(Scalar, Found)> =
            std::mem::take(&mut self.found).into_iter().collect();
        self.sort(&mut groups);
        groups.truncate(self.params.limit());
        groups
    }

    /// Sorts groups by their first points, stable among equals.
    fn sort(&self, groups: &mut [(Scalar, Found)]) {
        let score = |found: &Found| {
            let first = found.points.first().map_or(f32::NAN, |(_, score)| *score);
            if self.larger_is_better { first } else { -first }
        };
        groups.sort_by(|(_, a), (_, b)| score(b).total_cmp(&score(a)));
    }

    /// Reads the payloads of all results.
    fn finish(self, best: Vec<(Scalar, Found)>, seq: SeqNo) -> Result<Option<GroupOutput>> {
        let all = best.iter().flat_map(|(_, found)| found.points.iter().cloned()).collect();
        let Some(points) = self.shared.with_payloads(all, seq)? else { return Ok(None) };
        let mut points = points.into_iter();
        let mut groups = Vec::with_capacity(best.len());
        for (value, found) in best {
            let points = points.by_ref().take(found.points.len());
            let points = if self.params.payload() {
                points.collect()
            } else {
                scored(points).map(without_payload).collect()
            };
            groups.push(Group { value, points });
        }
        Ok(Some(GroupOutput { groups, stats: self.stats, plan: self.plan }))
    }

    /// Searches once, among the points whose field passes a test if there is one.
    fn search(&mut self, among: Option<FieldTest>, limit: usize) -> Result<Option<SearchOutput>> {
        let mut query = self.query.clone();
        if let Some(test) = among {
            let path = self.by.field.clone();
            let filter = query.filter().cloned().unwrap_or_default();
            query = query.with_filter(filter.must(Condition::Field { path, test }));
        }
        let (shared, params) = (self.shared, self.params.with_limit(limit)?.with_payload(true));
        let output = match &query {
            VectorQuery::Dense(query) => VectorSearch::prepare(shared, query, &params)?.run()?,
            VectorQuery::Sparse(query) => {
                SparseVectorSearch::prepare(shared, query, &params)?.run()?
            }
        };
        if let Some(output) = &output {
            self.stats += output.stats;
        }
        Ok(output)
    }
}

fn scored(points: impl IntoIterator<Item = ScoredPoint>) -> impl Iterator<Item = (PointId, f32)> {
    points.into_iter().map(|point| (point.id, point.score))
}
