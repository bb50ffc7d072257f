//! Convolutions as checkpoints hold them, with the batch norm behind them folded in.

use super::names::ConvNames;
use crate::weights::{TensorSpec, Tensors, WeightsError};

/// A convolution and its bias, `[outputs, ...]` row by row.
pub(super) struct Folded {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// The tensors of a convolution of this shape, `[outputs, ...]`, and of its norm.
pub(super) fn specs(names: &ConvNames, shape: &[usize]) -> Vec<TensorSpec> {
    let norm = ["weight", "bias", "running_mean", "running_var"];
    let mut specs = vec![spec(format!("{}.weight", names.conv), shape)];
    specs.extend(norm.map(|part| spec(format!("{}.{part}", names.norm), &shape[..1])));
    specs
}

pub(super) fn spec(name: String, shape: &[usize]) -> TensorSpec {
    TensorSpec { name, shape: shape.to_vec() }
}

/// Reads a convolution: `w γ / √(σ² + ε)`, and `β - μ γ / √(σ² + ε)` as its bias.
pub(super) fn read(
    tensors: &Tensors<'_>,
    names: &ConvNames,
    eps: f64,
) -> Result<Folded, WeightsError> {
    let mut weight = tensors.read(&format!("{}.weight", names.conv))?;
    let norm = |part: &str| tensors.read(&format!("{}.{part}", names.norm));
    let (gamma, beta) = (norm("weight")?, norm("bias")?);
    let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
    let per_output = weight.len() / gamma.len().max(1);
    let mut bias = Vec::with_capacity(gamma.len());
    for (output, weights) in weight.chunks_exact_mut(per_output).enumerate() {
        // A variance below zero is a damaged file; it must not become a number that is none.
        let deviation = (f64::from(variance[output]).max(0.0) + eps).sqrt();
        let factor = f64::from(gamma[output]) / deviation;
        weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * factor) as f32);
        bias.push((f64::from(beta[output]) - f64::from(mean[output]) * factor) as f32);
    }
    Ok(Folded { weight, bias })
}
