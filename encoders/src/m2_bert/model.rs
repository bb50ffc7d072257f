//! All layers, between the embeddings and the pooler.

use bigrain_types::{Cancel, Cancelled};
use parking_lot::Mutex;
use pulp::Arch;
use rayon::prelude::*;

use super::activations::{Activations, TILE, rows_to_tile, tile_to_rows};
use super::config::M2BertConfig;
use super::kernels::{GROUP, KeptSpectra, KernelScratch, circular_filters};
use super::layer::{Layer, Signals, TileScratch};
use super::long_conv::LongConv;
use crate::architecture::Head;
use crate::nn::{AlignedBuffer, LayerNorm, dense, transpose};
use crate::weights::{Tensors, WeightsError};

/// An M2-BERT model, ready to run.
#[derive(Debug)]
pub(crate) struct M2BertModel {
    channels: usize,
    words: Vec<f32>,
    positions: Vec<f32>,
    kind: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    pooler: Option<Pooler>,
    kept: KeptSpectra,
}

#[derive(Debug)]
struct Pooler {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Texts of one length, padding included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaddedTexts<'a> {
    /// Ids of all texts, one text after the other.
    pub(crate) ids: &'a [u32],
    /// Tokens of each.
    pub(crate) length: usize,
}

/// Which of the last rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WantedRows {
    /// The first of each text.
    First,
    /// All.
    All,
}

/// What a forward pass asks and tells between its steps.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    pub(crate) cancel: &'a Cancel,
    /// Called after each layer.
    pub(crate) layer_done: &'a (dyn Fn() + Sync),
}

/// Memory of a forward pass, to be used again.
#[derive(Debug, Default)]
pub(crate) struct M2BertScratch {
    activations: Activations,
    tiles: Mutex<Vec<TileScratch>>,
    kernels: Mutex<Vec<KernelScratch>>,
}

impl M2BertModel {
    /// Checks and packs the tensors of a model with a head.
    pub(crate) fn build(
        config: &M2BertConfig,
        tensors: &Tensors<'_>,
        head: Head,
    ) -> Result<Self, WeightsError> {
        tensors.check_model(&config.tensors(head))?;
        let arch = Arch::new();
        let channels = config.hidden_size;
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::read(arch, config, tensors, index))
            .collect::<Result<_, _>>()?;
        let pooler = if head != Head::None {
            let weight = tensors.read("pooler.dense.weight")?;
            Some(Pooler { weight, bias: tensors.read("pooler.dense.bias")? })
        } else {
            None
        };
        let mut kind = tensors.read("embeddings.token_type_embeddings.weight")?;
        kind.truncate(channels);
        Ok(Self {
            channels,
            words: tensors.read("embeddings.word_embeddings.weight")?,
            positions: tensors.read("embeddings.position_embeddings.weight")?,
            kind,
            norm: LayerNorm::new(
                arch,
                tensors.read("embeddings.LayerNorm.weight")?,
                tensors.read("embeddings.LayerNorm.bias")?,
                config.layer_norm_eps as f32,
            ),
            layers,
            pooler,
            kept: KeptSpectra::default(),
        })
    }

    /// Values of one token's row.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// How many layers.
    pub(crate) fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Whether filters for texts of this length are kept from one batch to the next.
    pub(crate) fn keeps(&self, length: usize) -> bool {
        self.kept.keeps(length, self.layers.len() * self.channels)
    }

    /// Both filters of every channel of a layer, as devices take them.
    pub(crate) fn circular_filters(&self, layer: usize, length: usize) -> Vec<[f32; 2]> {
        circular_filters(self.layers[layer].filters(), length, self.channels)
    }

    /// Keeps no filters from here on.
    #[cfg(test)]
    pub(crate) fn forget_to_keep(&self) {
        self.kept.fill();
    }

    /// Returns the wanted last rows, `[texts, channels]` or `[texts, length, channels]`.
    ///
    /// Runs on all threads of the rayon pool the caller runs in. Ids and length must be within the
    /// model's tables; the tokenizer's limits see to it.
    pub(crate) fn forward(
        &self,
        texts: PaddedTexts<'_>,
        wanted: WantedRows,
        watch: Watch<'_>,
        scratch: &mut M2BertScratch,
    ) -> Result<Vec<f32>, Cancelled> {
        let len = texts.ids.len() * self.channels;
        let activations = &mut scratch.activations;
        activations.x.grow(len);
        activations.gated.grow(len);
        activations.gate.grow(len);
        activations.mixed.grow(len);
        let pass = Pass { model: self, texts, conv: LongConv::new(texts.length), watch };
        let keep = self.keeps(texts.length);

        pass.embed(&mut activations.x)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let last = index + 1 == self.layers.len();
            if last && wanted == WantedRows::First {
                let rows = pass.first_rows(layer, scratch)?;
                (watch.layer_done)();
                return Ok(rows);
            }
            pass.project(layer, scratch, WantedRows::All)?;
            let spectra =
                self.kept.of_layer(index, layer.filters(), &pass.conv, (keep, self.channels));
            pass.mix(layer, &spectra, scratch)?;
            pass.finish(layer, scratch)?;
            (watch.layer_done)();
        }
        Ok(pass.rows(&scratch.activations.x, wanted))
    }

    /// Applies the pooler to the first rows of texts, `[texts, channels]`; without one the rows are
    /// returned as they are.
    pub(crate) fn pool(&self, first_rows: Vec<f32>) -> Vec<f32> {
        let Some(pooler) = &self.pooler else { return first_rows };
        let mut pooled = dense(&first_rows, &pooler.weight, &pooler.bias);
        pooled.iter_mut().for_each(|value| *value = value.tanh());
        pooled
    }
}

