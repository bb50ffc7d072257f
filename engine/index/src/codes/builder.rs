//! Collecting codes until they are whole.

use std::ops::Range;

use bigrain_binarize::{CodeFactors, CodeLayout, PackedFactors, to_half, unit_for};
use bigrain_kernels::{BLOCK_ROWS, block_bytes, pack_blocks};

use super::ResidentCodes;
use super::large::Large;

/// Blocks that are packed together.
const PACKED_BLOCKS: usize = 32;

/// From so many dimensions on, scanning the signs first saves more than it costs.
const SIGNS_FIRST_DIMS: usize = 256;

/// Whether the signs of codes in lists are better scanned first; those of one level have nothing else.
#[must_use]
pub fn signs_first_pays(layout: &CodeLayout) -> bool {
    layout.levels().count() > 1 && layout.dims() >= SIGNS_FIRST_DIMS
}

/// Codes as they come from a binarizer, in any order, on their way to [`ResidentCodes`].
#[derive(Clone, Debug)]
pub struct CodesBuilder {
    layout: CodeLayout,
    planes: Vec<Vec<u64>>,
    factors: Vec<CodeFactors>,
}

impl CodesBuilder {
    /// Returns a builder without codes.
    #[must_use]
    pub fn new(layout: CodeLayout) -> Self {
        Self { layout, planes: vec![Vec::new(); layout.levels().count()], factors: Vec::new() }
    }

    /// Makes room for so many more codes, and no more than that.
    pub fn reserve(&mut self, codes: usize) {
        let words = codes * self.layout.words_per_plane();
        self.planes.iter_mut().for_each(|plane| plane.reserve_exact(words));
        self.factors.reserve_exact(codes);
    }

    /// Returns about how many bytes a code takes until codes are whole, where it is there twice.
    #[must_use]
    pub fn bytes_per_code(layout: &CodeLayout) -> usize {
        let whole = size_of::<f32>() + 5 * size_of::<u16>();
        2 * (layout.bytes() + size_of::<CodeFactors>()) + whole
    }

    /// Appends one code, its levels one after the other.
    ///
    /// # Panics
    ///
    /// When `code` has the wrong number of words.
    pub fn push(&mut self, code: &[u64], factors: CodeFactors) {
        for (plane, level) in self.planes.iter_mut().zip(self.layout.levels_of(code)) {
            plane.extend_from_slice(level);
        }
        self.factors.push(factors);
    }

    /// Appends the codes of another builder.
    pub fn append(&mut self, other: &Self) {
        for (plane, other) in self.planes.iter_mut().zip(&other.planes) {
            plane.extend_from_slice(other);
        }
        self.factors.extend_from_slice(&other.factors);
    }

    /// Returns what a code looks like.
    #[must_use]
    pub fn layout(&self) -> &CodeLayout {
        &self.layout
    }

    /// Returns how many codes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.factors.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.factors.is_empty()
    }

    /// Returns about how much memory the codes take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let words: usize = self.planes.iter().map(Vec::len).sum();
        size_of::<u64>() * words + size_of::<CodeFactors>() * self.factors.len()
    }

    /// Returns how many levels a code has.
    pub(crate) fn levels(&self) -> usize {
        self.planes.len()
    }

    /// Returns one level of some codes, code after code.
    pub(crate) fn plane(&self, level: usize, codes: Range<usize>) -> &[u64] {
        let words = self.layout.words_per_plane();
        &self.planes[level][codes.start * words..codes.end * words]
    }

    /// Returns the factors of the codes.
    pub(crate) fn factors(&self) -> &[CodeFactors] {
        &self.factors
    }

    /// Returns the codes in the given order: row `i` is the code that was pushed as `order[i]`. Whether
    /// the signs are scanned first is up to the caller; codes of one level have nothing else.
    #[must_use]
    pub fn finish(self, order: &[u32], signs_first: bool) -> ResidentCodes {
        let Self { layout, planes, factors } = self;
        let words = layout.words_per_plane();
        let factors: Vec<CodeFactors> = order.iter().map(|&at| factors[at as usize]).collect();
        let blocks = order.len().div_ceil(BLOCK_ROWS);
        let in_blocks = |plane: Vec<u64>| {
            let row = |at: u32| &plane[at as usize * words..(at as usize + 1) * words];
            let bytes = block_bytes(layout.dims());
            let mut packed = Large::zeroed(blocks * bytes);
            let mut rows = Vec::with_capacity(PACKED_BLOCKS * BLOCK_ROWS * words);
            let parts = packed.chunks_mut(PACKED_BLOCKS * bytes);
            for (part, order) in parts.zip(order.chunks(PACKED_BLOCKS * BLOCK_ROWS)) {
                rows.clear();
                order.iter().for_each(|&at| rows.extend_from_slice(row(at)));
                pack_blocks(&rows, words, part);
            }
            packed
        };
        let mut codes = ResidentCodes {
            layout,
            rows: order.len(),
            signs_first: signs_first && layout.levels().count() > 1,
            unit: unit_of(&factors),
            shift_unit: unit_for(largest(factors.iter().map(shift))),
            add: Large::zeroed(blocks * BLOCK_ROWS),
            rescale: Large::zeroed(blocks * BLOCK_ROWS),
            error: Large::default(),
            planes: planes.into_iter().map(in_blocks).collect(),
            rest: Large::default(),
        };
        codes.fill_columns(&factors);
        codes
    }
}

impl ResidentCodes {
    /// Sets the factors of a whole code, where all levels are scanned at once.
    fn set_whole(&mut self, row: usize, factors: PackedFactors) {
        self.add[row] = factors.add();
        self.rescale[row] = factors.rescale_bits();
        self.error[row] = factors.error_bits();
    }

    fn fill_columns(&mut self, factors: &[CodeFactors]) {
        if self.signs_first {
            self.rest = Large::zeroed(factors.len());
        } else {
            self.error = Large::zeroed(self.add.len());
        }
        for (row, factors) in factors.iter().enumerate() {
            let packed = factors.full.pack(self.unit, &self.layout);
            if !self.signs_first {
                self.set_whole(row, packed);
            } else {
                self.add[row] = factors.sign.add;
                self.rescale[row] = to_half(factors.sign.rescale, self.unit);
                let shift = to_half(shift(factors), self.shift_unit);
                self.rest[row] = [shift, packed.rescale_bits(), packed.error_bits()];
            }
        }
    }
}

/// What the whole code's add has more than its signs'.
fn shift(factors: &CodeFactors) -> f32 {
    factors.full.add - factors.sign.add
}

fn unit_of(factors: &[CodeFactors]) -> f32 {
    let rescales = factors.iter().flat_map(|factors| [factors.full.rescale, factors.sign.rescale]);
    unit_for(largest(rescales))
}

fn largest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |largest, value| value.abs().max(largest))
}
