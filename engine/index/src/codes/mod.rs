//! `codes.<field>` and `centroids.<field>`: packed codes and their factors, resident while they
//! serve.
//!
//! Every plane lies in *blocks* of 32 rows, which a list scan reads; what turns the scores of plane
//! 0 (the signs) into bounds lies in columns beside it. The factors of whole codes, which only the
//! survivors of that scan need, lie row by row.
//!
//! ```text
//! ┌────────────────────────────┬──────────┬──────────┬──────────┬─────────┬ only at 2 levels or more ┐
//! │ header, padded to 4096     │ add      │ rescale  │ error    │ plane 0 │ rest       │ planes 1..  │
//! │ rows u64, code dims u32,   │ rows' ×  │ rows' ×  │ rows' ×  │ rows'/32│ rows × 3 × │ each        │
//! │ levels u8, 3 zero bytes,   │ f32      │ f16      │ f16, 1   │ blocks  │ f16        │ rows'/32    │
//! │ unit f32, shift unit f32,  │          │          │ level    │         │            │ blocks      │
//! │ code space 16 B            │          │          │ only     │         │            │             │
//! └────────────────────────────┴──────────┴──────────┴──────────┴─────────┴────────────┴─────────────┘
//! ```
//!
//! `rows'` is `rows` rounded up to 32; what it adds is zero. A block holds byte 0 of each of its rows,
//! then byte 1 of each, and so on. Every section begins at a multiple of 4096. The columns hold the
//! factors of the whole code at one level, and above those of the signs alone, whose error follows
//! from their rescale factor; `rest` then holds `shift` (what the whole code's add has more),
//! rescale and error of the whole code. Halves count in multiples of `unit`, shifts in multiples of
//! `shift unit`.

mod builder;
mod reader;
mod resident;
mod writer;

pub use builder::CodesBuilder;
pub use reader::CodesReader;
pub use resident::ResidentCodes;
pub use writer::write;

/// Sections begin at multiples of this.
const SECTION_BYTES: u32 = 4096;

/// Bytes of the header that mean something.
const HEADER_BYTES: usize = 40;
