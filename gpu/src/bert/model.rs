//! A model in the memory of a device.

use std::sync::{Arc, Mutex, PoisonError};

use super::shape::Packed;
use super::workspace::Buffers;
use super::{BertBatch, BertShape};
use crate::backend::download;
use crate::codes::THREADS;
use crate::start::{Blocks, multiply, start, start_rows};
use crate::weights::{Linear, Loader, Norm, check_count};
use crate::{Arg, Backend, DeviceBuffer, GpuError, Kernel, Matrix};

/// Pairs of halves that a thread activates, as in bert.cu.
const PAIRS: usize = 8;

/// A model of BERT's family, ready to run. One batch runs at a time.
#[derive(Debug)]
pub struct GpuBert {
    backend: Arc<dyn Backend>,
    shape: BertShape,
    words: DeviceBuffer,
    positions: DeviceBuffer,
    types: Option<DeviceBuffer>,
    norm: Norm,
    projection: Option<Linear>,
    distances: Option<DeviceBuffer>,
    layers: Vec<Layer>,
    memory_bytes: u64,
    buffers: Mutex<Option<Buffers>>,
}

#[derive(Debug)]
struct Layer {
    qkv: Linear,
    output: Linear,
    output_norm: Norm,
    widen: Linear,
    narrow: Linear,
    narrow_norm: Norm,
}

impl GpuBert {
    /// Copies a model to a device. `read` gives its tensors by the names that BERT's own checkpoints have
    /// (`encoder.layer.0.attention.self.query.weight`), each of as many numbers as the shape says; a model whose tables
    /// are narrower than its rows also has `embeddings_project`. `distances` is what attention adds to scores before
    /// they are scaled, `[heads, 2 positions - 1]`, from a key as far before its query as there is to one as far behind.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for sizes that no kernel takes, a tensor that is missing or of another size, or a number
    /// beyond 16 bits; [`GpuError::OutOfMemory`]; what the device reports.
    pub fn load(
        backend: Arc<dyn Backend>,
        shape: BertShape,
        distances: Option<&[f32]>,
        read: &dyn Fn(&str) -> Option<Vec<f32>>,
    ) -> Result<Self, GpuError> {
        shape.check()?;
        let mut loader = Loader::new(&*backend, read);
        let BertShape { embedding, hidden, intermediate, .. } = shape;
        let named = |name: &str| format!("embeddings.{name}.weight");
        let positions = shape.first_position + shape.positions;
        let words = loader.halves(&[named("word_embeddings")], shape.vocabulary * embedding)?;
        let positions = loader.halves(&[named("position_embeddings")], positions * embedding)?;
        let types = match shape.types {
            0 => None,
            types => Some(loader.halves(&[named("token_type_embeddings")], types * embedding)?),
        };
        let norm = loader.norm("embeddings.LayerNorm", embedding)?;
        let projection = match embedding == hidden {
            true => None,
            false => Some(loader.linear(&["embeddings_project"], embedding, hidden)?),
        };
        let distances = match distances {
            Some(numbers) => {
                check_count("distances", numbers.len(), shape.heads * shape.distances())?;
                Some(loader.floats(numbers)?)
            }
            None => None,
        };
        let mut layers = Vec::with_capacity(shape.layers);
        for index in 0..shape.layers {
            let name = |part: &str| format!("encoder.layer.{index}.{part}");
            let [query, key, value] =
                ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
            layers.push(Layer {
                qkv: loader.linear(&[&query, &key, &value], hidden, hidden)?,
                output: loader.linear(&[&name("attention.output.dense")], hidden, hidden)?,
                output_norm: loader.norm(&name("attention.output.LayerNorm"), hidden)?,
                widen: loader.linear(&[&name("intermediate.dense")], hidden, intermediate)?,
                narrow: loader.linear(&[&name("output.dense")], intermediate, hidden)?,
                narrow_norm: loader.norm(&name("output.LayerNorm"), hidden)?,
            });
        }
        let memory_bytes = loader.bytes();
        let buffers = Mutex::default();
        Ok(Self {
            backend,
            shape,
            words,
            positions,
            types,
            norm,
            projection,
            distances,
            layers,
            memory_bytes,
            buffers,
        })
    }

    /// Returns the bytes that the weights take on the device.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Runs a batch and returns the last row of each token, `[tokens, hidden]`.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for a token that is not in the tables or a text that is too long; [`GpuError::OutOfMemory`]
    /// for more tokens than fit, after which fewer may; what the device reports.
    pub fn forward(&self, batch: &BertBatch<'_>) -> Result<Vec<f32>, GpuError> {
        let packed = batch.pack(&self.shape)?;
        if packed.tokens.is_empty() {
            return Ok(Vec::new());
        }
        // Buffers hold nothing that a thread that panicked could have left half done.
        let mut kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = packed.tokens.len();
        let buffers = Buffers::at_least(&mut kept, &*self.backend, &self.shape, tokens)?;
        self.backend.send(&buffers.tokens, 0, bytemuck::cast_slice(&packed.tokens))?;
        self.backend.send(&buffers.tiles, 0, bytemuck::cast_slice(&packed.tiles))?;
        Pass { model: self, buffers, packed: &packed, tokens }.run()?;
        // Waits for all of it: the buffers are the next caller's.
        download(&*self.backend, &buffers.rows, tokens * self.shape.hidden)
    }
}

