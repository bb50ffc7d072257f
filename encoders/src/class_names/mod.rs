//! Image search on a classifier and a sentence encoder that have never met.
//!
//! A classifier says of an image how probable each of its classes is, and classes have names. So an image
//! gets the embedding that the sentence encoder gives to those names, weighed by their probabilities (ConSE,
//! arXiv 1312.5650):
//!
//! ```text
//! image -> classifier -> p_1 ... p_1000 -> Σ (p_k - 1/1000) · embed(name_k) -> length one
//! text  -> sentence encoder -------------------------------------------------> length one
//! ```
//!
//! It departs from the paper in three ways, none of which has a number that was fitted. All classes count and
//! not the best ten. What counts is by how much a class is more probable than by chance: else the mean of
//! all names is a part of every image, the larger the less the classifier knows. And a name is what is said
//! of a picture of it, the mean over some templates, because a caption is no dictionary's headword.
//!
//! The classifier is a mean over places and a linear layer, so it also says which classes are at each place
//! (class activation maps, arXiv 1512.04150). These become the rows of an image's token matrix, in the same
//! space; a text has one row, its embedding.
//!
//! Nothing is trained, and what has no class is not seen: it is no rival of CLIP. It needs weights that every
//! package registry has, and shows the whole path of image search on them.

mod config;
mod encoder;
mod error;

pub use encoder::ClassNameEncoder;
pub use error::ClassNamesError;
