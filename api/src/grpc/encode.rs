//! The service `Encoder`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::Context;
use crate::convert;
use crate::proto::encoder_server::Encoder;
use crate::proto::{EncodeReply, EncodeRequest, ListModelsReply, ListModelsRequest};
use crate::request_scope::Arrival;

/// Turns texts into vectors.
#[derive(Clone, Debug)]
pub(crate) struct EncoderService(pub(crate) Arc<Context>);

#[tonic::async_trait]
impl Encoder for EncoderService {
    async fn encode(
        &self,
        request: Request<EncodeRequest>,
    ) -> Result<Response<EncodeReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let kind = convert::text_kind(request.kind)?;
        let model = match request.model.as_str() {
            "" => self.0.models.only()?,
            name => self.0.models.get(name)?,
        };
        let encoded = self.0.encode(Arc::clone(&model), request.texts, kind).await?;
        let mut reply = self.0.check_reply(convert::encode_reply(&model, &encoded))?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn list_models(
        &self,
        request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsReply>, Status> {
        Ok(Response::new(ListModelsReply {
            models: self.0.models.iter().map(convert::model_info).collect(),
            server_time_us: Arrival::of(&request).server_time_us(),
        }))
    }
}
