//! `sparse.<field>`: sparse vectors, as inverted lists for searches and as rows for reading back.
//!
//! ```text
//! ┌────────────────────────────────────────────┬──────────────────────────────┐
//! │ rows u32, terms u32, components u64        │ dimensions: terms × u32      │
//! ├────────────────────────────────────────────┼──────────────────────────────┤
//! │ list ends: terms × u64                     │ row ends: rows × u64         │
//! ├────────────────────────────────────────────┼──────────────────────────────┤
//! │ list offsets: components × u32             │ list values: components × f32│
//! ├────────────────────────────────────────────┼──────────────────────────────┤
//! │ row dimensions: components × u32           │ row values: components × f32 │
//! └────────────────────────────────────────────┴──────────────────────────────┘
//! ```
//!
//! A *term* is a dimension that some row uses; dimensions rise, and so do the offsets of a list. A row
//! may be empty: the point has no vector in this field. Sections begin at multiples of 4 KiB. A
//! component takes 16 bytes on disk; searches touch half of that, in the lists of the query's terms
//! only, where they lie in the map.

mod layout;
mod reader;
mod search;
mod writer;

pub use reader::SparseReader;
pub use writer::write;
