//! From integer scores to similarities, and which rows may still be among the best.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::{BLOCK_ROWS, portable};
use crate::Isa;

#[cfg(target_arch = "x86_64")]
use super::x86_64;

/// What each row stores beside its code, one entry a row.
#[derive(Clone, Copy, Debug)]
pub struct RowFactors<'a> {
    /// What the similarity contains whatever the score.
    pub add: &'a [f32],
    /// What the score is multiplied by: IEEE binary16, as bits.
    pub rescale: &'a [u16],
    /// How uncertain the similarity is: IEEE binary16, as bits. May be the same slice as
    /// [`RowFactors::rescale`].
    pub error: &'a [u16],
}

/// What a query and a list add to the factors of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Added to [`RowFactors::add`].
    pub constant: f32,
    /// Multiplied with [`RowFactors::rescale`].
    pub scale: f32,
    /// Multiplied with [`RowFactors::error`].
    pub error: f32,
    /// The share of the score's part that may be wrong.
    pub bias: f32,
}

/// Where [`bound_blocks`] writes.
#[derive(Debug)]
pub struct Bounded<'a> {
    /// Estimated similarity, one a row.
    pub similarities: &'a mut [f32],
    /// The similarity that a row has at most, one a row.
    pub uppers: &'a mut [f32],
    /// One word for 32 rows, the first row in bit 0: set unless `upper < threshold`. Bits past the
    /// last row are zero.
    pub survivors: &'a mut [u32],
}

/// Turns the scores of some rows into similarities with upper bounds, and marks the rows whose
/// bound reaches `threshold`.
///
/// Each operation below is rounded to `f32` by itself, so results have the same bits on every
/// instruction set (but for the payload of a NaN):
///
/// ```text
///  part       = (rescale * bounds.scale) * score
///  similarity = (add + bounds.constant) + part
///  upper      = similarity + (error * bounds.error + |part| * bounds.bias)
///  survives   = not (upper < threshold)
/// ```
///
/// A row whose bound is not a number survives. Rows need not start at a block: a list is bounded by
/// the part of the scores that is its own.
///
/// ```
/// use bigrain_kernels::{Bounded, Bounds, RowFactors, bound_blocks};
///
/// let one = 0x3c00; // 1.0 in binary16
/// let factors = RowFactors { add: &[0.0, 0.5], rescale: &[one; 2], error: &[one; 2] };
/// let bounds = Bounds { constant: 0.0, scale: 0.01, error: 0.1, bias: 0.0 };
/// let (mut similarities, mut uppers, mut survivors) = ([0.0; 2], [0.0; 2], [0]);
/// let mut out = Bounded {
///     similarities: &mut similarities,
///     uppers: &mut uppers,
///     survivors: &mut survivors,
/// };
/// bound_blocks(&[25, 50], factors, bounds, 0.75, &mut out);
/// assert_eq!(similarities, [0.25, 1.0]);
/// assert_eq!(survivors, [0b10]);
/// ```
///
/// # Panics
///
/// When a factor, `similarities` or `uppers` is not as long as `scores`, or `survivors` not a word
/// for each 32 of them.
pub fn bound_blocks(
    scores: &[i32],
    factors: RowFactors<'_>,
    bounds: Bounds,
    threshold: f32,
    out: &mut Bounded<'_>,
) {
    bound_blocks_with(Isa::best(), scores, factors, bounds, threshold, out);
}

/// [`bound_blocks`] on the instruction set `isa`, or on portable code when it has none of its own.
///
/// [`Isa::Avx512`] runs the AVX2 code.
///
/// # Panics
///
/// As [`bound_blocks`].
pub fn bound_blocks_with(
    isa: Isa,
    scores: &[i32],
    factors: RowFactors<'_>,
    bounds: Bounds,
    threshold: f32,
    out: &mut Bounded<'_>,
) {
    let rows = scores.len();
    let RowFactors { add, rescale, error } = factors;
    let lengths = [add.len(), rescale.len(), error.len()];
    assert_eq!(lengths, [rows; 3], "factors have another length than the scores");
    let lengths = [out.similarities.len(), out.uppers.len()];
    assert_eq!(lengths, [rows; 2], "the output has another length than the scores");
    let words = rows.div_ceil(BLOCK_ROWS);
    assert_eq!(out.survivors.len(), words, "survivors have the wrong number of words");

    let rows = Rows { scores, factors };
    let limits = Limits { bounds, threshold };
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Avx2 | Isa::Avx512) && isa.is_available() {
        // SAFETY: `is_available` has just confirmed AVX2 and F16C, which `Isa::Avx512` includes.
        return unsafe { x86_64::bound(rows, &limits, out) };
    }
    let _ = isa;
    portable::bound(rows, &limits, out);
}

