//! The inference runtime: what a transformer layer is made of, over plain `f32` slices.
//!
//! **Problem.** Encoding is nearly all of the time a corpus takes to index, and nearly all of it is
//! dense arithmetic. A general tensor library pads batches to their longest text, walks memory once
//! per operator and allocates each result.
//!
//! **Idea.**
//! - A batch is *packed*: one `[tokens, hidden]` matrix of real tokens, without padding. Every
//!   operator but attention works on rows alone, so it never needs to know where a text ends.
//! - Weights are laid out once, at load, in the panels the multiplication kernel reads
//!   (`gemm::PackedMatrix`); nothing is packed per call.
//! - Rows are taken in blocks small enough that everything between two multiplications stays in
//!   the second-level cache; bias and activation happen in registers, before a result is stored.
//! - Kernels are generic over [`pulp::Simd`] and safe: AVX2 with FMA, AVX-512, NEON, or scalar,
//!   chosen once at run time.
//!
//! **Invariant.** Each row's result depends on that row (in attention: on its text) alone and is
//! summed in one fixed order. Embeddings are therefore the same bits however texts are batched and
//! however many threads there are.

mod activation;
mod approx;
mod attention;
mod block_diagonal;
mod buffer;
mod dense;
mod depthwise;
mod feed_forward;
mod first_token;
mod gemm;
mod layer_norm;
mod linear;
mod multiply;
mod observer;
mod packed_linear;
mod position_bias;
mod short_conv;
mod transpose;

pub(crate) use activation::{Activation, activate};
pub(crate) use approx::{exp2, gelu_all};
pub(crate) use attention::{Attention, AttentionScratch};
pub(crate) use block_diagonal::BlockDiagonal;
pub(crate) use buffer::AlignedBuffer;
pub(crate) use dense::dense;
pub(crate) use depthwise::{Depthwise, Padding};
pub(crate) use feed_forward::{FeedForward, FeedForwardScratch};
pub(crate) use first_token::first_token_attention;
pub(crate) use gemm::{PackedMatrix, Rows, TILE_ROWS};
pub(crate) use layer_norm::LayerNorm;
pub(crate) use linear::Linear;
pub(crate) use multiply::multiply;
pub(crate) use observer::{LayerInputs, Observations};
pub(crate) use packed_linear::PackedLinear;
pub(crate) use position_bias::{BUCKETS, PositionBias};
pub(crate) use short_conv::ShortConv;
pub(crate) use transpose::transpose;
