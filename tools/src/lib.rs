//! The parts of the program `bigrain`.

pub mod beir;
pub mod functions;
pub mod human;
pub mod input;
pub mod ranking;
pub mod rust_sources;
