//! B-PROP: pseudo-queries from the attention of a BERT-like model (Ma et al., SIGIR 2021).
//!
//! A collection without a query log still needs queries, to train binarizers and adapters and to
//! choose the parameters of an index by. They are sets of words that stand for a document:
//!
//! ```text
//! attention of [CLS] to each word ─> what the document is about      (terms.rs)
//!     against what all documents are about ─> what sets it apart     (contrast.rs)
//!         words drawn by it, in pairs of sets, the better one first  (sampler.rs)
//! ```
//!
//! PROP's older way, words drawn by a unigram language model, is in `unigram.rs`: it needs no
//! encoder, and it is what attention has to beat.
//!
//! Everything is deterministic for a seed and a document's id, so a run can be stopped, continued
//! and divided.

mod contrast;
mod rng;
mod sampler;
mod stop_words;
mod terms;
mod unigram;

pub use contrast::{Contrast, CorpusTerms};
pub use sampler::{PairSampler, SampledPair, SampledSet, SamplingMode, SamplingModeError};
pub use terms::{DocumentTerms, MIN_WORDS};
pub use unigram::{Background, UnigramCorpus, unigram_words};
