//! ALIGN: EfficientNet for images and BERT for texts, in one space.
//!
//! An image is the mean of the tower's last feature map; a text is the row of its first token (not the
//! pooler's) through a linear layer with a bias. Both are brought to length one. Images are squashed to a
//! square before they are cropped, and texts are cut at 64 tokens.
//!
//! A query of an image and a text is their weighted sum ([`crate::compose`]).

mod config;
mod encoder;
#[cfg(test)]
mod golden;

pub use config::AlignConfig;
pub use encoder::AlignEncoder;
