//! Matrix multiplication against weights packed once.
//!
//! `out[rows, cols] = activation(start + a[rows, k] · b[k, cols])`, with `b` in panels:
//!
//! ```text
//! k block 0                                  k block 1 ...
//! | panel 0: [k in block][width] | panel 1 | ... |
//! ```
//!
//! A panel is `width` = two vector registers of columns; a block is up to [`K_BLOCK`] deep, so that
//! a panel stays in the first-level cache while row tiles pass over it. The kernel computes a tile
//! of [`TILE_ROWS`] rows by one panel in registers: 12 sums, two panel loads and six broadcasts a
//! step, which keeps both multiply-add units of an AVX2 core busy. Columns past the end of the
//! matrix are zeros in the panel and are computed into a spare tile.

use pulp::{Arch, Simd, WithSimd};

use super::activation::Activation;
use super::buffer::AlignedBuffer;

/// Rows of a register tile.
pub(crate) const TILE_ROWS: usize = 6;
/// Deepest block along `k`; also the width of a slice of the feed-forward layer.
const K_BLOCK: usize = 448;
/// Blocks are multiples of the widest panel, so that a block boundary is also a panel boundary.
const K_ALIGN: usize = 32;
/// The widest panel: two AVX-512 registers.
pub(super) const MAX_WIDTH: usize = 32;

/// A right-hand matrix `[k, cols]` in panels.
#[derive(Debug)]
pub(crate) struct PackedMatrix {
    arch: Arch,
    depth: usize,
    cols: usize,
    width: usize,
    block: usize,
    data: AlignedBuffer,
}

impl PackedMatrix {
    /// Packs the transpose of `weight`, given as checkpoints store it: `[cols, depth]` row by row.
    pub(crate) fn from_transposed(arch: Arch, weight: &[f32], cols: usize, depth: usize) -> Self {
        assert_eq!(weight.len(), cols * depth, "weight is not [{cols}, {depth}]");
        let width = panel_width(arch);
        let block = block_depth(depth);
        let panels = cols.div_ceil(width);
        let mut data = AlignedBuffer::zeroed(panels * width * depth);
        for (col, row) in weight.chunks_exact(depth.max(1)).enumerate() {
            for (index, part) in row.chunks(block).enumerate() {
                let start = (index * block * panels + (col / width) * part.len()) * width;
                for (at, &value) in part.iter().enumerate() {
                    data[start + at * width + col % width] = value;
                }
            }
        }
        Self { arch, depth, cols, width, block, data }
    }

    /// The instruction set the panels were laid out for.
    pub(crate) fn arch(&self) -> Arch {
        self.arch
    }

    /// Columns, without padding.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Rows of the matrix, the length of a row it multiplies.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of a panel.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The blocks along `k`: where each starts and how deep it is.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (depth, block) = (self.depth, self.block);
        (0..depth).step_by(block).map(move |start| (start, block.min(depth - start)))
    }

    /// Writes `rows · self` to `out`, one row every `out_stride` values.
    pub(crate) fn multiply(&self, rows: Rows<'_>, out: &mut [f32], out_stride: usize) {
        for (k_start, _) in self.blocks() {
            self.arch.dispatch(Gemm {
                a: Rows { data: rows.data.get(k_start..).unwrap_or_default(), ..rows },
                b: self.panels(k_start, 0, self.cols),
                start: if k_start == 0 { Start::Zero } else { Start::Out },
                activation: Activation::None,
                out,
                out_stride,
            });
        }
    }

    /// The panels of columns `cols` (which start at a panel) in the block that starts at `k_start`.
    pub(super) fn panels(&self, k_start: usize, col_start: usize, cols: usize) -> Panels<'_> {
        debug_assert!(col_start.is_multiple_of(self.width) && k_start.is_multiple_of(self.block));
        let depth = self.block.min(self.depth - k_start);
        let all = self.cols.div_ceil(self.width);
        let start = (k_start * all + col_start / self.width * depth) * self.width;
        let len = cols.div_ceil(self.width) * self.width * depth;
        Panels { data: &self.data[start..start + len], depth, cols }
    }
}

/// Panels of one block: the right-hand side of one pass of the kernel.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a> {
    /// `[panel][depth][width]`.
    pub(super) data: &'a [f32],
    /// Steps along `k`.
    pub(super) depth: usize,
    /// Columns wanted; the last panel may hold more.
    pub(super) cols: usize,
}

