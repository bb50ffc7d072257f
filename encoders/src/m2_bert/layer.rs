//! One layer: its weights, and what it does to a tile of tokens or to a group of channels.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::activations::{TILE, channel_runs, last_rows, tile_to_rows};
use super::config::M2BertConfig;
use super::filter::ImplicitFilter;
use super::gated_mlp::{GatedMlp, GatedMlpScratch};
use super::kernels::{GROUP, KernelScratch, LayerSpectra};
use super::long_conv::LongConv;
use crate::nn::{
    Activation, AlignedBuffer, LayerNorm, PackedLinear, Rows, ShortConv, multiply, transpose,
};
use crate::weights::{Tensors, WeightsError};

/// Columns that are projected and filtered together: whole panels of the multiplication.
const COLUMNS: usize = 64;

/// The weights of a layer.
#[derive(Debug)]
pub(crate) struct Layer {
    arch: Arch,
    channels: usize,
    /// To `x1`, `x2` and `v`, in the order of the checkpoint.
    projections: [PackedLinear; 3],
    /// Over the three side by side.
    short_conv: ShortConv,
    /// Of `v · x1`, and of the layer's own rows.
    filters: [ImplicitFilter; 2],
    output: PackedLinear,
    mlp: GatedMlp,
    norm: LayerNorm,
}

/// Memory of one tile of tokens.
#[derive(Debug, Default)]
pub(crate) struct TileScratch {
    rows: AlignedBuffer,
    projected: AlignedBuffer,
    filtered: AlignedBuffer,
    factors: AlignedBuffer,
    h: AlignedBuffer,
    mlp: GatedMlpScratch,
    /// What [`Layer::finish`] is given and where it writes, for callers that need rows for it.
    pub(crate) mixed: AlignedBuffer,
    pub(crate) out: AlignedBuffer,
}

/// What the convolutions read: `[texts, length, channels]` each, in tiles.
#[derive(Clone, Copy)]
pub(crate) struct Signals<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) gated: &'a [f32],
    pub(crate) gate: &'a [f32],
}

impl Layer {
    /// Reads the layer at `index`, whose tensors have been checked.
    pub(crate) fn read(
        arch: Arch,
        config: &M2BertConfig,
        tensors: &Tensors<'_>,
        index: usize,
    ) -> Result<Self, WeightsError> {
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let read = |part: &str| tensors.read(&name(part));
        let channels = config.hidden_size;
        let (weight, bias) =
            (read("attention.in_linear.weight")?, read("attention.in_linear.bias")?);
        let projection = |which: usize| {
            let rows = which * channels..(which + 1) * channels;
            let weight = &weight[rows.start * channels..rows.end * channels];
            PackedLinear::new(arch, weight, &bias[rows], channels)
        };
        let filter = |part: &str| ImplicitFilter::read(arch, tensors, &name(part));
        Ok(Self {
            arch,
            channels,
            projections: [projection(0), projection(1), projection(2)],
            short_conv: ShortConv::new(
                arch,
                &read("attention.short_filter.weight")?,
                read("attention.short_filter.bias")?,
            ),
            filters: [filter("attention.filter_fn")?, filter("attention.filter_fn2")?],
            output: PackedLinear::new(
                arch,
                &read("attention.out_linear.weight")?,
                &read("attention.out_linear.bias")?,
                channels,
            ),
            mlp: GatedMlp::new(
                arch,
                config.monarch_mlp_nblocks,
                &read("mlp.gated_layers.weight")?,
                &read("mlp.wo.weight")?,
                &read("mlp.wo.bias")?,
            ),
            norm: LayerNorm::new(
                arch,
                read("mlp.layernorm.weight")?,
                read("mlp.layernorm.bias")?,
                config.layer_norm_eps as f32,
            ),
        })
    }

    /// The filters of its two long convolutions.
    pub(crate) fn filters(&self) -> &[ImplicitFilter; 2] {
        &self.filters
    }

    /// First pass, for one tile of `x`: projects, filters over three tokens, and writes `v · x1` and,
    /// where it is wanted, `x2`. `before` is the tile before it in the same text.
    pub(crate) fn project(
        &self,
        before: Option<&[f32]>,
        tile: &[f32],
        gated: &mut [f32],
        mut gate: Option<&mut [f32]>,
        scratch: &mut TileScratch,
    ) {
        let channels = self.channels;
        let halo = ShortConv::HALO;
        let count = tile.len() / channels;
        let TileScratch { rows, projected, filtered, factors, .. } = scratch;
        let rows = rows.grow((halo + count) * channels);
        if let Some(before) = before {
            last_rows(before, channels, halo, &mut rows[..halo * channels]);
        }
        tile_to_rows(tile, channels, &mut rows[halo * channels..]);
        // Before the first token the short convolution sees zeros, which no row projects to.
        let skipped = if before.is_some() { 0 } else { halo };
        let x = Rows {
            data: &rows[skipped * channels..],
            stride: channels,
            count: halo + count - skipped,
        };
        for start in (0..channels).step_by(COLUMNS) {
            let columns = start..channels.min(start + COLUMNS);
            let width = columns.len();
            let mut filter = |which: usize, out: &mut [f32]| {
                let projected = projected.grow((halo + count) * width);
                let (zeros, rest) = projected.split_at_mut(skipped * width);
                zeros.fill(0.0);
                let linear = &self.projections[which];
                linear.forward_columns(x, columns.clone(), Activation::None, rest, width);
                let all = which * channels + columns.start..which * channels + columns.end;
                self.short_conv.forward(all, projected, out);
            };
            let values = filtered.grow(count * width);
            if let Some(gate) = &mut gate {
                filter(1, values);
                let gate = &mut gate[start * count..];
                transpose((values, width), (gate, count), count, width);
            }
            let x1 = factors.grow(count * width);
            filter(0, x1);
            filter(2, values);
            multiply(self.arch, values, x1);
            let gated = &mut gated[start * count..];
            transpose((values, width), (gated, count), count, width);
        }
    }

