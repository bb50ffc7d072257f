//! What was learned of one map: `delta x + bias + out relu(into x + bias')`.

use bigrain_kernels::dot;

use super::error::RecurrentError;

/// The most units of a hidden layer.
pub const MAX_HIDDEN: usize = 8192;

/// What is added to the rotation (or its inverse): a linear map, and a hidden layer where there is
/// one. Batch normalisation is folded into it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResidualMap {
    /// `outputs x inputs`, row after row; empty where nothing was learned.
    pub delta: Vec<f32>,
    /// A number for each output, or empty.
    pub bias: Vec<f32>,
    /// The hidden layer of thin and full sizes.
    pub hidden: Option<HiddenLayer>,
}

/// A hidden layer with the rectifier.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HiddenLayer {
    /// `units x inputs`, row after row.
    pub into: Vec<f32>,
    /// A number for each unit.
    pub bias: Vec<f32>,
    /// `outputs x units`, row after row.
    pub out: Vec<f32>,
}

impl ResidualMap {
    /// Adds the map of `input` to `output`.
    pub(crate) fn add_to(&self, input: &[f32], output: &mut [f32], units: &mut Vec<f32>) {
        for (y, row) in output.iter_mut().zip(self.delta.chunks_exact(input.len())) {
            *y += dot(row, input);
        }
        output.iter_mut().zip(&self.bias).for_each(|(y, bias)| *y += bias);
        let Some(hidden) = &self.hidden else { return };
        units.clear();
        let rows = hidden.into.chunks_exact(input.len()).zip(&hidden.bias);
        units.extend(rows.map(|(row, bias)| (dot(row, input) + bias).max(0.0)));
        for (y, row) in output.iter_mut().zip(hidden.out.chunks_exact(units.len())) {
            *y += dot(row, units);
        }
    }

    pub(crate) fn check(
        &self,
        map: &'static str,
        inputs: usize,
        outputs: usize,
    ) -> Result<(), RecurrentError> {
        let shape = |tensor, values: &[f32], expected: usize| match values.len() {
            actual if actual != expected => {
                Err(RecurrentError::Shape { map, tensor, expected, actual })
            }
            _ if values.iter().any(|value| !value.is_finite()) => {
                Err(RecurrentError::Number("a weight"))
            }
            _ => Ok(()),
        };
        if !self.delta.is_empty() {
            shape("the linear map", &self.delta, inputs * outputs)?;
        }
        if !self.bias.is_empty() {
            shape("the bias", &self.bias, outputs)?;
        }
        let Some(hidden) = &self.hidden else { return Ok(()) };
        let units = hidden.bias.len();
        if !(1..=MAX_HIDDEN).contains(&units) {
            return Err(RecurrentError::Hidden { map, actual: units });
        }
        shape("the hidden layer's input", &hidden.into, units * inputs)?;
        shape("the hidden layer's bias", &hidden.bias, units)?;
        shape("the hidden layer's output", &hidden.out, units * outputs)
    }
}
