//! Steps, one after the other.

use bigrain_binarize::{Recurrent, RecurrentParts, Rotation};
use bigrain_types::{CodeSpaceId, Levels};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::TrainError;
use crate::across::Across;
use crate::adam::{Adam, falling};
use crate::loss::{Contrast, Loss, distillation};
use crate::map::MapGradient;
use crate::matrix::Matrix;
use crate::mining::{self, Shape};
use crate::network::Network;
use crate::queue::Queue;
use crate::random::{below, draw_some, normal};

/// How large the maps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Size {
    /// A matrix each. The default.
    Linear,
    /// And a hidden layer of 128.
    Thin,
    /// And a hidden layer of four times the code's dimensions, as BEBR's.
    Full,
}

impl Size {
    /// Returns the hidden units of a map with so many outputs; 0 for a linear one.
    pub(crate) fn units(self, outputs: usize) -> usize {
        match self {
            Self::Linear => 0,
            Self::Thin => 128,
            Self::Full => 4 * outputs,
        }
    }
}

/// Which wrong documents a query is told apart from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Negatives {
    /// All of the batch.
    All,
    /// So many of the batch, those most similar (BEBR: 5).
    Hardest(usize),
}

/// What a query is compared with codes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryForm {
    /// `W q`, as searches do it but for rounding (ADC).
    Projected,
    /// A code itself, as in BEBR (SDC).
    Coded,
}

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// Bits of each dimension of the code. Default 2.
    pub levels: Levels,
    /// Dimensions of the code, a multiple of 64; those of the rotation without.
    pub code_dims: Option<usize>,
    /// What queries are as they are learned from. Default as searches compare them.
    pub queries: QueryForm,
    /// How large the maps are. Default linear.
    pub size: Size,
    /// The seed of the rotation that training begins at.
    pub rotation_seed: u64,
    /// Decides batches and hidden layers.
    pub seed: u64,
    /// Batches. Default 1500.
    pub steps: u32,
    /// Queries of each. Default 512.
    pub batch: usize,
    /// Adam's rate, which falls to a tenth along a half cosine. Default 0.0003.
    pub rate: f32,
    /// What cosines are divided by. Default 0.05.
    pub temperature: f32,
    /// Which wrong documents of a batch count. Default all.
    pub negatives: Negatives,
    /// The nearest wrong documents of each query that are looked for in the code index, of which a
    /// step takes one; 0 mines none. Default 5. Without pairs, the shortlist has four times as many.
    pub mined: usize,
    /// Steps between two searches of the code index. Default 500.
    pub mine_every: u32,
    /// Decay of the exponential mean of the weights, which is exported in their place; 0 keeps none.
    /// Default 0.
    pub averaging: f32,
    /// Documents of earlier batches that queries are told apart from beside those of their own, by what the
    /// averaged weights made of them (BEBR's momentum queue); takes averaging and pairs. At most
    /// 131,072; 0 has none. Default 0.
    pub queue: usize,
}

/// Rows of a queue at most: a batch has a score of each in memory.
const MAX_QUEUE: usize = 1 << 17;

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            levels: Levels::TWO,
            code_dims: None,
            queries: QueryForm::Projected,
            size: Size::Linear,
            rotation_seed: 0x6269_6772_6169_6e31,
            seed: 1,
            steps: 1500,
            batch: 512,
            rate: 3e-4,
            temperature: 0.05,
            negatives: Negatives::All,
            mined: 5,
            mine_every: 500,
            averaging: 0.0,
            queue: 0,
        }
    }
}

impl TrainConfig {
    fn validate(&self) -> Result<(), TrainError> {
        check_descent(self.batch, self.steps, self.rate, self.temperature)?;
        if self.mine_every == 0 {
            return Err(TrainError::setting("mine_every", "1 or more", &self.mine_every));
        }
        if !(0.0..1.0).contains(&self.averaging) {
            return Err(TrainError::setting("averaging", "0 to 1, without 1", &self.averaging));
        }
        if self.queue > MAX_QUEUE {
            return Err(TrainError::setting("queue", "0 to 131072", &self.queue));
        }
        if self.queue > 0 && self.averaging == 0.0 {
            let expected = "0 without averaging, whose weights make its codes";
            return Err(TrainError::setting("queue", expected, &self.queue));
        }
        if self.negatives == Negatives::Hardest(0) {
            return Err(TrainError::setting("negatives", "1 or more", &0));
        }
        Ok(())
    }
}