    /// Second pass, for a group of channels: both long convolutions, gated and added. `out` is
    /// `[channels of the group, texts, length]`.
    pub(crate) fn mix(
        &self,
        (spectra, conv): (&LayerSpectra, &LongConv),
        group: Range<usize>,
        signals: Signals<'_>,
        out: &mut [f32],
        scratch: &mut KernelScratch,
    ) {
        let (channels, length) = (self.channels, conv.length());
        let per_channel = out.len() / group.len();
        let first = group.start;
        spectra.for_each(&self.filters, conv, group, scratch, |channel, spectra, scratch| {
            let out = &mut out[(channel - first) * per_channel..][..per_channel];
            for (text, out) in out.chunks_exact_mut(length).enumerate() {
                let of_text = text * length * channels..(text + 1) * length * channels;
                let [x, gated, gate] = [signals.x, signals.gated, signals.gate]
                    .map(|values| channel_runs(&values[of_text.clone()], channels, channel));
                // Runs and chunks are of the same tiles.
                let values = conv.signals(scratch).chunks_mut(TILE);
                for ((values, gated), x) in values.zip(gated).zip(x) {
                    for ((value, &re), &im) in values.iter_mut().zip(gated).zip(x) {
                        *value = Complex32::new(re, im);
                    }
                }
                let mixed = conv.convolve(spectra, scratch).chunks(TILE);
                for ((out, mixed), gate) in out.chunks_mut(TILE).zip(mixed).zip(gate) {
                    for ((out, mixed), gate) in out.iter_mut().zip(mixed).zip(gate) {
                        *out = mixed.re * gate + mixed.im;
                    }
                }
            }
        });
    }

    /// Second pass where only the first token of each text is wanted: `[texts, channels]`.
    ///
    /// The first token sees nothing before it, so of each convolution there is one sum over the
    /// text. Runs on all threads of the pool.
    pub(crate) fn mix_first(&self, length: usize, signals: Signals<'_>) -> Vec<f32> {
        let channels = self.channels;
        let texts = signals.x.len() / (length * channels);
        let [first, second] = &self.filters;
        let (first, second) = rayon::join(
            || first.first_token_features(length),
            || second.first_token_features(length),
        );
        let features = [first, second];
        let mut sums = vec![0.0; channels * texts];
        sums.par_chunks_mut(GROUP * texts).enumerate().for_each_init(
            KernelScratch::default,
            |scratch, (group, out)| {
                let start = group * GROUP;
                let group = start..start + out.len() / texts;
                let both = self.filters.iter().zip(&features).zip(&mut scratch.rows);
                for ((filter, features), rows) in both {
                    filter.kernels(features, group.clone(), rows);
                }
                for (at, (channel, out)) in group.zip(out.chunks_exact_mut(texts)).enumerate() {
                    for (text, out) in out.iter_mut().enumerate() {
                        let of_text = text * length * channels..(text + 1) * length * channels;
                        let [x, gated, gate] = [signals.x, signals.gated, signals.gate]
                            .map(|values| &values[of_text.clone()]);
                        let sum = |which: usize, values: &[f32]| {
                            let bias = self.filters[which].bias(channel);
                            let (own, later) = scratch.rows[which].first_token(at, length, bias);
                            weigh(own, later, channel_runs(values, channels, channel))
                        };
                        let gate = channel_runs(gate, channels, channel).next();
                        let gate = gate.and_then(|run| run.first()).copied().unwrap_or_default();
                        *out = sum(0, gated) * gate + sum(1, x);
                    }
                }
            },
        );
        let mut rows = vec![0.0; sums.len()];
        transpose((&sums, texts), (&mut rows, channels), channels, texts);
        rows
    }

    /// Third pass: takes rows from the convolutions, `[rows, channels]`, to the end of the layer.
    pub(crate) fn finish(&self, mixed: &[f32], out: &mut [f32], scratch: &mut TileScratch) {
        let h = scratch.h.grow(mixed.len());
        self.output.forward(mixed, h);
        self.mlp.forward(h, out, &mut scratch.mlp);
        self.norm.add_and_normalize(out, h);
    }
}

/// `own · values[0] + Σ later[j - 1] values[j]`, summed run by run.
fn weigh<'a>(own: f32, later: &[f32], mut runs: impl Iterator<Item = &'a [f32]>) -> f32 {
    let first = runs.next().unwrap_or_default();
    let Some((value, rest)) = first.split_first() else { return 0.0 };
    let dot = |weights: &[f32], values: &[f32]| -> f64 {
        f64::from(weights.iter().zip(values).map(|(w, x)| w * x).sum::<f32>())
    };
    let mut sum = f64::from(own * value) + dot(later, rest);
    let mut at = rest.len();
    for run in runs {
        sum += dot(&later[at..], run);
        at += run.len();
    }
    sum as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_weighs_every_run_of_the_text() {
        let later = [2.0, 3.0, 4.0];
        let runs: [&[f32]; 3] = [&[1.0, 10.0], &[100.0], &[1000.0]];
        assert_eq!(weigh(0.5, &later, runs.into_iter()), 0.5 + 20.0 + 300.0 + 4000.0);
        assert_eq!(weigh(0.5, &[], [&[3.0f32][..]].into_iter()), 1.5);
    }
}
