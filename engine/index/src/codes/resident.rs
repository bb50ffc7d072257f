//! Codes in memory.

use std::ops::Range;

use bigrain_binarize::{CodeLayout, Factors, from_half};
use bigrain_kernels::{BLOCK_ROWS, RowFactors, block_bytes};

use super::large::Large;

/// The codes of a segment, or of its centroids, in memory.
///
/// Columns are padded to whole blocks; what is padded is zero. They hold the factors of whole codes, or,
/// where the signs are scanned first, those of the signs.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidentCodes {
    pub(super) layout: CodeLayout,
    pub(super) rows: usize,
    pub(super) signs_first: bool,
    /// What halves of `rescale`, `error` and `rest` count in.
    pub(super) unit: f32,
    /// What the shifts in `rest` count in.
    pub(super) shift_unit: f32,
    pub(super) add: Large<f32>,
    pub(super) rescale: Large<u16>,
    /// Of whole codes; empty where the signs are scanned first.
    pub(super) error: Large<u16>,
    /// One array of blocks per level.
    pub(super) planes: Vec<Large<u8>>,
    /// Shift, rescale and error of whole codes, where the signs are scanned first; else empty.
    pub(super) rest: Large<[u16; 3]>,
}

impl ResidentCodes {
    /// Returns the layout of each code.
    #[must_use]
    pub fn layout(&self) -> CodeLayout {
        self.layout
    }

    /// Returns how many codes there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns what the halves of columns count in.
    #[must_use]
    pub fn unit(&self) -> f32 {
        self.unit
    }

    /// Whether a scan reads the signs first and the other levels only for what survives them.
    #[must_use]
    pub fn signs_first(&self) -> bool {
        self.signs_first
    }

    /// Returns the bytes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let planes: usize = self.planes.iter().map(|plane| plane.len()).sum();
        let halves = self.rescale.len() + self.error.len() + 3 * self.rest.len();
        planes + 4 * self.add.len() + 2 * halves
    }

    /// Returns one plane of a range of blocks.
    #[must_use]
    pub fn blocks(&self, level: usize, blocks: Range<usize>) -> &[u8] {
        let bytes = block_bytes(self.layout.dims());
        &self.planes[level][blocks.start * bytes..blocks.end * bytes]
    }

    /// Returns what turns the scores of a range of blocks into bounds.
    #[must_use]
    pub fn scan_factors(&self, blocks: Range<usize>) -> RowFactors<'_> {
        let rows = blocks.start * BLOCK_ROWS..blocks.end * BLOCK_ROWS;
        let error = if self.signs_first { &self.rescale } else { &self.error };
        RowFactors {
            add: &self.add[rows.clone()],
            rescale: &self.rescale[rows.clone()],
            error: &error[rows],
        }
    }

    /// Calls `take` with the blocks of each level and the factors of whole codes in columns. Where the signs are
    /// scanned first, these are made for the call.
    pub(crate) fn with_whole_factors<T>(
        &self,
        take: impl FnOnce(Vec<&[u8]>, RowFactors<'_>) -> T,
    ) -> T {
        let planes = self.planes.iter().map(|plane| &**plane).collect();
        if !self.signs_first {
            return take(planes, self.scan_factors(0..self.rows.div_ceil(BLOCK_ROWS)));
        }
        let add: Vec<f32> = (0..self.rows).map(|row| self.rest_factors(row).add).collect();
        let rescale: Vec<u16> = self.rest.iter().map(|&[_, rescale, _]| rescale).collect();
        let error: Vec<u16> = self.rest.iter().map(|&[_, _, error]| error).collect();
        take(planes, RowFactors { add: &add, rescale: &rescale, error: &error })
    }

    /// Returns the factors of a whole code, where the signs are scanned first.
    #[must_use]
    pub fn rest_factors(&self, row: usize) -> Factors {
        let [shift, rescale, error] = self.rest[row];
        Factors {
            add: self.add[row] + from_half(shift, self.shift_unit),
            rescale: from_half(rescale, self.unit),
            error: from_half(error, self.unit),
        }
    }
}
