//! The service `Snapshots`: backups are made by `bigrain backup`, which verifies them.

use q::snapshots_server::Snapshots;
use qdrant_client::qdrant as q;
use tonic::{Request, Response, Status};

use crate::qdrant::error::unsupported;

/// Refuses snapshots.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotsService;

fn refused<T>() -> Result<Response<T>, Status> {
    Err(unsupported("snapshots over this protocol (use `bigrain backup`)"))
}

#[tonic::async_trait]
impl Snapshots for SnapshotsService {
    async fn create(
        &self,
        _: Request<q::CreateSnapshotRequest>,
    ) -> Result<Response<q::CreateSnapshotResponse>, Status> {
        refused()
    }

    async fn list(
        &self,
        _: Request<q::ListSnapshotsRequest>,
    ) -> Result<Response<q::ListSnapshotsResponse>, Status> {
        refused()
    }

    async fn delete(
        &self,
        _: Request<q::DeleteSnapshotRequest>,
    ) -> Result<Response<q::DeleteSnapshotResponse>, Status> {
        refused()
    }

    async fn create_full(
        &self,
        _: Request<q::CreateFullSnapshotRequest>,
    ) -> Result<Response<q::CreateSnapshotResponse>, Status> {
        refused()
    }

    async fn list_full(
        &self,
        _: Request<q::ListFullSnapshotsRequest>,
    ) -> Result<Response<q::ListSnapshotsResponse>, Status> {
        refused()
    }

    async fn delete_full(
        &self,
        _: Request<q::DeleteFullSnapshotRequest>,
    ) -> Result<Response<q::DeleteSnapshotResponse>, Status> {
        refused()
    }
}
