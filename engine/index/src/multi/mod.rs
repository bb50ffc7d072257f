//! Multi-vectors (late interaction): merged tokens as codes in memory, all tokens on disk.
//!
//! The similarity of a query and a point is FILIP's `s_T` (equation 5): the mean over the query's
//! tokens of the largest dot product with any token of the point. ColBERT sums where this takes the
//! mean; that is the same order, and the same score times the number of the query's tokens.
//!
//! ```text
//!  HalfTokens ──────────────> tokens.<field>      every token, as halves, on disk
//!      └── merge, encode ───> sketches.<field>    at most 12 codes a point, resident; lists of them
//!
//!  query tokens ──> lists ──> points ──> sketches: MaxSim of query bits against codes ──> candidates
//!  candidates, best first ──> tokens.<field> ──> exact MaxSim
//! ```
//!
//! Tokens of a point that say about the same are merged into their mean ([`merge_tokens`]), and the
//! mean gets a sign code about the origin: at 256 dimensions 12 codes take 384 bytes, where 49 tokens take
//! 25,088 on disk. The query keeps more bits of each dimension (asymmetric), so all of the
//! sketch's error is that of merging and of one side's signs. An estimate is no bound: the mean of a
//! cluster hides how near its nearest token is. So the best candidates are scored exactly, as many as
//! asked for, and none is passed over.
//!
//! Small segments have no lists, and all their sketches are scored. Others have lists of merged tokens
//! and of each point's mean (its global vector), which say which points have a token near one of the
//! query's. How many lists a recall takes is measured when the file is written, with points as queries.

mod build;
mod layout;
mod max_sim;
mod merge;
mod reach;
mod search;
mod sketches;
mod tokens;
mod verify;

pub use build::{BuildMulti, MultiSource, write};
pub use max_sim::{are_halves, max_sim, round, widen};
pub use merge::merge_tokens;
pub use reach::Effort;
pub use search::{MultiQueryCode, SketchFound, SketchSearch};
pub use sketches::{Sketches, SketchesReader};
pub use tokens::TokensReader;
pub use verify::{ScoredRows, TokensVerifier};

/// Sections of both files begin at multiples of this.
const SECTION_BYTES: u32 = 4096;
