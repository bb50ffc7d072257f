//! The routes of text-embeddings-inference: `POST /embed`, `GET /info`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bigrain_encoders::TextKind;
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Status;

use super::json_body::Body;
use crate::dialect::Dialect;
use crate::grpc::Context;
use crate::models::Model;

#[derive(Deserialize)]
struct EmbedRequest {
    inputs: Inputs,
    /// Which model, where several are loaded; not of text-embeddings-inference.
    model: Option<String>,
    /// Cut long texts; without it they are refused.
    #[serde(default)]
    truncate: bool,
    #[serde(default = "yes")]
    normalize: bool,
    prompt_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Inputs {
    One(String),
    Many(Vec<String>),
}

const fn yes() -> bool {
    true
}

pub(super) async fn embed(State(context): State<Arc<Context>>, body: Body) -> Response {
    match answer(&context, body).await {
        Ok(rows) => Json(rows).into_response(),
        Err(status) => Dialect::Tei.refusal(&status),
    }
}

async fn answer(context: &Arc<Context>, body: Body) -> Result<Vec<Vec<f32>>, Status> {
    let request: EmbedRequest = body.read()?;
    let texts = match request.inputs {
        Inputs::One(text) => vec![text],
        Inputs::Many(texts) => texts,
    };
    if !request.normalize {
        return Err(Status::invalid_argument(
            "normalize: expected true: a model's vectors are as long as its folder says",
        ));
    }
    let kind = match request.prompt_name.as_deref() {
        None | Some("document" | "passage") => TextKind::Document,
        Some("query") => TextKind::Query,
        Some(other) => {
            return Err(Status::invalid_argument(format!(
                "prompt_name: expected document, passage or query, got {other:?}"
            )));
        }
    };
    let model = match &request.model {
        Some(name) => context.models.get(name)?,
        None => context.models.only()?,
    };
    let max_tokens = model.max_tokens();
    let encoded = context.encode(model, texts, kind).await?;
    if encoded.stats().truncated > 0 && !request.truncate {
        return Err(Status::invalid_argument(format!(
            "inputs: a text has more than the {max_tokens} tokens the model reads: cut it, or set truncate"
        )));
    }
    Ok(encoded.iter().map(<[f32]>::to_vec).collect())
}

pub(super) async fn info(State(context): State<Arc<Context>>) -> Response {
    match context.models.only() {
        Ok(model) => Json(about(&context, &model)).into_response(),
        Err(status) => Dialect::Tei.refusal(&status),
    }
}

fn about(context: &Context, model: &Model) -> Value {
    json!({
        "model_id": model.name(),
        "model_sha": null,
        "model_dtype": "float32",
        "model_type": {"embedding": {"dimensions": model.dims()}},
        "max_concurrent_requests": context.limits.max_concurrent_encodes,
        "max_input_length": model.max_tokens(),
        "max_client_batch_size": context.limits.max_texts_per_encode,
        "auto_truncate": false,
        "version": env!("CARGO_PKG_VERSION"),
    })
}
