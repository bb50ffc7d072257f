//! Hard negatives and shortlists, from the code index of the moment.

use std::sync::Arc;

use bigrain_binarize::{Binarizer, Provenance, Recurrent, RecurrentParts, Scoring};
use bigrain_types::Levels;

use crate::TrainError;
use crate::network::Network;
use crate::ranking::DocumentCodes;

/// What a network is exported with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub dims: usize,
    pub code_dims: usize,
    pub levels: Levels,
    pub rotation_seed: u64,
}

/// Returns the network as a binarizer whose scores are not fitted yet.
pub(crate) fn export(network: &Network, shape: Shape) -> Result<Recurrent, TrainError> {
    let (first, loops) = network.export();
    Ok(Recurrent::new(RecurrentParts {
        dims: shape.dims,
        code_dims: shape.code_dims,
        levels: shape.levels,
        seed: shape.rotation_seed,
        first,
        loops,
        scoring: Scoring::default(),
        provenance: Provenance::default(),
    })?)
}

/// Returns for each query the `limit` nearest documents by the codes of the network, without the one
/// that `except` names for it.
pub(crate) fn nearest(
    network: &Network,
    shape: Shape,
    documents: &[f32],
    queries: &[f32],
    except: &[u32],
    limit: usize,
) -> Result<Vec<Vec<u32>>, TrainError> {
    let binarizer = Binarizer::new_recurrent(Arc::new(export(network, shape)?));
    DocumentCodes::new(&binarizer, documents).nearest(queries, except, limit)
}
