//! Matrix multiplication in bytes: rows of activations by a matrix of weights.
//!
//! A linear layer of a model in int8 has one scale for each of its outputs and, computed for each
//! row as it comes, one for each row of activations:
//!
//! ```text
//!   x[r][k] ~ a_r X[r][k]      X in -127..=127,  a_r = max_k |x[r][k]| / 127
//!   w[k][c] ~ b_c W[k][c]      W in -127..=127,  b_c chosen when the weights were quantised
//!
//!   y[r][c] = (sum_k X[r][k] W[k][c]) * (a_r b_c) + bias_c + sum_e x[r][e] w[e][c]
//!              \________ exact, i32 ________/                 \__ exact columns, f32 __/
//! ```
//!
//! Transformers have a few columns of activations far larger than all others, which would leave the
//! others a handful of values each. These *exact columns* (LLM.int8(), arXiv 2208.07339, section 3.2)
//! stay out of the bytes and are multiplied in `f32`; which they are is found when the weights are
//! quantised, so both sides know it beforehand.
//!
//! # Layout
//!
//! `vpdpbusd` multiplies four unsigned bytes of one operand with four signed bytes of the other and
//! adds the products to a 32-bit lane. So weights lie in *panels* of [`PANEL_COLUMNS`] columns, four
//! steps of depth side by side, and a row of activations is read four bytes at a time:
//!
//! ```text
//!  panel 0                                                  panel 1 ...
//!  | step 0: column 0  column 1  ...  column 63 | step 1 ...
//!            k0 k1 k2 k3
//! ```
//!
//! Activations are stored with 128 added, which makes them unsigned; `128 * sum_k W[k][c]` is what the
//! sums are too large by, so they start from minus that. A tile of [`TILE_ROWS`] rows by one panel is
//! summed in registers over the whole depth, and scaled before it is stored.
//!
//! # Agreement
//!
//! Integer sums are exact, and what follows is one rounded operation after another in a fixed order,
//! never fused: results are the same bits on every instruction set. On AVX2 bytes are widened to 16
//! bits first, since its own instruction for bytes (`vpmaddubsw`) saturates.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod door;
mod matrix;
mod portable;
pub(crate) mod reference;
mod rows;

pub use door::{multiply_i8, multiply_i8_with};
pub use matrix::{Int8Matrix, Int8Parts};
pub use rows::Int8Rows;

/// Columns of a panel: four registers of AVX-512.
pub const PANEL_COLUMNS: usize = 64;
/// The deepest matrix: a sum of more products might not fit 32 bits.
pub const MAX_INT8_DEPTH: usize = 1 << 16;

/// Rows of a register tile.
const TILE_ROWS: usize = 6;
/// Steps of depth that lie side by side.
const STEP_DEPTH: usize = 4;

/// One step of depth of 16 columns: a register, and a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([i8; 64]);

/// One step of depth of a panel.
type Step = [Line; 4];

/// What the sums of a panel's columns start from, and what happens to them.
#[derive(Clone, Debug)]
struct PanelColumns {
    starts: [i32; PANEL_COLUMNS],
    scales: [f32; PANEL_COLUMNS],
    bias: [f32; PANEL_COLUMNS],
}

/// A panel and all that belongs to it.
#[derive(Clone, Copy)]
struct Panel<'a> {
    steps: &'a [Step],
    columns: &'a PanelColumns,
    /// The weights of each exact column.
    exact: &'a [[f32; PANEL_COLUMNS]],
}

/// Up to [`TILE_ROWS`] rows of activations.
#[derive(Clone, Copy)]
struct Tile<'a> {
    /// The codes of the rows, one row after the other.
    codes: &'a [[u8; STEP_DEPTH]],
    /// One for each row.
    scales: &'a [f32],
    /// The exact columns of each row.
    exact: &'a [f32],
}

impl<'a> Tile<'a> {
    /// Returns the codes of each of `ROWS` rows, `steps` steps each.
    #[inline(always)]
    fn rows<const ROWS: usize>(&self, steps: usize) -> [&'a [[u8; STEP_DEPTH]]; ROWS] {
        let mut rows = [self.codes; ROWS];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = &self.codes[i * steps..][..steps];
        }
        rows
    }
}
