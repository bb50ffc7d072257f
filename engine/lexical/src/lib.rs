//! Which rows of a segment have a payload value: one tantivy index per segment, in one block file.
//!
//! ```text
//!  payloads, in offset order ──terms──> LexicalWriter ──> lexical
//!  Filter ──terms, ranges of terms──> LexicalReader (lexical) ──> Selection: rows, rows to be checked
//! ```
//!
//! The index is written in the order of the segment's offsets and never updated, so tantivy's
//! document number *is* the offset. Every value of every payload field becomes a few *terms* of one
//! raw field ([`terms`]): its bytes say path, type and value, and sort as values do, so that a
//! condition is a look-up or a range of the dictionary, without a schema and without reading
//! payloads. What the index cannot decide (one object matching several conditions, all words in one
//! of several texts) it leaves to be checked with the payload of these rows alone: see
//! [`Selection`].
//!
//! Because terms sort as values do, the same dictionary counts the values of a field
//! ([`LexicalReader::facet`]) and walks rows in their order ([`LexicalReader::sorted`]).
//!
//! The meaning of filters is defined by [`Filter::matches`](bigrain_types::Filter::matches); tests
//! compare with it.
//!
//! # Adding a condition
//!
//! 1. Its meaning in `bigrain_types::filter`.
//! 2. A tag in `terms/tag.rs` and its terms in `terms/document.rs`, if those there are not enough.
//! 3. Its rows in `select/field.rs`.
//! 4. A case in `tests/it/differential.rs`.
//!
//! # Text
//!
//! Beside the terms stands one field of words for each declared text field ([`text`]), so documents
//! of BM25 are rows too. Words are kept with their counts and without their positions.

mod archive;
mod dictionary;
mod error;
mod reader;
mod schema;
mod select;
mod tantivy_directory;
pub mod terms;
pub mod text;
mod writer;

pub use error::LexicalError;
pub use reader::LexicalReader;
pub use select::{FacetCounts, Selection};
pub use writer::LexicalWriter;
