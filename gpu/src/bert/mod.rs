//! Models of BERT's family: their forward pass on a device, in halves.
//!
//! ```text
//!            ids, types, bounds of texts, one after the other
//!  embed_tokens           rows of the tables, summed and normalised        x
//!  multiply               query, key and value of each token               broad
//!  attend                 attention inside each text                       context
//!  multiply               the output of attention                          sum
//!  add_and_normalize      x = norm(x + sum)                                x
//!  multiply, activate     wide layer                                       broad
//!  multiply               narrow layer                                     sum
//!  add_and_normalize      x = norm(x + sum), at last in floats             x
//! ```
//!
//! Weights and what lies between kernels are halves, sums are floats. That halves memory and traffic, and is what
//! tensor cores multiply fastest; rows differ from those of 32 bits by rounding (docs/gpu.md has how much).

mod model;
mod shape;
mod workspace;

pub use model::GpuBert;
pub use shape::{BertActivation, BertBatch, BertShape};
