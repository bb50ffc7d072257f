//! Cross-encoders: a model that reads query and passage together and gives one number.
//!
//! A sentence encoder never sees query and passage at once; a cross-encoder sees nothing else, and
//! costs a forward pass a passage. It is for the order of the best few dozen, not for finding them.

mod config;
mod encoder;
mod prop;
mod scorer;

pub use config::ScoreActivation;
pub use encoder::{CrossEncoder, CrossOptions};
pub use prop::PropReranker;
pub use scorer::{CrossScorer, ScoreError};