/// What the sums start from.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    /// Zero.
    Zero,
    /// One value a column, padded to whole panels.
    Bias(&'a [f32]),
    /// What `out` holds already.
    Out,
}

/// The left-hand side: rows of `stride` values, of which the kernel reads the panels' depth.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// From the first value of the first row on.
    pub(crate) data: &'a [f32],
    /// From one row to the next.
    pub(crate) stride: usize,
    /// How many rows.
    pub(crate) count: usize,
}

/// One multiplication, to be dispatched: `out = activation(start + a · b)`.
pub(super) struct Gemm<'a> {
    pub(super) a: Rows<'a>,
    pub(super) b: Panels<'a>,
    pub(super) start: Start<'a>,
    pub(super) activation: Activation,
    pub(super) out: &'a mut [f32],
    pub(super) out_stride: usize,
}

impl WithSimd for Gemm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = 2 * S::F32_LANES;
        let mut spare = [0.0f32; TILE_ROWS * MAX_WIDTH];
        for (index, panel) in self.b.data.chunks_exact(self.b.depth * width).enumerate() {
            let panel = S::as_simd_f32s(panel).0.as_chunks::<2>().0;
            let col = index * width;
            let start = match self.start {
                Start::Bias(bias) => Start::Bias(&bias[col..col + width]),
                other @ (Start::Zero | Start::Out) => other,
            };
            let cols = width.min(self.b.cols - col);
            for first in (0..self.a.count).step_by(TILE_ROWS) {
                let rows = TILE_ROWS.min(self.a.count - first);
                let a = &self.a.data[first * self.a.stride..];
                let out = &mut self.out[first * self.out_stride + col..];
                if cols == width {
                    let tile = Tile { a, a_stride: self.a.stride, panel, start };
                    tile.run(simd, rows, self.activation, out, self.out_stride);
                    continue;
                }
                copy_tile(out, self.out_stride, &mut spare, width, (rows, cols));
                let tile = Tile { a, a_stride: self.a.stride, panel, start };
                tile.run(simd, rows, self.activation, &mut spare, width);
                copy_tile(&spare, width, out, self.out_stride, (rows, cols));
            }
        }
    }
}

/// Copies a tile of `(rows, cols)` between two strides.
fn copy_tile(
    from: &[f32],
    from_stride: usize,
    to: &mut [f32],
    to_stride: usize,
    (rows, cols): (usize, usize),
) {
    for row in 0..rows {
        to[row * to_stride..][..cols].copy_from_slice(&from[row * from_stride..][..cols]);
    }
}

/// Up to [`TILE_ROWS`] rows by one panel.
struct Tile<'a, V> {
    a: &'a [f32],
    a_stride: usize,
    panel: &'a [[V; 2]],
    start: Start<'a>,
}

impl<V: Copy> Tile<'_, V> {
    #[inline(always)]
    fn run<S: Simd<f32s = V>>(
        self,
        simd: S,
        rows: usize,
        activation: Activation,
        out: &mut [f32],
        stride: usize,
    ) {
        match rows {
            6 => self.fixed::<S, 6>(simd, activation, out, stride),
            5 => self.fixed::<S, 5>(simd, activation, out, stride),
            4 => self.fixed::<S, 4>(simd, activation, out, stride),
            3 => self.fixed::<S, 3>(simd, activation, out, stride),
            2 => self.fixed::<S, 2>(simd, activation, out, stride),
            _ => self.fixed::<S, 1>(simd, activation, out, stride),
        }
    }

    /// The kernel, for a number of rows the compiler knows: all sums live in registers.
    #[inline(always)]
    fn fixed<S: Simd<f32s = V>, const ROWS: usize>(
        self,
        simd: S,
        activation: Activation,
        out: &mut [f32],
        stride: usize,
    ) {
        let lanes = S::F32_LANES;
        let depth = self.panel.len();
        // A loop, as `array::from_fn` is not always inlined, and then the compiler no longer knows
        // that every row is `depth` long and checks each access.
        let mut rows = [self.a; ROWS];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = &self.a[i * self.a_stride..][..depth];
        }
        let mut sums = [[simd.splat_f32s(0.0); 2]; ROWS];
        match self.start {
            Start::Zero => {}
            Start::Bias(bias) => {
                let bias = S::as_simd_f32s(&bias[..2 * lanes]).0;
                sums = [[bias[0], bias[1]]; ROWS];
            }
            Start::Out => {
                for (i, sum) in sums.iter_mut().enumerate() {
                    let row = S::as_simd_f32s(&out[i * stride..][..2 * lanes]).0;
                    *sum = [row[0], row[1]];
                }
            }
        }
        for (k, &[left, right]) in self.panel.iter().enumerate() {
            for i in 0..ROWS {
                let value = simd.splat_f32s(rows[i][k]);
                sums[i][0] = simd.mul_add_e_f32s(value, left, sums[i][0]);
                sums[i][1] = simd.mul_add_e_f32s(value, right, sums[i][1]);
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            let row = S::as_mut_simd_f32s(&mut out[i * stride..][..2 * lanes]).0;
            row[0] = activation.apply(simd, sum[0]);
            row[1] = activation.apply(simd, sum[1]);
        }
    }
}

