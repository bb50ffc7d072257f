//! The pre-norm transformer both towers are.
//!
//! As in BERT, between one attention and the next everything works on blocks of rows alone. Where
//! only some rows are wanted in the end (an image's first one, a text's last one), the last layer
//! goes on with these after its attention.

use bigrain_kernels::Int8Rows;
use pulp::Arch;

use super::config::TowerConfig;
use super::names::BlockNames;
use crate::batch::{RowBlocks, Sharing};
use crate::nn::{
    AlignedBuffer, Attention, AttentionScratch, FeedForward, FeedForwardScratch, LayerNorm, Linear,
};
use crate::weights::{Tensors, WeightsError};

/// Layers of attention and feed-forward.
#[derive(Debug)]
pub(super) struct Transformer {
    width: usize,
    attention: Attention,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: LayerNorm,
    qkv: Linear,
    output: Linear,
    mlp_norm: LayerNorm,
    mlp: FeedForward,
}

/// Memory of one forward pass, to be used again.
#[derive(Debug, Default)]
pub(super) struct TransformerScratch {
    qkv: AlignedBuffer,
    context: AlignedBuffer,
    blocks: Vec<BlockScratch>,
}

#[derive(Debug, Default)]
struct BlockScratch {
    normed: AlignedBuffer,
    sum: AlignedBuffer,
    quantized: Int8Rows,
    attention: AttentionScratch,
    mlp: FeedForwardScratch,
}

impl Transformer {
    /// Reads the blocks under `blocks`; `tensors` were checked.
    pub(super) fn build(
        arch: Arch,
        tensors: &Tensors<'_>,
        (blocks, names): (&str, &BlockNames),
        config: &TowerConfig,
        causal: bool,
    ) -> Result<Self, WeightsError> {
        let width = config.width;
        let layer = |index: usize| -> Result<Layer, WeightsError> {
            let name = |part: &str| format!("{blocks}.{index}.{part}");
            let norm = |part: &str| read_norm(arch, tensors, &name(part), config);
            let linear = |parts: &[&str], inputs: usize| {
                let names: Vec<String> = parts.iter().map(|part| name(part)).collect();
                tensors.linear(arch, &names, inputs)
            };
            Ok(Layer {
                attention_norm: norm(names.attention_norm)?,
                qkv: linear(names.qkv, width)?,
                output: linear(&[names.output], width)?,
                mlp_norm: norm(names.mlp_norm)?,
                mlp: FeedForward::new(
                    arch,
                    linear(&[names.widen], width)?,
                    linear(&[names.narrow], config.mlp)?,
                    config.hidden_act.activation(),
                ),
            })
        };
        let heads = config.heads;
        Ok(Self {
            width,
            attention: Attention { arch, heads, head_dims: width / heads, bias: None, causal },
            layers: (0..config.layers).map(layer).collect::<Result<_, _>>()?,
        })
    }

    /// Takes the rows `x` of texts or images, which lie between `bounds`, through all layers. Returns
    /// the rows `wanted`, ascending, one after the other; what else `x` holds is left over.
    pub(super) fn forward<'a>(
        &self,
        x: &'a mut [f32],
        bounds: &[usize],
        wanted: &[usize],
        sharing: Sharing,
        scratch: &mut TransformerScratch,
    ) -> &'a [f32] {
        let width = self.width;
        let tokens = x.len() / width;
        let all = RowBlocks::new(tokens, sharing);
        let few = RowBlocks::new(wanted.len(), sharing);
        let TransformerScratch { qkv, context, blocks } = scratch;
        let qkv = qkv.grow(tokens * 3 * width);
        let context = context.grow(tokens * width);
        let count = all.count().max(few.count()).max(blocks.len());
        blocks.resize_with(count, BlockScratch::default);

        if let Some(first) = self.layers.first() {
            all.for_each((x, width), (qkv, 3 * width), blocks, |_, x, qkv, scratch| {
                first.project(x, qkv, scratch);
            });
        }
        for (index, layer) in self.layers.iter().enumerate() {
            // One thread takes all rows at once, so that it packs the keys of each text once. `x` is
            // not touched here.
            all.undivided().for_each(
                (context, width),
                (x, width),
                blocks,
                |start, out, _, scratch| {
                    let rows = start..start + out.len() / width;
                    self.attention.forward(qkv, bounds, rows, out, &mut scratch.attention);
                },
            );
            let Some(next) = self.layers.get(index + 1) else {
                gather(context, wanted, width);
                break;
            };
            all.for_each((x, width), (qkv, 3 * width), blocks, |start, x, qkv, scratch| {
                layer.finish(x, &context[start * width..][..x.len()], scratch);
                next.project(x, qkv, scratch);
            });
        }
        gather(x, wanted, width);
        let rows = wanted.len() * width;
        if let Some(last) = self.layers.last() {
            few.for_each(
                (&mut x[..rows], width),
                (&mut context[..rows], width),
                blocks,
                |_, x, context, scratch| last.finish(x, context, scratch),
            );
        }
        &x[..rows]
    }
}

impl Layer {
    /// Writes query, key and value of the rows `x`.
    fn project(&self, x: &[f32], qkv: &mut [f32], scratch: &mut BlockScratch) {
        let normed = scratch.normed.grow(x.len());
        normed.copy_from_slice(x);
        self.attention_norm.normalize(normed);
        self.qkv.forward(normed, qkv, &mut scratch.quantized);
    }

    /// Takes rows from after the attention to the end of the layer.
    fn finish(&self, x: &mut [f32], context: &[f32], scratch: &mut BlockScratch) {
        let sum = scratch.sum.grow(x.len());
        self.output.forward(context, sum, &mut scratch.quantized);
        add(x, sum);
        let normed = scratch.normed.grow(x.len());
        normed.copy_from_slice(x);
        self.mlp_norm.normalize(normed);
        self.mlp.forward(normed, sum, &mut scratch.mlp);
        add(x, sum);
    }
}

/// Reads a layer norm of a tower.
pub(super) fn read_norm(
    arch: Arch,
    tensors: &Tensors<'_>,
    name: &str,
    config: &TowerConfig,
) -> Result<LayerNorm, WeightsError> {
    let weight = tensors.read(&format!("{name}.weight"))?;
    let bias = tensors.read(&format!("{name}.bias"))?;
    Ok(LayerNorm::new(arch, weight, bias, config.layer_norm_eps as f32))
}

fn add(x: &mut [f32], other: &[f32]) {
    for (x, y) in x.iter_mut().zip(other) {
        *x += y;
    }
}

/// Moves the rows `wanted`, ascending, to the front.
fn gather(rows: &mut [f32], wanted: &[usize], width: usize) {
    for (to, &from) in wanted.iter().enumerate() {
        rows.copy_within(from * width..(from + 1) * width, to * width);
    }
}
