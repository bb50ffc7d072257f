//! One immutable unit of data: a folder of files over offsets `0..rows`.
//!
//! ```text
//! collections/<collection key>/<segment id>/
//!     codes.<field>      resident while the segment serves
//!     lists.<field>      which rows lie near each other, and about which centroids
//!     centroids.<field>  codes of the centroids, resident
//!     dense.<field>      read row by row, to verify
//!     order.<field>      position <-> offset, for every field but the one that leads
//!     ids                offset -> PointId
//!     lexical            payload value -> offsets
//! ```
//!
//! A field has files if any point of the segment has a vector in it. The first such field *leads*:
//! offsets are its list order, so that its lists are ranges of offsets; points without a vector in it
//! come last.
//!
//! A segment is written completely before the store's manifest names it; a folder that the
//! manifest does not name is garbage and removed at open. Files of a field that was dropped stay,
//! unread, until the segment is rewritten.

mod builder;
mod field_files;
mod input;
mod reader;

pub(crate) use builder::{BuildMemory, BuiltSegment, SegmentParams, build_segment};
pub(crate) use field_files::{FieldFiles, Placement};
pub(crate) use input::SegmentInput;
pub(crate) use reader::Segment;
