//! Verification: candidates' dense vectors are scored exactly, in the order of their bounds.
//!
//! BiDR's post verification with RaBitQ's stopping rule. Candidates come ordered by the best that
//! their similarity could be. As long as fewer than `limit` are known, or the next bound still beats
//! the `limit`-th exact similarity, the next row is scored; then the rest is left unread. With bounds
//! that hold, the result is the brute-force one over all candidates.
//!
//! # Rows from disk
//!
//! The rule takes rows one by one, and a disk wants to be asked for many at a time. So rows are
//! *fetched* ahead in batches and *scored* one by one under the rule: how rows are fetched changes
//! what is read, and never what is found or how many rows count as scored.
//!
//! ```text
//!  candidates, best bound first
//!  ├── batch ────────────────┤── batch ─ ─ ─          only candidates that can still enter
//!  │ resident file: rows in the map, the start of each asked of memory
//!  │ other file:    rows in memory in the map, the blocks of the others read together, checked
//!  └─> score, score, score, stop
//! ```
//!
//! Batches begin small, since a row fetched beyond the stop is a read wasted. Where rows come from
//! disk they double, because the time of a batch hardly depends on its size, and because a stop that
//! has not come yet is likely to be as far away again.

mod batch;
mod race;
mod row_io;
mod similarity;
#[cfg(test)]
mod tests;
mod verifier;

pub use race::{Verified, verify};
pub use row_io::RowIo;
pub(crate) use row_io::Way;
pub use similarity::similarity;
pub use verifier::Verifier;
