//! Checkpoint files, read and checked.
//!
//! | file | as |
//! |---|---|
//! | safetensors, also in shards with an index | `f32`, `f16`, `bf16`, int8 of our own (`int8`), or 4 bits in groups of 32 (`q4`) |
//! | torch's zip and legacy formats | `f32`, `f16`, `bf16` (`torch`) |
//!
//! Files are mapped ([`Checkpoint`]) only while a model is being opened: tensors are checked
//! against the shapes the model expects, converted to `f32` and copied into the layouts the
//! runtime computes on ([`Tensors`]). Nothing reads a map afterwards, so a file that changes later
//! cannot change answers.

mod checkpoint;
mod error;
mod int8;
mod linear;
mod map;
mod names;
mod q4;
mod stored;
mod tensors;
mod torch;

pub(crate) use checkpoint::Checkpoint;
pub use error::{TensorMismatch, WeightsError, WrongShape};
pub(crate) use int8::Int8Names;
pub(crate) use tensors::{TensorSpec, Tensors};
pub use torch::TorchFileError;
