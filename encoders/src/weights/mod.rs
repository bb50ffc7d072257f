//! Checkpoint files, read and checked.
//!
//! A file is mapped ([`MappedFile`]) only while an encoder is being opened: tensors are checked
//! against the shapes the model expects, converted to `f32` and copied into the layouts the
//! runtime computes on ([`Tensors`]). Nothing reads the map afterwards, so a file that changes
//! later cannot change answers.

mod int8;
mod linear;
mod map;
mod tensors;

pub(crate) use int8::Int8Names;
pub(crate) use map::MappedFile;
pub use tensors::WeightsError;
pub(crate) use tensors::{TensorSpec, Tensors};
