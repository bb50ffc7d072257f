//! Benchmarks: kernels, search, encode.

mod peer;
mod random_weights;

pub use peer::Peer;
pub use random_weights::{Fill, Tensor, write_tensors};
