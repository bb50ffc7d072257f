//! The bridge from async handlers to threads that may compute and block.
//!
//! Each kind of work has a [`Lane`] with two bounds:
//!
//! ```text
//!            admitted (max_concurrent_*)          running
//!  request ──┤ full: RESOURCE_EXHAUSTED ├── waits ──┤ a blocking thread ├── reply
//! ```
//!
//! *Admitted* bounds the memory of requests in flight, and is what an operator sets; *running*
//! bounds threads and follows from the cores. A permit is held by the work itself, not by the
//! request that asked for it: work whose request went away still counts until it ends, and its
//! [`Cancel`] is raised so that it ends soon.
//!
//! Work runs on behalf of the request's [`Caller`], which the lane takes along, as it does its [`RequestTrace`].
//!
//! A shutdown has two steps, [`Phase`]: *draining* lets requests finish and streams stop between
//! batches; *aborting* answers whatever is left.

use std::sync::Arc;
use std::thread;

use bigrain_engine::Cancel;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::Status;

use crate::access::Caller;
use crate::settings::Limits;
use crate::traces::RequestTrace;

/// Concurrent writes share the sync of a commit, so they may outnumber the cores.
const RUNNING_WRITES: usize = 64;
/// Encodes wait in the queue of their model, which joins them into batches; a thread of the server only
/// waits with them.
const RUNNING_ENCODES: usize = 64;

/// The lanes of the server.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// Searches and reads.
    pub searches: Lane,
    /// Writes and changes of collections.
    pub writes: Lane,
    /// Text into vectors.
    pub encodes: Lane,
    cores: usize,
    phase: watch::Sender<Phase>,
}

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything is served.
    Serving,
    /// No new work; requests finish, streams stop between batches.
    Draining,
    /// The time for draining is over: what is left is answered with UNAVAILABLE.
    Aborting,
}

impl Runtime {
    /// Opens the lanes.
    pub(crate) fn new(limits: &Limits) -> Self {
        let (phase, watched) = watch::channel(Phase::Serving);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let lane = |name, limit, running| Lane {
            limit_name: name,
            limit,
            admitted: Arc::new(Semaphore::new(limit)),
            running: Arc::new(Semaphore::new(running)),
            phase: watched.clone(),
        };
        Self {
            searches: lane("max_concurrent_searches", limits.max_concurrent_searches, 2 * cores),
            writes: lane("max_concurrent_writes", limits.max_concurrent_writes, RUNNING_WRITES),
            encodes: lane("max_concurrent_encodes", limits.max_concurrent_encodes, RUNNING_ENCODES),
            cores,
            phase,
        }
    }

    /// Returns how many requests are at work or waiting, by kind.
    pub(crate) fn at_work(&self) -> [(&'static str, usize); 3] {
        [("search", &self.searches), ("write", &self.writes), ("encode", &self.encodes)]
            .map(|(kind, lane)| (kind, lane.at_work()))
    }

    /// Whether there is work for every core, whoever asks included.
    pub(crate) fn is_busy(&self) -> bool {
        let at_work: usize = self.at_work().iter().map(|(_, count)| count).sum();
        at_work > self.cores
    }

    /// Moves a shutdown on.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Whether no shutdown has begun.
    pub(crate) fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// Returns a view of the shutdown for a task that outlives its handler.
    pub(crate) fn phase(&self) -> PhaseWatch {
        PhaseWatch(self.phase.subscribe())
    }
}

/// Waits for a shutdown.
#[derive(Clone, Debug)]
pub(crate) struct PhaseWatch(watch::Receiver<Phase>);

impl PhaseWatch {
    /// Completes once the shutdown has come as far as `phase`, with the status to end with.
    pub(crate) async fn reached(&mut self, phase: Phase) -> Status {
        // An error means the server itself is gone, which is past every phase.
        let _ = self.0.wait_for(|now| *now >= phase).await;
        Status::unavailable("server is shutting down")
    }
}

/// What becomes of work when its lane is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is refused.
    IsRefused,
    /// It waits: a stream's, whose caller is slowed down by the transport.
    Waits,
}

/// A bounded way from async code to blocking threads.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    limit_name: &'static str,
    limit: usize,
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    phase: watch::Receiver<Phase>,
}

impl Lane {
    /// Runs `work` on a blocking thread, as patient as its caller is.
    ///
    /// # Errors
    ///
    /// As [`Lane::run`]; where the caller waits, no lane is full.
    pub(crate) async fn run_for<T, W>(&self, patience: Patience, work: W) -> Result<T, Status>
    where
        T: Send + 'static,
        W: FnOnce(&Cancel) -> Result<T, Status> + Send + 'static,
    {
        match patience {
            Patience::IsRefused => self.run(work).await,
            Patience::Waits => self.run_when_free(work).await,
        }
    }

