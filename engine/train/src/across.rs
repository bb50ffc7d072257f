//! Versions across encoders: queries of one encoder that find documents by codes of another one's vectors.
//!
//! ```text
//!  documents   d  by the later encoder,  d' by the former one          least squares:  d' ~ M d,  d ~ N d'
//!  begin       W = W' M    B_i = N B_i'    R_i = R_i' M                (W', B', R': the former version)
//!  learn       loss(q, codes of d)  +  loss(q, former codes of d')     as within one encoder
//! ```
//!
//! So the first code of a document is about that of the former version, and queries are where its own were.

use bigrain_binarize::{Recurrent, Rotation};

use crate::matrix::Matrix;
use crate::network::Network;
use crate::trainer::{Parental, check_linear};
use crate::{Examples, TrainConfig, TrainError, Trainer};

/// Documents as another encoder makes vectors of them: of length one, side by side, in the order of the examples.
#[derive(Clone, Copy, Debug)]
pub struct FormerVectors<'a> {
    /// Components of each.
    pub dims: usize,
    /// The vectors.
    pub documents: &'a [f32],
}

/// What joins the documents with those of the former version.
#[derive(Debug)]
pub(crate) struct Across<'a> {
    pub former: FormerVectors<'a>,
    /// `d' x d`.
    pub to_former: Matrix,
}

impl FormerVectors<'_> {
    /// Returns documents as the rows of a matrix.
    pub(crate) fn rows(&self, documents: &[u32]) -> Matrix {
        let row = |&at: &u32| &self.documents[at as usize * self.dims..][..self.dims];
        Matrix::of_rows(self.dims, documents.iter().map(row))
    }
}

impl<'a> Trainer<'a> {
    /// Begins where an earlier version of another encoder's vectors is, and learns queries that find documents by
    /// the codes of both, as [`compatible`](Self::compatible) does within one encoder. `former` are all documents of
    /// the examples by that encoder.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`TrainError::Parent`] for a version whose codes have another shape than the new
    /// ones, or one with hidden layers; [`TrainError::Input`] for documents that do not fit those of the examples
    /// or the version.
    pub fn across(
        mut config: TrainConfig,
        examples: Examples<'a>,
        parent: &Recurrent,
        former: FormerVectors<'a>,
    ) -> Result<Self, TrainError> {
        let parts = parent.parts();
        config.code_dims = config.code_dims.or(Some(parts.code_dims));
        let mut trainer = Self::new(config, examples)?;
        let shape = trainer.shape;
        if (parts.code_dims, parts.levels) != (shape.code_dims, shape.levels) {
            let (theirs, levels) = (parts.code_dims, parts.levels.get());
            let (ours, our_levels) = (shape.code_dims, shape.levels.get());
            return Err(TrainError::Parent(format!(
                "its codes have {theirs} dimensions of {levels} level(s), those of the new one {ours} of {our_levels}"
            )));
        }
        check_linear(parent)?;
        let count = trainer.examples().document_count();
        if former.dims != parts.dims || former.documents.len() != count * former.dims {
            return Err(TrainError::Input(format!(
                "the version to be compatible with takes {count} documents of {} components, got {} numbers in rows \
                 of {}",
                parts.dims,
                former.documents.len(),
                former.dims
            )));
        }
        let matrix =
            |dims: usize, values: &[f32]| Matrix::of_rows(dims, values.chunks_exact(dims.max(1)));
        let own = matrix(shape.dims, trainer.examples().documents);
        let theirs = matrix(former.dims, former.documents);
        let to_former = Matrix::least_squares(&own, &theirs)?;
        let from_former = Matrix::least_squares(&theirs, &own)?;
        let rotation = Rotation::new(parts.dims, parts.seed)
            .map_err(|error| TrainError::Binarizer(error.into()))?;
        let mut network = Network::new(&rotation, parts.code_dims, parts.levels, 0, &mut || 0.0);
        network.start_from(parent);
        trainer.network.start_across(&network, &to_former, &from_former);
        let across = Some(Across { former, to_former });
        trainer.follow(Parental { id: parent.id(), network, across });
        Ok(trainer)
    }
}

#[cfg(test)]
#[path = "across_tests.rs"]
mod tests;
