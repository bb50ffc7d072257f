//! How the bits of a code lie in memory. Defined here and nowhere else.
//!
//! A code gives each dimension an odd integer `v = 2k - (2^B - 1)`, `k` in `0..2^B`. Level (plane)
//! `a` holds one bit of `k` for every dimension, the most significant first, so plane 0 alone is
//! the sign code:
//!
//! ```text
//!            word 0                          word 1
//!  plane 0   [ d63 .. d2 d1 d0 ]             [ d127 .. d65 d64 ]    bit 2^(B-1) of k: v > 0
//!  plane 1   [ d63 .. d2 d1 d0 ]             [ d127 .. d65 d64 ]    bit 2^(B-2) of k
//!    ..       ^            ^
//!             bit 63       bit 0: dimension 0
//!
//!  one code, level after level:   | plane 0: W words | plane 1: W words | ..     W = D / 64
//!  many codes, one array a level: | code 0: W words  | code 1: W words  | ..
//! ```
//!
//! Words are `u64`, little-endian wherever they become bytes. A bit is set when what it encodes is
//! *greater than* zero: zero itself, of either sign, gives 0. `D` is a multiple of 64, so no word
//! is shared and none has pads; an embedding of fewer dimensions is padded with zeros before it is
//! rotated.

use bigrain_types::{Levels, MAX_DIMS};
use thiserror::Error;

/// The shape of a code: dimensions and levels.
///
/// ```
/// use bigrain_binarize::CodeLayout;
/// use bigrain_types::Levels;
///
/// let layout = CodeLayout::for_embedding(100, Levels::TWO)?;
/// assert_eq!((layout.dims(), layout.words_per_plane(), layout.bytes()), (128, 2, 32));
/// # Ok::<(), bigrain_binarize::CodeLayoutError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeLayout {
    dims: usize,
    levels: Levels,
}

/// Dimensions that a code cannot have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("code dimensions: expected a multiple of 64 from 64 to {MAX_DIMS}, got {0}")]
pub struct CodeLayoutError(pub usize);

impl CodeLayout {
    /// Returns the layout of codes of `dims` dimensions.
    ///
    /// # Errors
    ///
    /// [`CodeLayoutError`] unless `dims` is a multiple of 64 in 64..=[`MAX_DIMS`].
    pub fn new(dims: usize, levels: Levels) -> Result<Self, CodeLayoutError> {
        if dims == 0 || dims > MAX_DIMS || !dims.is_multiple_of(64) {
            return Err(CodeLayoutError(dims));
        }
        Ok(Self { dims, levels })
    }

    /// Returns the layout for embeddings of `dims` dimensions, rounded up to a multiple of 64.
    ///
    /// # Errors
    ///
    /// [`CodeLayoutError`] for 0 or more than [`MAX_DIMS`].
    pub fn for_embedding(dims: usize, levels: Levels) -> Result<Self, CodeLayoutError> {
        if dims > MAX_DIMS {
            return Err(CodeLayoutError(dims));
        }
        Self::new(dims.next_multiple_of(64), levels)
    }

    /// Returns `D`, the dimensions of the code.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Returns `B`, the levels.
    #[must_use]
    pub fn levels(&self) -> Levels {
        self.levels
    }

    /// Returns the words of one plane of one code.
    #[must_use]
    pub fn words_per_plane(&self) -> usize {
        self.dims / 64
    }

