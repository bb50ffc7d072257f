//! The forward pass.
//!
//! Between one attention and the next everything works on rows alone. So the unit of work is one
//! block of rows, small enough for the cache, going all the way:
//!
//! ```text
//! attention of layer i        block of rows                      attention of layer i + 1
//! context of its rows -----> output, norm, feed-forward, norm, qkv -----> qkv of all rows
//! ```
//!
//! Blocks follow each other on one thread, or run side by side where threads share a batch; then
//! there are two meeting points a layer.

use bigrain_kernels::Int8Rows;
use pulp::Arch;

use super::config::BertConfig;
use super::family::{self, Family, HeadActivation};
use crate::architecture::{BuildModelError, Head};
use crate::batch::{PackedBatch, RowBlocks, Sharing};
use crate::nn::{
    AlignedBuffer, Attention, AttentionScratch, FeedForward, FeedForwardScratch, LayerNorm, Linear,
    PositionBias, dense, first_token_attention, gelu_all,
};
use crate::weights::{Tensors, WeightsError};

/// A BERT-family model, ready to run.
#[derive(Debug)]
pub(crate) struct BertModel {
    hidden: usize,
    /// Values of a row of the tables.
    embedding: usize,
    position_offset: usize,
    words: Vec<f32>,
    positions: Vec<f32>,
    /// Empty in families without types.
    types: Vec<f32>,
    norm: LayerNorm,
    /// From the tables' width to that of rows.
    projection: Option<Linear>,
    attention: Attention,
    layers: Vec<Layer>,
    first_row: Option<FirstRow>,
}

/// Memory of one forward pass, to be used again.
#[derive(Debug, Default)]
pub(crate) struct BertScratch {
    embedded: AlignedBuffer,
    quantized: Int8Rows,
    x: AlignedBuffer,
    qkv: AlignedBuffer,
    context: AlignedBuffer,
    blocks: Vec<BlockScratch>,
}

#[derive(Debug, Default)]
struct BlockScratch {
    sum: AlignedBuffer,
    quantized: Int8Rows,
    attention: AttentionScratch,
    feed_forward: FeedForwardScratch,
}

#[derive(Debug)]
struct Layer {
    qkv: Linear,
    output: Linear,
    output_norm: LayerNorm,
    feed_forward: FeedForward,
    feed_forward_norm: LayerNorm,
}

/// A layer on the first row of a text.
#[derive(Debug)]
struct FirstRow {
    weight: Vec<f32>,
    bias: Vec<f32>,
    activation: HeadActivation,
}

impl BertModel {
    /// Checks and packs the tensors of a model with a head.
    pub(crate) fn build(
        config: &BertConfig,
        tensors: &Tensors<'_>,
        head: Head,
    ) -> Result<Self, BuildModelError> {
        config.check_head(head)?;
        tensors.check_model(&config.tensors(head))?;
        let builder = Builder { arch: Arch::new(), config, tensors };
        let layers =
            (0..config.num_hidden_layers).map(|i| builder.layer(i)).collect::<Result<_, _>>()?;
        let family = config.family();
        let first_row = match family.first_row_layer(head) {
            Some((name, activation)) => Some(builder.first_row(name, activation)?),
            None => None,
        };
        Ok(Self {
            hidden: config.hidden_size,
            embedding: config.embedding_size(),
            position_offset: config.position_offset(),
            words: tensors.read("embeddings.word_embeddings.weight")?,
            positions: tensors.read("embeddings.position_embeddings.weight")?,
            types: if family.has_types() {
                tensors.read("embeddings.token_type_embeddings.weight")?
            } else {
                Vec::new()
            },
            norm: builder.norm("embeddings.LayerNorm")?,
            projection: if config.embedding_size() == config.hidden_size {
                None
            } else {
                Some(builder.linear(&[family::PROJECTION.to_owned()], config.embedding_size())?)
            },
            attention: Attention {
                arch: builder.arch,
                heads: config.num_attention_heads,
                head_dims: config.hidden_size / config.num_attention_heads,
                bias: builder.position_bias()?,
                causal: false,
            },
            layers,
            first_row,
        })
    }

    /// Returns the bias by distance, if the model has one.
    pub(super) fn position_bias(&self) -> Option<&PositionBias> {
        self.attention.bias.as_ref()
    }