/// Refuses a version that cannot be gone on from.
pub(crate) fn check_linear(parent: &Recurrent) -> Result<(), TrainError> {
    let RecurrentParts { first, loops, .. } = parent.parts();
    let loops = loops.iter().flat_map(|each| [&each.rebuild, &each.residual]);
    if std::iter::once(first).chain(loops).any(|map| map.hidden.is_some()) {
        let reason = "it has hidden layers, and only linear maps are gone on from";
        return Err(TrainError::Parent(reason.to_owned()));
    }
    Ok(())
}

/// Refuses settings that no training by batches of a contrast has.
pub(crate) fn check_descent(
    batch: usize,
    steps: u32,
    rate: f32,
    temperature: f32,
) -> Result<(), TrainError> {
    if batch < 2 {
        return Err(TrainError::setting("batch", "2 or more", &batch));
    }
    if steps == 0 {
        return Err(TrainError::setting("steps", "1 or more", &steps));
    }
    if !(rate > 0.0 && rate < 1.0) {
        return Err(TrainError::setting("rate", "above 0, below 1", &rate));
    }
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(TrainError::setting("temperature", "above 0", &temperature));
    }
    Ok(())
}

/// What is learned from: vectors of length one, side by side.
#[derive(Clone, Copy, Debug)]
pub struct Examples<'a> {
    /// Components of each vector.
    pub dims: usize,
    /// Documents.
    pub documents: &'a [f32],
    /// Queries; none where there are no pairs, and documents take their part.
    pub queries: &'a [f32],
    /// The right document of each query.
    pub right: &'a [u32],
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Steps done, from 1.
    pub step: u32,
    /// The loss of its batch.
    pub loss: f64,
    /// Whether the next step begins by searching the code index: the moment to keep a checkpoint.
    pub settled: bool,
}

/// A training, between two steps.
#[derive(Debug)]
pub struct Trainer<'a> {
    pub(crate) config: TrainConfig,
    examples: Examples<'a>,
    pub(crate) shape: Shape,
    pub(crate) network: Network,
    parent: Option<Parental<'a>>,
    pub(crate) averaged: Option<Network>,
    pub(crate) queue: Option<Queue>,
    pub(crate) adam: Adam,
    pub(crate) step: u32,
    /// The nearest wrong documents of each query; without pairs, of each of the documents below.
    mined: Vec<Vec<u32>>,
    /// Without pairs, the documents that take the part of queries until the index is searched again.
    asked: Vec<u32>,
}

/// The version before, whose codes are the documents' side of a part of the loss.
#[derive(Debug)]
pub(crate) struct Parental<'a> {
    pub id: CodeSpaceId,
    pub network: Network,
    /// What its encoder makes of the documents, where that is another one.
    pub across: Option<Across<'a>>,
}

impl<'a> Trainer<'a> {
    /// Begins at the codes of the rotation.
    ///
    /// # Errors
    ///
    /// [`TrainError`] for settings out of range, or examples that do not fit together.
    pub fn new(config: TrainConfig, examples: Examples<'a>) -> Result<Self, TrainError> {
        config.validate()?;
        examples.check(config.mined)?;
        if config.queue > 0 && examples.queries.is_empty() {
            let reason = "a queue holds wrong documents of queries, and there are no pairs";
            return Err(TrainError::Input(reason.to_owned()));
        }
        let rotation = Rotation::new(examples.dims, config.rotation_seed)
            .map_err(|error| TrainError::Binarizer(error.into()))?;
        let code_dims = config.code_dims.unwrap_or(rotation.rotated_dims());
        let (dims, levels, rotation_seed) = (examples.dims, config.levels, config.rotation_seed);
        let shape = Shape { dims, code_dims, levels, rotation_seed };
        if code_dims == 0 || code_dims > rotation.rotated_dims() || !code_dims.is_multiple_of(64) {
            return Err(TrainError::Setting {
                name: "code_dims",
                expected: "a multiple of 64, at most the embedding's dimensions rounded up to one",
                actual: code_dims.to_string(),
            });
        }
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        let mut draw = || normal(&mut random);
        let units = config.size.units(code_dims);
        let network = Network::new(&rotation, code_dims, levels, units, &mut draw);
        let tensors = network.maps.iter().flat_map(|map| map.tensors());
        let adam = Adam::new(tensors.map(<[f32]>::len));
        let averaged = (config.averaging > 0.0).then(|| network.clone());
        let queue = (config.queue > 0).then(|| Queue::new(config.queue, code_dims));
        let (mined, asked, parent) = (Vec::new(), Vec::new(), None);
        Ok(Self {
            config,
            examples,
            shape,
            network,
            parent,
            averaged,
            queue,
            adam,
            step: 0,
            mined,
            asked,
        })
    }

