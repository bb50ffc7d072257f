//! `codes.<field>` and `centroids.<field>`: packed codes and their factors, resident while they
//! serve.
//!
//! Every plane lies in *blocks* of 32 rows, which a list scan reads; what turns scores into bounds
//! lies in columns beside them. Where codes have several levels of many dimensions, a scan reads the
//! signs (plane 0) first and the other levels only of blocks where a row survives: the columns then
//! hold the factors of the signs, and those of whole codes lie row by row, for survivors only.
//!
//! ```text
//! ┌────────────────────────────┬──────────┬──────────┬──────────┬─────────┬────────────┬─────────────┐
//! │ header, padded to 4096     │ add      │ rescale  │ error    │ plane 0 │ rest       │ planes 1..  │
//! │ rows u64, code dims u32,   │ rows' ×  │ rows' ×  │ rows' ×  │ rows'/32│ rows × 3 × │ each        │
//! │ levels u8, signs first u8, │ f32      │ f16      │ f16      │ blocks  │ f16        │ rows'/32    │
//! │ 2 zero bytes, unit f32,    │          │          │ not if   │         │ only if    │ blocks      │
//! │ shift unit f32,            │          │          │ signs    │         │ signs      │             │
//! │ code space 16 B            │          │          │ first    │         │ first      │             │
//! └────────────────────────────┴──────────┴──────────┴──────────┴─────────┴────────────┴─────────────┘
//! ```
//!
//! `rows'` is `rows` rounded up to 32; what it adds is zero. A block holds byte 0 of each of its rows,
//! then byte 1 of each, and so on. Every section begins at a multiple of 4096. The error of signs
//! follows from their rescale factor. `rest` holds `shift` (what the whole code's add has more than
//! that of its signs), rescale and error. Halves count in multiples of `unit`, shifts in multiples of
//! `shift unit`.

mod builder;
mod large;
mod reader;
mod resident;
mod writer;

pub use builder::{CodesBuilder, signs_first_pays};
pub use reader::CodesReader;
pub use resident::ResidentCodes;
pub use writer::write;

/// Sections begin at multiples of this.
const SECTION_BYTES: u32 = 4096;

/// Bytes of the header that mean something.
const HEADER_BYTES: usize = 40;