    /// Returns the last hidden rows, `[tokens, hidden]`.
    ///
    /// Ids, types and lengths must be within the model's tables; the tokenizer's limits see to it.
    pub(crate) fn forward<'a>(
        &self,
        batch: &PackedBatch,
        sharing: Sharing,
        scratch: &'a mut BertScratch,
    ) -> &'a [f32] {
        let (tokens, hidden) = (batch.tokens(), self.hidden);
        let BertScratch { embedded, quantized, x, qkv, context, blocks } = scratch;
        let x = x.grow(tokens * hidden);
        let qkv = qkv.grow(tokens * 3 * hidden);
        let context = context.grow(tokens * hidden);
        let shape = RowBlocks::new(tokens, sharing);
        blocks.resize_with(blocks.len().max(shape.count()), BlockScratch::default);

        self.embed(batch, (embedded, quantized), x);
        if let Some(first) = self.layers.first() {
            shape.for_each((x, hidden), (qkv, 3 * hidden), blocks, |_, x, qkv, scratch| {
                first.qkv.forward(x, qkv, &mut scratch.quantized);
            });
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let next = self.layers.get(index + 1);
            // One thread takes all rows at once, so that it packs the keys of each text once. `x` is
            // not touched here.
            shape.undivided().for_each(
                (context, hidden),
                (x, hidden),
                blocks,
                |start, out, _, scratch| {
                    let rows = start..start + out.len() / hidden;
                    self.attention.forward(qkv, batch.bounds(), rows, out, &mut scratch.attention);
                },
            );
            shape.for_each((x, hidden), (qkv, 3 * hidden), blocks, |start, x, qkv, scratch| {
                layer.finish(x, &context[start * hidden..][..x.len()], scratch);
                if let Some(next) = next {
                    next.qkv.forward(x, qkv, &mut scratch.quantized);
                }
            });
        }
        x
    }

    /// Returns how much the first token of each text attends to each token in the last layer: the
    /// mean over heads, one value a token of the batch. Ids and lengths as in [`BertModel::forward`].
    pub(crate) fn first_token_attention(
        &self,
        batch: &PackedBatch,
        sharing: Sharing,
        scratch: &mut BertScratch,
    ) -> Vec<f32> {
        self.forward(batch, sharing, scratch);
        // What the last layer's attention read is still there.
        first_token_attention(&self.attention, &scratch.qkv, batch.bounds())
    }

    /// Applies the head's layer to the first rows of texts, `[texts, hidden]`; without one they are
    /// returned as they are.
    pub(crate) fn pool(&self, first_rows: Vec<f32>) -> Vec<f32> {
        let Some(layer) = &self.first_row else { return first_rows };
        let mut pooled = dense(&first_rows, &layer.weight, &layer.bias);
        match layer.activation {
            HeadActivation::Tanh => pooled.iter_mut().for_each(|value| *value = value.tanh()),
            HeadActivation::Relu => pooled.iter_mut().for_each(|value| *value = value.max(0.0)),
            HeadActivation::Gelu => gelu_all(&mut pooled),
        }
        pooled
    }

    fn embed(
        &self,
        batch: &PackedBatch,
        (embedded, quantized): (&mut AlignedBuffer, &mut Int8Rows),
        x: &mut [f32],
    ) {
        match &self.projection {
            None => self.look_up(batch, x),
            Some(projection) => {
                let narrow = embedded.grow(batch.tokens() * self.embedding);
                self.look_up(batch, narrow);
                projection.forward(narrow, x, quantized);
            }
        }
    }

    /// Adds up the rows of the tables and normalises them.
    fn look_up(&self, batch: &PackedBatch, x: &mut [f32]) {
        let width = self.embedding;
        for ((id, kind, position), out) in batch.iter().zip(x.chunks_exact_mut(width)) {
            let word = &self.words[id as usize * width..][..width];
            let position = &self.positions[(position + self.position_offset) * width..][..width];
            if self.types.is_empty() {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = word[i] + position[i];
                }
                continue;
            }
            let kind = &self.types[kind as usize * width..][..width];
            for (i, out) in out.iter_mut().enumerate() {
                *out = word[i] + kind[i] + position[i];
            }
        }
        self.norm.normalize(x);
    }
}

impl Layer {
    /// Takes rows from after the attention to the end of the layer.
    fn finish(&self, x: &mut [f32], context: &[f32], scratch: &mut BlockScratch) {
        let sum = scratch.sum.grow(x.len());
        self.output.forward(context, sum, &mut scratch.quantized);
        self.output_norm.add_and_normalize(x, sum);
        self.feed_forward.forward(x, sum, &mut scratch.feed_forward);
        self.feed_forward_norm.add_and_normalize(x, sum);
    }
}

/// Reads the parts of a model.
struct Builder<'a> {
    arch: Arch,
    config: &'a BertConfig,
    tensors: &'a Tensors<'a>,
}

impl Builder<'_> {
    fn layer(&self, index: usize) -> Result<Layer, BuildModelError> {
        let names = self.config.family().layer_names();
        let name = |part: &str| names.of(index, part);
        let hidden = self.config.hidden_size;
        Ok(Layer {
            qkv: self.linear(&[names.query, names.key, names.value].map(name), hidden)?,
            output: self.linear(&[name(names.context)], hidden)?,
            output_norm: self.norm(&name(names.context_norm))?,
            feed_forward: FeedForward::new(
                self.arch,
                self.linear(&[name(names.widen)], hidden)?,
                self.linear(&[name(names.narrow)], self.config.intermediate_size)?,
                self.config.activation()?,
            ),
            feed_forward_norm: self.norm(&name(names.narrow_norm))?,
        })
    }

    fn position_bias(&self) -> Result<Option<PositionBias>, WeightsError> {
        if self.config.family() != Family::MpNet {
            return Ok(None);
        }
        let heads = self.config.num_attention_heads;
        // Attention divides scores by this root after the bias was added.
        let scale = ((self.config.hidden_size / heads) as f32).sqrt();
        let weight = self.tensors.read(family::DISTANCES)?;
        Ok(Some(PositionBias::new(&weight, heads, self.config.max_tokens(), scale)))
    }

    fn first_row(&self, name: &str, activation: HeadActivation) -> Result<FirstRow, WeightsError> {
        let weight = self.tensors.read(&format!("{name}.weight"))?;
        Ok(FirstRow { weight, bias: self.tensors.read(&format!("{name}.bias"))?, activation })
    }

    /// Stacks layers of the same input into one.
    fn linear(&self, names: &[String], inputs: usize) -> Result<Linear, WeightsError> {
        self.tensors.linear(self.arch, names, inputs)
    }

    fn norm(&self, name: &str) -> Result<LayerNorm, WeightsError> {
        let weight = self.tensors.read(&format!("{name}.weight"))?;
        let bias = self.tensors.read(&format!("{name}.bias"))?;
        Ok(LayerNorm::new(self.arch, weight, bias, self.config.layer_norm_eps as f32))
    }
}
