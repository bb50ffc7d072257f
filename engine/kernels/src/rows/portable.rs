//! The portable sum over `f32` slices, with rows widened as they are read.

use super::Term;
use crate::float::portable::sum_widened;
use crate::half_to_f32;

pub(super) fn sum_f16<const TERM: Term>(query: &[f32], row: &[u16], scale: f32) -> f32 {
    sum_widened::<TERM, u16>(query, row, scale, half_to_f32)
}

pub(super) fn sum_i8<const TERM: Term>(query: &[f32], row: &[i8], scale: f32) -> f32 {
    sum_widened::<TERM, i8>(query, row, scale, f32::from)
}
