//! One immutable unit of data: a folder of files over offsets `0..rows`.
//!
//! ```text
//! collections/<collection key>/<segment id>/
//!     codes.vector      resident while the segment serves
//!     lists.vector      which rows lie near each other, and about which centroids
//!     centroids.vector  codes of the centroids, resident
//!     dense.vector      read row by row, to verify
//!     ids               offset -> PointId
//! ```
//!
//! A segment is written completely before the store's manifest names it; a folder that the
//! manifest does not name is garbage and removed at open.

mod builder;
mod reader;

pub(crate) use builder::{SegmentInput, SegmentParams, build_segment};
pub(crate) use reader::Segment;
