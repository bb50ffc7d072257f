//! Texts that are asked, as vectors.

use anyhow::Context;
use bigrain_encoders::{Embeddings, EncodeOptions, TextEncoder, TextKind};
use bigrain_engine::Cancel;

/// Encodes texts as queries, in their order.
///
/// # Errors
///
/// When a text is refused, or the caller stops it.
pub fn encode_queries<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    encoder: &dyn TextEncoder,
    cancel: &Cancel,
) -> anyhow::Result<Embeddings> {
    let texts: Vec<&str> = texts.into_iter().collect();
    let options =
        EncodeOptions { kind: TextKind::Query, cancel: cancel.clone(), ..EncodeOptions::default() };
    encoder.encode(&texts, &options).context("encode the queries")
}
