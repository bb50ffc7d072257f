//! The index of a segment, from rows to results.

#![allow(clippy::unwrap_used, reason = "tests")]

mod building;
mod data;
mod devices;
mod files;
mod memory;
mod multi;
mod searching;
