//! `sparse.<field>`: sparse vectors, as inverted lists for searches and as rows for reading back.
//!
//! ```text
//! ┌──────────────────────────────────────────────────────────┬──────────────────────────────┐
//! │ rows u32, terms u32, components u64, vectors u32, 0 u32  │ dimensions: terms × u32      │
//! ├──────────────────────────────────────────────────────────┼──────────────────────────────┤
//! │ list ends: terms × u64                                   │ bounds: terms × { f32, f32 } │
//! ├──────────────────────────────────────────────────────────┼──────────────────────────────┤
//! │ row ends: rows × u64                                     │ lists: components × 8 bytes  │
//! ├──────────────────────────────────────────────────────────┼──────────────────────────────┤
//! │ rows: components × 8 bytes                               │                              │
//! └──────────────────────────────────────────────────────────┴──────────────────────────────┘
//!  a list   offsets n × u32 | values n × f32        a row   dimensions n × u32 | values n × f32
//! ```
//!
//! A *term* is a dimension that some row uses; dimensions rise, and so do the offsets of a list. A row
//! may be empty: the point has no vector in this field. The bounds of a term are its least and its
//! largest value. Sections begin at multiples of 4 KiB. A component takes 16 bytes on disk; searches
//! touch half of that, in the lists of the query's terms only, where they lie in the map.
//!
//! ```text
//!  SparseRows    rows in memory            SparseSource   what the file is written from
//!  SparseTable   rows and lists in memory  SparseReader   the file
//!  SparseIndex   either of the last two    SparseSearch   the best rows of one
//!  SparseStatistics   how often the dimensions of a query are used
//! ```

mod best_rows;
mod index;
mod layout;
mod reader;
mod rows;
mod search;
mod statistics;
mod table;
mod window;
mod writer;

pub use index::{InvertedList, SparseIndex, ValueBounds};
pub use reader::SparseReader;
pub use rows::SparseRows;
pub use search::{SparseFound, SparseSearch};
pub use statistics::SparseStatistics;
pub use table::SparseTable;
pub use writer::{BUILD_BYTES, SparseSource, write};
