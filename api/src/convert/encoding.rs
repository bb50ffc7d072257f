//! Models, and embeddings.

use bigrain_encoders::{Embeddings, TextKind};
use tonic::Status;

use super::small;
use crate::models::Model;
use crate::proto;

/// Reads what texts are for.
pub(crate) fn text_kind(number: i32) -> Result<TextKind, Status> {
    match proto::TextKind::try_from(number) {
        Ok(proto::TextKind::Unspecified | proto::TextKind::Document) => Ok(TextKind::Document),
        Ok(proto::TextKind::Query) => Ok(TextKind::Query),
        Err(_) => Err(Status::invalid_argument(format!(
            "unknown text kind {number}: expected document or query"
        ))),
    }
}

/// Writes the description of a model.
pub(crate) fn model_info(model: &Model) -> proto::ModelInfo {
    proto::ModelInfo {
        name: model.name().to_owned(),
        dims: small(model.dims()),
        space: model.space().to_string(),
        max_tokens: small(model.max_tokens()),
        images: model.has_images(),
    }
}

/// Writes embeddings, one message for each row.
pub(crate) fn encode_reply(model: &Model, encoded: &Embeddings) -> proto::EncodeReply {
    let embedding = |row: &[f32]| proto::Embedding { values: row.to_vec() };
    let stats = encoded.stats();
    proto::EncodeReply {
        embeddings: encoded.iter().map(embedding).collect(),
        dims: small(encoded.dims()),
        space: model.space().to_string(),
        model: model.name().to_owned(),
        tokens: stats.tokens,
        truncated_texts: stats.truncated,
        server_time_us: 0,
    }
}
