//! The service `Snapshots`.

use q::snapshots_server::Snapshots;
use qdrant_client::qdrant as q;
use tonic::{Request, Response, Status};

use crate::qdrant::calls::snapshots;
use crate::qdrant::service::Service;

/// Writes, lists and removes snapshots.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotsService(pub(super) Service);

#[tonic::async_trait]
impl Snapshots for SnapshotsService {
    async fn create(
        &self,
        request: Request<q::CreateSnapshotRequest>,
    ) -> Result<Response<q::CreateSnapshotResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), snapshots::create).await?))
    }

    async fn list(
        &self,
        request: Request<q::ListSnapshotsRequest>,
    ) -> Result<Response<q::ListSnapshotsResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), snapshots::list).await?))
    }

    async fn delete(
        &self,
        request: Request<q::DeleteSnapshotRequest>,
    ) -> Result<Response<q::DeleteSnapshotResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), snapshots::delete).await?))
    }

    async fn create_full(
        &self,
        request: Request<q::CreateFullSnapshotRequest>,
    ) -> Result<Response<q::CreateSnapshotResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), snapshots::create_full).await?))
    }

    async fn list_full(
        &self,
        request: Request<q::ListFullSnapshotsRequest>,
    ) -> Result<Response<q::ListSnapshotsResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), snapshots::list_full).await?))
    }

    async fn delete_full(
        &self,
        request: Request<q::DeleteFullSnapshotRequest>,
    ) -> Result<Response<q::DeleteSnapshotResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), snapshots::delete_full).await?))
    }
}