    /// Begins at the codes of an earlier version, and learns queries that find documents by the codes of both
    /// (backward-compatible training, BEBR): to the loss is added that of the new queries with the
    /// old codes of their documents, which do not change.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`TrainError::Parent`] for a version of another shape or rotation, or one
    /// with hidden layers.
    pub fn compatible(
        mut config: TrainConfig,
        examples: Examples<'a>,
        parent: &Recurrent,
    ) -> Result<Self, TrainError> {
        let parts = parent.parts();
        config.code_dims = config.code_dims.or(Some(parts.code_dims));
        config.rotation_seed = parts.seed;
        let mut trainer = Self::new(config, examples)?;
        let Shape { dims, code_dims, levels, .. } = trainer.shape;
        if (parts.dims, parts.code_dims, parts.levels) != (dims, code_dims, levels) {
            let shape = |dims, code, levels: Levels| {
                format!("{dims} components to {code} dimensions of {} level(s)", levels.get())
            };
            let (ours, theirs) =
                (shape(dims, code_dims, levels), shape(parts.dims, parts.code_dims, parts.levels));
            return Err(TrainError::Parent(format!("it takes {theirs}, the new one {ours}")));
        }
        check_linear(parent)?;
        trainer.network.start_from(parent);
        let mut network = trainer.network.clone();
        network.maps.iter_mut().for_each(|map| map.hidden = None);
        trainer.follow(Parental { id: parent.id(), network, across: None });
        Ok(trainer)
    }

    /// Goes on from where its network is put, beside the codes of an earlier version.
    pub(crate) fn follow(&mut self, parent: Parental<'a>) {
        self.averaged = self.averaged.take().map(|_| self.network.clone());
        self.parent = Some(parent);
    }

    /// Returns what joins the encoder with that of the earlier version, where that is another one: `d' x d`, row
    /// after row.
    #[must_use]
    pub fn translation(&self) -> Option<&[f32]> {
        let across = self.parent.as_ref()?.across.as_ref()?;
        Some(&across.to_former.values)
    }

    /// Returns the code space of the earlier version that the training is compatible with.
    #[must_use]
    pub fn parent(&self) -> Option<CodeSpaceId> {
        self.parent.as_ref().map(|parent| parent.id)
    }

    /// Returns how many steps are done.
    #[must_use]
    pub fn step(&self) -> u32 {
        self.step
    }

