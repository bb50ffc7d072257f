//! Learning a binarizer: what is learned from, how it goes, and whether it was worth it.
//!
//! | file | holds |
//! |---|---|
//! | `pairs.rs` | documents, queries and which belongs to which; what is held out |
//! | `training.rs` | a training with progress, checkpoints and its losses |
//! | `gate.rs` | the champion gate: learned codes beside those of the rotation |
//! | `wordnet.rs` | pairs of usage examples and definitions |

mod gate;
mod pairs;
mod training;
mod wordnet;

pub use gate::{HeldOut, hits_at, judge, rotation_of};
pub use pairs::{Pairs, Part};
pub use training::{Trained, train, write_file};
pub use wordnet::WordNet;
