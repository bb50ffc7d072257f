//! The routes of text-embeddings-inference: `POST /embed`, `/rerank` and `/tokenize`, `GET /info`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bigrain_encoders::{Embeddings, TextKind, Token};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tonic::Status;

use super::json_body::Body;
use crate::dialect::Dialect;
use crate::grpc::Context;
use crate::models::Model;
use crate::reranker::{Reranker, ScoreRange};

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

impl Inputs {
    fn into_texts(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
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
    let model = model(context, request.model.as_deref())?;
    let max_tokens = model.max_tokens();
    let encoded = context.encode(model, request.inputs.into_texts(), kind).await?;
    check_length("inputs", &encoded, max_tokens, request.truncate)?;
    Ok(encoded.iter().map(<[f32]>::to_vec).collect())
}

fn model(context: &Context, name: Option<&str>) -> Result<Arc<Model>, Status> {
    name.map_or_else(|| context.models.only(), |name| context.models.get(name))
}

/// Refuses texts that the model would cut, unless the caller said that it may.
fn check_length(
    what: &str,
    encoded: &Embeddings,
    max_tokens: usize,
    truncate: bool,
) -> Result<(), Status> {
    if encoded.stats().truncated == 0 || truncate {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "{what}: a text has more than the {max_tokens} tokens the model reads: cut it, or set truncate"
    )))
}

#[derive(Deserialize)]
struct RerankRequest {
    query: String,
    texts: Vec<String>,
    /// Which model, where several are loaded; not of text-embeddings-inference.
    model: Option<String>,
    /// How texts are scored; not of text-embeddings-inference.
    method: Option<Method>,
    /// Cut long texts; without it they are refused, except by `cross` and `tokens`, which cut.
    #[serde(default)]
    truncate: bool,
    /// A cross-encoder's numbers as they are, without it through a sigmoid; similarities as they are, -1 to 1, without
    /// it moved to 0 to 1.
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    return_text: bool,
}

/// How texts are scored.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Method {
    /// By a cross-encoder, which reads query and text together.
    Cross,
    /// The embeddings, by their cosine.
    Embeddings,
    /// The embeddings of tokens, by MaxSim.
    Tokens,
}

pub(super) async fn rerank(State(context): State<Arc<Context>>, body: Body) -> Response {
    match ranked(&context, body).await {
        Ok(ranks) => Json(ranks).into_response(),
        Err(status) => Dialect::Tei.refusal(&status),
    }
}

/// What scores texts.
enum Ranker {
    /// A model that reads query and text together.
    Cross(Arc<Reranker>),
    /// A model that encodes each by itself, whose embeddings are compared.
    Embeddings(Arc<Model>),
    /// The same, of tokens.
    Tokens(Arc<Model>),
}

/// Returns what a request is answered by: where it says little, by the only cross-encoder if there are any.
fn ranker(context: &Context, name: Option<&str>, method: Option<Method>) -> Result<Ranker, Status> {
    let models = &context.models;
    let reranker = match name {
        Some(name) => models.reranker(name),
        None if models.has_rerankers() || method == Some(Method::Cross) => match method {
            Some(Method::Cross) | None => Some(models.only_reranker()?),
            Some(Method::Embeddings | Method::Tokens) => None,
        },
        None => None,
    };
    match (reranker, method) {
        (Some(reranker), None | Some(Method::Cross)) => Ok(Ranker::Cross(reranker)),
        (_, None | Some(Method::Embeddings)) => Ok(Ranker::Embeddings(model(context, name)?)),
        (_, Some(Method::Tokens)) => Ok(Ranker::Tokens(model(context, name)?)),
        (None, Some(Method::Cross)) => Err(Status::failed_precondition(format!(
            "model {:?} is no cross-encoder: expected method embeddings or tokens",
            model(context, name)?.name()
        ))),
    }
}

