//! The service `Encoder`.

use std::sync::Arc;

use bigrain_engine::Cancel;
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
        check_texts(request.texts.len(), self.0.limits.max_texts_per_encode)?;
        let context = Arc::clone(&self.0);
        let work = move |cancel: &Cancel| encode(&context, &request, cancel);
        let mut reply = self.0.runtime.encodes.run(work).await?;
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

fn check_texts(count: usize, limit: usize) -> Result<(), Status> {
    if count == 0 {
        return Err(Status::invalid_argument("no texts: expected at least one"));
    }
    if count > limit {
        return Err(Status::invalid_argument(format!(
            "request has {count} texts, the limit is {limit} (max_texts_per_encode): \
             split it into smaller requests"
        )));
    }
    Ok(())
}

fn encode(
    context: &Context,
    request: &EncodeRequest,
    cancel: &Cancel,
) -> Result<EncodeReply, Status> {
    let kind = convert::text_kind(request.kind)?;
    let model = match request.model.as_str() {
        "" => context.models.only()?,
        name => context.models.get(name)?,
    };
    let texts: Vec<&str> = request.texts.iter().map(String::as_str).collect();
    let encoded = model.encode(&texts, kind, cancel)?;
    context.check_reply(convert::encode_reply(&model, &encoded))
}
