//! Many texts become packed batches.
//!
//! Texts are sorted by length and cut into batches by tokens ([`plan_batches`]); a batch holds the
//! tokens of its texts one after the other, without padding ([`PackedBatch`]). [`run_batches`] takes
//! them through a model, which works on their rows in blocks ([`RowBlocks`]). Images come one by one to
//! models that pack none ([`run_images`]).

mod blocks;
mod images;
mod packed;
mod plan;
mod run;

pub(crate) use blocks::RowBlocks;
pub(crate) use images::run_images;
pub(crate) use packed::PackedBatch;
pub(crate) use plan::{BatchPlan, Sharing, plan_batches, plan_for_device};
pub(crate) use run::{run_batches, run_each, run_planned};
