//! x86-64: a register holds the same byte of 32 rows, or eight numbers.

mod bound;
mod pack;
mod scan;
mod tables;

pub(super) use bound::bound;
pub(super) use pack::pack_block;
pub(super) use scan::{avx2, avx512};
pub(super) use tables::build_tables;
