//! What a search should have found: the true neighbours, and how much of them was found.
//!
//! ```text
//! base, queries ─ brute_force ─► Neighbors ─┐
//! truth.ivecs, set.hdf5 ───────► Neighbors ─┼─ Judge ─► Recall
//! searches ────────────────────► found rows ┘
//! ```
//!
//! Everything that decides is computed in f64 from the vectors as given ([`similarity`]), so that
//! rows of equal distance are equal here, and integers are exact.
//!
//! Ties: several rows may be as near as the k-th true neighbour, and which of them a truth file
//! names is chance. A result counts as right when it is at least as near as the k-th true
//! neighbour, whether or not the file names it.

mod brute_force;
mod cache;
mod exact_results;
mod judge;
mod neighbors;
mod recall;
pub mod similarity;

pub use brute_force::BruteForce;
pub use cache::TruthCache;
pub use exact_results::ExactResults;
pub use judge::{FoundRows, Judge};
pub use neighbors::{Neighbors, NeighborsError};
pub use recall::Recall;
