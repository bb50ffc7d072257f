//! Many texts become packed batches.
//!
//! Texts are sorted by length and cut into batches by tokens ([`plan_batches`]); a batch holds the
//! tokens of its texts one after the other, without padding ([`PackedBatch`]).

mod packed;
mod plan;

pub(crate) use packed::PackedBatch;
pub(crate) use plan::plan_batches;