/// Columns of a panel on `arch`: two registers.
pub(super) fn panel_width(arch: Arch) -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            2 * S::F32_LANES
        }
    }
    arch.dispatch(Width)
}

/// Splits `depth` into equal blocks of at most [`K_BLOCK`], rounded to [`K_ALIGN`].
fn block_depth(depth: usize) -> usize {
    let blocks = depth.div_ceil(K_BLOCK).max(1);
    depth.div_ceil(blocks).next_multiple_of(K_ALIGN).max(K_ALIGN)
}

#[cfg(test)]
mod tests {
    use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
    use proptest::prelude::*;

    use super::*;

    fn values(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    fn product(arch: Arch, a: &[f32], weight: &[f32], bias: &[f32], depth: usize) -> Vec<f32> {
        let (rows, cols) = (a.len() / depth, bias.len());
        let packed = PackedMatrix::from_transposed(arch, weight, cols, depth);
        let mut padded = bias.to_vec();
        padded.resize(cols.next_multiple_of(packed.width()), 0.0);
        let mut out = vec![7.0; rows * cols];
        for (k_start, k) in packed.blocks() {
            let start = if k_start == 0 { Start::Bias(&padded) } else { Start::Out };
            assert!(k <= K_BLOCK);
            arch.dispatch(Gemm {
                a: Rows { data: a.get(k_start..).unwrap_or_default(), stride: depth, count: rows },
                b: packed.panels(k_start, 0, cols),
                start,
                activation: Activation::None,
                out: &mut out,
                out_stride: cols,
            });
        }
        out
    }

    proptest! {
        #[test]
        fn every_arch_agrees_with_faer(
            rows in 0usize..15,
            cols in 1usize..70,
            depth in prop_oneof![1usize..40, 440usize..460, 890usize..905],
            seed in any::<u32>(),
        ) {
            let a = values(rows * depth, seed);
            let weight = values(cols * depth, seed ^ 1);
            let bias = values(cols, seed ^ 2);
            let mut expected: Vec<f32> = bias.iter().copied().cycle().take(rows * cols).collect();
            matmul(
                MatMut::from_row_major_slice_mut(&mut expected, rows, cols),
                Accum::Add,
                MatRef::from_row_major_slice(&a, rows, depth),
                MatRef::from_column_major_slice(&weight, depth, cols),
                1.0,
                Par::Seq,
            );
            for arch in [Arch::new(), Arch::Scalar] {
                let got = product(arch, &a, &weight, &bias, depth);
                for (x, y) in got.iter().zip(&expected) {
                    // Sums of `depth` products below one, in another order.
                    prop_assert!((x - y).abs() < 2e-7 * depth as f32 + 2e-6, "{} {}", x, y);
                }
            }
        }

        #[test]
        fn a_row_does_not_depend_on_its_neighbours(rows in 1usize..14, seed in any::<u32>()) {
            let (depth, cols) = (37, 40);
            let a = values(rows * depth, seed);
            let weight = values(cols * depth, seed ^ 1);
            let bias = values(cols, seed ^ 2);
            let together = product(Arch::new(), &a, &weight, &bias, depth);
            for (row, alone) in a.chunks(depth).zip(together.chunks(cols)) {
                prop_assert_eq!(product(Arch::new(), row, &weight, &bias, depth), alone);
            }
        }
    }

    #[test]
    fn blocks_are_even_and_aligned() {
        for (depth, block) in [(1, 32), (48, 64), (384, 384), (768, 384), (1024, 352), (1536, 384)]
        {
            assert_eq!(block_depth(depth), block);
        }
    }
}
