//! Linear layers in int8, as `bigrain quantize` writes them.
//!
//! Beside `LAYER.weight`, here in int8, and `LAYER.bias` a file holds, for a layer of `out` outputs and
//! `in` inputs:
//!
//! | tensor | type | shape | |
//! |---|---|---|---|
//! | `LAYER.weight` | I8 | `[out, in]` | from -127 to 127 |
//! | `LAYER.weight_scale` | F32 | `[out]` | the value of one unit of each row |
//! | `LAYER.exact_inputs` | I32 | `[n]` | ascending: inputs multiplied in f32 |
//! | `LAYER.exact_weight` | F32 | `[out, n]` | their weights |

use bigrain_kernels::{Int8Matrix, Int8Parts};
use safetensors::Dtype;

use super::{TensorSpec, Tensors, WeightsError};

/// The names of the tensors of one int8 layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Int8Names {
    pub(crate) weight: String,
    pub(crate) scale: String,
    pub(crate) exact_inputs: String,
    pub(crate) exact_weight: String,
}

impl Int8Names {
    /// The names of the layer whose weight is `weight`, `LAYER.weight`.
    pub(crate) fn of(weight: &str) -> Self {
        let layer = weight.strip_suffix("weight").unwrap_or(weight);
        Self {
            weight: weight.to_owned(),
            scale: format!("{layer}weight_scale"),
            exact_inputs: format!("{layer}exact_inputs"),
            exact_weight: format!("{layer}exact_weight"),
        }
    }

    /// What a layer has beside its weight and bias.
    pub(crate) fn companions(&self) -> [&str; 3] {
        [&self.scale, &self.exact_inputs, &self.exact_weight]
    }
}

impl Tensors<'_> {
    /// Whether a tensor is there, in int8.
    pub(crate) fn is_int8(&self, name: &str) -> bool {
        self.stored(name).is_some_and(|tensor| tensor.dtype() == Dtype::I8)
    }

    /// Reads layers of `inputs` inputs, given by the names of their weights, stacked into one; `bias` is
    /// theirs, one after the other.
    pub(crate) fn int8_matrix(
        &self,
        names: &[String],
        inputs: usize,
        bias: &[f32],
    ) -> Result<Int8Matrix, WeightsError> {
        let (mut weights, mut scales) = (Vec::new(), Vec::new());
        let (mut exact_inputs, mut exact_weights) = (None::<(Vec<usize>, &str)>, Vec::new());
        for name in names {
            let layer = Int8Names::of(name);
            let weight = self.int8_values(name)?;
            let outputs = weight.len() / inputs.max(1);
            let exact = self.exact_inputs(&layer, inputs)?;
            self.check(&[
                TensorSpec { name: layer.scale.clone(), shape: vec![outputs] },
                TensorSpec { name: layer.exact_weight.clone(), shape: vec![outputs, exact.len()] },
            ])?;
            weights.extend(weight);
            scales.extend(self.read(&layer.scale)?);
            exact_weights.extend(self.read(&layer.exact_weight)?);
            match &exact_inputs {
                Some((first, first_name)) if *first != exact => {
                    return Err(WeightsError::ExactInputsDiffer {
                        name: layer.exact_inputs,
                        other: Int8Names::of(first_name).exact_inputs,
                    });
                }
                Some(_) => {}
                None => exact_inputs = Some((exact, name)),
            }
        }
        Ok(Int8Matrix::new(
            inputs,
            Int8Parts {
                weights: &weights,
                scales: &scales,
                bias,
                exact_inputs: &exact_inputs.unwrap_or_default().0,
                exact_weights: &exact_weights,
            },
        ))
    }

    fn int8_values(&self, name: &str) -> Result<impl ExactSizeIterator<Item = i8>, WeightsError> {
        match self.stored(name) {
            Some(tensor) if tensor.dtype() == Dtype::I8 => {
                Ok(tensor.bytes().into_owned().into_iter().map(u8::cast_signed))
            }
            Some(tensor) => Err(WeightsError::Int8Dtype {
                name: name.to_owned(),
                expected: Dtype::I8,
                actual: tensor.dtype(),
            }),
            None => Err(self.missing(name)),
        }
    }

    /// Reads the exact inputs of a layer: ascending, each below `inputs`.
    fn exact_inputs(&self, layer: &Int8Names, inputs: usize) -> Result<Vec<usize>, WeightsError> {
        let name = &layer.exact_inputs;
        let tensor = self.stored(name).ok_or_else(|| self.missing(name))?;
        if tensor.dtype() != Dtype::I32 {
            return Err(WeightsError::Int8Dtype {
                name: name.clone(),
                expected: Dtype::I32,
                actual: tensor.dtype(),
            });
        }
        let mut exact = Vec::new();
        for &bytes in tensor.bytes().as_chunks::<4>().0 {
            let value = i32::from_le_bytes(bytes);
            let input = usize::try_from(value).ok().filter(|&input| input < inputs);
            match input {
                Some(input) if exact.last().is_none_or(|&last| last < input) => exact.push(input),
                _ => {
                    return Err(WeightsError::ExactInput { name: name.clone(), value, inputs });
                }
            }
        }
        Ok(exact)
    }
}
