//! The best points of each of the best values of a payload field.
//!
//! The nearest points tell most groups, and often all of what is wanted. If they tell too few, the
//! values that exist are counted, and the search goes on among points that have one of the others:
//! whatever it finds is of a new group. A group that came out short is searched by itself.

use std::collections::{BTreeMap, BTreeSet};

use bigrain_types::filter::{Condition, FieldTest, Scalar};
use bigrain_types::{MAX_LIMIT, PointId, SearchParams, SearchStats, SeqNo};

use super::sought::Sought;
use super::{refuse_diversity, without_payload};
use crate::collection::Collection;
use crate::collection::handle::Shared;
use crate::{
    Error, Group, GroupBy, GroupOutput, HybridQuery, Result, ScoredPoint, SearchOutput, SearchPlan,
    TextQuery, VectorQuery,
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
        self.0.grouped(Sought::Vector(&query.into()), by, params)
    }

    /// Returns the best points by words of each of the best values of a payload field, as
    /// [`search_groups`](Self::search_groups) does by vector.
    ///
    /// # Errors
    ///
    /// As [`search_groups`](Self::search_groups) and [`search_text`](Self::search_text).
    pub fn search_text_groups(
        &self,
        query: &TextQuery,
        by: &GroupBy,
        params: &SearchParams,
    ) -> Result<GroupOutput> {
        self.0.grouped(Sought::Text(query), by, params)
    }

    /// Returns the best points of a hybrid search of each of the best values of a payload field, as
    /// [`search_groups`](Self::search_groups) does by vector.
    ///
    /// A group holds what the hybrid search among its points returns, with the scores it has there. A
    /// fused score says where a point stands in one search, and nothing beside those of another: so
    /// groups stand in the order in which their best points stand among all points. Those of which no
    /// point is among the first follow, in the order of a search that leaves the first groups out, and
    /// so on.
    ///
    /// # Errors
    ///
    /// As [`search_groups`](Self::search_groups) and [`search_hybrid`](Self::search_hybrid).
    pub fn search_hybrid_groups(
        &self,
        query: &HybridQuery,
        by: &GroupBy,
        params: &SearchParams,
    ) -> Result<GroupOutput> {
        self.0.grouped(Sought::Hybrid(query), by, params)
    }
}

impl Shared {
    fn grouped(
        &self,
        query: Sought<'_>,
        by: &GroupBy,
        params: &SearchParams,
    ) -> Result<GroupOutput> {
        self.run("search", || {
            refuse_diversity(params)?;
            let points = params.limit().saturating_mul(by.per_group);
            if points > MAX_LIMIT {
                let reason = format!("groups may have {MAX_LIMIT} points in all, got {points}");
                return Err(Error::invalid(reason));
            }
            self.retried(|| Grouping::new(self, query, by, params)?.run())
        })
    }
}

/// One search for groups, and what it has found.
struct Grouping<'a> {
    shared: &'a Shared,
    query: Sought<'a>,
    by: &'a GroupBy,
    params: &'a SearchParams,
    larger_is_better: bool,
    /// How many points one search returns.
    depth: usize,
    found: BTreeMap<Scalar, Found>,
    /// Searches that found groups, where their scores do not compare.
    rounds: usize,
    stats: SearchStats,
    plan: Option<SearchPlan>,
}

/// What is known of a group.
struct Found {
    /// Nearest first.
    points: Vec<(PointId, f32)>,
    /// Whether there are no better ones, and no others if they are fewer than wanted.
    complete: bool,
    /// Groups of an earlier round come before those of a later one.
    round: usize,
}

impl<'a> Grouping<'a> {
    fn new(
        shared: &'a Shared,
        query: Sought<'a>,
        by: &'a GroupBy,
        params: &'a SearchParams,
    ) -> Result<Self> {
        let depth = (params.limit() * by.per_group).saturating_mul(DEPTH_FACTOR);
        Ok(Self {
            shared,
            query,
            by,
            params,
            larger_is_better: query.larger_is_better(shared)?,
            depth: depth.min(MAX_LIMIT).min(query.max_depth()),
            found: BTreeMap::new(),
            rounds: 0,
            stats: SearchStats::default(),
            plan: None,
        })
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
        if self.query.scores_compare() {
            self.sort(&mut best);
        }
        self.finish(best, seq)
    }

    /// Finds groups that are not known yet, until there are enough or no others exist.
    fn discover(&mut self) -> Result<Option<()>> {
        let filter = self.query.filter().unwrap_or_default();
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
        let compare = self.query.scores_compare();
        let is_all = compare && points.len() < self.depth;
        self.rounds += usize::from(!compare);
        let mut groups: BTreeMap<Scalar, Found> = BTreeMap::new();
        for ScoredPoint { id, score, payload } in points {
            for value in self.by.field.scalars(&payload) {
                if among.is_some_and(|among| !among.contains(&value)) {
                    continue;
                }
                let found = Found { points: Vec::new(), complete: is_all, round: self.rounds };
                let found = groups.entry(value).or_insert(found);
                if found.points.len() < self.by.per_group {
                    found.points.push((id.clone(), score));
                }
                found.complete |= compare && found.points.len() == self.by.per_group;
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

    /// Sorts groups by their rounds and their first points, stable among equals.
    fn sort(&self, groups: &mut [(Scalar, Found)]) {
        let score = |found: &Found| {
            let first = found.points.first().map_or(f32::NAN, |(_, score)| *score);
            if self.larger_is_better { first } else { -first }
        };
        groups.sort_by(|(_, a), (_, b)| {
            a.round.cmp(&b.round).then_with(|| score(b).total_cmp(&score(a)))
        });
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
        let among = among.map(|test| Condition::Field { path: self.by.field.clone(), test });
        let params = self.params.with_limit(limit)?.with_payload(true);
        let output = self.query.search(self.shared, among.as_ref(), &params)?;
        if let Some(output) = &output {
            self.stats += output.stats;
        }
        Ok(output)
    }
}

fn scored(points: impl IntoIterator<Item = ScoredPoint>) -> impl Iterator<Item = (PointId, f32)> {
    points.into_iter().map(|point| (point.id, point.score))
}
