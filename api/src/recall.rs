//! What share of the true neighbours searches find, measured on a sample of them.
//!
//! ```text
//!  search ── answer ──────────────────────────────▶ caller
//!              └─ in the sample, nothing else checked, a core free ─▶ the same search, exactly ─▶ counts
//! ```
//!
//! The second answer is made after the first was, on a thread of its own, one at a time for the whole server, and not
//! at all while there is work for every core: then the sample is passed over, and counted as that. It is no search of
//! anybody's: it takes no place in a lane, and neither metrics of searches nor traces know it.
//!
//! A point that was written between both answers counts as missed.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bigrain_engine::{
    Cancel, Collection, PointId, ScoredPoint, SearchOutput, SearchParams, VectorQuery,
};

/// Answers a sample of searches a second time.
#[derive(Debug)]
pub(crate) struct RecallProbe {
    /// Searches whose hash is at most this are in the sample; none, if there is no sample.
    sampled: Option<u64>,
    seed: RandomState,
    searches: AtomicU64,
    is_running: AtomicBool,
    stop: Cancel,
    counts: Mutex<BTreeMap<String, RecallCounts>>,
}

/// What was measured in a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecallCounts {
    /// Searches that were answered a second time.
    pub measured: u64,
    /// Searches of the sample that were passed over: another was at work, or there was work for every core.
    pub skipped: u64,
    /// Points of the exact answers.
    pub expected: u64,
    /// Those of them that the first answers had.
    pub found: u64,
}

impl RecallProbe {
    /// Samples this share of searches, 0 to 1.
    pub(crate) fn new(share: f32) -> Self {
        Self {
            // Saturates at either end.
            sampled: (share > 0.0).then_some((f64::from(share) * u64::MAX as f64) as u64),
            seed: RandomState::new(),
            searches: AtomicU64::new(0),
            is_running: AtomicBool::new(false),
            stop: Cancel::new(),
            counts: Mutex::default(),
        }
    }

    /// Checks the answer to a search, if the search is in the sample. Returns at once. Needs the context of a tokio
    /// runtime.
    pub(crate) fn look_at(
        self: &Arc<Self>,
        collection: &Collection,
        (query, params): (&VectorQuery, &SearchParams),
        answer: &SearchOutput,
        is_busy: impl FnOnce() -> bool,
    ) {
        if !is_approximate(query, params) || !self.takes_next() {
            return;
        }
        let Some(turn) = Turn::take(self).filter(|_| !is_busy()) else {
            self.of(collection.name(), |counts| counts.skipped += 1);
            return;
        };
        let (collection, params) = (collection.clone(), params.with_exact(true));
        let params = params.with_payload(false).with_explain(false);
        let query = query.clone().with_cancel(&self.stop);
        let served: Vec<(PointId, f32)> =
            answer.points.iter().map(|point| (point.id.clone(), point.score)).collect();
        tokio::task::spawn_blocking(move || turn.0.measure(&collection, &query, &params, &served));
    }

    /// Returns what was measured, by collection.
    pub(crate) fn counts(&self) -> BTreeMap<String, RecallCounts> {
        self.lock().clone()
    }

    /// Forgets a collection that is dropped.
    pub(crate) fn forget(&self, collection: &str) {
        self.lock().remove(collection);
    }

