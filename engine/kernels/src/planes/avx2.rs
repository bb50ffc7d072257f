//! AVX2: popcount of nibbles by byte shuffle.
//!
//! # The inner loop
//!
//! A code's 256 bits are split once into low and high nibbles, and so are the query's planes (once
//! per call, into a table on the stack). Splitting commutes with XOR, so each query plane costs two
//! XORs, two shuffles and two additions. The shuffle's table for plane `b` already holds the counts
//! times `2^(Q-1-b)`: bytes add up to at most `8 * (2^Q - 1)` per 256 bits, so at most
//! [`BYTE_PLANES`] planes share one byte sum, and sums are widened (`psadbw`) before they can
//! overflow. Wider queries keep two sums, the last four planes in one and the rest in the other.
//!
//! Four codes go together, so that one transposition folds their four sums.
//!
//! ```text
//!  words of a code:   | 4 words | 4 words | ... | 2 words |  or  | 1 or 3 words |
//!                        whole registers            half             masked
//! ```
//!
//! Two codes that end in two words share a register for them: 384 dimensions cost one and a half
//! registers, not two.

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::x86_64::*;

use super::{QueryPlanes, portable};

/// The most query planes whose weighted counts fit one byte: `8 * (2^5 - 1) = 248`.
const BYTE_PLANES: usize = 5;
/// The planes in the low sum of a query that needs two.
const LOW_PLANES: usize = 4;
/// Registers of four words covered by one pass: 4,096 dimensions.
const STRIP: usize = 16;
/// Codes scored together.
const GROUP: usize = 4;
/// Fewer codes than this take the scalar `popcnt`.
const FEWEST_CODES: usize = 8;

/// Adds the share of one level, times `2^shift`, to each score.
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn add_plane(codes: &[u64], query: QueryPlanes<'_>, shift: usize, out: &mut [i32]) {
    // A few codes do not pay for splitting the query, and a remainder fills no group.
    let grouped = if out.len() < FEWEST_CODES { 0 } else { out.len() - out.len() % GROUP };
    let (codes, rest) = codes.split_at(grouped * query.words());
    let (groups, rest_out) = out.split_at_mut(grouped);
    add_few(rest, query, shift, rest_out);
    let (groups, _) = groups.as_chunks_mut::<GROUP>();
    if groups.is_empty() {
        return;
    }
    match query.width() {
        1 => add_strips::<1>(codes, query, shift, groups),
        2 => add_strips::<2>(codes, query, shift, groups),
        3 => add_strips::<3>(codes, query, shift, groups),
        4 => add_strips::<4>(codes, query, shift, groups),
        5 => add_strips::<5>(codes, query, shift, groups),
        6 => add_strips::<6>(codes, query, shift, groups),
        7 => add_strips::<7>(codes, query, shift, groups),
        _ => add_strips::<8>(codes, query, shift, groups),
    }
}

/// The plain code with the scalar `popcnt` instruction. On its own and without AVX2, because the
/// compiler would replace the instruction by byte shuffles, which are slower for one code.
#[inline(never)]
#[target_feature(enable = "popcnt")]
fn add_few(codes: &[u64], query: QueryPlanes<'_>, shift: usize, out: &mut [i32]) {
    portable::add_plane(codes, query, shift, out);
}

#[target_feature(enable = "avx2,popcnt")]
fn add_strips<const Q: usize>(
    codes: &[u64],
    query: QueryPlanes<'_>,
    shift: usize,
    out: &mut [[i32; GROUP]],
) {
    let mut full = query.full_score();
    for from in (0..query.words()).step_by(4 * STRIP) {
        let strip = Strip::<Q>::new(query, from);
        strip.add(codes, query.words(), Share { full, shift }, out);
        full = 0;
    }
}

/// How a weighted count `t` becomes a share of the score: `(full - 2 t) * 2^shift`.
#[derive(Clone, Copy)]
struct Share {
    full: i32,
    shift: usize,
}

/// The words of a plane that do not fill a register.
#[derive(Clone, Copy)]
enum Tail {
    None,
    /// Two words: two codes share a register.
    Half,
    /// One or three words, loaded under a mask.
    Masked(__m256i),
}

/// One query, split into nibbles, for up to [`STRIP`] registers of each code.
struct Strip<const Q: usize> {
    /// First word covered.
    from: usize,
    /// Whole registers.
    whole: usize,
    tail: Tail,
    /// Low and high nibbles of each query plane, for each whole register and then the tail.
    nibbles: [[[__m256i; 2]; Q]; STRIP],
    /// Popcounts of the sixteen nibbles times each plane's weight.
    counts: [__m256i; Q],
}

