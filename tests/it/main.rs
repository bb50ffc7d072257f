//! Integration tests, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "everything here is a test or a part of one"
)]

mod bad_input;
mod corruption;
mod crash;
mod dense;
mod field_crash;
mod fields;
mod filters;
mod formats;
mod life;
mod memory;
mod merging;
mod model;
mod recall;
mod start;
mod text;
mod updates;
