//! The embeddings API of OpenAI: `POST /v1/embeddings`, `GET /v1/models`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bigrain_encoders::{Embeddings, TextKind};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tonic::Status;

use super::json_body::Body;
use crate::dialect::Dialect;
use crate::grpc::Context;

#[derive(Deserialize)]
struct EmbeddingsRequest {
    input: Input,
    model: String,
    #[serde(default)]
    encoding_format: Format,
    dimensions: Option<usize>,
    /// What the texts are for; not of OpenAI's, and documents without it.
    #[serde(default)]
    input_type: InputType,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
    Tokens(IgnoredAny),
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Float,
    Base64,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InputType {
    #[default]
    Document,
    Query,
}

pub(super) async fn embeddings(State(context): State<Arc<Context>>, body: Body) -> Response {
    match answer(&context, body).await {
        Ok(reply) => Json(reply).into_response(),
        Err(status) => Dialect::OpenAi.refusal(&status),
    }
}

async fn answer(context: &Arc<Context>, body: Body) -> Result<Value, Status> {
    let request: EmbeddingsRequest = body.read()?;
    let texts = match request.input {
        Input::One(text) => vec![text],
        Input::Many(texts) => texts,
        Input::Tokens(_) => {
            return Err(Status::invalid_argument(
                "input is neither a text nor an array of texts: tokens of another model's tokenizer \
                 mean nothing to this one (LangChain: check_embedding_ctx_length=False)",
            ));
        }
    };
    let model = context.models.get(&request.model)?;
    if let Some(wanted) = request.dimensions.filter(|&wanted| wanted != model.dims()) {
        return Err(Status::invalid_argument(format!(
            "dimensions: model {:?} gives {}, got {wanted}",
            request.model,
            model.dims()
        )));
    }
    let kind = match request.input_type {
        InputType::Document => TextKind::Document,
        InputType::Query => TextKind::Query,
    };
    let name = model.name().to_owned();
    let encoded = context.encode(model, texts, kind).await?;
    Ok(reply(&name, &encoded, request.encoding_format))
}

fn reply(model: &str, encoded: &Embeddings, format: Format) -> Value {
    let embedding = |row: &[f32]| match format {
        Format::Float => json!(row),
        Format::Base64 => {
            let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            json!(STANDARD.encode(bytes))
        }
    };
    let rows = encoded.iter().enumerate();
    let data = rows.map(
        |(index, row)| json!({"object": "embedding", "index": index, "embedding": embedding(row)}),
    );
    let tokens = encoded.stats().tokens;
    json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
}

pub(super) async fn models(State(context): State<Arc<Context>>) -> Json<Value> {
    let model =
        |name: &str| json!({"id": name, "object": "model", "created": 0, "owned_by": "bigrain"});
    let data: Vec<Value> = context.models.iter().map(|loaded| model(loaded.name())).collect();
    Json(json!({"object": "list", "data": data}))
}
