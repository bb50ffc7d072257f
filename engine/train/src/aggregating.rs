//! Training of an aggregator: blocks of a document learn how much each counts in its one vector (SEA).
//!
//! ```text
//!  query, as encoded                  --.
//!                                        } contrast over the batch  ->  gradient of the attention
//!  blocks, as encoded --attention--> z --'
//! ```

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::TrainError;
use crate::adam::{Adam, falling};
use crate::attention::{Attention, Blocks};
use crate::checkpoint::{self, Kept, refuse};
use crate::loss::Contrast;
use crate::matrix::Matrix;
use crate::random::{draw_some, normal};
use crate::trainer::{StepReport, check_descent};
use crate::training::Training;

/// Steps between two moments to keep a checkpoint.
const SETTLE_EVERY: u32 = 100;

/// How to train an aggregator.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregatorConfig {
    /// Units between the two layers of the attention; 0 for one layer. Default 0.
    pub hidden: usize,
    /// Whether the mean of the blocks counts beside the attention, by a gain that is learned. Default false.
    pub with_mean: bool,
    /// Decides batches and hidden layers.
    pub seed: u64,
    /// Batches. Default 1000.
    pub steps: u32,
    /// Queries of each. Default 512.
    pub batch: usize,
    /// Adam's rate, which falls to a tenth along a half cosine. Default 0.01.
    pub rate: f32,
    /// What cosines are divided by. Default 0.05.
    pub temperature: f32,
}

impl Default for AggregatorConfig {
    fn default() -> Self {
        Self {
            hidden: 0,
            with_mean: false,
            seed: 1,
            steps: 1000,
            batch: 512,
            rate: 0.01,
            temperature: 0.05,
        }
    }
}

impl AggregatorConfig {
    fn validate(&self) -> Result<(), TrainError> {
        check_descent(self.batch, self.steps, self.rate, self.temperature)?;
        if self.hidden > MAX_HIDDEN {
            return Err(TrainError::setting("hidden", "0 to 4096", &self.hidden));
        }
        Ok(())
    }
}

/// Units of the hidden layer at most.
const MAX_HIDDEN: usize = 4096;

/// What is learned from: vectors of length one, side by side.
#[derive(Clone, Copy, Debug)]
pub struct BlockExamples<'a> {
    /// Components of each vector.
    pub dims: usize,
    /// Blocks, document after document.
    pub blocks: &'a [f32],
    /// The first block of each document, and at the end how many there are: one number more than
    /// documents, each larger than the one before it.
    pub starts: &'a [usize],
    /// Queries.
    pub queries: &'a [f32],
    /// The right document of each query.
    pub right: &'a [u32],
}

/// What was learned, as plain tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AggregatorTensors {
    /// One row of the embedding's dimensions, or those of the hidden layer.
    pub first: Vec<f32>,
    /// Of the hidden layer; none with one layer.
    pub first_bias: Vec<f32>,
    /// Weights of the hidden layer; none with one layer.
    pub second: Vec<f32>,
    /// How much the mean counts beside the attention; none where it does not.
    pub gain: Option<f32>,
}

/// A training of an aggregator, between two steps.
#[derive(Debug)]
pub struct AggregatorTrainer<'a> {
    config: AggregatorConfig,
    examples: BlockExamples<'a>,
    attention: Attention,
    adam: Adam,
    step: u32,
}

impl<'a> AggregatorTrainer<'a> {
    /// Begins at the mean of the blocks.
    ///
    /// # Errors
    ///
    /// [`TrainError`] for settings out of range, or examples that do not fit together.
    pub fn new(config: AggregatorConfig, examples: BlockExamples<'a>) -> Result<Self, TrainError> {
        config.validate()?;
        examples.check()?;
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        let mut draw = || normal(&mut random);
        let attention = Attention::new(examples.dims, config.hidden, config.with_mean, &mut draw);
        let adam = Adam::new(attention.tensors().into_iter().map(Vec::len));
        Ok(Self { config, examples, attention, adam, step: 0 })
    }

    /// Returns what was learned so far.
    #[must_use]
    pub fn tensors(&self) -> AggregatorTensors {
        let Attention { first, first_bias, second, gain } = self.attention.clone();
        AggregatorTensors { first: first.values, first_bias, second, gain: gain.first().copied() }
    }