    /// Whether all steps are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.step >= self.config.steps
    }

    /// Takes one step, on the current thread pool.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diverged`] when the loss is no longer finite.
    pub fn advance(&mut self) -> Result<StepReport, TrainError> {
        let mines = self.config.mined > 0 || self.examples.queries.is_empty();
        if mines && self.step.is_multiple_of(self.config.mine_every) {
            self.mine()?;
        }
        // A stream of its own for each step, so that a training that goes on draws the same.
        let mut random = ChaCha8Rng::seed_from_u64(self.config.seed);
        random.set_stream(u64::from(self.step) + 1);
        let (value, gradients) = if self.examples.queries.is_empty() {
            self.distil(&mut random)
        } else {
            self.contrast(&mut random)
        };
        self.step += 1;
        if !value.is_finite() {
            return Err(TrainError::Diverged { step: self.step });
        }
        self.descend(&gradients);
        let settled = self.step.is_multiple_of(self.config.mine_every);
        Ok(StepReport { step: self.step, loss: value, settled })
    }

    /// Returns the binarizer as it is, its scores not fitted.
    ///
    /// # Errors
    ///
    /// [`TrainError::Recurrent`] for weights that are not finite.
    pub fn export(&self) -> Result<Recurrent, TrainError> {
        mining::export(self.averaged.as_ref().unwrap_or(&self.network), self.shape)
    }

    pub(crate) fn examples(&self) -> &Examples<'a> {
        &self.examples
    }

    fn mine(&mut self) -> Result<(), TrainError> {
        let Examples { documents, queries, right, dims } = self.examples;
        let asked: Vec<f32>;
        let (queries, except, limit) = if queries.is_empty() {
            // As many as the steps until the next search can draw, each once.
            let count = self.lists_per_step().saturating_mul(self.config.mine_every as usize);
            let mut random = ChaCha8Rng::seed_from_u64(self.config.seed);
            random.set_stream(u64::MAX - u64::from(self.step));
            let drawn = draw_some(self.examples.document_count(), count, &mut random);
            self.asked = drawn.iter().map(|&at| at as u32).collect();
            let row = |at: usize| &documents[at * dims..(at + 1) * dims];
            asked = drawn.iter().flat_map(|&at| row(at)).copied().collect();
            (&asked[..], &self.asked[..], self.config.mined.max(1) * 4)
        } else {
            (queries, right, self.config.mined)
        };
        self.mined = mining::nearest(&self.network, self.shape, documents, queries, except, limit)?;
        Ok(())
    }

    /// Returns how many shortlists a step without pairs learns from: they are long, so that fewer make as
    /// many rows.
    fn lists_per_step(&self) -> usize {
        (self.config.batch / 8).max(2)
    }

    /// One batch of pairs: queries, their documents, and a mined one for each.
    fn contrast(&mut self, random: &mut ChaCha8Rng) -> (f64, Vec<MapGradient>) {
        let right = self.examples.right;
        let chosen = draw_some(right.len(), self.config.batch, random);
        let of_query: Vec<u32> = chosen.iter().map(|&query| right[query]).collect();
        let mut documents = of_query.clone();
        for &query in &chosen {
            if let Some(mined) = self.mined.get(query).filter(|mined| !mined.is_empty()) {
                documents.push(mined[below(mined.len(), random)]);
            }
        }
        let asked = self.examples.queries(&chosen);
        let rows = self.rows(&documents);
        let learned = documents.len();
        documents.extend(self.queue.iter().flat_map(Queue::documents));
        let contrast = Contrast {
            temperature: self.config.temperature,
            hardest: match self.config.negatives {
                Negatives::All => None,
                Negatives::Hardest(count) => Some(count),
            },
            of_query: &of_query,
            documents: &documents,
            learned,
        };
        let passed =
            self.pass(&asked, &rows, |queries, documents| contrast.loss(queries, documents));
        if let (Some(queue), Some(averaged)) = (&mut self.queue, &mut self.averaged) {
            // The running statistics that this changes are replaced when the weights descend.
            queue.push(&documents[..learned], &averaged.forward(&rows[0]).codes);
        }
        passed
    }

    /// One batch of documents with their shortlists.
    fn distil(&mut self, random: &mut ChaCha8Rng) -> (f64, Vec<MapGradient>) {
        let dims = self.examples.dims;
        let chosen = draw_some(self.mined.len(), self.lists_per_step(), random);
        let row = |at: usize| &self.examples.documents[at * dims..(at + 1) * dims];
        let (mut documents, mut lists, mut floats) = (Vec::new(), Vec::new(), Vec::new());
        for &query in &chosen {
            let list = &self.mined[query];
            lists.push((documents.len()..documents.len() + list.len()).collect::<Vec<usize>>());
            let asked = row(self.asked[query] as usize);
            let score = |&at: &u32| bigrain_kernels::dot(asked, row(at as usize));
            floats.push(list.iter().map(score).collect::<Vec<f32>>());
            documents.extend_from_slice(list);
        }
        let asked = chosen.iter().map(|&query| row(self.asked[query] as usize));
        let (asked, rows) = (Matrix::of_rows(dims, asked), self.rows(&documents));
        let temperature = self.config.temperature;
        self.pass(&asked, &rows, |queries, documents| {
            distillation(queries, documents, &lists, &floats, temperature)
        })
    }

    /// Returns documents as the rows of matrices: for the network, and for that of the earlier version.
    fn rows(&self, documents: &[u32]) -> [Matrix; 2] {
        let own = self.examples.documents(documents);
        let former = match &self.parent {
            Some(Parental { across: Some(across), .. }) => across.former.rows(documents),
            Some(_) => own.clone(),
            None => Matrix::default(),
        };
        [own, former]
    }

    /// Forward, loss, backward.
    fn pass(
        &mut self,
        queries: &Matrix,
        [documents, former]: &[Matrix; 2],
        loss: impl Fn(&Matrix, &Matrix) -> Loss,
    ) -> (f64, Vec<MapGradient>) {
        let mut gradients: Vec<MapGradient> =
            self.network.maps.iter().map(MapGradient::zeros).collect();
        let coded = self.network.forward(documents);
        // Old codes have no queue: what is in it are new ones.
        let queued = self.queue.as_ref().map(|queue| queue.behind(&coded.codes));
        let among = queued.as_ref().unwrap_or(&coded.codes);
        let old = self.parent.as_mut().map(|parent| parent.network.forward(former).codes);
        // The old codes stay what they are: of their loss only the queries' side counts.
        let both = |asked: &Matrix| {
            let mut loss_of_both = loss(asked, among);
            if let Some(old) = &old {
                let crossed = loss(asked, old);
                loss_of_both.value += crossed.value;
                loss_of_both.queries.add_scaled(&crossed.queries, 1.0);
            }
            loss_of_both
        };
        let loss = match self.config.queries {
            QueryForm::Projected => {
                let asked = self.network.project(queries);
                let loss = both(&asked.projected);
                self.network.project_backward(&asked, loss.queries.clone(), &mut gradients);
                loss
            }
            QueryForm::Coded => {
                let asked = self.network.forward(queries);
                let loss = both(&asked.codes);
                self.network.backward(&asked, loss.queries.clone(), &mut gradients);
                loss
            }
        };
        self.network.backward(&coded, loss.documents, &mut gradients);
        (loss.value, gradients)
    }

    fn descend(&mut self, gradients: &[MapGradient]) {
        let rate = falling(self.config.rate, self.step, self.config.steps);
        let tensors = self.network.maps.iter_mut().flat_map(|map| map.tensors_mut());
        let gradients = gradients.iter().flat_map(|gradient| &gradient.0);
        for (index, (tensor, gradient)) in tensors.zip(gradients).enumerate() {
            self.adam.step(index, tensor, gradient, rate, self.step);
        }
        if let Some(averaged) = &mut self.averaged {
            let decay = self.config.averaging;
            for (mean, map) in averaged.maps.iter_mut().zip(&mut self.network.maps) {
                let new = map.tensors().into_iter();
                for (mean, new) in mean.tensors_mut().into_iter().zip(new) {
                    mean.iter_mut().zip(new).for_each(|(m, x)| *m = decay * *m + (1.0 - decay) * x);
                }
                let new = map.statistics_mut().into_iter();
                mean.statistics_mut().into_iter().zip(new).for_each(|(m, x)| m.clone_from(x));
            }
        }
    }
}

