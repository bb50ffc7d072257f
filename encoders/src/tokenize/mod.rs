//! From a text to token ids.

mod tokenizer;

pub(crate) use tokenizer::{TextTokenizer, TokenIds};
pub use tokenizer::TokenizerError;
