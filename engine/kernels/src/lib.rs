//! Arithmetic over slices: scores of packed codes, dot product, squared distance, the
//! Walsh-Hadamard transform, top-k.
//!
//! Nothing here allocates in a loop, reads a file, starts a thread or reads the environment.
//!
//! | kernel | does | agreement between instruction sets |
//! |---|---|---|
//! | [`scan`], [`score_one`] | integer scores of codes against a query | exact |
//! | [`scan_blocks`] | integer scores of sign codes in blocks of 32 | exact |
//! | [`bound_blocks`] | similarities, upper bounds and survivors of scores | bit for bit |
//! | [`pack_blocks`], [`BlockTable`] | codes to blocks, a query to tables | exact |
//! | [`dot`], [`l2_squared`] | sums over two `f32` slices | within a stated bound |
//! | [`dot_f16`], [`l2_squared_f16`], [`dot_i8`], [`l2_squared_i8`] | the same, of an `f32` query and a smaller row | within a stated bound |
//! | [`max_sim_f16`] | the largest products of a query's tokens with tokens of halves | within a stated bound |
//! | [`quantize`] | numbers to bit planes, with two sums | planes exact, sums within a bound |
//! | [`multiply_i8`] | rows by a matrix of int8 weights | bit for bit |
//! | [`signed_sum`] | sum of numbers whose signs are bits | bit for bit |
//! | [`hadamard`] | the Walsh-Hadamard transform, in place | bit for bit |
//! | [`TopK`] | the best `limit` offsets by score | not applicable |
//!
//! Every kernel has one safe door, which checks lengths and picks the implementation by
//! [`Isa::best`]; the same name with `_with` takes the [`Isa`]. [`reference`](mod@reference) holds
//! the plainest code for each and is its definition: one property test per kernel runs every
//! implementation this CPU has against it.
//!
//! # Adding an implementation
//!
//! 1. Write it in `<kernel>/<architecture>.rs` as a safe `#[target_feature]` function.
//! 2. Call it from the kernel's door, behind [`Isa::is_available`].
//! 3. The kernel's property test finds it by itself, because it walks [`Isa::ALL`].

mod blocks;
mod cpu;
mod float;
mod gemm_i8;
mod hadamard;
mod half;
mod max_sim;
mod planes;
mod prefetch;
mod quantize;
pub mod reference;
mod rows;
mod signed_sum;
mod topk;
mod upper;

pub use blocks::{
    BLOCK_ROWS, BlockTable, Bounded, Bounds, RowFactors, block_bytes, bound_blocks,
    bound_blocks_with, pack_blocks, pack_blocks_with, scan_blocks, scan_blocks_with, unpack_row,
};
pub use cpu::Isa;
pub use float::{dot, dot_with, l2_squared, l2_squared_with};
pub use gemm_i8::{
    Int8Matrix, Int8Parts, Int8Rows, MAX_INT8_DEPTH, PANEL_COLUMNS, multiply_i8, multiply_i8_with,
};
pub use hadamard::{hadamard, hadamard_with};
pub use half::half_to_f32;
pub use max_sim::{max_sim_f16, max_sim_f16_with};
pub use planes::{
    MAX_LEVELS, MAX_QUERY_WIDTH, MAX_SCAN_DIMS, QueryPlanes, QueryPlanesError, scan, scan_with,
    score_one,
};
pub use prefetch::{prefetch, prefetch_stream};
pub use quantize::{QuantizeSums, quantize, quantize_sums, quantize_sums_with, quantize_with};
pub use rows::{
    dot_f16, dot_f16_with, dot_i8, dot_i8_with, l2_squared_f16, l2_squared_f16_with, l2_squared_i8,
    l2_squared_i8_with,
};
pub use signed_sum::{signed_sum, signed_sum_with};
pub use topk::{Scored, TopK};
pub use upper::clear_upper_registers;
