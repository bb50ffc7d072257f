//! Devices agree with the CPU: the emulated one always, and a GPU where there is one.
//!
//! `REQUIRE_GPU=1` makes a missing GPU a failure.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that fails says so"
)]

mod batch;
mod bert;
mod encode;
mod lists;
mod long_conv;
mod m2_bert;
mod products;
mod recurrent;
mod reference;
mod scan;
mod scores;
mod staging;
mod support;
mod verify;
