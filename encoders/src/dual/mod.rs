//! Images and texts in one space.
//!
//! A [`DualEncoder`] has a tower for each, and both give vectors that are compared with each other:
//! an image is searched by a text and a text by an image. A [`MultiVectorEncoder`] gives a vector a
//! patch and a token instead ([`TokenMatrix`]), to be compared by late interaction.

mod compose;
mod encoder;
mod token_matrix;

pub use compose::compose;
pub use encoder::{DualEncoder, MultiVectorEncoder};
pub use token_matrix::{Grid, TokenMatrix, TokenMatrixError};
