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
mod failing_disk;
mod formats;
mod full_disk;
mod fuzz;
mod life;
mod model;
mod power;
mod recall;
