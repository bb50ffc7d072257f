//! Benchmarks: kernels, search, encode.

mod random_weights;

pub use random_weights::{Fill, Tensor, write_tensors};