/// Scores and factors of as many rows.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    scores: &'a [i32],
    factors: RowFactors<'a>,
}

/// What is the same for all rows.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) bounds: Bounds,
    pub(super) threshold: f32,
}

/// Scores and factors of [`BLOCK_ROWS`] rows.
#[derive(Clone, Copy)]
pub(super) struct RowBlock<'a> {
    pub(super) scores: &'a [i32; BLOCK_ROWS],
    pub(super) add: &'a [f32; BLOCK_ROWS],
    pub(super) rescale: &'a [u16; BLOCK_ROWS],
    pub(super) error: &'a [u16; BLOCK_ROWS],
}

impl Rows<'_> {
    /// Calls `bound` for every 32 rows; it writes similarities and upper bounds and returns the
    /// survivors. Rows that do not fill a block are bounded in a copy that does.
    ///
    /// Always inlined, so that `bound` is compiled for the instructions of the caller.
    #[inline(always)]
    pub(super) fn for_each_block(
        self,
        out: &mut Bounded<'_>,
        bound: impl Fn(RowBlock<'_>, &mut [f32; BLOCK_ROWS], &mut [f32; BLOCK_ROWS]) -> u32,
    ) {
        let (scores, last_scores) = self.scores.as_chunks();
        let (add, last_add) = self.factors.add.as_chunks();
        let (rescale, last_rescale) = self.factors.rescale.as_chunks();
        let (error, last_error) = self.factors.error.as_chunks();
        let (similarities, last_similarities) = out.similarities.as_chunks_mut();
        let (uppers, last_uppers) = out.uppers.as_chunks_mut();
        let rows = scores.iter().zip(add).zip(rescale).zip(error);
        let written = similarities.iter_mut().zip(uppers).zip(out.survivors.iter_mut());
        for ((((scores, add), rescale), error), ((similarities, uppers), survivors)) in
            rows.zip(written)
        {
            *survivors = bound(RowBlock { scores, add, rescale, error }, similarities, uppers);
        }
        if let Some(survivors) = out.survivors.get_mut(scores.len()) {
            let block = RowBlock {
                scores: &padded(last_scores),
                add: &padded(last_add),
                rescale: &padded(last_rescale),
                error: &padded(last_error),
            };
            let (mut similarities, mut uppers) = ([0.0; BLOCK_ROWS], [0.0; BLOCK_ROWS]);
            let all = bound(block, &mut similarities, &mut uppers);
            *survivors = all & !(u32::MAX << last_scores.len());
            last_similarities.copy_from_slice(&similarities[..last_similarities.len()]);
            last_uppers.copy_from_slice(&uppers[..last_uppers.len()]);
        }
    }
}