    /// Gives up what is at work, for good.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    fn takes_next(&self) -> bool {
        let Some(sampled) = self.sampled else { return false };
        let number = self.searches.fetch_add(1, Ordering::Relaxed);
        !self.stop.is_cancelled() && self.seed.hash_one(number) <= sampled
    }

    fn measure(
        &self,
        collection: &Collection,
        query: &VectorQuery,
        params: &SearchParams,
        served: &[(PointId, f32)],
    ) {
        match collection.search_by_vector(query, params) {
            Ok(exact) => self.of(collection.name(), |counts| {
                counts.measured += 1;
                counts.expected += exact.points.len() as u64;
                counts.found += found(served, &exact.points);
            }),
            // Dropped meanwhile, or stopped; what is wrong with a collection its own searches say.
            Err(error) => tracing::debug!(%error, "an answer was not checked"),
        }
    }

    fn of(&self, collection: &str, count: impl FnOnce(&mut RecallCounts)) {
        count(self.lock().entry(collection.to_owned()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, RecallCounts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an answer may lack a true neighbour: sparse searches are exact, and diverse results are others on purpose.
fn is_approximate(query: &VectorQuery, params: &SearchParams) -> bool {
    !matches!(query, VectorQuery::Sparse(_)) && !params.exact() && params.diversity().is_none()
}

/// Counts the points of an exact answer that were served: by their ids, or, since of equally near points any will do,
/// by the score of the last.
fn found(served: &[(PointId, f32)], exact: &[ScoredPoint]) -> u64 {
    let Some(last) = exact.last() else { return 0 };
    let ids: HashSet<&PointId> = exact.iter().map(|point| &point.id).collect();
    let is_found = |(id, score): &&(PointId, f32)| ids.contains(id) || *score == last.score;
    served.iter().filter(is_found).count().min(exact.len()) as u64
}

/// The right to check an answer, which one at a time has.
struct Turn(Arc<RecallProbe>);

impl Turn {
    fn take(probe: &Arc<RecallProbe>) -> Option<Self> {
        let is_taken = probe.is_running.swap(true, Ordering::Acquire);
        (!is_taken).then(|| Self(Arc::clone(probe)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use bigrain_engine::{
        CollectionConfig, Engine, EngineConfig, Metric, Payload, Point, Query, SparseQuery,
        SparseVector,
    };
    use tempfile::TempDir;

    use super::*;

    fn scored(id: u64, score: f32) -> ScoredPoint {
        ScoredPoint { id: PointId::from(id), score, payload: Payload::new() }
    }

    #[test]
    fn what_was_found_is_counted_by_ids_and_among_equals_by_score() {
        let exact = [scored(1, 0.9), scored(2, 0.8), scored(3, 0.5)];
        let served = |ids: &[(u64, f32)]| -> Vec<(PointId, f32)> {
            ids.iter().map(|&(id, score)| (PointId::from(id), score)).collect()
        };
        assert_eq!(found(&served(&[(1, 0.9), (2, 0.8), (3, 0.5)]), &exact), 3);
        assert_eq!(found(&served(&[(1, 0.9), (7, 0.4), (3, 0.5)]), &exact), 2);
        assert_eq!(found(&served(&[(1, 0.9), (2, 0.8), (9, 0.5)]), &exact), 3);
        assert_eq!(found(&served(&[]), &exact), 0);
        assert_eq!(found(&served(&[(1, 0.9)]), &[]), 0);
    }

    fn docs() -> (Collection, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(folder.path(), EngineConfig::default()).unwrap();
        let config = CollectionConfig::new(2, Metric::Dot);
        let docs = engine.create_collection("docs", config).unwrap();
        docs.upsert((0..5).map(|id| Point::new(id, vec![1.0, id as f32])).collect()).unwrap();
        (docs, folder)
    }

    /// Searches for three of five points, has the answer looked at, and waits for what that comes to.
    async fn counts(
        probe: RecallProbe,
        query: VectorQuery,
        exact: bool,
        busy: bool,
    ) -> RecallCounts {
        let (docs, _folder) = docs();
        let params = SearchParams::new(3).unwrap().with_exact(exact);
        let mut answer = docs.search_by_vector(&query, &params).unwrap();
        // As if the best one had been missed.
        answer.points.remove(0);
        let probe = Arc::new(probe);
        probe.look_at(&docs, (&query, &params), &answer, || busy);
        while probe.is_running.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        probe.counts().get("docs").copied().unwrap_or_default()
    }

    fn dense() -> VectorQuery {
        Query::new(vec![0.0, 1.0]).into()
    }

    #[tokio::test]
    async fn a_missed_point_is_counted() {
        let measured = counts(RecallProbe::new(1.0), dense(), false, false).await;
        assert_eq!(measured, RecallCounts { measured: 1, skipped: 0, expected: 3, found: 2 });
    }

    #[tokio::test]
    async fn nothing_is_checked_when_it_is_off_or_there_is_nothing_to_check() {
        let none = RecallCounts::default();
        assert_eq!(counts(RecallProbe::new(0.0), dense(), false, false).await, none);
        assert_eq!(counts(RecallProbe::new(1.0), dense(), true, false).await, none);
        let sparse = SparseQuery::new(SparseVector::new(vec![1], vec![1.0]).unwrap());
        assert!(!is_approximate(&sparse.into(), &SearchParams::new(3).unwrap()));
        let stopped = RecallProbe::new(1.0);
        stopped.stop();
        assert_eq!(counts(stopped, dense(), false, false).await, none);
    }

    #[tokio::test]
    async fn a_busy_server_and_one_that_checks_already_pass_a_sample_over() {
        let skipped = RecallCounts { skipped: 1, ..RecallCounts::default() };
        assert_eq!(counts(RecallProbe::new(1.0), dense(), false, true).await, skipped);

        let (docs, _folder) = docs();
        let probe = Arc::new(RecallProbe::new(1.0));
        let turn = Turn::take(&probe).unwrap();
        let params = SearchParams::new(3).unwrap();
        let answer = docs.search_by_vector(&dense(), &params).unwrap();
        probe.look_at(&docs, (&dense(), &params), &answer, || false);
        drop(turn);
        assert_eq!(probe.counts()["docs"], skipped);
        assert!(Turn::take(&probe).is_some());
        probe.forget("docs");
        assert!(probe.counts().is_empty());
    }

    #[test]
    fn about_the_share_is_sampled() {
        let probe = RecallProbe::new(0.25);
        let taken = (0..10_000).filter(|_| probe.takes_next()).count();
        // Ten standard deviations.
        assert!((2_070..2_930).contains(&taken), "{taken}");
    }
}
