//! The index of a segment, from rows to results.

mod building;
mod data;
mod files;
mod searching;
