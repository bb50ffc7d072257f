//! How transforms of one size are cut.

use crate::GpuError;
use crate::codes::MAX_SHARED_BYTES;
use crate::start::Blocks;

/// The largest transform that one block makes.
const MAX_IN_BLOCK: usize = 4096;
/// The longest columns; their number that a block has, as in long_conv.cu.
const MAX_ROWS: usize = 256;
const COLUMNS: usize = 16;
/// The longest rows: a block has two of them.
const MAX_WIDTH: usize = 2048;
/// Bytes of a value.
const COMPLEX: usize = 8;

/// The steps by which texts of one length are convolved.
///
/// Places of a transform are seen as rows; which frequency lies where is said in `kernels/long_conv.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongConvPlan {
    length: usize,
    size: usize,
    rows: usize,
    is_in_block: bool,
}

impl LongConvPlan {
    /// The plan for texts of `length` tokens: transforms are of the first power of two from twice that on.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for no tokens, or more than 262,144.
    pub fn new(length: usize) -> Result<Self, GpuError> {
        let size = transform_size(length)?;
        let is_in_block = size <= MAX_IN_BLOCK;
        let rows = match is_in_block {
            // The first step of the transform.
            true => size.min(16),
            false => (1 << (size.ilog2() / 2)).clamp(size / MAX_WIDTH, MAX_ROWS),
        };
        Ok(Self { length, size, rows, is_in_block })
    }

    /// A plan of three passes, with columns of `rows` values, for texts of any length.
    ///
    /// # Errors
    ///
    /// As [`LongConvPlan::new`], and for `rows` that are no power of two from 2 to 256, or leave rows of less than 1
    /// value or more than 2,048.
    pub fn in_passes(length: usize, rows: usize) -> Result<Self, GpuError> {
        let size = transform_size(length)?;
        let is_possible = rows.is_power_of_two()
            && (2..=MAX_ROWS.min(size)).contains(&rows)
            && size / rows <= MAX_WIDTH;
        if !is_possible {
            return Err(GpuError::Shape(format!("a transform of {size} values in {rows} rows")));
        }
        Ok(Self { length, size, rows, is_in_block: false })
    }

    /// Returns how many tokens texts have.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Returns how many values a transform has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns whether one block does all.
    #[must_use]
    pub fn is_in_block(&self) -> bool {
        self.is_in_block
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn width(&self) -> usize {
        self.size / self.rows
    }

    /// Bytes of the spectra of a channel: the lower halves of both.
    pub(crate) fn spectra_bytes(&self) -> usize {
        COMPLEX * (self.size + 2)
    }

    /// Bytes of a signal between passes.
    pub(super) fn signal_bytes(&self) -> usize {
        COMPLEX * self.size
    }

    /// One block for each signal.
    pub(super) fn whole(&self, signals: usize) -> Blocks {
        let threads = (self.size / 16).max(32) as u32;
        let shared_bytes = (COMPLEX * (self.size + self.size / 16)) as u32;
        Blocks { grid: [signals as u32, 1], threads, shared_bytes }
    }

    /// Blocks of columns of each signal.
    pub(super) fn columns(&self, signals: usize) -> Blocks {
        let grid = [self.width().div_ceil(COLUMNS) as u32, signals as u32];
        let threads = (COLUMNS * (self.rows / 16).max(2)) as u32;
        Blocks { grid, threads, shared_bytes: (COMPLEX * self.rows * COLUMNS) as u32 }
    }

    /// Blocks of a row of each signal and the one that it is multiplied with.
    pub(super) fn row_pairs(&self, signals: usize) -> Blocks {
        let values = 2 * self.width();
        let grid = [self.rows as u32 / 2 + 1, signals as u32];
        let threads = (values / 16).max(32) as u32;
        Blocks { grid, threads, shared_bytes: (COMPLEX * (values + values / 16)) as u32 }
    }
}

/// What blocks have on every device is enough for the largest of each kind.
const _: () = {
    assert!(COMPLEX * MAX_IN_BLOCK * 17 / 16 <= MAX_SHARED_BYTES);
    assert!(COMPLEX * MAX_ROWS * COLUMNS <= MAX_SHARED_BYTES);
    assert!(COMPLEX * 2 * MAX_WIDTH * 17 / 16 <= MAX_SHARED_BYTES);
};

fn transform_size(length: usize) -> Result<usize, GpuError> {
    let most = MAX_ROWS * MAX_WIDTH / 2;
    if !(1..=most).contains(&length) {
        return Err(GpuError::Shape(format!(
            "convolutions of texts of {length} tokens: kernels take 1 to {most}"
        )));
    }
    Ok((2 * length).next_power_of_two())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_up_to_2048_are_one_block_and_longer_ones_near_square() {
        let cut = |length| {
            let plan = LongConvPlan::new(length).unwrap();
            (plan.size(), plan.rows(), plan.width(), plan.is_in_block())
        };
        assert_eq!(cut(1), (2, 2, 1, true));
        assert_eq!(cut(64), (128, 16, 8, true));
        assert_eq!(cut(2048), (4096, 16, 256, true));
        assert_eq!(cut(2049), (8192, 64, 128, false));
        assert_eq!(cut(8192), (16_384, 128, 128, false));
        assert_eq!(cut(32_768), (65_536, 256, 256, false));
        assert_eq!(cut(262_144), (524_288, 256, 2048, false));
        for length in [0, 262_145] {
            let error = LongConvPlan::new(length).unwrap_err().to_string();
            assert!(error.contains(&format!("texts of {length} tokens: kernels take 1 to 262144")));
        }
    }

    #[test]
    fn rows_that_no_kernel_takes_are_refused() {
        for (length, rows) in [(64, 3), (64, 1), (64, 256), (1024, 512), (262_144, 128)] {
            let error = LongConvPlan::in_passes(length, rows).unwrap_err().to_string();
            assert!(error.ends_with(&format!("values in {rows} rows")), "{error}");
        }
    }
}