    /// Forward, loss, backward of some queries.
    fn pass(&self, chosen: &[usize]) -> (f64, [Vec<f32>; 4]) {
        let BlockExamples { dims, queries, right, .. } = self.examples;
        let of_query: Vec<u32> = chosen.iter().map(|&query| right[query]).collect();
        let rows = chosen.iter().map(|&query| &queries[query * dims..(query + 1) * dims]);
        let asked = Matrix::of_rows(dims, rows);
        let blocks = self.examples.blocks_of(&of_query);
        let passed = self.attention.forward(&blocks);
        let contrast = Contrast {
            temperature: self.config.temperature,
            hardest: None,
            of_query: &of_query,
            documents: &of_query,
            learned: of_query.len(),
        };
        let loss = contrast.loss(&asked, &passed.vectors);
        (loss.value, self.attention.backward(&blocks, &passed, loss.documents))
    }

    /// All numbers that a step changes.
    fn kept(&mut self) -> Vec<&mut Vec<f32>> {
        let mut kept: Vec<&mut Vec<f32>> = self.attention.tensors_mut().into_iter().collect();
        kept.extend(&mut self.adam.first);
        kept.extend(&mut self.adam.second);
        kept
    }

    fn fingerprint(&self) -> checkpoint::Fingerprint {
        let settings = format!("{:?} {}", self.config, self.examples.dims);
        checkpoint::fingerprint(&settings, |hasher| self.examples.hash_into(hasher))
    }
}

impl Training for AggregatorTrainer<'_> {
    fn step(&self) -> u32 {
        self.step
    }

    fn is_done(&self) -> bool {
        self.step >= self.config.steps
    }

    fn advance(&mut self) -> Result<StepReport, TrainError> {
        // A stream of its own for each step, so that a training that goes on draws the same.
        let mut random = ChaCha8Rng::seed_from_u64(self.config.seed);
        random.set_stream(u64::from(self.step) + 1);
        let chosen = draw_some(self.examples.right.len(), self.config.batch, &mut random);
        let (loss, gradients) = self.pass(&chosen);
        self.step += 1;
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step: self.step });
        }
        let rate = falling(self.config.rate, self.step, self.config.steps);
        let tensors = self.attention.tensors_mut().into_iter().zip(&gradients).enumerate();
        for (index, (tensor, gradient)) in tensors {
            self.adam.step(index, tensor, gradient, rate, self.step);
        }
        Ok(StepReport { step: self.step, loss, settled: self.step.is_multiple_of(SETTLE_EVERY) })
    }

    fn checkpoint(&mut self) -> Vec<u8> {
        let (step, fingerprint) = (self.step, self.fingerprint());
        checkpoint::write(step, fingerprint, &self.kept(), &[])
    }

    fn resume(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        let numbers = self.kept().iter().map(|tensor| tensor.len()).sum();
        let kept = Kept::read(bytes, self.fingerprint(), numbers)?;
        if !kept.rest.is_empty() {
            return refuse("it is longer than one of this training");
        }
        kept.restore(self.kept());
        self.step = kept.step;
        Ok(())
    }
}

