//! What scans and builds cost on a device, beside the CPU in the same run.
//!
//! | workload | the CPU | the device |
//! |---|---|---|
//! | `scan` | all levels of all codes for one query, bounds, the rows that may be among the best | the same, copies of query and result included |
//! | `batch` | one query after the other, the best of each | all queries at once on tensor cores, copies included |
//! | `encode` | rows rotated, and rounded to planes | the same, copies of the rows there and back included |
//! | `assign` | the nearest centroid by codes of the centroids, as a build of the CPU finds it | by exact distances, copies included |
//!
//! Codes, rows and queries are random ones of a seed: how many rows survive a bound is not that of real data, and the
//! CPU's searches read the signs of many codes only, which a `scan` here does not. Before anything is measured
//! the device must give the CPU's integer scores and results; where it does not, that is an error.
//!
//! | file | holds |
//! |---|---|
//! | `codes.rs` | random codes and queries |
//! | `host.rs` | the CPU's side |
//! | `checks.rs` | what both must agree on |
//! | `workload.rs` | what is measured, and in turns |
//! | `bench.rs` | all workloads of all levels |
//! | `result.rs` | what came of it |

mod bench;
mod checks;
mod codes;
mod host;
mod result;
mod workload;

pub use bench::{BenchPlan, BenchShape, ScanBench};
pub use result::{Measured, Rates};
