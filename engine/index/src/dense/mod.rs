//! `dense.<field>`: full-precision vectors on disk, read only to verify.
//!
//! ```text
//! ┌───────────────────────────────┬────────────────┬────────────────┬─────
//! │ header, padded to 4096        │ row 0          │ row 1          │ ...
//! │ rows u64, dims u32, format u8 │ dims × f32, LE │ dims × f32, LE │
//! └───────────────────────────────┴────────────────┴────────────────┴─────
//! ```
//!
//! Rows lie in offset order without gaps from byte 4096 on, so a row touches one page more than
//! it must at most, and a file of n rows is n rows long. Under cosine, rows have length one.

mod reader;
mod writer;

pub use reader::DenseReader;
pub use writer::DenseWriter;

/// Where row 0 lies.
const HEADER_BYTES: u32 = 4096;

/// How a component is stored; the only value so far.
const FORMAT_F32: u8 = 0;
