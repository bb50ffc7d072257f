//! AVX-512 with VPOPCNTDQ: one instruction counts the bits of eight words.
//!
//! Codes of one, two or four words fill a register together, and its query planes are repeated in it.
//!
//! Of others four go together. For each of their registers and each query plane there is one XOR, one
//! count and one addition; the sum is doubled between planes, so the most significant plane ends up
//! with weight `2^(Q-1)`. A last register that is not full is loaded under a mask, which leaves
//! zeros on both sides of the XOR, and is half as wide where that is enough: on Zen 4 it costs half.
//!
//! ```text
//!  words of a code:   | 8 words | 8 words | ... | 1 to 4 or 5 to 7 words, masked |
//! ```

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::x86_64::*;

use super::QueryPlanes;

/// Codes scored together.
const GROUP: usize = 4;

/// Adds the share of one level, times `2^shift`, to each score.
#[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,avx2")]
pub(super) fn add_plane(codes: &[u64], query: QueryPlanes<'_>, shift: usize, out: &mut [i32]) {
    match query.width() {
        1 => add::<1>(codes, query, shift, out),
        2 => add::<2>(codes, query, shift, out),
        3 => add::<3>(codes, query, shift, out),
        4 => add::<4>(codes, query, shift, out),
        5 => add::<5>(codes, query, shift, out),
        6 => add::<6>(codes, query, shift, out),
        7 => add::<7>(codes, query, shift, out),
        _ => add::<8>(codes, query, shift, out),
    }
}

#[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,avx2")]
fn add<const Q: usize>(codes: &[u64], query: QueryPlanes<'_>, shift: usize, out: &mut [i32]) {
    match query.words() {
        1 => return add_together::<Q, 1>(codes, query, shift, out),
        2 => return add_together::<Q, 2>(codes, query, shift, out),
        4 => return add_together::<Q, 4>(codes, query, shift, out),
        _ => {}
    }
    let words = query.words();
    let planes: [&[u64]; Q] = std::array::from_fn(|b| query.plane(b));
    let share = |total: i64| (query.full_score() - 2 * total as i32) << shift;
    let mut groups = codes.chunks_exact(GROUP * words);
    let (quads, rest) = out.as_chunks_mut::<GROUP>();
    for (group, scores) in groups.by_ref().zip(quads) {
        let totals = fold(differences::<Q, GROUP>(group, &planes, words));
        add_share(totals, query.full_score(), shift, scores);
    }
    for (code, score) in groups.remainder().chunks_exact(words).zip(rest) {
        let [sum] = differences::<Q, 1>(code, &planes, words);
        *score += share(_mm512_reduce_add_epi64(sum));
    }
}

/// Scores codes of `W` words, as many at a time as fill a register.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,avx2")]
fn add_together<const Q: usize, const W: usize>(
    codes: &[u64],
    query: QueryPlanes<'_>,
    shift: usize,
    out: &mut [i32],
) {
    assert!(codes.len() == W * out.len());
    let mut planes = [_mm512_setzero_si512(); Q];
    for (b, plane) in planes.iter_mut().enumerate() {
        let words: [u64; 8] = std::array::from_fn(|i| query.plane(b)[i % W]);
        // SAFETY: the array is 64 readable bytes; no alignment is asked for.
        *plane = unsafe { _mm512_loadu_epi64(words.as_ptr().cast()) };
    }
    for (codes, scores) in codes.chunks(8).zip(out.chunks_mut(8 / W)) {
        let mask = u8::MAX >> (8 - codes.len());
        // SAFETY: the mask selects as many words as there are.
        let codes = unsafe { _mm512_maskz_loadu_epi64(mask, codes.as_ptr().cast()) };
        let mut sum = _mm512_setzero_si512();
        for plane in planes {
            let differing = _mm512_popcnt_epi64(_mm512_xor_si512(codes, plane));
            sum = _mm512_add_epi64(_mm512_add_epi64(sum, sum), differing);
        }
        // Every word gets the sum of its code's words, the first of which is kept.
        if W > 1 {
            sum = _mm512_add_epi64(sum, _mm512_permutex_epi64::<0b10_11_00_01>(sum));
        }
        if W > 2 {
            sum = _mm512_add_epi64(sum, _mm512_permutex_epi64::<0b01_00_11_10>(sum));
        }
        let totals = match W {
            1 => sum,
            2 => _mm512_maskz_compress_epi64(0b0101_0101, sum),
            _ => _mm512_maskz_compress_epi64(0b0001_0001, sum),
        };
        let totals = _mm512_cvtepi64_epi32(totals);
        let agreement = _mm256_set1_epi32(query.full_score());
        let agreement = _mm256_sub_epi32(agreement, _mm256_add_epi32(totals, totals));
        let shifted = _mm256_sll_epi32(agreement, _mm_cvtsi32_si128(shift as i32));
        let mut shares = [0_i32; 8];
        // SAFETY: the array is 32 writable bytes; no alignment is asked for.
        unsafe { _mm256_storeu_epi32(shares.as_mut_ptr(), shifted) };
        // Not stored under a mask: that reaches past its lanes, and what reads there next would wait.
        if scores.len() == 8 / W {
            for (score, share) in scores[..8 / W].iter_mut().zip(&shares[..8 / W]) {
                *score += share;
            }
        } else {
            scores.iter_mut().zip(&shares).for_each(|(score, share)| *score += share);
        }
    }
}

