//! Image search on a classifier and a sentence encoder that have never met.
//!
//! A classifier says of an image how probable each of its classes is, and classes have names. So an image
//! gets the embedding that the sentence encoder gives to those names, weighed by their probabilities:
//!
//! ```text
//! image -> classifier -> p_1 ... p_1000 -> Σ p_k · embed(name_k) -> length one
//! text  -> sentence encoder ----------------------------------------> length one
//! ```
//!
//! Nothing is trained, and what has no class is not seen: it is no rival of CLIP. It needs weights that every
//! package registry has, and shows the whole path of image search on them.

mod config;
mod encoder;
mod error;

pub use encoder::ClassNameEncoder;
pub use error::ClassNamesError;
