//! One ranked list out of several: what hybrid search returns.
//!
//! A vector search and a text search score in units that have nothing to do with each other, so their
//! scores cannot simply be added. Either only ranks count ([`Fusion::ReciprocalRank`]) or scores are
//! first brought to a common scale ([`Fusion::MinMax`], [`Fusion::Distribution`]). Each list has a
//! weight; weights that suit a collection are found by measuring, because a list that is much weaker
//! than another makes the result worse at any fixed weight.

mod fused;
mod method;
mod scale;

pub use fused::{RankedList, fuse};
pub use method::{Fusion, FusionError};
