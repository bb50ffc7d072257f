//! `dense.<field>`: dense vectors on disk, read only to verify.
//!
//! ```text
//! ┌───────────────────────────────┬───────┬───────┬─────
//! │ header, padded to 4096        │ row 0 │ row 1 │ ...
//! │ rows u64, dims u32, format u8 │       │       │
//! └───────────────────────────────┴───────┴───────┴─────
//!
//!  a row:   f32   dims × f32                          4 dims bytes
//!           f16   dims × half                         2 dims bytes
//!           i8    scale f32, dims × i8                dims + 4 bytes
//! ```
//!
//! Rows lie in offset order without gaps from byte 4096 on, so a row touches one page more than
//! it must at most, and a file of n rows is n rows long. Under cosine, vectors have length one
//! before they are rounded to their format.
//!
//! What is stored is what is scored and what is given back: with `f16` and `i8`, the vector after
//! rounding. Encoding such a vector again gives the same bytes, so rows may be rewritten any number
//! of times without drifting.

mod reader;
mod row;
mod row_encoder;
mod writer;

pub use reader::DenseReader;
pub use row::DenseRow;
pub use writer::DenseWriter;

/// Where row 0 lies.
const HEADER_BYTES: u32 = 4096;

/// Bytes of a header that say something.
const HEADER_USED: usize = 13;

/// Bytes of the scale before an `i8` row's components.
const SCALE_BYTES: usize = 4;
