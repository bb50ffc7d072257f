//! From a text to token ids.

mod tokenizer;

pub use tokenizer::TokenizerError;
pub(crate) use tokenizer::{PairIds, TextTokenizer, TokenIds, WordIds};
