//! On whose behalf work runs.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::Status;

use super::Key;
use super::meter::Meter;
use crate::status::retry_after;

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

    /// Counts a request against the rate of the caller's key.
    pub(super) fn spend_request(&self) -> Result<(), Status> {
        let Some((key, meter)) = self.metered(|key| key.requests.as_ref()) else { return Ok(()) };
        let over = |wait| over_rate(&key.name, meter, "requests", "requests_per_second", wait);
        meter.take(1, Instant::now()).map_err(over)
    }

    /// Counts points that are written against the rate of the caller's key.
    pub(crate) fn spend_points(&self, count: usize) -> Result<(), Status> {
        let Some((key, meter)) = self.metered(|key| key.points.as_ref()) else { return Ok(()) };
        let over = |wait| over_rate(&key.name, meter, "points", "points_per_second", wait);
        meter.take(count, Instant::now()).map_err(over)
    }

    fn metered(&self, meter: impl Fn(&Key) -> Option<&Meter>) -> Option<(&Key, &Meter)> {
        let key = self.0.as_deref()?;
        Some((key, meter(key)?))
    }

    /// Returns how many points there may be in the collections that the caller's key is for.
    pub(crate) fn quota(&self) -> Option<u64> {
        self.0.as_ref()?.max_points
    }

    /// Returns the refusal of points beyond the quota.
    pub(crate) fn over_quota(&self, held: u64, new: usize) -> Status {
        let name = self.0.as_ref().map_or("", |key| &key.name);
        Status::resource_exhausted(format!(
            "key {name:?} may have {} points in its collections (max_points of the key): there are {held}, and {new} new \
             ones came: delete some, or have it raised",
            self.quota().unwrap_or_default()
        ))
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

fn over_rate(key: &str, meter: &Meter, what: &str, setting: &str, wait: Duration) -> Status {
    // Rounded up, so that whoever waits as long as that is let in.
    let wait = wait.saturating_add(Duration::from_millis(1));
    let status = Status::resource_exhausted(format!(
        "key {key:?} may send {} {what} a second ({setting} of the key): try again in {} ms",
        meter.per_second(),
        wait.as_millis()
    ));
    retry_after(status, wait)
}
