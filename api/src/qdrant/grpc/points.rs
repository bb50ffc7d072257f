//! The service `Points`.

use q::points_server::Points;
use qdrant_client::qdrant as q;
use tonic::{Request, Response, Status};

use crate::qdrant::calls::{batch, collections, query, reads, writes};
use crate::qdrant::service::Service;

/// Writes, reads and finds points.
#[derive(Clone, Debug)]
pub(crate) struct PointsService(pub(super) Service);

#[tonic::async_trait]
impl Points for PointsService {
    async fn upsert(
        &self,
        request: Request<q::UpsertPoints>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), writes::upsert).await?))
    }

    async fn delete(
        &self,
        request: Request<q::DeletePoints>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), writes::delete).await?))
    }

    async fn get(
        &self,
        request: Request<q::GetPoints>,
    ) -> Result<Response<q::GetResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), reads::get).await?))
    }

    async fn update_vectors(
        &self,
        request: Request<q::UpdatePointVectors>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), writes::update_vectors).await?))
    }

    async fn delete_vectors(
        &self,
        request: Request<q::DeletePointVectors>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), writes::delete_vectors).await?))
    }

    async fn set_payload(
        &self,
        request: Request<q::SetPayloadPoints>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), writes::set_payload).await?))
    }

    async fn overwrite_payload(
        &self,
        request: Request<q::SetPayloadPoints>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), writes::overwrite_payload).await?))
    }

    async fn delete_payload(
        &self,
        request: Request<q::DeletePayloadPoints>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), writes::delete_payload).await?))
    }

    async fn clear_payload(
        &self,
        request: Request<q::ClearPayloadPoints>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), writes::clear_payload).await?))
    }

    async fn create_field_index(
        &self,
        request: Request<q::CreateFieldIndexCollection>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(
            self.0.write(request.into_inner(), collections::create_field_index).await?,
        ))
    }

    async fn delete_field_index(
        &self,
        request: Request<q::DeleteFieldIndexCollection>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(
            self.0.write(request.into_inner(), collections::delete_field_index).await?,
        ))
    }

    async fn create_vector_name(
        &self,
        request: Request<q::CreateVectorNameRequest>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(
            self.0.write(request.into_inner(), collections::create_vector_name).await?,
        ))
    }

    async fn delete_vector_name(
        &self,
        request: Request<q::DeleteVectorNameRequest>,
    ) -> Result<Response<q::PointsOperationResponse>, Status> {
        Ok(Response::new(
            self.0.write(request.into_inner(), collections::delete_vector_name).await?,
        ))
    }

    async fn search(
        &self,
        request: Request<q::SearchPoints>,
    ) -> Result<Response<q::SearchResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::search).await?))
    }

    async fn search_batch(
        &self,
        request: Request<q::SearchBatchPoints>,
    ) -> Result<Response<q::SearchBatchResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::search_batch).await?))
    }

    async fn search_groups(
        &self,
        request: Request<q::SearchPointGroups>,
    ) -> Result<Response<q::SearchGroupsResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::search_groups).await?))
    }

    async fn scroll(
        &self,
        request: Request<q::ScrollPoints>,
    ) -> Result<Response<q::ScrollResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), reads::scroll).await?))
    }

    async fn recommend(
        &self,
        request: Request<q::RecommendPoints>,
    ) -> Result<Response<q::RecommendResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::recommend).await?))
    }

    async fn recommend_batch(
        &self,
        request: Request<q::RecommendBatchPoints>,
    ) -> Result<Response<q::RecommendBatchResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::recommend_batch).await?))
    }

    async fn recommend_groups(
        &self,
        request: Request<q::RecommendPointGroups>,
    ) -> Result<Response<q::RecommendGroupsResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::recommend_groups).await?))
    }

    async fn discover(
        &self,
        request: Request<q::DiscoverPoints>,
    ) -> Result<Response<q::DiscoverResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::discover).await?))
    }

    async fn discover_batch(
        &self,
        request: Request<q::DiscoverBatchPoints>,
    ) -> Result<Response<q::DiscoverBatchResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::discover_batch).await?))
    }

    async fn count(
        &self,
        request: Request<q::CountPoints>,
    ) -> Result<Response<q::CountResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), reads::count).await?))
    }

    async fn update_batch(
        &self,
        request: Request<q::UpdateBatchPoints>,
    ) -> Result<Response<q::UpdateBatchResponse>, Status> {
        Ok(Response::new(self.0.write(request.into_inner(), batch::update_batch).await?))
    }

    async fn query(
        &self,
        request: Request<q::QueryPoints>,
    ) -> Result<Response<q::QueryResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::query).await?))
    }

    async fn query_batch(
        &self,
        request: Request<q::QueryBatchPoints>,
    ) -> Result<Response<q::QueryBatchResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::query_batch).await?))
    }

    async fn query_groups(
        &self,
        request: Request<q::QueryPointGroups>,
    ) -> Result<Response<q::QueryGroupsResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::query_groups).await?))
    }

    async fn facet(
        &self,
        request: Request<q::FacetCounts>,
    ) -> Result<Response<q::FacetResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), reads::facet).await?))
    }

    async fn search_matrix_pairs(
        &self,
        request: Request<q::SearchMatrixPoints>,
    ) -> Result<Response<q::SearchMatrixPairsResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::matrix_pairs).await?))
    }

    async fn search_matrix_offsets(
        &self,
        request: Request<q::SearchMatrixPoints>,
    ) -> Result<Response<q::SearchMatrixOffsetsResponse>, Status> {
        Ok(Response::new(self.0.read(request.into_inner(), query::matrix_offsets).await?))
    }
}
