//! One node of a query, and what it comes to.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use bigrain_engine::filter::MAX_FILTER_DEPTH;
use bigrain_engine::{Filter, PointId};
use q::query::Variant;
use qdrant_client::qdrant as q;
use tonic::Status;

use super::{DEFAULT_LIMIT, Ranked, Scope, check_limit};
use crate::qdrant::calls::reads::Scroll;
use crate::qdrant::calls::{both, check_field, joined};
use crate::qdrant::convert::{self, Parts};
use crate::qdrant::error::{unsupported, wrong};
use crate::qdrant::names::field_of;
use crate::status;

/// The score of points that are not ranked by one.
const UNSCORED: f32 = 1.0;

/// One node of a query.
#[derive(Clone)]
pub(super) struct Level {
    pub prefetch: Vec<q::PrefetchQuery>,
    pub query: Option<q::Query>,
    pub using: Option<String>,
    pub filter: Option<Filter>,
    pub params: Option<q::SearchParams>,
    pub score_threshold: Option<f32>,
    pub limit: usize,
    pub lookup_from: Option<q::LookupLocation>,
}

impl Level {
    /// Returns the node of a prefetch below a filter.
    fn below(prefetch: q::PrefetchQuery, above: Option<Filter>) -> Result<Self, Status> {
        let limit = super::limit(Some(prefetch.limit.unwrap_or(DEFAULT_LIMIT)))?;
        Ok(Self {
            prefetch: prefetch.prefetch,
            query: prefetch.query,
            using: prefetch.using,
            filter: joined(above, convert::optional_filter(prefetch.filter)?),
            params: prefetch.params,
            score_threshold: prefetch.score_threshold,
            limit,
            lookup_from: prefetch.lookup_from,
        })
    }

    /// Returns the field that is searched.
    pub(super) fn field(&self) -> String {
        field_of(self.using.as_deref().unwrap_or_default())
    }

    /// Leaves points out.
    pub(super) fn without(&mut self, ids: BTreeSet<PointId>) {
        if !ids.is_empty() {
            let others = Filter::new().must_not(convert::has_ids(ids));
            self.filter = both(self.filter.take(), Some(others));
        }
    }

    /// Keeps what is good enough, where larger scores are better.
    fn good_enough(&self, mut ranked: Ranked) -> Ranked {
        if let Some(threshold) = self.score_threshold {
            ranked.retain(|(_, score)| *score >= threshold);
        }
        ranked
    }
}

impl Scope<'_> {
    /// Returns the ids and scores that a query comes to, best first.
    pub(super) fn ranked(&self, level: Level) -> Result<Ranked, Status> {
        self.ranked_at(level, 0)
    }

    fn ranked_at(&self, mut level: Level, depth: usize) -> Result<Ranked, Status> {
        self.check_cancelled()?;
        if depth > MAX_FILTER_DEPTH {
            return Err(wrong("prefetches are nested too deep"));
        }
        if level.prefetch.is_empty() {
            return self.of_query(level);
        }
        let mut sources = Vec::new();
        for prefetch in std::mem::take(&mut level.prefetch) {
            let below = Level::below(prefetch, level.filter.clone())?;
            sources.push(self.ranked_at(below, depth + 1)?);
        }
        match level.query.as_ref().and_then(|query| query.variant.as_ref()) {
            Some(Variant::Fusion(fusion)) => {
                let fused = super::fusion::fuse(*fusion, &sources, level.limit)?;
                Ok(level.good_enough(fused))
            }
            Some(Variant::Rrf(rrf)) => {
                let fused = super::fusion::reciprocal_ranks(rrf, &sources, level.limit)?;
                Ok(level.good_enough(fused))
            }
            Some(Variant::Formula(_)) => Err(unsupported("query formula")),
            _ => {
                let ids: BTreeSet<PointId> =
                    sources.into_iter().flatten().map(|(id, _)| id).collect();
                if ids.is_empty() {
                    return Ok(Vec::new());
                }
                let among = Filter::new().must(convert::has_ids(ids));
                level.filter = both(level.filter.take(), Some(among));
                self.of_query(level)
            }
        }
    }

    /// Ranks the points of the collection that match.
    fn of_query(&self, mut level: Level) -> Result<Ranked, Status> {
        check_limit(level.limit)?;
        let Some(query) = level.query.take() else { return self.unranked(&level) };
        let variant = query.variant.ok_or_else(|| wrong("query says nothing"))?;
        if !matches!(variant, Variant::OrderBy(_) | Variant::Sample(_) | Variant::Text(_)) {
            check_field(self.collection, &level.field())?;
        }
        match variant {
            Variant::Nearest(input) => self.nearest(level, input),
            Variant::NearestWithMmr(input) => self.nearest_with_mmr(level, input),
            Variant::Recommend(input) => self.recommended(level, input),
            Variant::Discover(input) => self.discovered(level, input),
            Variant::Context(input) => self.in_context(level, input),
            Variant::RelevanceFeedback(input) => self.by_feedback(level, input),
            Variant::OrderBy(order) => self.in_order(&level, order),
            Variant::Sample(_) => self.sample(&level),
            Variant::Fusion(_) => Err(wrong("cannot fuse without prefetches")),
            Variant::Rrf(_) => Err(wrong("cannot fuse without prefetches")),
            Variant::Formula(_) => Err(unsupported("query formula")),
            Variant::Text(_) => Err(unsupported("query text")),
        }
    }

    /// Returns points in the order of their ids.
    fn unranked(&self, level: &Level) -> Result<Ranked, Status> {
        let parts = Parts::of(None, None, false)?;
        let filter = level.filter.clone();
        let scroll = Scroll { collection: self.collection, filter, parts: &parts };
        let (points, _) = scroll.by_id(None, level.limit)?;
        Ok(points.into_iter().map(|point| (point.id, UNSCORED)).collect())
    }

    fn in_order(&self, level: &Level, order: q::OrderBy) -> Result<Ranked, Status> {
        let parts = Parts::of(None, None, false)?;
        let filter = level.filter.clone();
        let scroll = Scroll { collection: self.collection, filter, parts: &parts };
        let points = scroll.ordered(&convert::order_by(order)?, level.limit)?;
        Ok(points.into_iter().map(|point| (point.id, UNSCORED)).collect())
    }

    /// Returns some of the points that match, each time others.
    fn sample(&self, level: &Level) -> Result<Ranked, Status> {
        let filter = level.filter.clone().unwrap_or_default();
        let mut ids = self.collection.matching(&filter).map_err(status::from_engine)?.ids;
        let chance = RandomState::new();
        ids.sort_by_cached_key(|id| chance.hash_one(id));
        ids.truncate(level.limit);
        Ok(ids.into_iter().map(|id| (id, UNSCORED)).collect())
    }
}
