//! Bounds: eight rows a register, halves converted by the F16C instruction.

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::x86_64::*;

use crate::blocks::BLOCK_ROWS;
use crate::blocks::bounds::{Bounded, Limits, RowBlock, Rows};

/// Bounds rows, a block at a time.
#[target_feature(enable = "avx2,f16c")]
pub(in crate::blocks) fn bound(rows: Rows<'_>, limits: &Limits, out: &mut Bounded<'_>) {
    rows.for_each_block(out, |block, similarities, uppers| {
        bound_block(block, limits, similarities, uppers)
    });
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn bound_block(
    rows: RowBlock<'_>,
    Limits { bounds, threshold }: &Limits,
    similarities: &mut [f32; BLOCK_ROWS],
    uppers: &mut [f32; BLOCK_ROWS],
) -> u32 {
    let (scores, _) = rows.scores.as_chunks::<8>();
    let (add, _) = rows.add.as_chunks::<8>();
    let (rescale, _) = rows.rescale.as_chunks::<8>();
    let (error, _) = rows.error.as_chunks::<8>();
    let (similarities, _) = similarities.as_chunks_mut::<8>();
    let (uppers, _) = uppers.as_chunks_mut::<8>();
    let magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(i32::MAX));
    let mut survivors = 0;
    for i in 0..BLOCK_ROWS / 8 {
        let rescale = _mm256_mul_ps(load_halves(&rescale[i]), _mm256_set1_ps(bounds.scale));
        let part = _mm256_mul_ps(rescale, load_as_f32(&scores[i]));
        let constant = _mm256_add_ps(load_f32(&add[i]), _mm256_set1_ps(bounds.constant));
        let similarity = _mm256_add_ps(constant, part);
        let error = _mm256_mul_ps(load_halves(&error[i]), _mm256_set1_ps(bounds.error));
        let bias = _mm256_mul_ps(_mm256_and_ps(part, magnitude), _mm256_set1_ps(bounds.bias));
        let upper = _mm256_add_ps(similarity, _mm256_add_ps(error, bias));
        // "Not less than", true where either is not a number.
        let survives = _mm256_cmp_ps::<_CMP_NLT_UQ>(upper, _mm256_set1_ps(*threshold));
        survivors |= (_mm256_movemask_ps(survives) as u32) << (8 * i);
        store_f32(similarity, &mut similarities[i]);
        store_f32(upper, &mut uppers[i]);
    }
    survivors
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_f32(numbers: &[f32; 8]) -> __m256 {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    unsafe { _mm256_loadu_ps(numbers.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_as_f32(numbers: &[i32; 8]) -> __m256 {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    _mm256_cvtepi32_ps(unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn load_halves(halves: &[u16; 8]) -> __m256 {
    // SAFETY: the array is 16 readable bytes; no alignment is asked for.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(halves.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_f32(register: __m256, numbers: &mut [f32; 8]) {
    // SAFETY: the array is 32 writable bytes; no alignment is asked for.
    unsafe { _mm256_storeu_ps(numbers.as_mut_ptr(), register) }
}
