//! Softmax attention inside each text of a packed batch.
//!
//! For one head of one text: `softmax(Q Kᵀ / √d) V`. Keys and values of the head are packed into
//! panels once, then six query rows at a time go through both multiplications: their scores (six
//! rows, one column a key) stay in the first-level cache between them. No score of one text with
//! another is ever computed, so there is no mask for that; causal attention leaves out the keys behind
//! its query.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::activation::Activation;
use super::approx::exp2;
use super::buffer::AlignedBuffer;
use super::gemm::{Gemm, Panels, Rows, Start, TILE_ROWS};
use super::position_bias::PositionBias;

/// Keys that are transposed together.
const BLOCK: usize = 4;

/// The shape of multi-head attention: `heads` heads of `head_dims`.
#[derive(Debug)]
pub(crate) struct Attention {
    /// The instruction set to run on.
    pub(crate) arch: Arch,
    /// How many heads.
    pub(crate) heads: usize,
    /// Values of one head.
    pub(crate) head_dims: usize,
    /// Added to scores before they are divided by `√head_dims`.
    pub(crate) bias: Option<PositionBias>,
    /// Whether a token attends to none that comes after it.
    pub(crate) causal: bool,
}

/// Panels and scores of the head that is being worked on.
#[derive(Debug, Default)]
pub(crate) struct AttentionScratch {
    keys: AlignedBuffer,
    values: AlignedBuffer,
    scores: AlignedBuffer,
}

impl Attention {
    /// Writes the context of the tokens `rows` to `out`, `[rows, hidden]`.
    ///
    /// `qkv` is `[tokens, 3 hidden]`, query, key and value side by side, for the whole batch;
    /// `bounds` holds where each text starts, and the end.
    pub(crate) fn forward(
        &self,
        qkv: &[f32],
        bounds: &[usize],
        rows: Range<usize>,
        out: &mut [f32],
        scratch: &mut AttentionScratch,
    ) {
        let hidden = self.heads * self.head_dims;
        let first = bounds.partition_point(|&bound| bound <= rows.start).saturating_sub(1);
        for text in bounds[first..].windows(2) {
            let queries = text[0].max(rows.start)..text[1].min(rows.end);
            if text[0] >= rows.end {
                break;
            }
            self.arch.dispatch(TextPass {
                shape: self,
                qkv: &qkv[text[0] * 3 * hidden..text[1] * 3 * hidden],
                queries: queries.start - text[0]..queries.end - text[0],
                out: &mut out[(queries.start - rows.start) * hidden..],
                scratch,
            });
        }
    }
}

/// All heads of one text, for a range of its queries.
struct TextPass<'a> {
    shape: &'a Attention,
    qkv: &'a [f32],
    queries: Range<usize>,
    out: &'a mut [f32],
    scratch: &'a mut AttentionScratch,
}

