//! The in-memory stage: offsets worth verifying, by the best they could be.

pub mod flat;

use bigrain_kernels::TopK;

/// The most promising offsets of a scan, by *optimistic similarity*: the estimate from the code
/// plus its error bound.
///
/// Ordering by that bound is what makes verification exact up to the bound's probability: once the
/// next candidate's optimistic similarity cannot beat the k-th exact one, none after it can.
pub type Candidates = TopK;
