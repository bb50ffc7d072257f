//! A model in the memory of a device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::workspace::{Buffers, Needed, WIDE_TOKENS};
use super::{M2BertBatch, M2BertRows, M2BertShape};
use crate::backend::download;
use crate::codes::THREADS;
use crate::long_conv::{Convolution, LongConv};
use crate::start::{Blocks, multiply, start, start_rows};
use crate::weights::{Linear, Loader, Norm, check_count};
use crate::{Arg, Backend, DeviceBuffer, GpuError, Kernel, LongConvPlan, Matrix};

/// Tokens and channels of a tile, as in m2_bert.cu.
const TILE: usize = 32;

/// An M2-BERT model, ready to run. One batch runs at a time.
#[derive(Debug)]
pub struct GpuM2Bert {
    backend: Arc<dyn Backend>,
    shape: M2BertShape,
    words: DeviceBuffer,
    positions: DeviceBuffer,
    types: DeviceBuffer,
    norm: Norm,
    layers: Vec<Layer>,
    memory_bytes: u64,
    /// By the length of texts.
    filters: Mutex<HashMap<usize, Arc<Filters>>>,
    buffers: Mutex<Option<Buffers>>,
}

#[derive(Debug)]
struct Layer {
    /// To x1, x2 and v.
    projections: Linear,
    taps: DeviceBuffer,
    taps_bias: DeviceBuffer,
    output: Linear,
    /// The blocks of both layers of the feed-forward block.
    widen: Vec<Linear>,
    narrow: Vec<Linear>,
    norm: Norm,
}

/// The filters of all layers for texts of one length.
#[derive(Debug)]
struct Filters {
    conv: LongConv,
    spectra: Vec<DeviceBuffer>,
}

impl GpuM2Bert {
    /// Copies a model to a device. `read` gives its tensors by the names that the published checkpoints have
    /// (`encoder.layer.0.attention.in_linear.weight`), each of as many numbers as the shape says. Tensors of filters are
    /// not read: [`GpuM2Bert::prepare`] takes what they give.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for sizes that no kernel takes, a tensor that is missing or of another size, or a number
    /// beyond 16 bits; [`GpuError::OutOfMemory`]; what the device reports.
    pub fn load(
        backend: Arc<dyn Backend>,
        shape: M2BertShape,
        read: &dyn Fn(&str) -> Option<Vec<f32>>,
    ) -> Result<Self, GpuError> {
        shape.check()?;
        let mut loader = Loader::new(&*backend, read);
        let hidden = shape.hidden;
        let mut table = |name: &str, rows: usize| {
            loader.halves(&[format!("embeddings.{name}_embeddings.weight")], rows * hidden)
        };
        let words = table("word", shape.vocabulary)?;
        let positions = table("position", shape.positions)?;
        let types = table("token_type", shape.types)?;
        let norm = loader.norm("embeddings.LayerNorm", hidden)?;
        let layers = (0..shape.layers)
            .map(|index| Layer::load(&mut loader, &shape, index))
            .collect::<Result<_, _>>()?;
        let memory_bytes = loader.bytes();
        let (filters, buffers) = (Mutex::default(), Mutex::default());
        Ok(Self {
            backend,
            shape,
            words,
            positions,
            types,
            norm,
            layers,
            memory_bytes,
            filters,
            buffers,
        })
    }

    /// Returns the bytes that the weights take on the device, without filters.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Returns the bytes that filters for texts of `length` tokens take: about 16 for each token, channel and layer.
    ///
    /// # Errors
    ///
    /// As [`LongConvPlan::new`].
    pub fn filter_bytes(&self, length: usize) -> Result<u64, GpuError> {
        let of_channel = LongConvPlan::new(length)?.spectra_bytes() as u64;
        Ok(of_channel * (self.shape.hidden * self.shape.layers) as u64)
    }

