//! Convolutions over whole texts, by Fourier transforms in floats.
//!
//! ```text
//!  up to 2,048 tokens   signals ─────────────── convolve_texts ───────────────> results
//!  more                 signals ── transform_columns ── convolve_rows ── restore_columns ──> results
//!                                  (some 32 MiB of scratch memory at a time, which stay in a device's cache)
//!
//!  filters              filters ── transform_columns ── filter_rows ──> spectra, once for each length
//! ```
//!
//! `kernels/long_conv.cu` says how.

mod conv;
mod plan;

pub use conv::long_convolutions;
pub(crate) use conv::{Convolution, LongConv};
pub use plan::LongConvPlan;
