//! The service `Collections`. There is one machine, so what is about the machines of a cluster is refused.

use q::collections_server::Collections;
use qdrant_client::qdrant as q;
use tonic::{Request, Response, Status};

use crate::qdrant::calls::collections;
use crate::qdrant::error::unsupported;
use crate::qdrant::service::Service;

/// Makes, describes and drops collections.
#[derive(Clone, Debug)]
pub(crate) struct CollectionsService(pub(super) Service);

#[tonic::async_trait]
impl Collections for CollectionsService {
    async fn get(
        &self,
        request: Request<q::GetCollectionInfoRequest>,
    ) -> Result<Response<q::GetCollectionInfoResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), collections::get).await?))
    }

    async fn list(
        &self,
        request: Request<q::ListCollectionsRequest>,
    ) -> Result<Response<q::ListCollectionsResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), collections::list).await?))
    }

    async fn create(
        &self,
        request: Request<q::CreateCollection>,
    ) -> Result<Response<q::CollectionOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), collections::create).await?))
    }

    async fn update(
        &self,
        request: Request<q::UpdateCollection>,
    ) -> Result<Response<q::CollectionOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), collections::update).await?))
    }

    async fn delete(
        &self,
        request: Request<q::DeleteCollection>,
    ) -> Result<Response<q::CollectionOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), collections::delete).await?))
    }

    async fn update_aliases(
        &self,
        request: Request<q::ChangeAliases>,
    ) -> Result<Response<q::CollectionOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), collections::change_aliases).await?))
    }

    async fn list_collection_aliases(
        &self,
        request: Request<q::ListCollectionAliasesRequest>,
    ) -> Result<Response<q::ListAliasesResponse>, Status> {
        Ok(Response::new(
            self.0.read(request.into_inner(), collections::list_collection_aliases).await?,
        ))
    }

    async fn list_aliases(
        &self,
        request: Request<q::ListAliasesRequest>,
    ) -> Result<Response<q::ListAliasesResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), collections::list_aliases).await?))
    }

    async fn collection_exists(
        &self,
        request: Request<q::CollectionExistsRequest>,
    ) -> Result<Response<q::CollectionExistsResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), collections::exists).await?))
    }

    async fn collection_cluster_info(
        &self,
        _: Request<q::CollectionClusterInfoRequest>,
    ) -> Result<Response<q::CollectionClusterInfoResponse>, Status> {
        Err(unsupported("a cluster"))
    }

    async fn update_collection_cluster_setup(
        &self,
        _: Request<q::UpdateCollectionClusterSetupRequest>,
    ) -> Result<Response<q::UpdateCollectionClusterSetupResponse>, Status> {
        Err(unsupported("a cluster"))
    }

    async fn create_shard_key(
        &self,
        _: Request<q::CreateShardKeyRequest>,
    ) -> Result<Response<q::CreateShardKeyResponse>, Status> {
        Err(unsupported("a cluster"))
    }

    async fn delete_shard_key(
        &self,
        _: Request<q::DeleteShardKeyRequest>,
    ) -> Result<Response<q::DeleteShardKeyResponse>, Status> {
        Err(unsupported("a cluster"))
    }

    async fn list_shard_keys(
        &self,
        _: Request<q::ListShardKeysRequest>,
    ) -> Result<Response<q::ListShardKeysResponse>, Status> {
        Err(unsupported("a cluster"))
    }
}
