//! Filtered search: recall and speed by the share of rows that match.
//!
//! | file | holds |
//! |---|---|
//! | `cases.rs` | which filters, what rows carry for them, which queries ask, and what is true |
//! | `case_file.rs` | such cases read from a file, so that other engines can be asked the same |
//! | `sweep.rs` | searches of every case at every setting |
//! | `report.rs` | what came of it: JSON, table |

mod case_file;
mod cases;
mod report;
mod sweep;

pub(super) use cases::FilterCases;
pub use report::{FilterEvaluation, FilterPoint};
pub(super) use sweep::FilterSweep;
