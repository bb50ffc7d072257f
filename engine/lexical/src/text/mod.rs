//! Ranking rows by the words they share with a query: BM25 (Robertson and Zaragoza, 2009, with the
//! `idf` of Lucene, which is never negative).
//!
//! ```text
//! score(row) = Σ over words w of the query   n(w) · idf(w) · (k1 + 1) · c / (c + norm(row))
//! idf(w)     = ln(1 + (N - N(w) + ½) / (N(w) + ½))
//! norm(row)  = k1 · (1 - b + b · length(row) / mean length)         k1 = 1.2, b = 0.75
//! ```
//!
//! `n(w)` and `c` count the word in query and row. `N` counts rows with any word, `N(w)` those with
//! the word. All of these are summed over every [source](TextSource) of a collection, segments and
//! memory, **before** any row is scored, and over rows that are alive: so the score of a point depends
//! on the points there are and on nothing else, not on how they are spread, and not on what was deleted
//! and is still in a file. (Lucene counts deleted rows until a merge drops them.) The price is a second
//! reading of posting lists where rows were deleted.
//!
//! [`TextIndex::best`] finds the best rows of a segment without scoring those that cannot be among them.
//!
//! Lengths are counted in words and kept in a byte, exact up to 40 and a power-of-two fraction above,
//! as tantivy keeps them; the same in memory, so that a score does not change with a flush.

mod analyzer;
mod best;
mod bm25;
mod index;
mod peaks;
mod source;
mod table;

pub use analyzer::{Analyzer, QueryWords};
pub(crate) use analyzer::{field_name, tokenizer};
pub use best::ScoredRow;
pub use bm25::{Bm25, TextStatistics, idf};
pub use index::TextIndex;
pub use peaks::{KeptPeaks, Peaks};
pub use source::TextSource;
pub use table::{RowWords, TextTable};