/// Orders texts by how well they answer a query.
async fn ranked(context: &Arc<Context>, body: Body) -> Result<Vec<Value>, Status> {
    let RerankRequest { query, texts, model: name, method, truncate, raw_scores, return_text } =
        body.read()?;
    let moved = |scores: Vec<f32>| -> Vec<f32> {
        let one = |score| if raw_scores { score } else { f32::midpoint(1.0, score) };
        scores.into_iter().map(one).collect()
    };
    let scores = match ranker(context, name.as_deref(), method)? {
        Ranker::Cross(reranker) => {
            let range = if raw_scores { ScoreRange::Raw } else { ScoreRange::Unit };
            context.cross_scores(reranker, query, texts.clone(), range).await?
        }
        Ranker::Embeddings(model) => {
            let max_tokens = model.max_tokens();
            let encoded = context.encode(Arc::clone(&model), texts.clone(), TextKind::Document);
            let encoded = encoded.await?;
            check_length("texts", &encoded, max_tokens, truncate)?;
            let query = context.encode(model, vec![query], TextKind::Query).await?;
            check_length("query", &query, max_tokens, truncate)?;
            let query = query.into_data();
            moved(encoded.iter().map(|row| cosine(&query, row)).collect())
        }
        Ranker::Tokens(model) => moved(context.late_scores(model, query, texts.clone()).await?),
    };
    let mut order: Vec<(usize, f32)> = scores.into_iter().enumerate().collect();
    order.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let rank = |(index, score): (usize, f32)| match texts.get(index).filter(|_| return_text) {
        Some(text) => json!({"index": index, "score": score, "text": text}),
        None => json!({"index": index, "score": score}),
    };
    Ok(order.into_iter().map(rank).collect())
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let dot =
        |one: &[f32], other: &[f32]| -> f32 { one.iter().zip(other).map(|(x, y)| x * y).sum() };
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    if lengths > 0.0 { dot(one, other) / lengths } else { 0.0 }
}

#[derive(Deserialize)]
struct TokenizeRequest {
    inputs: Inputs,
    /// Which model, where several are loaded; not of text-embeddings-inference.
    model: Option<String>,
    #[serde(default = "yes")]
    add_special_tokens: bool,
}

/// A token, and where it stands in its text, in characters.
#[derive(Serialize)]
struct ShownToken {
    id: u32,
    text: String,
    special: bool,
    start: Option<usize>,
    stop: Option<usize>,
}

pub(super) async fn tokenize(State(context): State<Arc<Context>>, body: Body) -> Response {
    match tokens(&context, body).await {
        Ok(texts) => Json(texts).into_response(),
        Err(status) => Dialect::Tei.refusal(&status),
    }
}

/// Shows the tokens of texts, those that the model would cut off too, without the prompt of a kind of text.
async fn tokens(context: &Arc<Context>, body: Body) -> Result<Vec<Vec<ShownToken>>, Status> {
    let TokenizeRequest { inputs, model: name, add_special_tokens } = body.read()?;
    let model = model(context, name.as_deref())?;
    let texts = context.tokenize(model, inputs.into_texts(), add_special_tokens).await?;
    let one = |Token { id, text, chars }: Token| {
        let special = chars.is_none();
        let (start, stop) = chars.map(|chars| (chars.start, chars.end)).unzip();
        ShownToken { id, text, special, start, stop }
    };
    Ok(texts.into_iter().map(|tokens| tokens.into_iter().map(one).collect()).collect())
}

pub(super) async fn info(State(context): State<Arc<Context>>) -> Response {
    let reranker = context.models.only_reranker().ok();
    match (context.models.only(), reranker) {
        (Ok(model), reranker) => Json(about(&context, &model, reranker.as_deref())).into_response(),
        (Err(_), Some(reranker)) => Json(about_reranker(&context, &reranker)).into_response(),
        (Err(status), None) => Dialect::Tei.refusal(&status),
    }
}

fn about(context: &Context, model: &Model, reranker: Option<&Reranker>) -> Value {
    let methods = [("cross", context.models.has_rerankers()), ("embeddings", true)];
    let methods = methods.into_iter().chain([("tokens", model.has_tokens())]);
    let methods: Vec<&str> =
        methods.filter_map(|(method, is_there)| is_there.then_some(method)).collect();
    json!({
        "model_id": model.name(),
        "model_sha": null,
        "model_dtype": "float32",
        "model_type": {"embedding": {"dimensions": model.dims()}},
        "rerank_methods": methods,
        "reranker": reranker.map(|reranker| json!({
            "model_id": reranker.name(),
            "max_input_length": reranker.max_tokens(),
        })),
        "max_concurrent_requests": context.limits.max_concurrent_encodes,
        "max_input_length": model.max_tokens(),
        "max_client_batch_size": context.limits.max_texts_per_encode,
        "auto_truncate": false,
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// Describes a server of one cross-encoder, as text-embeddings-inference describes itself then.
fn about_reranker(context: &Context, reranker: &Reranker) -> Value {
    json!({
        "model_id": reranker.name(),
        "model_sha": null,
        "model_dtype": "float32",
        "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        "rerank_methods": ["cross"],
        "reranker": {"model_id": reranker.name(), "max_input_length": reranker.max_tokens()},
        "max_concurrent_requests": context.limits.max_concurrent_searches,
        "max_input_length": reranker.max_tokens(),
        "max_client_batch_size": context.limits.max_texts_per_encode,
        "auto_truncate": true,
        "version": env!("CARGO_PKG_VERSION"),
    })
}