/// One forward pass.
struct Pass<'a> {
    model: &'a GpuBert,
    buffers: &'a Buffers,
    packed: &'a Packed,
    tokens: usize,
}

impl Pass<'_> {
    fn run(&self) -> Result<(), GpuError> {
        let (model, buffers) = (self.model, self.buffers);
        self.embed()?;
        for (index, layer) in model.layers.iter().enumerate() {
            self.multiply(&layer.qkv, &buffers.x, &buffers.broad)?;
            self.attend()?;
            self.multiply(&layer.output, &buffers.context, &buffers.sum)?;
            self.add_and_normalize(&layer.output_norm, false)?;
            self.multiply(&layer.widen, &buffers.x, &buffers.broad)?;
            self.activate()?;
            self.multiply(&layer.narrow, &buffers.broad, &buffers.sum)?;
            self.add_and_normalize(&layer.narrow_norm, index + 1 == model.layers.len())?;
        }
        Ok(())
    }

    fn embed(&self) -> Result<(), GpuError> {
        let (model, buffers) = (self.model, self.buffers);
        let narrow = buffers.embedded.as_ref();
        self.launch_rows(
            Kernel::EmbedTokens,
            &[
                Arg::Buffer(&buffers.tokens),
                Arg::U32(self.tokens as u32),
                Arg::I32(model.shape.embedding as i32),
                Arg::Buffer(&model.words),
                model.types.as_ref().map_or(Arg::Null, Arg::Buffer),
                Arg::Buffer(&model.positions),
                Arg::Buffer(&model.norm.weight),
                Arg::Buffer(&model.norm.bias),
                Arg::F32(model.shape.eps),
                Arg::Buffer(narrow.unwrap_or(&buffers.x)),
            ],
        )?;
        match (&model.projection, narrow) {
            (Some(projection), Some(narrow)) => self.multiply(projection, narrow, &buffers.x),
            _ => Ok(()),
        }
    }

    fn attend(&self) -> Result<(), GpuError> {
        let (shape, buffers) = (&self.model.shape, self.buffers);
        let tiles = self.packed.tiles.len() as u32;
        let scale = std::f32::consts::LOG2_E / (shape.head_dims() as f32).sqrt();
        // Few warps a block: none waits for another, and texts may be short.
        let threads = 64;
        self.launch(
            Kernel::Attend,
            [tiles.div_ceil(threads / 32), shape.heads as u32],
            threads,
            &[
                Arg::Buffer(&buffers.broad),
                self.model.distances.as_ref().map_or(Arg::Null, Arg::Buffer),
                Arg::I32(shape.positions as i32 - 1),
                Arg::Buffer(&buffers.tiles),
                Arg::U32(tiles),
                Arg::I32(shape.hidden as i32),
                Arg::I32(shape.head_dims() as i32),
                Arg::F32(scale),
                Arg::Buffer(&buffers.context),
            ],
        )
    }

    fn add_and_normalize(&self, norm: &Norm, is_last: bool) -> Result<(), GpuError> {
        let (shape, buffers) = (&self.model.shape, self.buffers);
        self.launch_rows(
            Kernel::AddAndNormalize,
            &[
                Arg::Buffer(&buffers.x),
                Arg::Buffer(&buffers.sum),
                Arg::U32(self.tokens as u32),
                Arg::I32(shape.hidden as i32),
                Arg::Buffer(&norm.weight),
                Arg::Buffer(&norm.bias),
                Arg::F32(shape.eps),
                if is_last { Arg::Buffer(&buffers.rows) } else { Arg::Null },
            ],
        )
    }

    fn activate(&self) -> Result<(), GpuError> {
        let pairs = (self.tokens * self.model.shape.intermediate).div_ceil(2);
        let blocks = pairs.div_ceil(PAIRS * THREADS as usize) as u32;
        self.launch(
            Kernel::Activate,
            [blocks, 1],
            THREADS,
            &[
                Arg::Buffer(&self.buffers.broad),
                Arg::U64(pairs as u64),
                Arg::I32(self.model.shape.activation.number()),
            ],
        )
    }

    fn multiply(
        &self,
        layer: &Linear,
        a: &DeviceBuffer,
        out: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        let matrices = (Matrix::whole(a, layer.inputs), Matrix::whole(out, layer.outputs));
        multiply(&*self.model.backend, layer, matrices, self.tokens, &self.buffers.scratch)
    }

    /// Starts a kernel that takes a warp for each token.
    fn launch_rows(&self, kernel: Kernel, args: &[Arg<'_>]) -> Result<(), GpuError> {
        start_rows(&*self.model.backend, kernel, self.tokens, args)
    }

    fn launch(
        &self,
        kernel: Kernel,
        grid: [u32; 2],
        threads: u32,
        args: &[Arg<'_>],
    ) -> Result<(), GpuError> {
        start(&*self.model.backend, kernel, Blocks::new(grid, threads), args)
    }
}