impl WithSimd for TextPass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let dims = self.shape.head_dims;
        let hidden = self.shape.heads * dims;
        let width = 2 * S::F32_LANES;
        let length = self.qkv.len() / (3 * hidden);
        let padded = length.next_multiple_of(width);
        let keys = self.scratch.keys.grow(padded * dims);
        let values = self.scratch.values.grow(dims.next_multiple_of(width) * length);
        let scores = self.scratch.scores.grow(TILE_ROWS * padded);
        for head in 0..self.shape.heads {
            pack_keys(self.qkv, hidden + head * dims, 3 * hidden, dims, width, keys);
            pack_values(self.qkv, 2 * hidden + head * dims, 3 * hidden, dims, width, values);
            for (tile, first) in self.queries.clone().step_by(TILE_ROWS).enumerate() {
                let count = TILE_ROWS.min(self.queries.end - first);
                if let Some(bias) = &self.shape.bias {
                    for (row, query) in scores.chunks_exact_mut(padded).zip(first..first + count) {
                        row[..length].copy_from_slice(&bias.row(head, query)[..length]);
                        row[length..].fill(0.0);
                    }
                }
                Gemm {
                    a: Rows {
                        data: &self.qkv[first * 3 * hidden + head * dims..],
                        stride: 3 * hidden,
                        count,
                    },
                    b: Panels { data: keys, depth: dims, cols: padded },
                    start: if self.shape.bias.is_some() { Start::Out } else { Start::Zero },
                    activation: Activation::None,
                    out: scores,
                    out_stride: padded,
                }
                .with_simd(simd);
                let mut inverse = [0.0; TILE_ROWS];
                let rows = scores.chunks_exact_mut(padded).zip(&mut inverse).take(count);
                for (query, (row, inverse)) in (first..).zip(rows) {
                    let seen = if self.shape.causal { query + 1 } else { length };
                    *inverse = 1.0 / softmax_numerators(simd, row, seen, dims);
                }
                let out = &mut self.out[tile * TILE_ROWS * hidden + head * dims..];
                Gemm {
                    a: Rows { data: scores, stride: padded, count },
                    b: Panels { data: values, depth: length, cols: dims },
                    start: Start::Zero,
                    activation: Activation::None,
                    out,
                    out_stride: hidden,
                }
                .with_simd(simd);
                for (row, inverse) in inverse.into_iter().enumerate().take(count) {
                    for value in &mut out[row * hidden..][..dims] {
                        *value *= inverse;
                    }
                }
            }
        }
    }
}

/// Lays out keys as the columns of a right-hand matrix: `[panel][dims][width]`.
#[inline(always)]
fn pack_keys(
    qkv: &[f32],
    column: usize,
    stride: usize,
    dims: usize,
    width: usize,
    panels: &mut [f32],
) {
    for (panel, rows) in panels.chunks_exact_mut(dims * width).zip(qkv.chunks(width * stride)) {
        let count = rows.len() / stride;
        if count < width {
            panel.fill(0.0);
        }
        let whole = count / BLOCK * BLOCK;
        for at in (0..whole).step_by(BLOCK) {
            let rows: [&[f32]; BLOCK] =
                std::array::from_fn(|i| &rows[(at + i) * stride + column..][..dims]);
            transpose_block(rows, panel, at, width);
        }
        for (at, row) in rows.chunks_exact(stride).enumerate().skip(whole) {
            for (line, &value) in panel.chunks_exact_mut(width).zip(&row[column..column + dims]) {
                line[at] = value;
            }
        }
    }
}

/// Writes four rows as columns `at..at + 4` of a panel.
///
/// Four by four values go through registers: value by value the compiler would write with scatters,
/// which took as long as all of the scores.
#[inline(always)]
fn transpose_block(rows: [&[f32]; BLOCK], panel: &mut [f32], at: usize, width: usize) {
    let [a, b, c, d] = rows.map(|row| row.as_chunks::<BLOCK>());
    let quads = a.0.iter().zip(b.0).zip(c.0).zip(d.0);
    let mut blocks = panel.chunks_exact_mut(BLOCK * width);
    for ((((a, b), c), d), lines) in quads.zip(blocks.by_ref()) {
        for i in 0..BLOCK {
            lines[i * width + at..][..BLOCK].copy_from_slice(&[a[i], b[i], c[i], d[i]]);
        }
    }
    let rest = a.1.iter().zip(b.1).zip(c.1).zip(d.1);
    for ((((&a, &b), &c), &d), line) in rest.zip(blocks.into_remainder().chunks_exact_mut(width)) {
        line[at..][..BLOCK].copy_from_slice(&[a, b, c, d]);
    }
}

/// Lays out values as the rows of a right-hand matrix: `[panel][keys][width]`.
#[inline(always)]
fn pack_values(
    qkv: &[f32],
    column: usize,
    stride: usize,
    dims: usize,
    width: usize,
    panels: &mut [f32],
) {
    let length = qkv.len() / stride;
    for (index, panel) in panels.chunks_exact_mut(length * width).enumerate() {
        let start = index * width;
        let count = width.min(dims - start);
        for (line, row) in panel.chunks_exact_mut(width).zip(qkv.chunks_exact(stride)) {
            line[..count].copy_from_slice(&row[column + start..][..count]);
        }
    }
}

