//! HDF5 files in the layout of ann-benchmarks: one file is a whole test set.
//!
//! ```text
//! /            attribute "distance": angular, euclidean or dot
//! ├ train      rows × dims, what is searched
//! ├ test       queries × dims, what is looked for
//! ├ neighbors  queries × k, row numbers of the true neighbours, nearest first
//! └ distances  not read: they are rounded, and the rows say it exactly
//! ```
//!
//! Contiguous and chunked datasets, plain or compressed, of floats or integers. The file is read
//! with positional reads, a block of rows at a time.

mod ground_truth;
mod records;
mod table;

pub use ground_truth::{read_metric, read_neighbors};
pub use records::Hdf5;
