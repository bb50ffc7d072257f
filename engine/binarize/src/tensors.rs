//! Numbers and maps as bytes, for the files of what is learned.
//!
//! ```text
//!  a map: | delta: outputs x inputs | bias: outputs | into: units x inputs | bias: units | out: outputs x units |
//! ```
//!
//! Each number is a little-endian f32; absent tensors are zeros.

use crate::recurrent::{HiddenLayer, ResidualMap};

/// The sizes of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapShape {
    pub inputs: usize,
    pub outputs: usize,
    /// Units of the hidden layer; none without.
    pub units: usize,
}

impl MapShape {
    /// Returns how many numbers a map has; nothing where that is beyond memory.
    pub fn floats(self) -> Option<usize> {
        let Self { inputs, outputs, units } = self;
        let linear = inputs.checked_mul(outputs)?.checked_add(outputs)?;
        let hidden = units.checked_mul(inputs.checked_add(outputs)?.checked_add(1)?)?;
        linear.checked_add(hidden)
    }
}

/// Adds a map.
pub(crate) fn push_map(bytes: &mut Vec<u8>, map: &ResidualMap, shape: MapShape) {
    let MapShape { inputs, outputs, units } = shape;
    push_tensor(bytes, &map.delta, inputs * outputs);
    push_tensor(bytes, &map.bias, outputs);
    let none = HiddenLayer::default();
    let hidden = map.hidden.as_ref().unwrap_or(&none);
    push_tensor(bytes, &hidden.into, units * inputs);
    push_tensor(bytes, &hidden.bias, units);
    push_tensor(bytes, &hidden.out, units * outputs);
}

/// Reads what [`push_map`] added.
pub(crate) fn read_map(reader: &mut Reader<'_>, shape: MapShape) -> Option<ResidualMap> {
    let MapShape { inputs, outputs, units } = shape;
    let (delta, bias) = (reader.floats(inputs * outputs)?, reader.floats(outputs)?);
    let hidden = if units == 0 {
        None
    } else {
        let into = reader.floats(units * inputs)?;
        let bias = reader.floats(units)?;
        Some(HiddenLayer { into, bias, out: reader.floats(units * outputs)? })
    };
    Some(ResidualMap { delta, bias, hidden })
}

pub(crate) fn push_floats(bytes: &mut Vec<u8>, values: &[f32]) {
    values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
}

/// Adds a tensor of `count` numbers; one that is absent is zeros.
pub(crate) fn push_tensor(bytes: &mut Vec<u8>, values: &[f32], count: usize) {
    if values.is_empty() {
        bytes.resize(bytes.len() + 4 * count, 0);
    } else {
        push_floats(bytes, values);
    }
}

/// Bytes that are read one after the other.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn slice(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let found = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(found)
    }

    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub fn floats3(&mut self) -> Option<[f32; 3]> {
        let mut one = || self.take().map(f32::from_le_bytes);
        Some([one()?, one()?, one()?])
    }

    pub fn floats(&mut self, count: usize) -> Option<Vec<f32>> {
        let (bytes, _) = self.slice(count.checked_mul(4)?)?.as_chunks::<4>();
        Some(bytes.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
    }
}