/// Copies fewer than a block's entries into a block.
#[inline(always)]
fn padded<T: Copy + Default>(entries: &[T]) -> [T; BLOCK_ROWS] {
    let mut block = [T::default(); BLOCK_ROWS];
    block[..entries.len()].copy_from_slice(entries);
    block
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cpu, reference};

    /// The bits of a number; all that are not numbers count as one.
    fn bits(number: f32) -> Option<u32> {
        (!number.is_nan()).then_some(number.to_bits())
    }

    fn check(scores: &[i32], factors: RowFactors<'_>, bounds: Bounds, threshold: f32) {
        let rows = scores.len();
        let expected: Vec<(f32, f32)> = (0..rows)
            .map(|i| {
                let RowFactors { add, rescale, error } = factors;
                reference::bound(scores[i], add[i], rescale[i], error[i], bounds)
            })
            .collect();
        for isa in cpu::tested() {
            let (mut similarities, mut uppers) = (vec![9.0; rows], vec![9.0; rows]);
            let mut survivors = vec![u32::MAX; rows.div_ceil(32)];
            let mut out = Bounded {
                similarities: &mut similarities,
                uppers: &mut uppers,
                survivors: &mut survivors,
            };
            bound_blocks_with(isa, scores, factors, bounds, threshold, &mut out);
            for (i, &(similarity, upper)) in expected.iter().enumerate() {
                assert_eq!(bits(similarities[i]), bits(similarity), "{isa}: row {i} of {rows}");
                assert_eq!(bits(uppers[i]), bits(upper), "{isa}: row {i} of {rows}");
                let below = upper < threshold;
                assert_eq!(survivors[i / 32] >> (i % 32) & 1 == 0, below, "{isa}: row {i}");
            }
            let marked: u32 = survivors.iter().map(|word| word.count_ones()).sum();
            let above = expected.iter().filter(|(_, upper)| {
                let below = *upper < threshold;
                !below
            });
            assert_eq!(marked as usize, above.count(), "{isa}: bits past the last row");
        }
    }

    #[test]
    fn every_half_and_every_part_of_a_block_is_bounded_as_the_reference_says() {
        let bounds = Bounds { constant: -0.25, scale: 0.003, error: 1.5, bias: 0.01 };
        let halves: Vec<u16> = (0..=u16::MAX).collect();
        let scores: Vec<i32> = (0..65_536).map(|i| (i * 7919) % 90_001 - 45_000).collect();
        let add: Vec<f32> = scores.iter().map(|&score| (score % 97) as f32 / 31.0).collect();
        let errors: Vec<u16> = halves.iter().rev().copied().collect();
        let factors = RowFactors { add: &add, rescale: &halves, error: &errors };
        check(&scores, factors, bounds, 0.5);
        for rows in (0..70).chain([95, 96, 97]) {
            let factors = RowFactors {
                add: &add[..rows],
                rescale: &halves[15_000..][..rows],
                error: &halves[15_000..][..rows],
            };
            check(&scores[..rows], factors, bounds, 0.1);
        }
    }

    #[test]
    fn rows_whose_bound_is_no_number_survive() {
        let nan = f32::NAN;
        let infinite = 0x7c00;
        let bounds = Bounds { constant: 0.0, scale: 1.0, error: 0.0, bias: 0.0 };
        let factors = RowFactors {
            add: &[nan, f32::INFINITY, f32::NEG_INFINITY, 0.0, 0.0],
            rescale: &[0, 0, 0, infinite, 0x7e00],
            error: &[0, 0, 0, 0, 0],
        };
        check(&[1, 1, 1, 0, 5], factors, bounds, f32::INFINITY);
        check(&[1, 1, 1, 0, 5], factors, bounds, nan);
        check(&[1, 1, 1, i32::MIN, i32::MAX], factors, bounds, f32::NEG_INFINITY);
        check(&[1; 5], factors, Bounds { constant: nan, ..bounds }, 0.0);
        check(&[1; 5], factors, Bounds { bias: f32::INFINITY, ..bounds }, 0.0);
    }

    #[test]
    #[should_panic(expected = "factors have another length")]
    fn factors_of_other_rows_are_refused() {
        let factors = RowFactors { add: &[0.0], rescale: &[0; 2], error: &[0; 2] };
        let bounds = Bounds { constant: 0.0, scale: 1.0, error: 0.0, bias: 0.0 };
        let mut out =
            Bounded { similarities: &mut [0.0; 2], uppers: &mut [0.0; 2], survivors: &mut [0] };
        bound_blocks(&[0; 2], factors, bounds, 0.0, &mut out);
    }

    proptest! {
        #[test]
        fn every_isa_equals_the_reference(
            rows in prop::collection::vec((any::<i32>(), any::<f32>(), any::<u16>()), 0..80),
            error in any::<u16>(),
            numbers in any::<[f32; 5]>(),
        ) {
            let [constant, scale, factor, bias, threshold] = numbers;
            let scores: Vec<i32> = rows.iter().map(|row| row.0).collect();
            let add: Vec<f32> = rows.iter().map(|row| row.1).collect();
            let rescale: Vec<u16> = rows.iter().map(|row| row.2).collect();
            let error: Vec<u16> = rescale.iter().map(|bits| bits ^ error).collect();
            let factors = RowFactors { add: &add, rescale: &rescale, error: &error };
            check(&scores, factors, Bounds { constant, scale, error: factor, bias }, threshold);
        }
    }
}
