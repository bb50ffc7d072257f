//! AVX2: six stages in one pass over memory, then up to three per pass.
//!
//! ```text
//!  distance     1 2 4          8 16 32             64 128 256        512 ...
//!             inside a      between the eight     between eight registers
//!             register      registers of 64       that lie `distance` apart
//!             \________ first pass ________/     \_ second pass _/   ...
//! ```

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::x86_64::*;

use super::portable;

/// Numbers covered by the first pass at a time.
const TILE: usize = 64;

#[target_feature(enable = "avx2")]
pub(super) fn hadamard(values: &mut [f32]) {
    let (tiles, rest) = values.as_chunks_mut::<TILE>();
    if !rest.is_empty() {
        return portable::stages(values, 1);
    }
    for tile in tiles {
        transform_tile(tile);
    }
    let mut distance = TILE;
    while distance < values.len() {
        // Stages left: 3 or more go together, else 2, else 1.
        distance *= match values.len() / distance {
            2 => pass::<2>(values, distance),
            4 => pass::<4>(values, distance),
            _ => pass::<8>(values, distance),
        };
    }
}

/// Runs the stages of distance 1 to 32 on 64 numbers.
#[inline]
#[target_feature(enable = "avx2")]
fn transform_tile(tile: &mut [f32; TILE]) {
    let (rows, _) = tile.as_chunks_mut::<8>();
    let mut registers = [_mm256_setzero_ps(); 8];
    for (register, row) in registers.iter_mut().zip(rows.iter()) {
        *register = inside(load(row));
    }
    between(&mut registers);
    for (register, row) in registers.into_iter().zip(rows) {
        store(row, register);
    }
}

/// Runs the stages of distance 1, 2 and 4 on the lanes of one register.
#[inline]
#[target_feature(enable = "avx2")]
fn inside(x: __m256) -> __m256 {
    // In each stage a lane gets `partner + x` or, in the upper half of a pair, `partner - x`.
    let odd = _mm256_setr_ps(0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -0.0);
    let x = _mm256_add_ps(_mm256_permute_ps::<0b10_11_00_01>(x), _mm256_xor_ps(x, odd));
    let odd = _mm256_setr_ps(0.0, 0.0, -0.0, -0.0, 0.0, 0.0, -0.0, -0.0);
    let x = _mm256_add_ps(_mm256_permute_ps::<0b01_00_11_10>(x), _mm256_xor_ps(x, odd));
    let odd = _mm256_setr_ps(0.0, 0.0, 0.0, 0.0, -0.0, -0.0, -0.0, -0.0);
    _mm256_add_ps(_mm256_permute2f128_ps::<1>(x, x), _mm256_xor_ps(x, odd))
}

/// Runs all stages between `R` registers.
#[inline]
#[target_feature(enable = "avx2")]
fn between<const R: usize>(registers: &mut [__m256; R]) {
    let mut distance = 1;
    while distance < R {
        for i in (0..R).filter(|i| i & distance == 0) {
            let (low, high) = (registers[i], registers[i + distance]);
            registers[i] = _mm256_add_ps(low, high);
            registers[i + distance] = _mm256_sub_ps(low, high);
        }
        distance *= 2;
    }
}

/// Runs the `log2(R)` stages from `distance` on, and returns `R`.
#[inline]
#[target_feature(enable = "avx2")]
fn pass<const R: usize>(values: &mut [f32], distance: usize) -> usize {
    for span in values.chunks_exact_mut(R * distance) {
        for at in (0..distance).step_by(8) {
            let mut registers = [_mm256_setzero_ps(); R];
            for (i, register) in registers.iter_mut().enumerate() {
                // SAFETY: `at + 8 <= distance`, since both are multiples of 8, so these eight
                // numbers lie inside the span of `R * distance`.
                *register = unsafe { _mm256_loadu_ps(span.as_ptr().add(i * distance + at)) };
            }
            between(&mut registers);
            for (i, register) in registers.into_iter().enumerate() {
                // SAFETY: the same eight numbers as above, borrowed for writing.
                unsafe { _mm256_storeu_ps(span.as_mut_ptr().add(i * distance + at), register) };
            }
        }
    }
    R
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[f32; 8]) -> __m256 {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(values: &mut [f32; 8], register: __m256) {
    // SAFETY: the array is 32 writable bytes; no alignment is asked for.
    unsafe { _mm256_storeu_ps(values.as_mut_ptr(), register) }
}
