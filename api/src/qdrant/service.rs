//! Where a call runs, and the time it took.

use std::sync::Arc;
use std::time::Instant;

use bigrain_engine::Cancel;
use qdrant_client::qdrant as q;
use tonic::Status;

use super::error::shaped;
use crate::grpc::Context;

/// What one call does with a message, on a thread that may block.
pub(super) type Call<M, A> = fn(&Context, M, &Cancel) -> Result<A, Status>;

/// The calls of the protocol, for both transports.
#[derive(Clone, Debug)]
pub(crate) struct Service(pub(super) Arc<Context>);

impl Service {
    /// Runs a call that reads.
    pub(super) async fn read<M, A>(&self, message: M, call: Call<M, A>) -> Result<A, Status>
    where
        M: Send + 'static,
        A: Timed + Send + 'static,
    {
        let (context, begun) = (Arc::clone(&self.0), Instant::now());
        let work = move |cancel: &Cancel| call(&context, message, cancel);
        timed(self.0.runtime.searches.run(work).await, begun)
    }

    /// Runs a call that writes.
    pub(super) async fn write<M, A>(&self, message: M, call: Call<M, A>) -> Result<A, Status>
    where
        M: Send + 'static,
        A: Timed + Send + 'static,
    {
        let (context, begun) = (Arc::clone(&self.0), Instant::now());
        let work = move |cancel: &Cancel| call(&context, message, cancel);
        timed(self.0.runtime.writes.run(work).await, begun)
    }
}

fn timed<A: Timed>(answer: Result<A, Status>, begun: Instant) -> Result<A, Status> {
    let mut answer = answer.map_err(|status| shaped(&status))?;
    answer.set_time(begun.elapsed().as_secs_f64());
    Ok(answer)
}

/// An answer that says how many seconds it took.
pub(super) trait Timed {
    /// Sets the seconds.
    fn set_time(&mut self, seconds: f64);
}

macro_rules! timed {
    ($($answer:ident),* $(,)?) => {
        $(impl Timed for q::$answer {
            fn set_time(&mut self, seconds: f64) {
                self.time = seconds;
            }
        })*
    };
}

timed!(
    CollectionExistsResponse,
    CollectionOperationResponse,
    CountResponse,
    CreateSnapshotResponse,
    DeleteSnapshotResponse,
    DiscoverBatchResponse,
    DiscoverResponse,
    FacetResponse,
    GetCollectionInfoResponse,
    GetResponse,
    ListAliasesResponse,
    ListCollectionsResponse,
    ListSnapshotsResponse,
    PointsOperationResponse,
    QueryBatchResponse,
    QueryGroupsResponse,
    QueryResponse,
    RecommendBatchResponse,
    RecommendGroupsResponse,
    RecommendResponse,
    ScrollResponse,
    SearchBatchResponse,
    SearchGroupsResponse,
    SearchMatrixOffsetsResponse,
    SearchMatrixPairsResponse,
    SearchResponse,
    UpdateBatchResponse,
);