    /// Makes the model ready for texts of `length` tokens, if it is not. `filters` gives both filters of every channel of a
    /// layer, `[channels, size]` with the size of [`LongConvPlan::new`]: by distance modulo it, that of `v x1` first. It
    /// is asked once for each layer, and not at all if they do not fit.
    ///
    /// # Errors
    ///
    /// [`GpuError::OutOfMemory`]; [`GpuError::Shape`] for a length that no kernel or model takes, and for filters of
    /// another size; what the device reports.
    pub fn prepare(
        &self,
        length: usize,
        filters: &dyn Fn(usize) -> Vec<[f32; 2]>,
    ) -> Result<(), GpuError> {
        if self.prepared().contains_key(&length) {
            return Ok(());
        }
        let M2BertShape { positions, hidden, layers, .. } = self.shape;
        if length > positions {
            return Err(GpuError::Shape(format!(
                "texts of {length} tokens: the model takes 1 to {positions}"
            )));
        }
        let (backend, plan) = (&*self.backend, LongConvPlan::new(length)?);
        let what = "filters of a model";
        let (needed, free) = (self.filter_bytes(length)?, backend.free_bytes()?);
        if needed > free {
            return Err(GpuError::OutOfMemory { what, needed, free });
        }
        let bytes = hidden * plan.spectra_bytes();
        let spectra: Vec<DeviceBuffer> =
            (0..layers).map(|_| backend.allocate(what, bytes)).collect::<Result<_, _>>()?;
        let conv = LongConv::new(backend, plan)?;
        for (layer, spectra) in spectra.iter().enumerate() {
            let filters = filters(layer);
            let name = format!("filters of layer {layer}");
            check_count(&name, filters.len(), hidden * plan.size())?;
            conv.load_filters(backend, &filters, spectra)?;
        }
        // Waits for all of it: other threads' work does not.
        backend.finish()?;
        // The lock was not held meanwhile: whoever computes filters may do other work of its pool while it waits for it, and
        // so come here again. Two callers may do it at once, and get the same.
        self.prepared().insert(length, Arc::new(Filters { conv, spectra }));
        Ok(())
    }

    fn prepared(&self) -> MutexGuard<'_, HashMap<usize, Arc<Filters>>> {
        // What was prepared stays good if another thread panicked.
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a batch and returns the last rows that are wanted, `[texts, hidden]` or `[texts, length, hidden]`.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for a token that is not in the tables, or a length that the model was not prepared for;
    /// [`GpuError::OutOfMemory`] for more tokens than fit, after which fewer may; what the device reports.
    pub fn forward(&self, batch: &M2BertBatch<'_>) -> Result<Vec<f32>, GpuError> {
        let tokens = batch.tokens(&self.shape)?;
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let filters = self.prepared().get(&batch.length).map(Arc::clone);
        let length = batch.length;
        let missing = || GpuError::Shape(format!("no filters for texts of {length} tokens"));
        let filters = filters.ok_or_else(missing)?;
        let texts = batch.texts();
        let transform_bytes = filters.conv.scratch_bytes(self.shape.hidden * texts);
        let needed = Needed { tokens: tokens.len(), transform_bytes };
        // Buffers hold nothing that a thread that panicked could have left half done.
        let mut kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let buffers = Buffers::at_least(&mut kept, &*self.backend, &self.shape, needed)?;
        self.backend.send(&buffers.tokens, 0, bytemuck::cast_slice(&tokens))?;
        let wanted = match batch.wanted {
            M2BertRows::First => 1,
            M2BertRows::All => batch.length,
        };
        let pass = Pass { model: self, filters: &filters, buffers, tokens: tokens.len(), texts };
        pass.run(wanted)?;
        // Waits for all of it: the buffers are the next caller's.
        download(&*self.backend, &buffers.rows, texts * wanted * self.shape.hidden)
    }
}

