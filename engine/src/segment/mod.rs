//! One immutable unit of data: a folder of files over offsets `0..rows`.
//!
//! ```text
//! collections/<collection key>/<segment id>/
//!     codes.<field>      resident while the segment serves
//!     lists.<field>      which rows lie near each other, and about which centroids
//!     centroids.<field>  codes of the centroids, resident
//!     dense.<field>      read row by row, to verify
//!     order.<field>      position <-> offset, for every dense field but the one that leads
//!     sparse.<field>     dimension -> offsets, and offset -> vector, of a sparse field
//!     tokens.<field>     offset -> every token of a multi-vector field, read to verify
//!     sketches.<field>   merged tokens as codes, and lists of them, resident
//!     ids                offset -> PointId
//!     lexical            payload value -> offsets
//! ```
//!
//! A field has files if any point of the segment has a vector in it. The first such dense field
//! *leads*: offsets are its list order, so that its lists are ranges of offsets; points without a
//! vector in it come last. Sparse and multi-vector fields take the offsets as they
//! are. In a segment without dense
//! vectors these are the order in which its points were written, as far as they came from one
//! memtable; and a merge puts segment behind segment.
//!
//! A segment is written completely before the store's manifest names it; a folder that the
//! manifest does not name is garbage and removed at open. Files of a field that was dropped stay,
//! unread, until the segment is rewritten.

mod builder;
mod field_files;
mod input;
mod multi_files;
mod reader;
mod sparse_files;

pub(crate) use builder::{BuildMemory, BuiltSegment, SegmentParams, build_segment};
pub(crate) use field_files::{FieldFiles, Placement};
pub(crate) use input::SegmentInput;
pub(crate) use multi_files::MultiFiles;
pub(crate) use reader::{Segment, SegmentFields};
pub(crate) use sparse_files::SparseFiles;