impl<const Q: usize> Strip<Q> {
    /// Whether the byte sums of a whole strip cannot overflow, so that widening can wait.
    const WIDENS_ONCE: bool = STRIP * 8 * ((1 << Q) - 1) <= 255;
    /// The first plane of the low sum.
    const LOW: usize = if Q > BYTE_PLANES { Q - LOW_PLANES } else { 0 };

    #[target_feature(enable = "avx2,popcnt")]
    fn new(query: QueryPlanes<'_>, from: usize) -> Self {
        let words = (query.words() - from).min(4 * STRIP);
        let (whole, tail) = (words / 4, words % 4);
        let zero = _mm256_setzero_si256();
        let mut nibbles = [[[zero; 2]; Q]; STRIP];
        for (position, planes) in nibbles.iter_mut().enumerate().take(words.div_ceil(4)) {
            for (b, split) in planes.iter_mut().enumerate() {
                let plane = &query.plane(b)[from + 4 * position..];
                let mut quad = [0; 4];
                for (to, word) in quad.iter_mut().zip(plane) {
                    *to = *word;
                }
                if position == whole && tail == 2 {
                    quad.copy_within(0..2, 2);
                }
                *split = split_nibbles(load(&quad));
            }
        }
        let tail = match tail {
            0 => Tail::None,
            2 => Tail::Half,
            words => Tail::Masked(mask(words)),
        };
        Self { from, whole, tail, nibbles, counts: counts(Self::LOW) }
    }

    /// Adds the share of these words to the scores of whole groups of codes. Not inlined, because
    /// eight copies in one function crowd each other out of the registers.
    #[inline(never)]
    #[target_feature(enable = "avx2,popcnt")]
    fn add(&self, codes: &[u64], words: usize, share: Share, out: &mut [[i32; GROUP]]) {
        for (group, scores) in codes.chunks_exact(GROUP * words).zip(out) {
            let mut sums = self.whole_registers(group, words);
            match self.tail {
                Tail::None => {}
                Tail::Half => self.add_halves(group, words, &mut sums),
                Tail::Masked(mask) => self.add_masked(group, words, mask, &mut sums),
            }
            add_share(fold(sums), share, scores);
        }
    }

    /// Returns, for each code of a group, four partial sums of `2^(Q-1-b) * popcnt(code ^ q_b)`.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn whole_registers(&self, group: &[u64], words: usize) -> [__m256i; GROUP] {
        assert!(group.len() == GROUP * words && self.from + 4 * self.whole <= words);
        let zero = _mm256_setzero_si256();
        let mut sums = [zero; GROUP];
        for (c, sum) in sums.iter_mut().enumerate() {
            let mut bytes = [zero; 2];
            for (position, query) in self.nibbles[..self.whole].iter().enumerate() {
                let at = c * words + self.from + 4 * position;
                // SAFETY: `position < whole`, so the assertion above leaves four words from `at`.
                let code = unsafe { _mm256_loadu_si256(group.as_ptr().add(at).cast()) };
                bytes = self.weigh(code, query, bytes);
                if !Self::WIDENS_ONCE {
                    *sum = _mm256_add_epi64(*sum, Self::widen(bytes));
                    bytes = [zero; 2];
                }
            }
            if Self::WIDENS_ONCE {
                *sum = Self::widen(bytes);
            }
        }
        sums
    }

    /// Adds the last two words of each code, two codes in one register.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn add_halves(&self, group: &[u64], words: usize, sums: &mut [__m256i; GROUP]) {
        let zero = _mm256_setzero_si256();
        let low_lane = _mm256_set_epi64x(0, 0, -1, -1);
        for c in (0..GROUP).step_by(2) {
            let last_pair = |c: usize| load_pair(&group[(c + 1) * words - 2..]);
            let code = _mm256_set_m128i(last_pair(c + 1), last_pair(c));
            let both = Self::widen(self.weigh(code, &self.nibbles[self.whole], [zero; 2]));
            sums[c] = _mm256_add_epi64(sums[c], _mm256_and_si256(both, low_lane));
            sums[c + 1] = _mm256_add_epi64(sums[c + 1], _mm256_andnot_si256(low_lane, both));
        }
    }

    /// Adds the last one or three words of each code.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn add_masked(&self, group: &[u64], words: usize, mask: __m256i, sums: &mut [__m256i; GROUP]) {
        let at = self.from + 4 * self.whole;
        for (c, sum) in sums.iter_mut().enumerate() {
            let code = &group[c * words + at..(c + 1) * words];
            // SAFETY: the mask selects as many words as `code` has: those past the whole registers.
            let code = unsafe { _mm256_maskload_epi64(code.as_ptr().cast(), mask) };
            let bytes = self.weigh(code, &self.nibbles[self.whole], [_mm256_setzero_si256(); 2]);
            *sum = _mm256_add_epi64(*sum, Self::widen(bytes));
        }
    }

    /// Adds the weighted counts of one register to the low and the high byte sums.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn weigh(
        &self,
        code: __m256i,
        query: &[[__m256i; 2]; Q],
        mut bytes: [__m256i; 2],
    ) -> [__m256i; 2] {
        let code = split_nibbles(code);
        for b in 0..Q {
            let sum = &mut bytes[usize::from(b < Self::LOW)];
            for (code, query) in code.iter().zip(query[b]) {
                let differing = _mm256_xor_si256(*code, query);
                *sum = _mm256_add_epi8(*sum, _mm256_shuffle_epi8(self.counts[b], differing));
            }
        }
        bytes
    }

    /// Widens byte sums to four 64-bit sums and joins low and high.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn widen([low, high]: [__m256i; 2]) -> __m256i {
        let zero = _mm256_setzero_si256();
        let sum = _mm256_sad_epu8(low, zero);
        if Self::LOW == 0 {
            return sum;
        }
        let high = _mm256_sad_epu8(high, zero);
        _mm256_add_epi64(sum, _mm256_slli_epi64::<{ LOW_PLANES as i32 }>(high))
    }
}

