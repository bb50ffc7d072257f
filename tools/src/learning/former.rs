//! What the encoder of an earlier version makes of the same documents and queries.

use anyhow::{Context, bail};
use bigrain_train::FormerVectors;

use super::pairs::{documents_of, rows_where, unit_rows};
use super::{Documents, Pairs};
use crate::matrix::Matrix;

/// What the encoder of an earlier version makes of the same documents and queries, as vectors of length one.
#[derive(Clone, Debug)]
pub struct Former {
    /// The documents, in the order of those of the later encoder.
    pub documents: Matrix,
    /// The queries, in the order of those of the later encoder ([`Pairs::of_lines`]), where there are any.
    pub queries: Option<Matrix>,
}

impl Former {
    /// Puts documents of the former encoder into the order of those of the later one.
    ///
    /// # Errors
    ///
    /// For a document that the former encoder has no vector of, and a vector that has no direction.
    pub fn new(
        former: &Documents,
        later: &Documents,
        queries: Option<&Matrix>,
    ) -> anyhow::Result<Self> {
        let mut documents = Matrix::empty(former.vectors.dims());
        for id in later.ids() {
            let Some(place) = former.place(id) else {
                bail!("document {id} has no vector of the former encoder");
            };
            documents.push(former.vectors.row(place as usize));
        }
        Self::of_rows(&documents, queries)
    }

    /// Takes documents and queries that are in order.
    ///
    /// # Errors
    ///
    /// For a vector that has no direction.
    pub fn of_rows(documents: &Matrix, queries: Option<&Matrix>) -> anyhow::Result<Self> {
        let context = "of the former encoder";
        let documents = unit_rows(documents, "document").context(context)?;
        let queries = queries.map(|queries| unit_rows(queries, "query").context(context));
        Ok(Self { documents, queries: queries.transpose()? })
    }

    /// Returns the documents that are held out.
    #[must_use]
    pub fn held_out_documents(&self) -> Matrix {
        documents_of(&self.documents, false)
    }

    /// Returns the queries that are not learned from. `pairs` are those of the later encoder.
    #[must_use]
    pub fn held_out_queries(&self, pairs: &Pairs) -> Option<Matrix> {
        Some(rows_where(self.queries.as_ref()?, |at| pairs.is_held_out(at)))
    }
}

/// Returns documents as training takes them.
pub(super) fn former_vectors(documents: &Matrix) -> FormerVectors<'_> {
    FormerVectors { dims: documents.dims(), documents: documents.values() }
}
