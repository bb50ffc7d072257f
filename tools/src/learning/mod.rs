//! Learning binarizers, adapters and aggregators: what is learned from, how it goes, and whether it was worth it.
//!
//! | file | holds |
//! |---|---|
//! | `texts.rs` | texts that become vectors |
//! | `documents.rs` | vectors by their ids, of a collection or a file |
//! | `former.rs` | the same documents and queries by an earlier version's encoder |
//! | `pair_lines.rs` | a file of queries and their documents |
//! | `pairs.rs` | documents, queries and which belongs to which; what is held out |
//! | `training.rs` | a training with progress, checkpoints and its losses |
//! | `adapting.rs` | a training of an adapter, the weight of codes, and whether it was worth it |
//! | `functions.rs` | functions as encoded blocks, and what they are documented as |
//! | `aggregating.rs` | a training of an aggregator, and whether it was worth it |
//! | `gate.rs` | the champion gate: learned codes beside those of the rotation |
//! | `wordnet.rs` | pairs of usage examples and definitions |

mod adapting;
mod aggregating;
mod documents;
mod former;
mod functions;
mod gate;
mod pair_lines;
mod pairs;
mod texts;
mod training;
mod wordnet;

pub use adapting::{Adapted, AdaptedRanks, Adapting};
pub use aggregating::{Aggregating, TrainedAggregator, beats_the_mean};
pub use documents::Documents;
pub use former::Former;
pub use functions::{FunctionBlocks, parts_of};
pub use gate::{
    Compatibility, HeldOut, compare_across, compare_with_parent, hits_at, judge, rotation_of,
};
pub use pair_lines::{PairLines, read_pairs};
pub use pairs::{Pairs, Part};
pub use texts::Texts;
pub use training::{Ancestor, Steps, Trained, read_binarizer, train, write_file};
pub use wordnet::WordNet;

/// Returns a matrix of some rows.
#[cfg(test)]
fn matrix(rows: &[[f32; 2]]) -> crate::matrix::Matrix {
    let mut matrix = crate::matrix::Matrix::empty(2);
    rows.iter().for_each(|row| matrix.push(row));
    matrix
}
