//! Long code: split, encode, aggregate (SEA).
//!
//! An encoder reads some hundreds of tokens, and a function has what was asked for anywhere. So a
//! snippet of code is cut into *pieces* along its syntax, overlapping windows of pieces are its
//! *blocks*, each block is encoded by itself, and either all block vectors are kept, each with the
//! bytes and lines it stands for, or they are aggregated into one vector.
//!
//! ```text
//! source file ─ snippets() ─► functions, types, the rest: name, documentation, span
//!                                │
//!                 split ─────────┤   pieces: subtrees of the syntax tree, tokens, words or lines
//!                                ▼
//!                 window         [ whole snippet ] [ pieces 0..32 ] [ 16..48 ] [ 32..64 ] …
//!                                │
//!                 encode         any TextEncoder: one vector a block
//!                                │
//!                 aggregate      mean, max, attention: one vector a snippet; or all of them kept
//! ```
//!
//! | file | is |
//! |---|---|
//! | `language.rs`, `queries/` | the languages, and what a snippet is in each |
//! | `source_file.rs`, `comments.rs`, `snippet.rs` | a parsed file, its comments, its snippets |
//! | `pieces.rs`, `syntax.rs`, `window.rs`, `block.rs` | where a snippet is cut, and what becomes of it |
//! | `reference.rs` | the same as the paper's own code cuts, bugs included |
//! | `aggregator.rs`, `attention.rs` | many vectors become one |
//! | `code_encoder.rs` | all of it over a text encoder |
//!
//! What must stay true: blocks cover every visible byte of a snippet, whatever its bytes, and
//! depend on nothing but snippet, options and the encoder's tokens.
//!
//! **Adding a language**: its grammar in `Cargo.toml` as a feature, a variant of [`Language`], and a
//! query with the captures `@function`, `@type`, `@container` and `@skip`.

mod aggregator;
mod attention;
mod block;
mod code_encoder;
mod comments;
mod language;
mod pieces;
mod reference;
mod snippet;
mod source_file;
mod span;
mod syntax;
mod window;

pub use aggregator::{Aggregator, AggregatorError, Global, Local};
pub use attention::{Attention, AttentionOrigin, AttentionParts};
pub use block::{Block, PieceKind, SplitOptions, SplitOptionsError};
pub use code_encoder::{CodeBlocks, CodeEncoder};
pub use comments::comment_text;
pub use language::Language;
pub use snippet::{Snippet, SnippetKind};
pub use source_file::SourceFile;
pub use span::Span;
