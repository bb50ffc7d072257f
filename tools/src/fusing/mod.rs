//! Fitting how results of vectors and words are fused, by judged queries.
//!
//! ```text
//!  judged queries ──> both searches of each ──> quality under every setting   (trial.rs)
//!                                                        │
//!            fold k is judged with the setting that is best on the others     (folds.rs)
//!                                                        │
//!               how sure is the difference? resample the queries              (bootstrap.rs)
//! ```
//!
//! A setting is a method of fusion and a weight of the words. Weight 0 and 1 are among them, so a
//! collection where one search only harms the other gets the better one alone. What is reported of a
//! fused search is always of queries that its setting was not chosen by; the setting that is kept is
//! chosen by all of them.
//!
//! The vectors are of a dense field, whose queries an encoder encodes, or of a sparse one, whose queries
//! bring their vectors.
//!
//! Queries come from people's judgements, or are made of stored points ([`pseudo`]), which then
//! are the one relevant result. The latter share words with their points, more than people do, so
//! they lean towards words.

mod asked;
mod bootstrap;
mod fitting;
mod folds;
pub mod pseudo;
mod setting;
mod trial;

pub use asked::{Asked, AskedQuery};
pub use bootstrap::{Interval, difference_over_seeds, mean_difference};
pub use fitting::{Fitting, FittingRow};
pub use folds::{Folds, cross_validated};
pub use setting::Setting;
pub use trial::{DEPTH, QueryVectors, Searched, Trial};
