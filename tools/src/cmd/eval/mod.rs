//! `bigrain eval`: what codes cost in quality, on texts or on vectors, and what splitting code gains.
//!
//! | file | holds |
//! |---|---|
//! | `code.rs` | comments as questions for the functions they stood in |
//! | `compare/` | codes beside each other, by queries with their right documents |
//! | `corpus.rs` | texts of a judged test collection: nDCG, recall, MRR |
//! | `hybrid.rs` | vectors, words and both fused, on such a test collection |
//! | `long.rs` | long documents: what a model reads of them, their chunks, their words |
//! | `pictures.rs` | pictures found by their captions, and captions by their pictures |
//! | `quality_table.rs` | how good ways to search are, as a table |
//! | `scratch.rs` | an engine that is gone with its measurement |
//! | `vectors.rs` | vectors with true neighbours: recall against speed |
//! | `filters/` | filtered searches of the vectors, by the share of rows that match |
//! | `ingest.rs` | searches of the vectors while others are written |
//! | `test_set.rs` | what is searched, what is looked for, and what should be found |
//! | `index.rs` | where the vectors are indexed: a temporary folder, or one that is kept |
//! | `report.rs` | what came of the vectors: JSON, table, picture |

mod args;
mod code;
mod compare;
mod corpus;
mod filters;
mod hybrid;
mod index;
mod ingest;
mod long;
mod pictures;
mod quality_table;
mod report;
mod scratch;
mod service;
mod test_set;
mod vectors;

pub use args::{EvalArgs, run};
pub use code::{CodeEvaluation, CodeRow, OverMean, RankQuality};
pub use compare::{CompareArgs, ComparedRow, Comparison, Figures};
pub use corpus::{CorpusArgs, Evaluation, EvaluationRow};
pub use filters::{FilterEvaluation, FilterPoint};
pub use hybrid::{HybridArgs, HybridEvaluation, PseudoRow};
pub use ingest::{IngestEvaluation, Phase};
pub use long::{LongArgs, LongEvaluation, LongRow};
pub use pictures::{PictureArgs, PictureEvaluation};
pub use report::{BuildFigures, VectorEvaluation};
pub use vectors::VectorArgs;
