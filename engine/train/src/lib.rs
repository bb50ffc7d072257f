//! Learning binarizers, adapters and aggregators. Used by tools only; nothing that serves depends on it.
//!
//! ```text
//!  embeddings, pairs           codes of the moment            a step
//!  rows [n x d]       mine     nearest wrong documents  draw  forward, loss, backward, Adam
//!  (query, document) ------->  of each query           ---->  ----------.
//!                                 ^                                     |
//!                                 '---- every `mine_every` steps -------'
//!                                                  |  at the end
//!                                                  v
//!                        scores fitted, errors measured  ->  the champion gate  ->  a file
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `matrix.rs` | matrices and the one product |
//! | `map.rs` | a residual MLP: forward and backward |
//! | `network.rs` | the recurrent binarizer as it is trained |
//! | `loss.rs` | contrast and distillation as one cross entropy |
//! | `adam.rs` | the optimiser |
//! | `mining.rs` | hard negatives and shortlists, from the code index |
//! | `trainer.rs` | steps, one after the other |
//! | `across.rs` | versions across encoders |
//! | `queue.rs` | codes of earlier batches, as further wrong answers |
//! | `checkpoint.rs` | a run that goes on where it was |
//! | `ranking.rs` | where the right document comes, by codes or by floats |
//! | `fit.rs` | what scores of learned codes mean |
//! | `adapting.rs` | a dense adapter: queries that tell apart what codes take for near |
//! | `locality.rs` | its batches, of queries whose candidates are each other's |
//! | `fusion.rs` | how much codes weigh beside it |
//! | `aggregating.rs` | an aggregator: how much each block of a document counts in its one vector |
//! | `attention.rs` | what it learns: forward and backward |
//! | `training.rs` | what trainings that can be stopped have in common |
//! | `random.rs` | seeded numbers |
//!
//! Gradients are written by hand (docs/decisions/0018); tests compare each layer and loss with finite
//! differences. Everything is decided by seeds: the same inputs give the same weights on one
//! instruction set.

mod across;
mod adam;
mod adapting;
mod aggregating;
mod attention;
mod checkpoint;
mod error;
mod fit;
mod fusion;
mod locality;
mod loss;
mod map;
mod matrix;
mod mining;
mod network;
mod queue;
mod random;
mod ranking;
#[cfg(test)]
mod support;
mod trainer;
mod training;

pub use across::FormerVectors;
pub use adapting::{AdapterConfig, AdapterTrainer};
pub use aggregating::{AggregatorConfig, AggregatorTensors, AggregatorTrainer, BlockExamples};
pub use error::TrainError;
pub use fit::{fit_across, fit_crossing, fit_scores};
pub use fusion::fit_code_weight;
pub use locality::Batches;
pub use ranking::{DocumentCodes, Shortlisted, float_ranks, ranks_among};
pub use trainer::{Examples, Negatives, QueryForm, Size, StepReport, TrainConfig, Trainer};
pub use training::Training;