/// Returns one shuffle table per query plane: popcounts of nibbles times the plane's weight within
/// its byte sum; planes before `low` belong to the high sum.
#[target_feature(enable = "avx2,popcnt")]
fn counts<const Q: usize>(low: usize) -> [__m256i; Q] {
    let counts = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, //
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let mut tables = [counts; Q];
    for (b, table) in tables.iter_mut().enumerate() {
        let last = if b < low { low } else { Q };
        let shift = _mm_cvtsi32_si128((last - 1 - b) as i32);
        // Counts are at most 4 and weights at most 16: no bit crosses into the next byte.
        *table = _mm256_sll_epi16(counts, shift);
    }
    tables
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn split_nibbles(bits: __m256i) -> [__m256i; 2] {
    let nibble = _mm256_set1_epi8(0x0f);
    let high = _mm256_srli_epi16::<4>(bits);
    [_mm256_and_si256(bits, nibble), _mm256_and_si256(high, nibble)]
}

/// Sums the four 64-bit lanes of each of four registers; every total fits 32 bits.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn fold([a, b, c, d]: [__m256i; GROUP]) -> __m128i {
    let ab = _mm256_or_si256(a, _mm256_slli_epi64::<32>(b));
    let cd = _mm256_or_si256(c, _mm256_slli_epi64::<32>(d));
    let sums = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
    _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums))
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn add_share(totals: __m128i, share: Share, scores: &mut [i32; GROUP]) {
    let doubled = _mm_add_epi32(totals, totals);
    let agreement = _mm_sub_epi32(_mm_set1_epi32(share.full), doubled);
    let shifted = _mm_sll_epi32(agreement, _mm_cvtsi32_si128(share.shift as i32));
    let at: *mut __m128i = scores.as_mut_ptr().cast();
    // SAFETY: `scores` is sixteen bytes that may be read and written; no alignment is asked for.
    unsafe { _mm_storeu_si128(at, _mm_add_epi32(_mm_loadu_si128(at), shifted)) }
}

/// Returns the mask that loads the first `words` words.
#[target_feature(enable = "avx2,popcnt")]
fn mask(words: usize) -> __m256i {
    _mm256_cmpgt_epi64(_mm256_set1_epi64x(words as i64), _mm256_setr_epi64x(0, 1, 2, 3))
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load(words: &[u64; 4]) -> __m256i {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load_pair(words: &[u64]) -> __m128i {
    let pair = &words[..2];
    // SAFETY: `pair` is 16 readable bytes; no alignment is asked for.
    unsafe { _mm_loadu_si128(pair.as_ptr().cast()) }
}
