//! Flags of a search that say whether vectors, sparse vectors, words or several of them are asked.

use bigrain_engine::{Fusion, HybridQuery, Query, SparseQuery, SparseVector, TextQuery};
use clap::Args;

use crate::failure::Usage;

/// Whether vectors, sparse vectors, words or several of them are asked.
#[derive(Args, Debug)]
pub struct HybridFlags {
    /// Search by this sparse vector: {"indices": [7, 1996], "values": [0.5, 1.2]}
    #[arg(
        long,
        value_name = "JSON",
        value_parser = read_sparse,
        conflicts_with_all = ["words_only", "exact", "codes_only"]
    )]
    sparse: Option<SparseVector>,
    /// The sparse field to search [default: the collection's first]
    #[arg(long, value_name = "NAME", requires = "sparse")]
    sparse_field: Option<String>,
    /// What the sparse vector weighs against vectors and words, from 0 to 1
    #[arg(long, value_name = "W", requires_all = ["hybrid", "sparse"])]
    sparse_weight: Option<f32>,
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
    /// Sparse vectors.
    Sparse,
    /// Words.
    Words,
    /// Several, with their weights.
    Fused(Fusion, Weights),
    /// Vectors, sparse if such a vector is given, and words, as was fitted under a name, or without one.
    Fitted(Option<String>),
}

/// What each list weighs; the sum is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    vector: f32,
    sparse: f32,
    text: f32,
}

/// Rounding of weights that add up to 1.
const WEIGHT_SLACK: f32 = 1e-6;

impl Weights {
    fn new(text: f32, sparse: f32) -> Result<Self, Usage> {
        for (what, weight) in [("text", text), ("sparse", sparse)] {
            if !(0.0..=1.0).contains(&weight) {
                let line = format!("{what} weight out of range: expected 0 to 1, got {weight}");
                return Err(Usage::new(line));
            }
        }
        let sum = text + sparse;
        if sum > 1.0 + WEIGHT_SLACK {
            return Err(Usage::new(format!("weights add up to {sum}: expected 1 at most")));
        }
        let rest = 1.0 - sum;
        Ok(Self { vector: if rest > WEIGHT_SLACK { rest } else { 0.0 }, sparse, text })
    }
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
        let stated = self.text_weight.is_some() || self.sparse_weight.is_some();
        match &self.hybrid {
            None if self.words_only => Ok(Way::Words),
            None if self.bm25.is_some() => refuse("--bm25 needs --words-only or --hybrid"),
            None if self.sparse.is_some() => Ok(Way::Sparse),
            None => Ok(Way::Vectors),
            Some(Fused::Fitted(name)) if !stated => Ok(Way::Fitted(name.clone())),
            Some(Fused::Fitted(_)) => {
                refuse("weights are fitted or stated: --hybrid fitted takes no --text-weight")
            }
            Some(Fused::Stated(_)) if self.sparse.is_some() && self.sparse_weight.is_none() => {
                refuse(
                    "--sparse-weight W is missing, from 0 to 1: no weight is right for every \
                     collection",
                )
            }
            Some(Fused::Stated(_)) if !stated => refuse(
                "--text-weight W is missing, from 0 to 1: no weight is right for every collection",
            ),
            Some(Fused::Stated(fusion)) => {
                let weights = [self.text_weight, self.sparse_weight].map(Option::unwrap_or_default);
                Ok(Way::Fused(*fusion, Weights::new(weights[0], weights[1])?))
            }
        }
    }

    /// Returns the query by a sparse vector, if there is one.
    #[must_use]
    pub fn sparse_query(&self) -> Option<SparseQuery> {
        let query = SparseQuery::new(self.sparse.clone()?);
        Some(match &self.sparse_field {
            Some(name) => query.in_field(name),
            None => query,
        })
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
    /// Whether the query's text is to be encoded, where `sparse` says whether there is a sparse vector.
    #[must_use]
    pub fn needs_vector(&self, sparse: bool) -> bool {
        match self {
            Self::Vectors => true,
            Self::Words | Self::Sparse => false,
            Self::Fitted(_) => !sparse,
            Self::Fused(_, weights) => weights.vector > 0.0,
        }
    }

    /// Whether the query has to have a text, where `sparse` says whether there is a sparse vector.
    #[must_use]
    pub fn needs_text(&self, sparse: bool) -> bool {
        let asks_words = match self {
            Self::Fused(_, weights) => weights.text > 0.0,
            Self::Words | Self::Fitted(_) => true,
            Self::Vectors | Self::Sparse => false,
        };
        asks_words || self.needs_vector(sparse)
    }
}

/// The queries that may be fused.
#[derive(Debug)]
pub struct Queries {
    /// Of the encoded text.
    pub vector: Option<Query>,
    /// Of the sparse vector.
    pub sparse: Option<SparseQuery>,
    /// Of the words.
    pub text: Option<TextQuery>,
}

impl Queries {
    /// Returns the query of several; none where only one is searched, or a part is missing.
    #[must_use]
    pub fn fused(self, way: &Way) -> Option<HybridQuery> {
        let Self { vector, sparse, text } = self;
        match way {
            Way::Vectors | Way::Words | Way::Sparse => None,
            Way::Fitted(name) => {
                let query = match (sparse, vector) {
                    (Some(sparse), _) => HybridQuery::fitted_sparse(sparse, text?),
                    (None, vector) => HybridQuery::fitted(vector?, text?),
                };
                Some(match name {
                    None => query,
                    Some(name) => query.with_fit(name),
                })
            }
            &Way::Fused(fusion, weights) => {
                let mut query = HybridQuery::new(fusion);
                if let Some(vector) = vector {
                    query = query.with_vector(vector, weights.vector);
                }
                if let Some(sparse) = sparse {
                    query = query.with_sparse(sparse, weights.sparse);
                }
                // A part of no weight would not be searched, but it would have to be possible.
                Some(if weights.text > 0.0 { query.with_text(text?, weights.text) } else { query })
            }
        }
    }
}

/// Reads a sparse vector that was given as an argument.
fn read_sparse(json: &str) -> Result<SparseVector, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}
