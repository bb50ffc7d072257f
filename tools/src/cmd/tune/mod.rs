//! `bigrain tune`: what a target recall really finds on a collection, and what it costs; and how its
//! results of vectors and words are fused best.
//!
//! | file | holds |
//! |---|---|
//! | `args.rs` | the command line, and what runs after what |
//! | `asked.rs` | the queries: a file of vectors, or stored points that look for others |
//! | `advice.rs` | which setting to use for which recall |
//! | `report.rs` | what came of it: JSON, table, picture |
//! | `hybrid.rs` | fitting a fusion, and keeping it |
//!
//! The truth is what an exact search finds, so that whatever is stored is what counts: vectors of
//! 16 or 8 bits are judged by themselves, not by what they were rounded from.

mod advice;
mod args;
mod asked;
mod hybrid;
mod report;

pub use advice::Advice;
pub use args::{TuneArgs, run};
pub use hybrid::HybridArgs;
pub use report::Tuning;
