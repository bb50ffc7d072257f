//! Recall against speed: a collection searched with one setting after the other.
//!
//! ```text
//! Sweep ("target=0.8,0.9") ─► Setting ─► Pass: every query once ─► Timing, found rows
//!                                        rounds of passes, settings taking turns ─► medians
//! ```
//!
//! Settings take turns within a round, so that a machine that slows down for a while slows all of
//! them. What is counted (lists, codes, rows) is the same in every round; what is timed is the
//! median over the rounds.

mod all_threads;
mod curve_point;
mod measurement;
mod pass;
mod sweep;

pub use all_threads::search_all;
pub use curve_point::{CurvePoint, series};
pub(crate) use measurement::median;
pub use measurement::{Measurement, Work, measure, warm_up};
pub use pass::{Found, Pass};
pub use sweep::{Setting, Sweep};
