//! The vocabulary of the integration tests: small data sets, a collection in a temporary folder,
//! a seeded source of randomness, writers and what they leave, disks that fail, memory that is short.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail and talk the way tests do"
)]

mod data;
mod db;
mod faults;
mod memory_group;
mod soak;
mod versions;
mod workload;

pub use data::{
    Random, assert_nearest, brute_force, brute_force_multi, brute_force_sparse, clustered,
    fast_folder, multi_vector, sparse_vector, topical_tokens,
};
pub use db::Db;
pub use faults::{Control, Disk, Event, Record, Shim, Survival};
pub use memory_group::MemoryGroup;
pub use soak::Soak;
pub use versions::raise_version;
pub use workload::{Ledger, Model, Operation, Writer, Written, read_consistent, workload_config};
