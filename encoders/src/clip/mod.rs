//! CLIP: an image tower and a text tower whose vectors are compared (arXiv 2103.00020), and FILIP,
//! whose towers are the same (arXiv 2111.07783).
//!
//! Both towers are pre-norm transformers (`transformer`): `x += Attention(LN(x))`,
//! `x += MLP(LN(x))`. The image tower (`vision`) reads patches, which are a multiplication once they
//! are laid out as rows. The text tower (`text`) is causal and gives the row of the end of the text,
//! so what comes behind it never matters: texts are packed as they are, and never padded to the 77
//! tokens of the reference implementations.
//!
//! ```text
//! pixels  -> patches -> + class, positions -> LN -> blocks -+-> row 0   -> LN -> projection
//!                                                           +-> patches -> LN -> projection (rows)
//! ids     -> words + positions ---------------> causal blocks --> row of the end, or all -> LN -> projection
//! ```
//!
//! A checkpoint comes with the names of Hugging Face, of OpenAI and open_clip, or of DeCLIP
//! (`names`); which is told by the tensors, the shape by `config.json` or `open_clip_config.json`.

mod config;
mod encoder;
mod folder;
#[cfg(test)]
mod golden;
mod head;
mod model;
mod names;
mod open_clip;
mod text;
mod transformer;
mod vision;

pub use config::{ClipConfig, ClipTextConfig, HiddenAct, TowerConfig, VisionConfig};
pub use encoder::{ClipEncoder, ClipOptions};
