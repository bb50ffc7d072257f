//! Images and texts in one space.
//!
//! A [`DualEncoder`] has a tower for each, and both give vectors that are compared with each other:
//! an image is searched by a text and a text by an image. A [`MultiVectorEncoder`] gives a vector a
//! patch and a token instead ([`TokenMatrix`]), to be compared by late interaction.
//!
//! On top of either, for any model: labels nobody was trained on ([`LabelSet`], [`TokenLabelSet`]),
//! where in an image a text is ([`ScoreMap`]), and queries made of an image and a text ([`compose`]).

mod compose;
mod encoder;
mod labels;
mod score_map;
mod token_matrix;

pub use compose::compose;
pub use encoder::{DualEncoder, MultiVectorEncoder};
pub use labels::{Label, LabelSet, ScoredLabel, TokenLabelSet};
pub(crate) use labels::{PLACE, means as label_means};
pub use score_map::{ScoreMap, ScoreMapError};
pub use token_matrix::{Grid, TokenMatrix, TokenMatrixError};