/// Returns, for each of `G` codes, eight partial sums of `2^(Q-1-b) * popcnt(code ^ q_b)`.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,avx2")]
fn differences<const Q: usize, const G: usize>(
    codes: &[u64],
    planes: &[&[u64]; Q],
    words: usize,
) -> [__m512i; G] {
    assert!(codes.len() == G * words && planes.iter().all(|plane| plane.len() == words));
    let (whole, tail) = (words - words % 8, ((1_u32 << (words % 8)) - 1) as __mmask8);
    let mut sums = [_mm512_setzero_si512(); G];
    for plane in planes {
        for sum in &mut sums {
            *sum = _mm512_add_epi64(*sum, *sum);
        }
        for from in (0..whole).step_by(8) {
            // SAFETY: `plane` has `words`, and eight of them from here on.
            let query = unsafe { _mm512_loadu_epi64(plane.as_ptr().add(from).cast()) };
            for (c, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the same words of code `c`; `codes` has `G * words`.
                let code =
                    unsafe { _mm512_loadu_epi64(codes.as_ptr().add(c * words + from).cast()) };
                let differing = _mm512_popcnt_epi64(_mm512_xor_si512(code, query));
                *sum = _mm512_add_epi64(*sum, differing);
            }
        }
        // SAFETY: the mask selects the words past `whole`, none where there are none.
        let last = |of: &[u64], at: usize| unsafe {
            _mm512_maskz_loadu_epi64(tail, of.as_ptr().wrapping_add(at).cast())
        };
        // SAFETY: the same, of at most four words.
        let last_four = |of: &[u64], at: usize| unsafe {
            _mm256_maskz_loadu_epi64(tail, of.as_ptr().wrapping_add(at).cast())
        };
        if words - whole > 4 {
            let query = last(plane, whole);
            for (c, sum) in sums.iter_mut().enumerate() {
                let code = last(codes, c * words + whole);
                let differing = _mm512_popcnt_epi64(_mm512_xor_si512(code, query));
                *sum = _mm512_add_epi64(*sum, differing);
            }
        } else if words > whole {
            let query = last_four(plane, whole);
            for (c, sum) in sums.iter_mut().enumerate() {
                let code = last_four(codes, c * words + whole);
                let differing = _mm256_popcnt_epi64(_mm256_xor_si256(code, query));
                *sum = _mm512_add_epi64(*sum, _mm512_zextsi256_si512(differing));
            }
        }
    }
    sums
}

/// Sums the eight lanes of each of four registers; every total fits 32 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,avx2")]
fn fold([a, b, c, d]: [__m512i; GROUP]) -> __m128i {
    let ab = _mm512_or_si512(a, _mm512_slli_epi64::<32>(b));
    let cd = _mm512_or_si512(c, _mm512_slli_epi64::<32>(d));
    let sums = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let (low, high) = (_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
    let sums = _mm256_add_epi32(low, high);
    _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,avx2")]
fn add_share(totals: __m128i, full: i32, shift: usize, scores: &mut [i32; GROUP]) {
    let agreement = _mm_sub_epi32(_mm_set1_epi32(full), _mm_add_epi32(totals, totals));
    let shifted = _mm_sll_epi32(agreement, _mm_cvtsi32_si128(shift as i32));
    let at: *mut __m128i = scores.as_mut_ptr().cast();
    // SAFETY: `scores` is sixteen bytes that may be read and written; no alignment is asked for.
    unsafe { _mm_storeu_si128(at, _mm_add_epi32(_mm_loadu_si128(at), shifted)) }
}
