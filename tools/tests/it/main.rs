//! The program as a user meets it: command lines in, text and exit codes out.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that fails says so")]

mod backups;
mod batches;
mod benching;
mod code;
mod commands;
mod curation;
mod desk;
mod device;
mod exchange;
mod hybrid;
mod learning;
mod models;
mod pictures;
mod sources;
mod sparse;
mod tuning;
mod vectors;
