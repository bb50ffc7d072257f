//! M2-BERT: a BERT-like encoder whose attention is replaced by long convolutions (Monarch Mixer,
//! arXiv 2310.12109; the retrieval models are those of LoCo, arXiv 2402.07440).
//!
//! With `x` the rows of a layer, all convolutions channel by channel:
//!
//! ```text
//! x1, x2, v = shortconv(x W_in + b_in)             causal, three taps
//! y = longconv1(v · x1) · x2 + longconv2(x)        both ways, filters as long as the text
//! h = y W_out + b_out
//! x = LN(blockdiag(gelu(a) · b) + h)  with  a, b = blockdiag(h)
//! ```
//!
//! The embedding is `tanh(W x[0] + b)`, on the row of `[CLS]`.
//!
//! **The model has no attention mask.** Padding flows through the convolutions, so how far a text
//! is padded is part of what the model computes ([`PadPolicy`]), and a query of five words costs a
//! full forward pass.
//!
//! **Memory.** A pass over 32,768 tokens holds four activations of one value a token and channel
//! and nothing wider, because each layer is three passes:
//!
//! ```text
//!     tiles of tokens            groups of channels           tiles of tokens
//! x ──> W_in, short conv ──> v·x1, x2, x ──> FFT, filters ──> y ──> W_out, MLP, LN ──> x
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `config.rs` | the shape of a model, and its tensors |
//! | `pad.rs` | how far a text is padded |
//! | `filter.rs` | filters as functions of the position |
//! | `long_conv.rs` | two convolutions by one pair of Fourier transforms |
//! | `kernels.rs` | the filters of a layer for one length, kept or computed again |
//! | `gated_mlp.rs` | the block-diagonal feed-forward layer |
//! | `activations.rs` | how rows lie in memory between passes |
//! | `layer.rs` | the weights of a layer and its three passes |
//! | `model.rs` | all layers, embeddings and pooler |
//! | `text_model.rs` | texts of any length, padded and batched |
//! | `on_device.rs` | the model as devices take it |

mod activations;
mod config;
mod filter;
mod gated_mlp;
#[cfg(test)]
mod golden;
mod kernels;
mod layer;
mod long_conv;
mod model;
mod on_device;
mod pad;
mod text_model;

pub use config::M2BertConfig;
pub use pad::PadPolicy;
pub(crate) use text_model::M2BertTextModel;
