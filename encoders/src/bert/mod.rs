//! BERT and its relatives with the same arithmetic: RoBERTa, XLM-RoBERTa.
//!
//! Post-norm transformer: `x = LN(word + position + type)`, then in each layer
//! `x = LN(x + Attention(x))`, `x = LN(x + W₂ act(W₁ x))`. RoBERTa differs in where positions
//! start (`pad_token_id + 1`) and in having one token type.

mod config;
#[cfg(test)]
mod golden;
mod model;
mod text_model;

pub use config::BertConfig;
pub(crate) use text_model::BertTextModel;
