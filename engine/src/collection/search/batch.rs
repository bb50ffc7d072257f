//! Several searches in one call.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bigrain_types::SearchParams;
use parking_lot::Mutex;

use crate::collection::Collection;
use crate::{Result, SearchOutput, VectorQuery};

impl Collection {
    /// Searches by a vector, as [`search`](Self::search) by a dense,
    /// [`search_sparse`](Self::search_sparse) by a sparse one, and
    /// [`search_multi`](Self::search_multi) by a multi-vector.
    ///
    /// # Errors
    ///
    /// As these.
    pub fn search_by_vector(
        &self,
        query: &VectorQuery,
        params: &SearchParams,
    ) -> Result<SearchOutput> {
        match query {
            VectorQuery::Dense(query) => self.search(query, params),
            VectorQuery::Sparse(query) => self.search_sparse(query, params),
            VectorQuery::Multi(query) => self.search_multi(query, params),
        }
    }

    /// Searches for each of several queries; answers are in the order of the queries, and one that fails
    /// does not keep the others from theirs. Each search has a view of its own.
    ///
    /// As many run at a time as the engine has threads. They run beside the engine's threads and not on
    /// them, because a large search hands parts of its work to these and waits.
    #[must_use]
    pub fn search_batch<Q>(&self, searches: &[(Q, SearchParams)]) -> Vec<Result<SearchOutput>>
    where
        Q: Clone + Into<VectorQuery> + Sync,
    {
        let workers = self.0.resources.threads.count().min(searches.len());
        let next = AtomicUsize::new(0);
        let outcomes: Vec<Mutex<Option<Result<SearchOutput>>>> =
            searches.iter().map(|_| Mutex::new(None)).collect();
        let search_one = |at: usize| {
            let (query, params) = &searches[at];
            self.search_by_vector(&query.clone().into(), params)
        };
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(outcome) = outcomes.get(at) else { return };
                *outcome.lock() = Some(search_one(at));
            }
        };
        thread::scope(|scope| {
            // The caller's thread is one of them.
            (1..workers).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        let outcomes = outcomes.into_iter().map(Mutex::into_inner).enumerate();
        outcomes.map(|(at, outcome)| outcome.unwrap_or_else(|| search_one(at))).collect()
    }
}
