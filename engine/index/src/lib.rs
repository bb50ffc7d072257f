//! Finding things inside one segment: candidates over codes in memory, verification against dense
//! vectors on disk.
//!
//! ```text
//!  QueryCode ──> candidates (codes.<field>, resident) ──> offsets, best bound first
//!  query     ──> verify     (dense.<field>, on disk)  ──> exact similarities, the best k
//!  query tokens ─> multi    (sketches.<field>, tokens.<field>) ──> offsets, exact MaxSim
//!  positions ──> order      (order.<field>)           ──> offsets, where a field has its own order
//!  offsets   ──> ids        (ids)                     ──> PointIds
//! ```
//!
//! This crate knows one segment at a time, as files in a [`Directory`](bigrain_storage::Directory).
//! It has never heard of collections. Every similarity here is "larger is better"
//! (see [`Metric`](bigrain_types::Metric)).
//!
//! # Adding a candidate index
//!
//! 1. A file in `candidates/` that turns a [`QueryCode`](bigrain_binarize::QueryCode) into a
//!    [`Candidates`], skipping deleted offsets.
//! 2. Its choice in the segment of the engine that builds it.
//! 3. A differential test against an exact search in `tests/it/`.

pub mod build;
pub mod candidates;
pub mod codes;
pub mod dense;
mod error;
pub mod ids;
pub mod lists;
pub mod multi;
pub mod order;
mod scanner;
pub mod sparse;
pub mod verify;

pub use candidates::{Candidate, Candidates, RowMask};
pub use error::IndexError;
pub use scanner::scan;
