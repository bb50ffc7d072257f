//! Embedding to code and back: the code layout, the rotation binarizer, factors and bounds.
//!
//! ```text
//!  embedding x            rotated x'           code u (odd integers)         factors
//!  [f32; dims]  rotate    [f32; D]   nearest   [-(2^B-1), .., 2^B-1]         add, rescale, error
//!  ------------------>  D = 64 n  ----------> as B planes of D bits  ----->  8 bytes
//!                                  odd / t
//! ```
//!
//! A query takes the same first step; its rotated coordinates become odd integers too, of as many
//! bits as its [`QueryWidth`] says. One integer score `S` per code (`bigrain_kernels::scan`) then
//! gives an unbiased estimate of the similarity and its error ([`QueryCode::estimate`]):
//!
//! ```text
//!  <x, q>  ~  rescale * delta * S        rescale = ||x||^2 / <u, x'>,  delta = ||q||^2 / <w, q'>
//! ```
//!
//! This is the estimator of RaBitQ, about the origin or about a centre, on the grid of odd integers that RaBitQ and
//! the recurrent codes of BEBR share. Similarities are larger for nearer points under every metric:
//! the dot product, or minus the squared distance.
//!
//! ```
//! use bigrain_binarize::{Binarizer, EncodeScratch, QueryWidth};
//! use bigrain_kernels::score_one;
//! use bigrain_types::{Levels, Metric};
//!
//! let binarizer = Binarizer::new_rotation(100, Levels::TWO, Metric::Dot, 7)?;
//! let vector: Vec<f32> = (0..100).map(|i| (i as f32).sin()).collect();
//!
//! let mut planes = vec![0; binarizer.layout().words()];
//! let factors = binarizer.encode(&vector, &mut EncodeScratch::default(), &mut planes);
//!
//! let query = binarizer.prepare_query(&vector, QueryWidth::DEFAULT)?;
//! let levels: Vec<&[u64]> = binarizer.layout().levels_of(&planes).collect();
//! let estimate = query.estimate(score_one(&levels, query.planes()), factors);
//!
//! let exact: f32 = vector.iter().map(|x| x * x).sum();
//! assert!((estimate.similarity - exact).abs() < estimate.error);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adapter;
mod binarizer;
mod encode;
mod factors;
mod file;
mod layout;
mod list_finder;
mod query;
mod recurrent;
mod rotation;
mod scale;
mod scanner;
#[cfg(test)]
mod support;
mod tensors;

pub use bigrain_types::DeviceError;

pub use adapter::{Adapter, AdapterError, AdapterParts};
pub use binarizer::{Binarizer, BinarizerError};
pub use encode::{CodeFactors, EncodeScratch, SignFactors};
pub use factors::{Factors, PackedFactors, from_half, to_half, unit_for};
pub use file::BinarizerFileError;
pub use layout::{CodeLayout, CodeLayoutError};
pub use list_finder::{ListCentroids, ListFinder, LoadedCentroids};
pub use query::{DEFAULT_EPSILON, Estimate, PrepareQueryError, QueryCode, QueryWidth, Terms};
pub use recurrent::{
    Champion, Crossed, Crossing, ErrorQuantile, Fit, HiddenLayer, MAX_HIDDEN, MAX_QUANTILES,
    Parent, Provenance, Recurrent, RecurrentError, RecurrentLoop, RecurrentParts, ResidualMap,
    Scoring, Translation, rebuilt_length,
};
pub use rotation::{Rotation, RotationError};
pub use scale::ScaleSearch;
pub use scanner::{CodeBlocks, CodeScanner, LoadedCodes, ScanRequest, ScannedList, ScoredCode};
