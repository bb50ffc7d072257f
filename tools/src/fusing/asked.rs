//! The queries of a fit.

use bigrain_engine::{PointId, SparseVector};

use crate::beir::Beir;
use crate::ranking::Judgements;

/// Queries with their judgements, and where they come from.
#[derive(Debug)]
pub struct Asked {
    /// Where they come from, for people.
    pub source: String,
    /// The queries.
    pub queries: Vec<AskedQuery>,
}

/// A query with what is relevant to it.
#[derive(Clone, Debug)]
pub struct AskedQuery {
    /// Its text.
    pub text: String,
    /// Its vector for a sparse field.
    pub sparse: Option<SparseVector>,
    /// A grade by point.
    pub judgements: Judgements<PointId>,
}

impl Asked {
    /// Takes the judged queries of a test collection.
    #[must_use]
    pub fn of_beir(source: String, beir: &Beir) -> Self {
        let query = |query: &crate::beir::JudgedQuery| AskedQuery {
            text: query.text.clone(),
            sparse: query.sparse.clone(),
            judgements: query.judgements.clone(),
        };
        Self { source, queries: beir.queries().iter().map(query).collect() }
    }
}