impl Layer {
    fn load(loader: &mut Loader<'_>, shape: &M2BertShape, index: usize) -> Result<Self, GpuError> {
        let M2BertShape { hidden, intermediate, blocks, .. } = *shape;
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let [taps, taps_bias] =
            [("weight", 9 * hidden), ("bias", 3 * hidden)].map(|(part, count)| {
                loader.tensor(&name(&format!("attention.short_filter.{part}")), count)
            });
        let (inner, wide) = (hidden / blocks, intermediate / blocks);
        let narrow_bias = name("mlp.wo.bias");
        Ok(Self {
            projections: loader.linear(&[&name("attention.in_linear")], hidden, 3 * hidden)?,
            taps: loader.floats(&taps?)?,
            taps_bias: loader.floats(&taps_bias?)?,
            output: loader.linear(&[&name("attention.out_linear")], hidden, hidden)?,
            widen: loader.blocks(
                (&name("mlp.gated_layers.weight"), None),
                blocks,
                (inner, 2 * wide),
            )?,
            narrow: loader.blocks(
                (&name("mlp.wo.weight"), Some(&narrow_bias)),
                blocks,
                (wide, inner),
            )?,
            norm: loader.norm(&name("mlp.layernorm"), hidden)?,
        })
    }
}

/// One forward pass.
struct Pass<'a> {
    model: &'a GpuM2Bert,
    filters: &'a Filters,
    buffers: &'a Buffers,
    tokens: usize,
    texts: usize,
}

