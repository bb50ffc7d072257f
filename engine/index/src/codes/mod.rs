//! `codes.<field>`: the packed codes of a segment and their factors, resident while it serves.
//!
//! ```text
//! ┌──────────────────────────────────────────┬──────────────┬────────────┬────────────┬─────
//! │ header, padded to 4096                   │ factors      │ plane 0    │ plane 1    │ ...
//! │ rows u64, code dims u32, levels u8,      │ rows × 8 B   │ rows ×     │ rows ×     │
//! │ 3 zero bytes, unit f32, code space 16 B  │              │ words u64  │ words u64  │
//! └──────────────────────────────────────────┴──────────────┴────────────┴────────────┴─────
//! ```
//!
//! Every section begins at a multiple of 4096. The sections are plane-major so that a later stage
//! may keep only the first planes in memory and leave the others on disk.

mod reader;
mod writer;

pub use reader::{CodesReader, ResidentCodes};
pub use writer::{CodesInput, write};

/// Sections begin at multiples of this.
const SECTION_BYTES: u32 = 4096;

/// Bytes of the header that mean something.
const HEADER_BYTES: usize = 36;
