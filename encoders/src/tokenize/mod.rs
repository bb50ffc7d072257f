//! From a text to token ids.

mod cleaning;
mod clip;
mod tokenizer;

pub use cleaning::TextCleaning;
pub(crate) use clip::{ClipTokenizer, ClipVocabulary};
pub(crate) use tokenizer::{PairIds, TextTokenizer, TokenIds, WordIds};
pub use tokenizer::{Token, TokenizerError};
