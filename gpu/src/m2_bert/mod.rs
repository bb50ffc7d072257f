//! M2-BERT: its forward pass on a device, in halves but for the transforms.
//!
//! ```text
//!            ids of texts of one length, padding included
//!  embed_tokens           rows of the tables, summed and normalised              x
//!  multiply               x1, x2 and v of each token                             broad
//!  split_signals          short convolution; v x1 beside x, and x2, by channel   signals, gate
//!  long_conv              (k1 * v x1) x2 + k2 * x, in floats                     gate
//!  gather_rows            by token again; in the last layer of wanted tokens     broad
//!  multiply               h                                                      x
//!  multiply, gate_values  wide rows, block by block, some tokens at a time       broad, gated
//!  multiply               narrow rows, block by block                            sum
//!  add_and_normalize      x = norm(x + sum), at last in floats                   x
//! ```
//!
//! The formulas are those of `encoders/src/m2_bert`. Filters depend on weights alone: whoever has the model computes them, and
//! the device keeps their spectra for each length.

mod batch;
mod model;
mod shape;
mod workspace;

pub use batch::{M2BertBatch, M2BertRows};
pub use model::GpuM2Bert;
pub use shape::M2BertShape;
