//! Payload values as terms: bytes that sort as values do.
//!
//! ```text
//!  path                                   tag   value
//! ┌──────────────────────────────────────┬─────┬────────────────────────────────────┐
//! │ year FE FF                           │ 'n' │ Number::to_key                     │
//! │ year FE FF                           │ 'N' │ 2, 3 or 4 and as many bytes of it  │
//! │ authors FE FD name FE FF             │ 's' │ A d a                              │
//! └──────────────────────────────────────┴─────┴────────────────────────────────────┘
//! ```
//!
//! **Paths.** The name of a member ends with `FE`, a step to the elements of an array is `FD`, the
//! path ends with `FF`; none of these bytes occurs in UTF-8. Every value has the one path that leads
//! to it, with the steps through arrays spelled out, so a field `tags` is looked up as `tags` and as
//! `tags[]`. A path of more than [`MAX_PATH_BYTES`] bytes is `FC` and its hash.
//!
//! **Values.** The tags are in [`Tag`]. Numbers and times have terms of their first bytes beside
//! their own: a range takes a few of these for its middle, and single values at its ends alone.
//! Texts of more than [`MAX_TEXT_BYTES`] bytes are cut there and followed by their hash: equality
//! is still decided by the term, a longer prefix no more. A place is a cell of a grid, in the order
//! of its interleaved bits, and then its exact coordinates: a region is some ranges of cells and a
//! look at the coordinates in each term.
//!
//! Hashes are BLAKE3: two texts of one hash are not expected in any data, made up or not.

mod document;
mod grid;
mod path;
mod tag;
mod value;

pub use document::document_terms;
pub(crate) use grid::{Cells, cell_of, place_in};
pub use path::{MAX_PATH_BYTES, PathKey};
pub use tag::Tag;
pub use value::MAX_TEXT_BYTES;
pub(crate) use value::{ID_PREFIX, MOMENT_PREFIXES, NUMBER_PREFIXES, hash_of, term};