impl BlockExamples<'_> {
    fn blocks_of(&self, documents: &[u32]) -> Blocks {
        let Self { dims, blocks, starts: all, .. } = *self;
        let mut starts = vec![0];
        let of = |&document: &u32| {
            let document = document as usize;
            &blocks[all[document] * dims..all[document + 1] * dims]
        };
        let mut count = 0;
        for rows in documents.iter().map(of) {
            count += rows.len() / dims;
            starts.push(count);
        }
        Blocks { rows: Matrix::of_rows(dims, documents.iter().map(of)), starts }
    }

    fn hash_into(&self, hasher: &mut blake3::Hasher) {
        for values in [self.blocks, self.queries] {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            hasher.update(&bytes.collect::<Vec<u8>>());
        }
        let numbers = self.starts.iter().map(|&start| start as u64);
        let numbers = numbers.chain(self.right.iter().map(|&right| u64::from(right)));
        hasher.update(&numbers.flat_map(u64::to_le_bytes).collect::<Vec<u8>>());
    }

    fn check(&self) -> Result<(), TrainError> {
        let refuse = |reason: String| Err(TrainError::Input(reason));
        let Self { dims, blocks, starts, queries, right } = *self;
        if dims == 0 || !blocks.len().is_multiple_of(dims) || !queries.len().is_multiple_of(dims) {
            return refuse(format!("rows are not whole vectors of {dims} components"));
        }
        let count = blocks.len() / dims;
        if starts.first() != Some(&0) || starts.last() != Some(&count) {
            return refuse(format!("documents do not begin at block 0 and end at block {count}"));
        }
        if let Some(document) = starts.windows(2).position(|ends| ends[0] >= ends[1]) {
            return refuse(format!("document {document} has no blocks"));
        }
        let (documents, asked) = (starts.len() - 1, queries.len() / dims);
        if asked != right.len() {
            return refuse(format!("{asked} queries have {} right documents", right.len()));
        }
        if documents < 2 || asked < 2 {
            let counts = format!("{documents} documents, {asked} queries");
            return refuse(format!("too few to tell apart: {counts}"));
        }
        match right.iter().find(|&&right| right as usize >= documents) {
            Some(right) => refuse(format!("there is no document {right} of {documents}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float_ranks;
    use crate::support::{check_gradient, random};

    const DIMS: usize = 32;

    /// Documents of some blocks, of which one, marked by its first component, says what is asked for.
    struct Toy {
        blocks: Vec<f32>,
        starts: Vec<usize>,
        queries: Vec<f32>,
        right: Vec<u32>,
    }

    impl Toy {
        fn new(documents: usize, seed: u64) -> Self {
            let (telling, noise) =
                (random(documents, DIMS, seed), random(6 * documents, DIMS, seed + 1));
            let (mut blocks, mut starts) = (Vec::new(), vec![0]);
            for document in 0..documents {
                let others = document % 5;
                for other in 0..=others {
                    let row = if other == document % (others + 1) {
                        telling.row(document)
                    } else {
                        noise.row(6 * document + other)
                    };
                    let mut row = row.to_vec();
                    row[0] = if other == document % (others + 1) { 2.0 } else { -2.0 };
                    blocks.extend(row);
                }
                starts.push(blocks.len() / DIMS);
            }
            let mut queries = telling.values;
            queries.chunks_exact_mut(DIMS).for_each(|query| query[0] = 0.0);
            let unit = |values: Vec<f32>| {
                let mut matrix = Matrix { rows: values.len() / DIMS, cols: DIMS, values };
                matrix.normalize_rows();
                matrix.values
            };
            let right = (0..documents as u32).collect();
            Self { blocks: unit(blocks), starts, queries: unit(queries), right }
        }

        fn examples(&self) -> BlockExamples<'_> {
            let Self { blocks, starts, queries, right } = self;
            BlockExamples { dims: DIMS, blocks, starts, queries, right }
        }

        fn firsts(&self, attention: &Attention) -> usize {
            let blocks = self.examples().blocks_of(&self.right);
            let vectors = attention.forward(&blocks).vectors;
            let ranks = float_ranks(DIMS, &vectors.values, &self.queries, &self.right);
            ranks.iter().filter(|&&rank| rank == 0).count()
        }
    }

    fn config(steps: u32) -> AggregatorConfig {
        AggregatorConfig { steps, batch: 32, rate: 0.03, ..AggregatorConfig::default() }
    }

    #[test]
    fn trained_attention_finds_the_block_that_tells_in_documents_it_has_not_seen() {
        let (toy, held_out) = (Toy::new(200, 1), Toy::new(300, 50));
        for (hidden, with_mean) in [(0, false), (8, false), (0, true)] {
            let config = AggregatorConfig { hidden, with_mean, ..config(200) };
            let mut trainer = AggregatorTrainer::new(config, toy.examples()).unwrap();
            let before = held_out.firsts(&trainer.attention);
            while !trainer.is_done() {
                trainer.advance().unwrap();
            }
            let after = held_out.firsts(&trainer.attention);
            assert!(after > before + 20, "{hidden} {with_mean}: {before} before, {after} after");
            let gain = trainer.tensors().gain;
            assert_eq!(gain.is_some(), with_mean);
            assert!(gain.is_none_or(|gain| gain < 0.9), "the mean is of little use: {gain:?}");
        }
    }

    #[test]
    fn the_gradient_of_a_batch_is_that_of_finite_differences() {
        let toy = Toy::new(12, 3);
        for (hidden, with_mean) in [(0, true), (3, false)] {
            let config = AggregatorConfig { hidden, with_mean, temperature: 0.5, ..config(1) };
            let mut trainer = AggregatorTrainer::new(config, toy.examples()).unwrap();
            let mut numbers = random(1, 999, 5).values.into_iter();
            for tensor in trainer.attention.tensors_mut() {
                tensor.iter_mut().for_each(|x| *x += 0.5 * numbers.next().unwrap());
            }
            let chosen = [0, 3, 4, 7, 9, 11];
            let stated = trainer.pass(&chosen).1;
            for (tensor, stated) in stated.iter().enumerate() {
                let values = trainer.attention.tensors()[tensor].clone();
                check_gradient(&values, stated, |values| {
                    let mut attention = trainer.attention.clone();
                    values.clone_into(attention.tensors_mut()[tensor]);
                    let adam = Adam::default();
                    let config = trainer.config.clone();
                    let examples = toy.examples();
                    let moved = AggregatorTrainer { config, examples, attention, adam, step: 0 };
                    moved.pass(&chosen).0
                });
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_tensors_and_a_resumed_training_too() {
        let toy = Toy::new(60, 1);
        let config = AggregatorConfig { hidden: 4, with_mean: true, ..config(130) };
        let new = |config: &AggregatorConfig| {
            AggregatorTrainer::new(config.clone(), toy.examples()).unwrap()
        };
        let finish = |mut trainer: AggregatorTrainer<'_>| {
            let mut kept = Vec::new();
            while !trainer.is_done() {
                if trainer.advance().unwrap().settled {
                    kept = trainer.checkpoint();
                }
            }
            (trainer.tensors(), kept)
        };
        let (expected, mut kept) = finish(new(&config));
        let mut second = new(&config);
        second.resume(&kept).unwrap();
        assert_eq!(second.step(), 100);
        assert_eq!(finish(second).0, expected);

        let other = AggregatorConfig { seed: 2, ..config.clone() };
        assert_ne!(finish(new(&other)).0, expected);
        let error = new(&other).resume(&kept).unwrap_err().to_string();
        assert_eq!(error, "checkpoint: of another training: settings or examples differ");
        kept[40] ^= 1;
        assert!(new(&config).resume(&kept).unwrap_err().to_string().contains("hash"));
        assert!(new(&config).resume(&kept[..30]).is_err());
    }

    #[test]
    fn what_cannot_be_trained_is_named() {
        let toy = Toy::new(6, 1);
        let error = |config, examples: BlockExamples<'_>| {
            AggregatorTrainer::new(config, examples).unwrap_err().to_string()
        };
        let hidden = AggregatorConfig { hidden: 4097, ..config(1) };
        assert_eq!(
            error(hidden, toy.examples()),
            "hidden out of range: expected 0 to 4096, got 4097"
        );
        let batch = AggregatorConfig { batch: 1, ..config(1) };
        assert_eq!(error(batch, toy.examples()), "batch out of range: expected 2 or more, got 1");
        let mut starts = toy.starts.clone();
        starts[2] = starts[1];
        let empty = BlockExamples { starts: &starts, ..toy.examples() };
        assert_eq!(error(config(1), empty), "document 1 has no blocks");
        let short = BlockExamples { starts: &toy.starts[..6], ..toy.examples() };
        assert!(error(config(1), short).starts_with("documents do not begin at block 0"));
        let missing = BlockExamples { right: &toy.right[..5], ..toy.examples() };
        assert_eq!(error(config(1), missing), "6 queries have 5 right documents");
        let right = [6; 6];
        let wrong = BlockExamples { right: &right, ..toy.examples() };
        assert_eq!(error(config(1), wrong), "there is no document 6 of 6");
        let one =
            BlockExamples { queries: &toy.queries[..DIMS], right: &right[..1], ..toy.examples() };
        assert_eq!(error(config(1), one), "too few to tell apart: 6 documents, 1 queries");
    }
}