    /// Returns the words of one code, all planes.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words_per_plane() * self.levels.count()
    }

    /// Returns the bytes of one code, all planes, without its factors.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.words() * size_of::<u64>()
    }

    /// Returns the largest length a code can have as a vector of odd integers:
    /// `(2^B - 1) * sqrt(D)`; at one level every code has exactly this length.
    #[must_use]
    pub fn max_code_norm(&self) -> f32 {
        f32::from(self.largest_value()) * (self.dims as f32).sqrt()
    }

    /// Returns the largest value of a dimension: `2^B - 1`.
    #[must_use]
    pub fn largest_value(&self) -> u8 {
        (1 << self.levels.get()) - 1
    }

    /// Returns the planes of one code, plane 0 first.
    ///
    /// # Panics
    ///
    /// When `code` does not have [`CodeLayout::words`] words.
    pub fn levels_of<'a>(&self, code: &'a [u64]) -> impl Iterator<Item = &'a [u64]> + use<'a> {
        assert_eq!(code.len(), self.words(), "code has the wrong number of words");
        code.chunks_exact(self.words_per_plane())
    }

    /// Writes the odd integers `values` (`D` of them, each within the levels' range) as one code.
    ///
    /// # Panics
    ///
    /// When a slice has the wrong length. A value that is even or out of range is a bug of the
    /// caller; debug builds refuse it.
    pub fn pack(&self, values: &[i32], code: &mut [u64]) {
        assert_eq!(values.len(), self.dims, "values differ from the code's dimensions");
        assert_eq!(code.len(), self.words(), "code has the wrong number of words");
        let largest = i32::from(self.largest_value());
        code.fill(0);
        for (dim, &value) in values.iter().enumerate() {
            debug_assert!(value.abs() <= largest && value & 1 == 1, "{value} is not in the grid");
            let k = ((value + largest) / 2) as u64;
            for a in 0..self.levels.count() {
                let bit = k >> (self.levels.count() - 1 - a) & 1;
                code[a * self.words_per_plane() + dim / 64] |= bit << (dim % 64);
            }
        }
    }

    /// Reads one code back as `D` odd integers.
    ///
    /// # Panics
    ///
    /// When a slice has the wrong length.
    pub fn unpack(&self, code: &[u64], values: &mut [i32]) {
        assert_eq!(values.len(), self.dims, "values differ from the code's dimensions");
        values.fill(0);
        for plane in self.levels_of(code) {
            for (dim, value) in values.iter_mut().enumerate() {
                *value = 2 * *value + (plane[dim / 64] >> (dim % 64) & 1) as i32;
            }
        }
        let largest = i32::from(self.largest_value());
        values.iter_mut().for_each(|value| *value = 2 * *value - largest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(dims: usize, levels: u8) -> CodeLayout {
        CodeLayout::new(dims, Levels::new(levels).unwrap()).unwrap()
    }

    #[test]
    fn dimensions_that_are_no_multiple_of_64_are_refused() {
        for dims in [0, 1, 63, 65, 100, MAX_DIMS + 64] {
            assert_eq!(CodeLayout::new(dims, Levels::ONE), Err(CodeLayoutError(dims)));
        }
        for dims in [0, MAX_DIMS + 1, usize::MAX] {
            assert_eq!(CodeLayout::for_embedding(dims, Levels::ONE), Err(CodeLayoutError(dims)));
        }
        for (dims, padded) in [(1, 64), (64, 64), (65, 128), (MAX_DIMS, MAX_DIMS)] {
            assert_eq!(CodeLayout::for_embedding(dims, Levels::ONE).unwrap().dims(), padded);
        }
    }

    #[test]
    fn bits_lie_where_the_picture_says() {
        let layout = layout(128, 2);
        let mut values = [-3; 128];
        (values[0], values[1], values[65]) = (3, 1, -1);
        let mut code = [u64::MAX; 4];
        layout.pack(&values, &mut code);
        assert_eq!(code, [0b11, 0, 0b01, 0b10]);
    }

    #[test]
    fn sizes_are_those_of_the_design() {
        assert_eq!(layout(768, 1).bytes() + 8, 104);
        assert_eq!(layout(768, 2).bytes() + 8, 200);
    }

    proptest! {
        #[test]
        fn packing_round_trips(levels in 1u8..=4, words in 1usize..5, seed: u64) {
            let layout = layout(64 * words, levels);
            let largest = i32::from(layout.largest_value());
            let value = |dim: usize| {
                let mixed = (dim as u64 + 1).wrapping_mul(seed | 1) >> 33;
                2 * (mixed % (largest as u64 + 1)) as i32 - largest
            };
            let values: Vec<i32> = (0..layout.dims()).map(value).collect();
            let mut code = vec![0; layout.words()];
            layout.pack(&values, &mut code);
            let mut back = vec![0; layout.dims()];
            layout.unpack(&code, &mut back);
            prop_assert_eq!(&back, &values);
            let planes: Vec<&[u64]> = layout.levels_of(&code).collect();
            for (dim, &value) in values.iter().enumerate() {
                prop_assert_eq!(bigrain_kernels::reference::value(&planes, dim), value);
                prop_assert_eq!(planes[0][dim / 64] >> (dim % 64) & 1 == 1, value > 0);
            }
        }
    }
}
