//! The weights of models, on their way to a device.

use half::f16;

use crate::backend::upload;
use crate::{Backend, DeviceBuffer, GpuError};

/// What a layer norm multiplies by and adds, in floats.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) weight: DeviceBuffer,
    pub(crate) bias: DeviceBuffer,
}

/// A layer, in halves: `[outputs, inputs]` and a bias of each output.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) weights: DeviceBuffer,
    pub(crate) bias: DeviceBuffer,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

/// Copies tensors to a device, and counts their bytes.
pub(crate) struct Loader<'a> {
    backend: &'a dyn Backend,
    read: &'a dyn Fn(&str) -> Option<Vec<f32>>,
    bytes: u64,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(
        backend: &'a dyn Backend,
        read: &'a dyn Fn(&str) -> Option<Vec<f32>>,
    ) -> Self {
        Self { backend, read, bytes: 0 }
    }

    /// Returns how many bytes were copied.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads a tensor of `count` numbers.
    pub(crate) fn tensor(&self, name: &str, count: usize) -> Result<Vec<f32>, GpuError> {
        let missing = || GpuError::Shape(format!("there is no tensor {name}"));
        let numbers = (self.read)(name).ok_or_else(missing)?;
        check_count(name, numbers.len(), count)?;
        Ok(numbers)
    }

    /// Copies tensors of `count` numbers each one behind the other, rounded to halves.
    pub(crate) fn halves(
        &mut self,
        names: &[String],
        count: usize,
    ) -> Result<DeviceBuffer, GpuError> {
        let mut halves = Vec::with_capacity(names.len() * count);
        for name in names {
            halves.extend(rounded(name, &self.tensor(name, count)?)?);
        }
        self.upload_halves(&halves)
    }

    fn upload_halves(&mut self, halves: &[u16]) -> Result<DeviceBuffer, GpuError> {
        self.bytes += 2 * halves.len() as u64;
        upload(self.backend, "weights of a model", halves)
    }

    pub(crate) fn floats(&mut self, numbers: &[f32]) -> Result<DeviceBuffer, GpuError> {
        self.bytes += 4 * numbers.len() as u64;
        upload(self.backend, "weights of a model", numbers)
    }

    pub(crate) fn norm(&mut self, name: &str, width: usize) -> Result<Norm, GpuError> {
        let [weight, bias] =
            ["weight", "bias"].map(|part| self.tensor(&format!("{name}.{part}"), width));
        Ok(Norm { weight: self.floats(&weight?)?, bias: self.floats(&bias?)? })
    }

    /// Stacks layers of `inputs` and `outputs` values each into one.
    pub(crate) fn linear(
        &mut self,
        names: &[&str],
        inputs: usize,
        outputs: usize,
    ) -> Result<Linear, GpuError> {
        let of = |part: &str| names.iter().map(|name| format!("{name}.{part}")).collect::<Vec<_>>();
        Ok(Linear {
            weights: self.halves(&of("weight"), outputs * inputs)?,
            bias: self.halves(&of("bias"), outputs)?,
            inputs,
            outputs: names.len() * outputs,
        })
    }

    /// The blocks of a block-diagonal layer, each of `inputs` and `outputs` values. Without the name of a bias it is zeros.
    pub(crate) fn blocks(
        &mut self,
        (weight, bias): (&str, Option<&str>),
        blocks: usize,
        (inputs, outputs): (usize, usize),
    ) -> Result<Vec<Linear>, GpuError> {
        let weights = rounded(weight, &self.tensor(weight, blocks * outputs * inputs)?)?;
        let bias = match bias {
            Some(bias) => rounded(bias, &self.tensor(bias, blocks * outputs)?)?,
            None => vec![0; blocks * outputs],
        };
        let of_blocks = weights.chunks_exact(outputs * inputs).zip(bias.chunks_exact(outputs));
        let block = |(weights, bias): (&[u16], &[u16])| {
            let (weights, bias) = (self.upload_halves(weights)?, self.upload_halves(bias)?);
            Ok(Linear { weights, bias, inputs, outputs })
        };
        of_blocks.map(block).collect()
    }
}

/// Rounds the numbers of a tensor to halves.
fn rounded(name: &str, numbers: &[f32]) -> Result<Vec<u16>, GpuError> {
    let round = |&number: &f32| {
        let half = f16::from_f32(number);
        match half.is_finite() {
            true => Ok(half.to_bits()),
            false => Err(GpuError::Shape(format!("{name}: {number} is beyond 16 bits"))),
        }
    };
    numbers.iter().map(round).collect()
}

/// Refuses a tensor of another size.
pub(crate) fn check_count(name: &str, actual: usize, expected: usize) -> Result<(), GpuError> {
    if actual == expected {
        return Ok(());
    }
    Err(GpuError::Shape(format!("{name}: {actual} numbers, expected {expected}")))
}
