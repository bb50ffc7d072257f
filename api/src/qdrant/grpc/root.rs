//! The service `Qdrant`: that something answers, and what.

use q::qdrant_server::Qdrant;
use qdrant_client::qdrant as q;
use tonic::{Request, Response, Status};

use crate::qdrant::PROTOCOL_VERSION;

/// Says that the server is there.
#[derive(Clone, Debug)]
pub(crate) struct RootService;

#[tonic::async_trait]
impl Qdrant for RootService {
    async fn health_check(
        &self,
        _: Request<q::HealthCheckRequest>,
    ) -> Result<Response<q::HealthCheckReply>, Status> {
        Ok(Response::new(q::HealthCheckReply {
            title: crate::qdrant::TITLE.to_owned(),
            version: PROTOCOL_VERSION.to_owned(),
            commit: None,
        }))
    }
}
