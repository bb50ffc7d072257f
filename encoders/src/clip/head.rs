//! From rows of a tower to vectors of the space both share.

use bigrain_kernels::Int8Rows;
use pulp::Arch;

use super::config::TowerConfig;
use super::names::ProjectionNames;
use super::transformer::read_norm;
use crate::nn::{LayerNorm, Linear, transpose};
use crate::weights::{Tensors, WeightsError};

/// A layer norm, which may be missing, and a projection.
#[derive(Debug)]
pub(super) struct Head {
    norm: Option<LayerNorm>,
    projection: Linear,
}

impl Head {
    /// Reads the norm `norm`, if one is named, and a projection to `outputs` values; `tensors` were
    /// checked.
    pub(super) fn build(
        arch: Arch,
        tensors: &Tensors<'_>,
        norm: Option<&str>,
        projection: ProjectionNames,
        (config, outputs): (&TowerConfig, usize),
    ) -> Result<Self, WeightsError> {
        let stored = tensors.read(projection.weight)?;
        let weight = if projection.transposed {
            let mut weight = vec![0.0; stored.len()];
            transpose((&stored, outputs), (&mut weight, config.width), config.width, outputs);
            weight
        } else {
            stored
        };
        let bias = match projection.bias {
            Some(name) => tensors.read(name)?,
            None => vec![0.0; outputs],
        };
        Ok(Self {
            norm: norm.map(|name| read_norm(arch, tensors, name, config)).transpose()?,
            projection: Linear::new(arch, &weight, &bias, config.width),
        })
    }

    /// Returns the vectors of `rows`, of any length: `[rows, outputs]`.
    pub(super) fn project(&self, rows: &[f32]) -> Vec<f32> {
        let (inputs, outputs) = (self.projection.inputs(), self.projection.outputs());
        let mut out = vec![0.0; rows.len() / inputs * outputs];
        let quantized = &mut Int8Rows::default();
        match &self.norm {
            None => self.projection.forward(rows, &mut out, quantized),
            Some(norm) => {
                let mut normed = rows.to_vec();
                norm.normalize(&mut normed);
                self.projection.forward(&normed, &mut out, quantized);
            }
        }
        out
    }
}
