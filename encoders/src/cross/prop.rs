//! PROP's scorer.
//!
//! PROP (arXiv 2010.10137) and B-PROP (arXiv 2104.09791) pre-train BERT to tell which of two sets of words
//! is the better query of a document, by a layer of one label on the pooler, and are tuned further as
//! rerankers. Their checkpoints name that layer `cls` and have the head of masked words beside it,
//! `cls.predictions`, which is not read; and their `config.json` names no family, as was the habit of their
//! time. A tuned one may have the usual name, `classifier`.

use super::encoder::CrossEncoder;

/// A scorer in the format of PROP's checkpoints: a [`CrossEncoder`], whose reader knows the names of both.
///
/// ```no_run
/// use bigrain_encoders::{CrossOptions, CrossScorer, PropReranker, Runtime};
/// use bigrain_types::Cancel;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = "PROP-marco".as_ref();
/// let scorer = PropReranker::open(folder, &CrossOptions::default(), Runtime::new(2)?)?;
/// let scores = scorer.score("capital france", &["Paris is its capital."], &Cancel::new())?;
/// assert_eq!(scores.len(), 1);
/// # Ok(())
/// # }
/// ```
pub type PropReranker = CrossEncoder;