impl Pass<'_> {
    /// `wanted` is how many of the first tokens of each text have rows in the end.
    fn run(&self, wanted: usize) -> Result<(), GpuError> {
        let (model, buffers) = (self.model, self.buffers);
        self.embed()?;
        let layers = model.layers.iter().zip(&self.filters.spectra).enumerate();
        for (index, (layer, spectra)) in layers {
            let is_last = index + 1 == model.layers.len();
            let wanted = if is_last { wanted } else { self.tokens / self.texts };
            let rows = self.texts * wanted;
            self.multiply(&layer.projections, (&buffers.x, &buffers.broad), self.tokens)?;
            self.split(layer)?;
            self.convolve(spectra)?;
            self.gather(wanted)?;
            self.multiply(&layer.output, (&buffers.broad, &buffers.x), rows)?;
            for first in (0..rows).step_by(WIDE_TOKENS) {
                self.feed_forward(layer, first, WIDE_TOKENS.min(rows - first))?;
            }
            self.add_and_normalize(&layer.norm, rows, is_last)?;
        }
        Ok(())
    }

    fn embed(&self) -> Result<(), GpuError> {
        let (model, buffers) = (self.model, self.buffers);
        start_rows(
            &*model.backend,
            Kernel::EmbedTokens,
            self.tokens,
            &[
                Arg::Buffer(&buffers.tokens),
                Arg::U32(self.tokens as u32),
                Arg::I32(model.shape.hidden as i32),
                Arg::Buffer(&model.words),
                Arg::Buffer(&model.types),
                Arg::Buffer(&model.positions),
                Arg::Buffer(&model.norm.weight),
                Arg::Buffer(&model.norm.bias),
                Arg::F32(model.shape.eps),
                Arg::Buffer(&buffers.x),
            ],
        )
    }

    fn split(&self, layer: &Layer) -> Result<(), GpuError> {
        let buffers = self.buffers;
        start(
            &*self.model.backend,
            Kernel::SplitSignals,
            self.tiles(self.tokens),
            &[
                Arg::Buffer(&buffers.broad),
                Arg::Buffer(&buffers.x),
                Arg::Buffer(&layer.taps),
                Arg::Buffer(&layer.taps_bias),
                Arg::U32(self.tokens as u32),
                Arg::U32((self.tokens / self.texts) as u32),
                Arg::U32(self.model.shape.hidden as u32),
                Arg::Buffer(&buffers.signals),
                Arg::Buffer(&buffers.gate),
            ],
        )
    }

    fn convolve(&self, spectra: &DeviceBuffer) -> Result<(), GpuError> {
        let Buffers { signals, gate, transforms: scratch, .. } = self.buffers;
        let (channels, texts) = (self.model.shape.hidden, self.texts);
        let what = Convolution { signals, spectra, gate, scratch, channels, texts };
        self.filters.conv.convolve(&*self.model.backend, &what)
    }

    fn gather(&self, wanted: usize) -> Result<(), GpuError> {
        let rows = self.texts * wanted;
        start(
            &*self.model.backend,
            Kernel::GatherRows,
            self.tiles(rows),
            &[
                Arg::Buffer(&self.buffers.gate),
                Arg::U32(rows as u32),
                Arg::U32(self.tokens as u32),
                Arg::U32((self.tokens / self.texts) as u32),
                Arg::U32(wanted as u32),
                Arg::U32(self.model.shape.hidden as u32),
                Arg::Buffer(&self.buffers.broad),
            ],
        )
    }

    /// The feed-forward block of some rows: from x to sum.
    fn feed_forward(&self, layer: &Layer, first: usize, rows: usize) -> Result<(), GpuError> {
        let (backend, buffers) = (&*self.model.backend, self.buffers);
        let M2BertShape { hidden, intermediate, .. } = self.model.shape;
        let scratch = &buffers.scratch;
        for (index, block) in layer.widen.iter().enumerate() {
            let at = first * hidden + index * block.inputs;
            let a = Matrix { buffer: &buffers.x, at, stride: hidden };
            let (at, stride) = (index * block.outputs, 2 * intermediate);
            let out = Matrix { buffer: &buffers.broad, at, stride };
            multiply(backend, block, (a, out), rows, scratch)?;
        }
        let pairs = intermediate / 2;
        let threads = (pairs as u32).next_multiple_of(32).min(THREADS);
        let blocks = Blocks::new([rows as u32, 1], threads);
        let args =
            [Arg::Buffer(&buffers.broad), Arg::I32(pairs as i32), Arg::Buffer(&buffers.gated)];
        start(backend, Kernel::GateValues, blocks, &args)?;
        for (index, block) in layer.narrow.iter().enumerate() {
            let at = index * block.inputs;
            let a = Matrix { buffer: &buffers.gated, at, stride: intermediate };
            let at = first * hidden + index * block.outputs;
            let out = Matrix { buffer: &buffers.sum, at, stride: hidden };
            multiply(backend, block, (a, out), rows, scratch)?;
        }
        Ok(())
    }

    fn add_and_normalize(&self, norm: &Norm, rows: usize, is_last: bool) -> Result<(), GpuError> {
        let (shape, buffers) = (&self.model.shape, self.buffers);
        start_rows(
            &*self.model.backend,
            Kernel::AddAndNormalize,
            rows,
            &[
                Arg::Buffer(&buffers.x),
                Arg::Buffer(&buffers.sum),
                Arg::U32(rows as u32),
                Arg::I32(shape.hidden as i32),
                Arg::Buffer(&norm.weight),
                Arg::Buffer(&norm.bias),
                Arg::F32(shape.eps),
                if is_last { Arg::Buffer(&buffers.rows) } else { Arg::Null },
            ],
        )
    }

    /// Multiplies rows that lie one after the other.
    fn multiply(
        &self,
        layer: &Linear,
        (a, out): (&DeviceBuffer, &DeviceBuffer),
        rows: usize,
    ) -> Result<(), GpuError> {
        let matrices = (Matrix::whole(a, layer.inputs), Matrix::whole(out, layer.outputs));
        multiply(&*self.model.backend, layer, matrices, rows, &self.buffers.scratch)
    }

    /// Blocks for tiles of rows and channels.
    fn tiles(&self, rows: usize) -> Blocks {
        let tiles = |count: usize| count.div_ceil(TILE) as u32;
        Blocks::new([tiles(rows), tiles(self.model.shape.hidden)], THREADS)
    }
}
