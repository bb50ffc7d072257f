//! BERT and its relatives with the same arithmetic: RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA,
//! MPNet, DistilBERT.
//!
//! Post-norm transformer: `x = LN(word + position + type)`, then in each layer
//! `x = LN(x + Attention(x))`, `x = LN(x + W₂ act(W₁ x))`. RoBERTa differs in where positions
//! start (`pad_token_id + 1`) and in having one token type; ELECTRA in a projection between its
//! embeddings and its first layer; MPNet in a bias by distance in attention and in having no types;
//! DistilBERT in having no types.
//!
//! Adding a relative: its lines in `family`, and a golden set.

mod config;
mod family;
#[cfg(test)]
mod golden;
mod model;
mod on_device;
mod text_model;

pub use config::BertConfig;
pub(crate) use text_model::BertTextModel;
