//! Linear layers as a checkpoint holds them, ready to run.

use pulp::Arch;

use super::{Tensors, WeightsError};
use crate::nn::Linear;

impl Tensors<'_> {
    /// Reads the layers `names` of `inputs` inputs, each a `NAME.weight` `[outputs, inputs]` and a
    /// `NAME.bias`, stacked into one: in int8 if they are stored so, else in `f32`.
    pub(crate) fn linear(
        &self,
        arch: Arch,
        names: &[String],
        inputs: usize,
    ) -> Result<Linear, WeightsError> {
        let weights: Vec<String> = names.iter().map(|name| format!("{name}.weight")).collect();
        let mut bias = Vec::new();
        for name in names {
            bias.extend(self.read(&format!("{name}.bias"))?);
        }
        if weights.iter().any(|name| self.is_int8(name)) {
            return Ok(Linear::Int8(self.int8_matrix(&weights, inputs, &bias)?));
        }
        let mut weight = Vec::new();
        for name in &weights {
            weight.extend(self.read(name)?);
        }
        let layer = Linear::new(arch, &weight, &bias, inputs);
        Ok(match self.observations() {
            Some(observations) => layer.observed(observations.of(names, inputs)),
            None => layer,
        })
    }
}