impl Examples<'_> {
    /// Returns documents as the rows of a matrix.
    pub(crate) fn documents(&self, documents: &[u32]) -> Matrix {
        let Self { documents: rows, dims, .. } = *self;
        let row = |&at: &u32| &rows[at as usize * dims..(at as usize + 1) * dims];
        Matrix::of_rows(dims, documents.iter().map(row))
    }

    /// Returns queries as the rows of a matrix.
    pub(crate) fn queries(&self, queries: &[usize]) -> Matrix {
        let Self { queries: rows, dims, .. } = *self;
        Matrix::of_rows(dims, queries.iter().map(|&at| &rows[at * dims..(at + 1) * dims]))
    }

    pub(crate) fn document_count(&self) -> usize {
        self.documents.len() / self.dims.max(1)
    }

    pub(crate) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        for values in [self.documents, self.queries] {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            hasher.update(&bytes.collect::<Vec<u8>>());
        }
        let bytes = self.right.iter().flat_map(|right| right.to_le_bytes());
        hasher.update(&bytes.collect::<Vec<u8>>());
    }

    pub(crate) fn check(&self, mined: usize) -> Result<(), TrainError> {
        let refuse = |reason: String| Err(TrainError::Input(reason));
        let dims = self.dims.max(1);
        if !self.documents.len().is_multiple_of(dims) || !self.queries.len().is_multiple_of(dims) {
            return refuse(format!("rows are not whole vectors of {dims} components"));
        }
        let documents = self.document_count();
        if documents < 2.max(mined + 1) {
            return refuse(format!("too few documents to tell apart: {documents}"));
        }
        let queries = self.queries.len() / dims;
        if queries != self.right.len() {
            let right = self.right.len();
            return refuse(format!("{queries} queries have {right} right documents"));
        }
        if queries == 1 {
            return refuse("one query cannot be told from others".to_owned());
        }
        match self.right.iter().find(|&&right| right as usize >= documents) {
            Some(right) => refuse(format!("there is no document {right} of {documents}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
