//! FILIP: images and texts compared token by token (arXiv 2111.07783).
//!
//! Each patch and each token has a vector of its own. Of an image `V` and a text `T`
//! (equations 2 to 4):
//!
//! ```text
//! image -> text   1/n₁ Σ over patches of the largest product with any token
//! text -> image   1/n₂ Σ over tokens of the largest product with any patch
//! ```
//!
//! The two differ: texts are ranked for an image by the first, images for a text by the second. Both
//! are [`late_score`]; that padding takes no part, as in the paper, is because no matrix has rows
//! for it. The published checkpoints, DeCLIP's, were trained with padding that does:
//! [`FilipConfig::mask_padding`].
//!
//! The towers are those of CLIP. [`TokenReducer`] makes matrices smaller.

mod config;
mod late_score;
mod reducer;

pub use config::FilipConfig;
pub use late_score::{best_rows, late_score};
pub use reducer::{ReduceError, TokenReducer};