    /// Runs `work` on a blocking thread, or refuses at once if the lane is full.
    ///
    /// Dropping the returned future raises the work's [`Cancel`].
    ///
    /// # Errors
    ///
    /// The work's own status; RESOURCE_EXHAUSTED when the lane is full; UNAVAILABLE when a
    /// shutdown no longer waits; INTERNAL when the work panicked.
    pub(crate) async fn run<T, W>(&self, work: W) -> Result<T, Status>
    where
        T: Send + 'static,
        W: FnOnce(&Cancel) -> Result<T, Status> + Send + 'static,
    {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| self.full())?;
        self.start(admitted, work).await
    }

    /// Like [`Lane::run`], but waits for room: for streams, whose callers are slowed down by the
    /// transport instead of being refused.
    pub(crate) async fn run_when_free<T, W>(&self, work: W) -> Result<T, Status>
    where
        T: Send + 'static,
        W: FnOnce(&Cancel) -> Result<T, Status> + Send + 'static,
    {
        let admitted = acquire(&self.admitted).await?;
        self.start(admitted, work).await
    }

    async fn start<T, W>(&self, admitted: OwnedSemaphorePermit, work: W) -> Result<T, Status>
    where
        T: Send + 'static,
        W: FnOnce(&Cancel) -> Result<T, Status> + Send + 'static,
    {
        let guard = CancelOnDrop(Cancel::new());
        let cancel = guard.0.clone();
        let (caller, trace) = (Caller::current_if_known(), RequestTrace::current());
        let done = async {
            let running = acquire(&self.running).await?;
            let span = tracing::Span::current();
            let task = tokio::task::spawn_blocking(move || {
                let _permits = (admitted, running);
                let work = || match caller {
                    Some(caller) => caller.run(|| work(&cancel)),
                    None => work(&cancel),
                };
                span.in_scope(|| RequestTrace::run(trace, work))
            });
            task.await.unwrap_or_else(|error| Err(died(&error)))
        };
        let mut phase = PhaseWatch(self.phase.clone());
        tokio::select! {
            biased;
            result = done => result,
            status = phase.reached(Phase::Aborting) => Err(status),
        }
    }

    fn at_work(&self) -> usize {
        self.limit - self.admitted.available_permits()
    }

    fn full(&self) -> Status {
        Status::resource_exhausted(format!(
            "{} requests of this kind are at work, which is the limit ({}): try again later",
            self.limit, self.limit_name
        ))
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
    let closed = |_| Status::unavailable("server is shutting down");
    Arc::clone(semaphore).acquire_owned().await.map_err(closed)
}

fn died(error: &tokio::task::JoinError) -> Status {
    tracing::error!(%error, "a request's thread panicked");
    Status::internal("internal error: the thread at work on the request panicked")
}

/// Raises a flag when the future that owns it is dropped, or is done.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tonic::Code;

    use super::*;

    fn runtime(limit: usize) -> Runtime {
        Runtime::new(&Limits {
            max_message_bytes: 1 << 20,
            max_points_per_batch: 1,
            max_texts_per_encode: 1,
            max_concurrent_searches: limit,
            max_concurrent_writes: limit,
            max_concurrent_encodes: limit,
        })
    }

    fn until_cancelled(cancel: &Cancel) {
        while !cancel.is_cancelled() {
            thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_full_lane_refuses_and_names_its_limit() {
        let runtime = runtime(1);
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let lane = runtime.searches.clone();
        let first = tokio::spawn(async move {
            lane.run(move |_| {
                started.send(()).unwrap();
                released.recv().unwrap();
                Ok(1)
            })
            .await
        });
        has_started.await.unwrap();

        let refused = runtime.searches.run(|_| Ok(2)).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(refused.message().contains("(max_concurrent_searches)"), "{refused:?}");

        release.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap(), 1);
        assert_eq!(runtime.searches.run_when_free(|_| Ok(3)).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_dropped_request_cancels_its_work() {
        let runtime = runtime(1);
        let (started, has_started) = tokio::sync::oneshot::channel();
        let lane = runtime.searches.clone();
        let request = tokio::spawn(async move {
            lane.run(move |cancel| {
                started.send(()).unwrap();
                until_cancelled(cancel);
                Ok(())
            })
            .await
        });
        has_started.await.unwrap();
        request.abort();
        // The permit comes back only when the work has seen the flag and ended.
        assert_eq!(runtime.searches.run_when_free(|_| Ok(5)).await.unwrap(), 5);
    }

    #[tokio::test]
    async fn aborting_answers_what_is_left() {
        let runtime = runtime(1);
        let (started, has_started) = tokio::sync::oneshot::channel();
        let lane = runtime.writes.clone();
        let request = tokio::spawn(async move {
            lane.run(move |cancel| {
                started.send(()).unwrap();
                until_cancelled(cancel);
                Ok(())
            })
            .await
        });
        has_started.await.unwrap();
        runtime.enter(Phase::Draining);
        runtime.enter(Phase::Aborting);
        assert_eq!(request.await.unwrap().unwrap_err().code(), Code::Unavailable);
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_and_frees_the_lane() {
        let runtime = runtime(1);
        let status = runtime.searches.run::<(), _>(|_| panic!("boom")).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("boom"));
        assert_eq!(runtime.searches.run(|_| Ok(1)).await.unwrap(), 1);
    }
}
