//! EfficientNet: the image tower of ALIGN, and EfficientNet-Lite, a classifier.
//!
//! A stem of one convolution, then blocks (MBConv): widen by a product, convolve each channel, weigh the
//! channels by what is in the picture (squeeze and excite; not in Lite), narrow by a product, and add the
//! block's input where nothing changed size.
//!
//! Batch norms are folded into the convolutions before them when a model is opened. Pictures are
//! `[rows, columns, channels]`, so that all convolutions but the depthwise are products of the runtime's
//! packed matrices (`nn::gemm`). Borders are the static ones of the published ports: a convolution of
//! stride 2 has one pixel more below and to the right, whatever the size. TensorFlow's own "same" depends on
//! whether a side is odd, and gives another picture for 289 pixels.

mod block;
mod classifier;
mod conv;
mod names;
mod shape;
mod tower;

pub(crate) use classifier::{CLASSES, Classifier, ClassifierScratch};
pub(crate) use names::Dialect;
pub(crate) use shape::{Stage, TowerShape, static_padding};
pub(crate) use tower::{Tower, TowerScratch};
