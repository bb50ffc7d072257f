//! Flags of a search that say whether vectors, words or both are asked.

use bigrain_engine::{Fusion, HybridQuery, Query, TextQuery};
use clap::Args;

use crate::failure::Usage;

/// Whether vectors, words or both are asked.
#[derive(Args, Debug)]
pub struct HybridFlags {
    /// Search by words alone (BM25): no model is needed
    #[arg(long, conflicts_with_all = ["hybrid", "exact", "codes_only", "field"])]
    words_only: bool,
    /// Fuse results of vectors and words: rrf, rrf(K), minmax or dbsf with --text-weight, or "fitted"
    /// with what `bigrain tune --hybrid` has found, or fitted(NAME) with what it has kept under a name
    #[arg(long, value_name = "FUSION")]
    hybrid: Option<Fused>,
    /// What words weigh against vectors, from 0 to 1
    #[arg(long, value_name = "W", requires = "hybrid")]
    text_weight: Option<f32>,
    /// The text field to search, by its name (title+text) [default: the collection's first]
    #[arg(long, value_name = "NAME")]
    bm25: Option<String>,
}

/// A fusion that is stated, or the one that was fitted.
#[derive(Clone, Debug, PartialEq)]
enum Fused {
    Stated(Fusion),
    /// Under a name, if it has one.
    Fitted(Option<String>),
}

/// What is searched.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// Vectors.
    Vectors,
    /// Words.
    Words,
    /// Both, with the weight of words.
    Both(Fusion, f32),
    /// Both, as was fitted under a name, or without one.
    Fitted(Option<String>),
}

impl std::str::FromStr for Fused {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "fitted" {
            return Ok(Self::Fitted(None));
        }
        let name = text.strip_prefix("fitted(").and_then(|rest| rest.strip_suffix(')'));
        if let Some(name) = name {
            return Ok(Self::Fitted(Some(name.to_owned())));
        }
        text.parse().map(Self::Stated).map_err(|_| {
            format!("expected rrf, rrf(K), minmax, dbsf, fitted or fitted(NAME), got {text:?}")
        })
    }
}

impl HybridFlags {
    /// Returns what is searched.
    ///
    /// # Errors
    ///
    /// When a weight is missing, out of range, or stated beside fitted ones.
    pub fn way(&self) -> Result<Way, Usage> {
        let refuse = |reason: &str| Err(Usage::new(reason));
        match (&self.hybrid, self.text_weight) {
            (None, _) if self.words_only => Ok(Way::Words),
            (None, _) if self.bm25.is_some() => refuse("--bm25 needs --words-only or --hybrid"),
            (None, _) => Ok(Way::Vectors),
            (Some(Fused::Fitted(name)), None) => Ok(Way::Fitted(name.clone())),
            (Some(Fused::Fitted(_)), Some(_)) => {
                refuse("weights are fitted or stated: --hybrid fitted takes no --text-weight")
            }
            (Some(Fused::Stated(_)), None) => refuse(
                "--text-weight W is missing, from 0 to 1: no weight is right for every collection",
            ),
            (Some(Fused::Stated(fusion)), Some(weight)) if (0.0..=1.0).contains(&weight) => {
                Ok(Way::Both(*fusion, weight))
            }
            (Some(Fused::Stated(_)), Some(weight)) => {
                Err(Usage::new(format!("text weight out of range: expected 0 to 1, got {weight}")))
            }
        }
    }

    /// Returns the query by words.
    #[must_use]
    pub fn text_query(&self, text: &str) -> TextQuery {
        let query = TextQuery::new(text);
        match &self.bm25 {
            Some(name) => query.in_field(name),
            None => query,
        }
    }
}

impl Way {
    /// Whether a query vector is needed.
    #[must_use]
    pub fn needs_vector(&self) -> bool {
        *self != Self::Words
    }

    /// Returns the query of both; none where only one is searched.
    #[must_use]
    pub fn hybrid_query(&self, vector: Query, text: TextQuery) -> Option<HybridQuery> {
        match self {
            Self::Vectors | Self::Words => None,
            Self::Fitted(None) => Some(HybridQuery::fitted(vector, text)),
            Self::Fitted(Some(name)) => Some(HybridQuery::fitted_as(name, vector, text)),
            &Self::Both(fusion, weight) => {
                let query = HybridQuery::new(fusion).with_vector(vector, 1.0 - weight);
                Some(query.with_text(text, weight))
            }
        }
    }
}
