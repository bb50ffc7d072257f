//! Integration tests, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "everything here is a test or a part of one"
)]

mod aliases;
mod backup;
mod backup_crash;
mod bad_input;
mod check;
mod corruption;
mod crash;
mod dense;
mod device;
mod device_building;
mod encoder_upgrade;
mod failing_disk;
mod field_crash;
mod fields;
mod filters;
mod formats;
mod full_disk;
mod fuzz;
mod grouping;
mod learned;
mod life;
mod memory;
mod merging;
mod model;
mod multi;
mod multi_answers;
mod newer;
mod power;
mod pressure;
mod recall;
mod shape;
mod sparse;
mod start;
mod text;
mod updates;
mod upgrade;
