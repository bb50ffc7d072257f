//! Scoring by the nearest example.
//!
//! Every positive example is searched by itself, and what comes of these is scored by all examples. What
//! no search returned cannot be nearer to a positive example than the last that its search did return:
//! so the best are known once enough of them, which no negative example pushes back, score at least as
//! well as all of these last ones; and until then the searches go deeper.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bigrain_types::{MAX_LIMIT, Metric, PointId, SearchParams, SearchStats, SeqNo};

use crate::collection::handle::Shared;
use crate::{Result, SearchOutput};

/// Results of each positive example's search at first, for each one that is wanted, and at least.
const DEPTH_FACTOR: usize = 2;
const MIN_DEPTH: usize = 50;

/// How much deeper the next searches go.
const DEEPER: usize = 4;

/// Examples of one kind of vectors, in the form in which they are compared.
pub(super) trait Scored {
    /// What is searched for.
    type Example;
    /// What a point has.
    type Stored;

    /// What results are to be like.
    fn positive(&self) -> &[Self::Example];

    /// What results are to be unlike.
    fn negative(&self) -> &[Self::Example];

    /// Searches for the points near an example that are no examples themselves.
    fn search(
        &self,
        example: &Self::Example,
        params: &SearchParams,
    ) -> Result<Option<SearchOutput>>;

    /// Returns what points have; nothing when one of them was deleted or replaced since `seq`.
    fn stored(&self, ids: &[PointId], seq: SeqNo) -> Result<Option<Vec<Self::Stored>>>;

    /// How similarities become scores.
    fn metric(&self) -> Metric;

    /// How near a point is to an example; larger is nearer.
    fn similarity(&self, example: &Self::Example, stored: &Self::Stored) -> f32;
}

/// One search by the best score.
pub(super) struct BestScore<'a, E> {
    pub shared: &'a Shared,
    pub examples: &'a E,
    pub params: &'a SearchParams,
    pub seq: SeqNo,
}

/// A point as all examples see it.
struct Judged {
    id: PointId,
    /// Its similarity to the nearest positive example.
    liked: f32,
    /// Its similarity to the nearest negative example, if that is the nearest of all.
    disliked: Option<f32>,
}

/// What the searches of one depth came to.
struct Round {
    points: Vec<Judged>,
    /// No other point is more similar to a positive example; nothing if there are no others.
    others: Option<f32>,
}

impl<E: Scored> BestScore<'_, E> {
    /// Returns the results, or nothing when one was deleted while they were found.
    pub fn run(&self) -> Result<Option<SearchOutput>> {
        let limit = self.params.limit();
        let mut stats = SearchStats::default();
        let mut depth = (limit * DEPTH_FACTOR).clamp(MIN_DEPTH, MAX_LIMIT);
        loop {
            let Some(round) = self.round(depth, &mut stats)? else { return Ok(None) };
            if depth == MAX_LIMIT || round.is_enough(limit) {
                return self.finish(round.points, stats);
            }
            depth = (depth * DEEPER).min(MAX_LIMIT);
        }
    }

    fn round(&self, depth: usize, stats: &mut SearchStats) -> Result<Option<Round>> {
        let params = self.params.with_limit(depth)?.with_payload(false).without_score_threshold();
        let (mut ids, mut last) = (BTreeSet::new(), Vec::new());
        for example in self.examples.positive() {
            let Some(output) = self.examples.search(example, &params)? else { return Ok(None) };
            *stats += output.stats;
            if output.points.len() == depth {
                last.extend(output.points.last().map(|point| (example, point.id.clone())));
            }
            ids.extend(output.points.into_iter().map(|point| point.id));
        }
        let ids: Vec<PointId> = ids.into_iter().collect();
        let Some(stored) = self.examples.stored(&ids, self.seq)? else { return Ok(None) };
        let last = last.into_iter().filter_map(|(example, id)| {
            let at = ids.binary_search(&id).ok()?;
            Some(self.examples.similarity(example, &stored[at]))
        });
        let others = last.max_by(f32::total_cmp);
        let points = ids.into_iter().zip(&stored).map(|(id, stored)| self.judge(id, stored));
        Ok(Some(Round { points: points.collect(), others }))
    }

    fn judge(&self, id: PointId, stored: &E::Stored) -> Judged {
        let nearest = |examples: &[E::Example]| {
            let all = examples.iter().map(|example| self.examples.similarity(example, stored));
            all.max_by(f32::total_cmp)
        };
        let liked = nearest(self.examples.positive()).unwrap_or(f32::NEG_INFINITY);
        let disliked = nearest(self.examples.negative()).filter(|&disliked| disliked >= liked);
        Judged { id, liked, disliked }
    }

    fn finish(&self, mut points: Vec<Judged>, stats: SearchStats) -> Result<Option<SearchOutput>> {
        points.sort_by(Judged::compare);
        points.truncate(self.params.limit());
        let metric = self.examples.metric();
        let scored = points.into_iter().map(|point| (point.id, metric.score(point.liked)));
        let good = |(_, score): &(PointId, f32)| {
            self.params.is_good_enough(*score, metric.larger_is_nearer())
        };
        let scored: Vec<(PointId, f32)> = scored.filter(good).collect();
        let points = self.shared.results(scored, self.params, self.seq)?;
        Ok(points.map(|points| SearchOutput { points, stats, plan: None }))
    }
}

impl Round {
    /// Whether the best points are among these.
    fn is_enough(&self, limit: usize) -> bool {
        let Some(others) = self.others else { return true };
        let sure = |point: &&Judged| point.disliked.is_none() && point.liked >= others;
        self.points.iter().filter(sure).count() >= limit
    }
}

impl Judged {
    /// Which of two points comes first.
    fn compare(&self, other: &Self) -> Ordering {
        match (self.disliked, other.disliked) {
            (None, None) => other.liked.total_cmp(&self.liked),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
        .then_with(|| self.id.cmp(&other.id))
    }
}
