//! EfficientNet-Lite0 as a classifier of ImageNet's 1,000 classes.

use pulp::Arch;

use super::block;
use super::conv;
use super::names::{ConvNames, Dialect};
use super::shape::TowerShape;
use super::tower::{Tower, TowerScratch};
use crate::batch::Sharing;
use crate::image::Pixels;
use crate::nn::{Activation, AlignedBuffer, PackedLinear, dense};
use crate::weights::{TensorSpec, Tensors, WeightsError};

/// Channels before the classes.
const FEATURES: usize = 1_280;
/// Classes of ImageNet.
pub(crate) const CLASSES: usize = 1_000;
const LABELS: &str = "_fc";

/// A classifier, ready to run.
#[derive(Debug)]
pub(crate) struct Classifier {
    tower: Tower,
    head: PackedLinear,
    activation: Activation,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Memory of one forward pass, to be used again.
#[derive(Debug, Default)]
pub(crate) struct ClassifierScratch {
    tower: TowerScratch,
    features: AlignedBuffer,
}

impl Classifier {
    /// The tensors of the model.
    pub(crate) fn specs() -> Vec<TensorSpec> {
        let shape = TowerShape::lite0();
        let mut specs = Tower::specs(&shape, Dialect::Port);
        specs.extend(conv::specs(&head(), &[FEATURES, shape.outputs(), 1, 1]));
        specs.push(conv::spec(format!("{LABELS}.weight"), &[CLASSES, FEATURES]));
        specs.push(conv::spec(format!("{LABELS}.bias"), &[CLASSES]));
        specs
    }

    /// Checks and packs the tensors of a checkpoint.
    pub(crate) fn build(tensors: &Tensors<'_>) -> Result<Self, WeightsError> {
        tensors.check_model(&Self::specs())?;
        let shape = TowerShape::lite0();
        let head = conv::read(tensors, &head(), shape.eps)?;
        Ok(Self {
            tower: Tower::build(&shape, Dialect::Port, tensors)?,
            head: PackedLinear::new(Arch::new(), &head.weight, &head.bias, shape.outputs()),
            activation: shape.activation,
            weight: tensors.read(&format!("{LABELS}.weight"))?,
            bias: tensors.read(&format!("{LABELS}.bias"))?,
        })
    }

    /// One value a class; a softmax of them gives probabilities.
    pub(crate) fn logits(
        &self,
        pixels: &Pixels,
        sharing: Sharing,
        scratch: &mut ClassifierScratch,
    ) -> Vec<f32> {
        let (features, _) = self.features(pixels, sharing, scratch);
        dense(&block::mean(features, FEATURES), &self.weight, &self.bias)
    }

    /// As [`Classifier::logits`] for each place of a picture, `[rows, columns, CLASSES]`, with rows and
    /// columns. The logits of the picture are the mean of those of its places.
    pub(crate) fn places(
        &self,
        pixels: &Pixels,
        sharing: Sharing,
        scratch: &mut ClassifierScratch,
    ) -> (Vec<f32>, (usize, usize)) {
        let (features, size) = self.features(pixels, sharing, scratch);
        (dense(features, &self.weight, &self.bias), size)
    }

    /// What the classes are told by, `[rows, columns, FEATURES]`, with rows and columns.
    fn features<'s>(
        &self,
        pixels: &Pixels,
        sharing: Sharing,
        scratch: &'s mut ClassifierScratch,
    ) -> (&'s [f32], (usize, usize)) {
        let map = self.tower.forward(pixels, sharing, &mut scratch.tower);
        let features = scratch.features.grow(map.size.0 * map.size.1 * FEATURES);
        block::for_pixels(sharing, features, FEATURES, |first, features| {
            block::linear(&self.head, &map.data[first * map.channels..], features, self.activation);
        });
        (features, map.size)
    }
}

fn head() -> ConvNames {
    ConvNames { conv: "_conv_head".to_owned(), norm: "_bn1".to_owned() }
}
