//! The vocabulary of the integration tests: small data sets, a collection in a temporary folder,
//! a seeded source of randomness.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail the way tests do"
)]

mod data;
mod db;

pub use data::{Random, brute_force, clustered};
pub use db::Db;
