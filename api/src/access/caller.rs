//! On whose behalf work runs.

use std::future::Future;
use std::sync::Arc;

use tonic::Status;

use super::Key;

tokio::task_local! {
    static CALLER: Caller;
}

/// On whose behalf work runs: the holder of a key, or anybody where there are no keys.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Option<Arc<Key>>);

impl Caller {
    /// The caller of a server without keys.
    pub(crate) const ANYBODY: Self = Self(None);

    /// The holder of a key.
    pub(crate) fn with_key(key: Arc<Key>) -> Self {
        Self(Some(key))
    }

    /// Returns the caller of the work at hand.
    ///
    /// # Errors
    ///
    /// INTERNAL if it was lost on the way: what nobody asked for is not done.
    pub(crate) fn current() -> Result<Self, Status> {
        let lost = |_| {
            tracing::error!("work without a caller was refused");
            Status::internal("internal error: the caller of the request is not known")
        };
        CALLER.try_with(Self::clone).map_err(lost)
    }

    /// Returns the caller of the work at hand, for handing it on; none where it is not known.
    pub(crate) fn current_if_known() -> Option<Self> {
        CALLER.try_with(Self::clone).ok()
    }

    /// Runs a future on the caller's behalf.
    pub(crate) fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CALLER.scope(self, work)
    }

    /// Runs a function on the caller's behalf.
    pub(crate) fn run<T>(self, work: impl FnOnce() -> T) -> T {
        CALLER.sync_scope(self, work)
    }

    /// Whether the caller works in a collection.
    pub(crate) fn covers(&self, collection: &str) -> bool {
        self.0.as_ref().is_none_or(|key| key.covers(collection))
    }

    /// Refuses a caller whose key is for some collections.
    pub(crate) fn check_whole(&self) -> Result<(), Status> {
        match &self.0 {
            Some(key) if key.collections.is_some() => Err(Status::permission_denied(format!(
                "key {:?} is for some collections, the call is of the whole server",
                key.name
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses a collection that the caller's key is not for.
    pub(crate) fn check(&self, collection: &str) -> Result<(), Status> {
        match &self.0 {
            Some(key) if !key.covers(collection) => Err(Status::permission_denied(format!(
                "key {:?} is not for collection {collection:?}",
                key.name
            ))),
            _ => Ok(()),
        }
    }
}
