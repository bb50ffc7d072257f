//! One tensor, as a file stores it.

use std::borrow::Cow;

use half::{bf16, f16};
use safetensors::Dtype;

/// A tensor in the bytes of a file.
#[derive(Clone, Debug)]
pub(super) struct StoredTensor<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Elements from one index to the next, of each axis; `None` where they lie row by row.
    strides: Option<Vec<usize>>,
    data: &'a [u8],
}

impl<'a> StoredTensor<'a> {
    /// A tensor whose elements lie row by row, and are as many as its shape says.
    pub(super) fn new(dtype: Dtype, shape: Vec<usize>, data: &'a [u8]) -> Self {
        Self { dtype, shape, strides: None, data }
    }

    /// A tensor whose elements lie apart, all of them within `data`: a transposed or cut one.
    pub(super) fn strided(
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Vec<usize>,
        data: &'a [u8],
    ) -> Self {
        let mut rest = 1;
        let in_order = shape.iter().zip(&strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == rest;
            rest *= size;
            fits
        });
        let strides = (!in_order && !shape.contains(&0)).then_some(strides);
        Self { dtype, shape, strides, data }
    }

    /// What its elements are.
    pub(super) fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its axes.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements it has.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its elements as stored, if they lie row by row.
    pub(super) fn row_major(&self) -> Option<&'a [u8]> {
        self.strides.is_none().then_some(self.data)
    }

    /// Its elements, row by row, as stored.
    pub(super) fn bytes(&self) -> Cow<'a, [u8]> {
        match &self.strides {
            None => Cow::Borrowed(self.data),
            Some(strides) => Cow::Owned(self.gather(strides)),
        }
    }

    /// Its elements, row by row, or `None` if they are no floating-point numbers we know.
    pub(super) fn to_f32(&self) -> Option<Vec<f32>> {
        let data = self.bytes();
        let halves = data.as_chunks::<2>().0;
        #[expect(clippy::wildcard_enum_match_arm, reason = "every other type is refused alike")]
        match self.dtype {
            Dtype::F32 => {
                Some(data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
            }
            Dtype::F16 => Some(halves.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect()),
            Dtype::BF16 => Some(halves.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect()),
            _ => None,
        }
    }

    fn gather(&self, strides: &[usize]) -> Vec<u8> {
        let width = self.dtype.bitsize() / 8;
        let mut out = Vec::with_capacity(self.len() * width);
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        for _ in 0..self.len() {
            out.extend_from_slice(&self.data[at * width..][..width]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= strides[axis] * index[axis];
                index[axis] = 0;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_that_lie_apart_are_read_row_by_row() {
        let data: Vec<u8> = (0..24).collect();
        let transposed = StoredTensor::strided(Dtype::U8, vec![2, 3, 4], vec![1, 8, 2], &data);
        let expected: Vec<u8> = (0..2)
            .flat_map(|i| (0..3).flat_map(move |j| (0..4).map(move |k| i + 8 * j + 2 * k)))
            .collect();
        assert_eq!(*transposed.bytes(), expected);
        let row = StoredTensor::strided(Dtype::U8, vec![1, 24], vec![999, 1], &data);
        assert!(matches!(row.bytes(), Cow::Borrowed(_)));
        let empty = StoredTensor::strided(Dtype::U8, vec![3, 0], vec![7, 5], &[]);
        assert!(empty.bytes().is_empty());
    }
}