/// One forward pass.
struct Pass<'a> {
    model: &'a M2BertModel,
    texts: PaddedTexts<'a>,
    conv: LongConv,
    watch: Watch<'a>,
}

impl Pass<'_> {
    /// Values of one text.
    fn text_len(&self) -> usize {
        self.texts.length * self.model.channels
    }

    fn tile_len(&self) -> usize {
        TILE * self.model.channels
    }

    /// Writes the embeddings of all tokens, normalised, in tiles.
    fn embed(&self, x: &mut [f32]) -> Result<(), Cancelled> {
        let M2BertModel { channels, words, positions, kind, norm, .. } = self.model;
        let channels = *channels;
        let texts =
            x.par_chunks_mut(self.text_len()).zip(self.texts.ids.par_chunks(self.texts.length));
        texts.for_each(|(x, ids)| {
            let tiles = x.par_chunks_mut(self.tile_len()).zip(ids.par_chunks(TILE)).enumerate();
            tiles.for_each_init(Vec::new, |rows, (tile, (x, ids))| {
                rows.resize(x.len(), 0.0);
                for (at, (&id, row)) in ids.iter().zip(rows.chunks_exact_mut(channels)).enumerate()
                {
                    let word = &words[id as usize * channels..][..channels];
                    let position = &positions[(tile * TILE + at) * channels..][..channels];
                    for (c, value) in row.iter_mut().enumerate() {
                        *value = word[c] + kind[c] + position[c];
                    }
                }
                norm.normalize(rows);
                rows_to_tile(rows, channels, x);
            });
        });
        self.watch.cancel.check()
    }

    /// First pass of a layer. [`WantedRows::First`] leaves out what only later rows need.
    fn project(
        &self,
        layer: &Layer,
        scratch: &mut M2BertScratch,
        wanted: WantedRows,
    ) -> Result<(), Cancelled> {
        let M2BertScratch { activations, tiles, .. } = scratch;
        let Activations { x, gated, gate, .. } = activations;
        let (text_len, tile_len) = (self.text_len(), self.tile_len());
        let texts = x.par_chunks(text_len).zip(gated.par_chunks_mut(text_len));
        texts.zip(gate.par_chunks_mut(text_len)).for_each(|((x, gated), gate)| {
            let of_tiles = gated.par_chunks_mut(tile_len).zip(gate.par_chunks_mut(tile_len));
            of_tiles.enumerate().for_each(|(index, (gated, gate))| {
                if self.watch.cancel.is_cancelled() {
                    return;
                }
                let start = index * tile_len;
                let tile = &x[start..start + gated.len()];
                let before = (index > 0).then(|| &x[start - tile_len..start]);
                let gate = (wanted == WantedRows::All || index == 0).then_some(gate);
                with_scratch(tiles, |scratch| layer.project(before, tile, gated, gate, scratch));
            });
        });
        self.watch.cancel.check()
    }

    /// Second pass of a layer.
    fn mix(
        &self,
        layer: &Layer,
        spectra: &super::kernels::LayerSpectra,
        scratch: &mut M2BertScratch,
    ) -> Result<(), Cancelled> {
        let M2BertScratch { activations, kernels, .. } = scratch;
        let Activations { x, gated, gate, mixed } = activations;
        let signals = Signals { x, gated, gate };
        let per_channel = self.texts.ids.len();
        let groups = mixed.par_chunks_mut(GROUP * per_channel).enumerate();
        groups.for_each(|(group, out)| {
            if self.watch.cancel.is_cancelled() {
                return;
            }
            let first = group * GROUP;
            let group = first..first + out.len() / per_channel;
            with_scratch(kernels, |scratch| {
                layer.mix((spectra, &self.conv), group, signals, out, scratch);
            });
        });
        self.watch.cancel.check()
    }

    /// Third pass of a layer.
    fn finish(&self, layer: &Layer, scratch: &mut M2BertScratch) -> Result<(), Cancelled> {
        let M2BertScratch { activations, tiles, .. } = scratch;
        let Activations { x, mixed, .. } = activations;
        let (channels, tokens) = (self.model.channels, self.texts.ids.len());
        let texts = x.par_chunks_mut(self.text_len()).enumerate();
        texts.for_each(|(text, x)| {
            x.par_chunks_mut(self.tile_len()).enumerate().for_each(|(tile, x)| {
                if self.watch.cancel.is_cancelled() {
                    return;
                }
                let count = x.len() / channels;
                let mixed = &mixed[text * self.texts.length + tile * TILE..];
                with_scratch(tiles, |scratch| {
                    let mut rows = std::mem::take(&mut scratch.mixed);
                    let mut out = std::mem::take(&mut scratch.out);
                    let (mixed_rows, out_rows) = (rows.grow(x.len()), out.grow(x.len()));
                    transpose((mixed, tokens), (mixed_rows, channels), channels, count);
                    layer.finish(mixed_rows, out_rows, scratch);
                    rows_to_tile(out_rows, channels, x);
                    (scratch.mixed, scratch.out) = (rows, out);
                });
            });
        });
        self.watch.cancel.check()
    }

    /// The last layer, for the first token of each text alone.
    fn first_rows(
        &self,
        layer: &Layer,
        scratch: &mut M2BertScratch,
    ) -> Result<Vec<f32>, Cancelled> {
        self.project(layer, scratch, WantedRows::First)?;
        let Activations { x, gated, gate, .. } = &scratch.activations;
        let mixed = layer.mix_first(self.texts.length, Signals { x, gated, gate });
        self.watch.cancel.check()?;
        let mut rows = vec![0.0; mixed.len()];
        with_scratch(&scratch.tiles, |scratch| layer.finish(&mixed, &mut rows, scratch));
        Ok(rows)
    }

    /// Copies the wanted rows out of tiles.
    fn rows(&self, x: &AlignedBuffer, wanted: WantedRows) -> Vec<f32> {
        let channels = self.model.channels;
        let mut rows = vec![0.0; x.len()];
        let texts = rows.par_chunks_mut(self.text_len()).zip(x.par_chunks(self.text_len()));
        texts.for_each(|(rows, x)| {
            let tiles = rows.par_chunks_mut(self.tile_len()).zip(x.par_chunks(self.tile_len()));
            tiles.for_each(|(rows, tile)| tile_to_rows(tile, channels, rows));
        });
        match wanted {
            WantedRows::All => rows,
            WantedRows::First => {
                let texts = rows.chunks_exact(self.text_len());
                texts.flat_map(|rows| rows[..channels].to_vec()).collect()
            }
        }
    }
}

/// Lends one of the scratches that wait in `pool`, or a new one.
fn with_scratch<T: Default, R>(pool: &Mutex<Vec<T>>, work: impl FnOnce(&mut T) -> R) -> R {
    let mut scratch = pool.lock().pop().unwrap_or_default();
    let result = work(&mut scratch);
    pool.lock().push(scratch);
    result
}