/// Replaces scores by `e^((score - max) / √dims)` and returns the sum of the first `length`.
#[inline(always)]
fn softmax_numerators<S: Simd>(simd: S, row: &mut [f32], length: usize, dims: usize) -> f32 {
    row[length..].fill(f32::NEG_INFINITY);
    let scale = simd.splat_f32s(std::f32::consts::LOG2_E / (dims as f32).sqrt());
    let row = S::as_mut_simd_f32s(row).0;
    let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
    for &scores in row.iter() {
        largest = simd.max_f32s(largest, scores);
    }
    let largest = simd.splat_f32s(simd.reduce_max_f32s(largest));
    let mut sum = simd.splat_f32s(0.0);
    for scores in row {
        // Scores of the padding become 2^-126, which no sum of probabilities notices.
        *scores = exp2(simd, simd.mul_f32s(simd.sub_f32s(*scores, largest), scale));
        sum = simd.add_f32s(sum, *scores);
    }
    simd.reduce_sum_f32s(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(qkv: &[f32], hidden: usize, heads: usize, causal: bool) -> Vec<f32> {
        let dims = hidden / heads;
        let rows: Vec<&[f32]> = qkv.chunks(3 * hidden).collect();
        let mut out = vec![0.0; rows.len() * hidden];
        for head in 0..heads {
            let part = |row: &[f32], which: usize| {
                row[which * hidden + head * dims..][..dims].iter().map(|&v| f64::from(v)).collect()
            };
            for (i, row) in rows.iter().enumerate() {
                let query: Vec<f64> = part(row, 0);
                let seen = if causal { &rows[..=i] } else { &rows[..] };
                let weights: Vec<f64> = seen
                    .iter()
                    .map(|other| {
                        let key: Vec<f64> = part(other, 1);
                        let score: f64 = query.iter().zip(&key).map(|(q, k)| q * k).sum();
                        (score / (dims as f64).sqrt()).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for (weight, other) in weights.iter().zip(seen) {
                    for (d, value) in part(other, 2).into_iter().enumerate() {
                        let value: f64 = value;
                        out[i * hidden + head * dims + d] += (weight / total * value) as f32;
                    }
                }
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_text_attends_to_itself_alone(
            lengths in prop::collection::vec(1usize..40, 1..5),
            dims in 1usize..40,
            heads in 1usize..4,
            cut in any::<prop::sample::Index>(),
            causal in any::<bool>(),
        ) {
            let hidden = heads * dims;
            let bounds: Vec<usize> = std::iter::once(0)
                .chain(lengths.iter().scan(0, |end, &length| { *end += length; Some(*end) }))
                .collect();
            let tokens = bounds[lengths.len()];
            let qkv: Vec<f32> =
                (0..tokens * 3 * hidden).map(|i| (i as f32 * 0.618).sin() * 2.0).collect();
            let cut = cut.index(tokens + 1);
            for arch in [Arch::new(), Arch::Scalar] {
                let attention = Attention { arch, heads, head_dims: dims, bias: None, causal };
                let mut scratch = AttentionScratch::default();
                let mut out = vec![f32::NAN; tokens * hidden];
                let (front, back) = out.split_at_mut(cut * hidden);
                attention.forward(&qkv, &bounds, 0..cut, front, &mut scratch);
                attention.forward(&qkv, &bounds, cut..tokens, back, &mut scratch);
                for text in bounds.windows(2) {
                    let rows = &qkv[text[0] * 3 * hidden..text[1] * 3 * hidden];
                    let expected = reference(rows, hidden, heads, causal);
                    for (x, y) in out[text[0] * hidden..text[1] * hidden].iter().zip(&expected) {
                        prop_assert!((x - y).abs() < 5e-6, "{} {}", x, y);
                    }
                }
            }
        }
    }
}
