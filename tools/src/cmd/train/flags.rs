//! How to train.

use bigrain_engine::Levels;
use bigrain_train::{
    AdapterConfig, AggregatorConfig, Batches, Negatives, QueryForm, Size, TrainConfig,
};
use clap::{Args, ValueEnum};

/// How to train.
#[derive(Args, Clone, Debug)]
pub struct TrainFlags {
    /// How large the maps are
    #[arg(long, value_enum, default_value_t = SizeFlag::Linear)]
    size: SizeFlag,
    /// Batches
    #[arg(long, value_name = "N", default_value_t = 1500)]
    steps: u32,
    /// Queries of a batch
    #[arg(long, value_name = "N", default_value_t = 512)]
    batch: usize,
    /// The learning rate (Adam), which falls to a tenth
    #[arg(long, value_name = "X", default_value_t = 0.0003)]
    rate: f32,
    /// Compare codes with codes, as BEBR does, and not queries with codes as searches do
    #[arg(long)]
    symmetric: bool,
    /// What cosines are divided by
    #[arg(long, value_name = "X", default_value_t = 0.05)]
    temperature: f32,
    /// Tell a query apart from the N most similar documents of its batch alone [default: from all]
    #[arg(long, value_name = "N")]
    hardest: Option<usize>,
    /// Wrong documents of each query that are looked for in the code index; 0 for none
    #[arg(long, value_name = "N", default_value_t = 5)]
    mined: usize,
    /// Steps between two searches of the code index
    #[arg(long, value_name = "N", default_value_t = 500)]
    mine_every: u32,
    /// Decay of a running mean of the weights, which is kept in their place; 0 for none
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    averaging: f32,
    /// Documents of earlier batches that queries are told apart from too, by codes of the running mean
    /// (BEBR's momentum queue; takes --averaging and pairs); 0 for none
    #[arg(long, value_name = "N", default_value_t = 0)]
    queue: usize,
}

/// How large the maps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SizeFlag {
    /// A matrix each
    Linear,
    /// And a hidden layer of 128
    Thin,
    /// And a hidden layer of four times the code's dimensions; slow
    Full,
}

impl From<SizeFlag> for Size {
    fn from(flag: SizeFlag) -> Self {
        match flag {
            SizeFlag::Linear => Self::Linear,
            SizeFlag::Thin => Self::Thin,
            SizeFlag::Full => Self::Full,
        }
    }
}

/// How to train an adapter.
#[derive(Args, Clone, Debug)]
pub struct AdapterFlags {
    /// How large the map is
    #[arg(long, value_enum, default_value_t = SizeFlag::Linear)]
    adapter_size: SizeFlag,
    /// Batches of pairs
    #[arg(long, value_name = "N", default_value_t = 1500)]
    adapter_steps: u32,
    /// Queries of a batch
    #[arg(long, value_name = "N", default_value_t = 512)]
    adapter_batch: usize,
    /// The learning rate (Adam), which falls to a tenth
    #[arg(long, value_name = "X", default_value_t = 0.0003)]
    adapter_rate: f32,
    /// What cosines are divided by
    #[arg(long, value_name = "X", default_value_t = 0.05)]
    adapter_temperature: f32,
    /// How the queries of a batch are drawn
    #[arg(long, value_enum, default_value_t = BatchesFlag::Walk)]
    batches: BatchesFlag,
    /// Documents near a query that its wrong one is drawn from
    #[arg(long, value_name = "N", default_value_t = 200)]
    near: usize,
}

/// How the queries of a batch are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BatchesFlag {
    /// At random
    Random,
    /// From neighbour to neighbour, away from the first
    Walk,
    /// All neighbours of one before those of the next
    Snowball,
}

/// How to train an aggregator.
#[derive(Args, Clone, Debug)]
pub struct AggregatorFlags {
    /// Units between two layers of the attention; 0 for one layer
    #[arg(long, value_name = "N", default_value_t = 0)]
    hidden: usize,
    /// Count the mean of blocks beside the attention, by a gain that is learned
    #[arg(long)]
    with_mean: bool,
    /// Batches
    #[arg(long, value_name = "N", default_value_t = 1000)]
    steps: u32,
    /// Docstrings of a batch
    #[arg(long, value_name = "N", default_value_t = 512)]
    batch: usize,
    /// The learning rate (Adam), which falls to a tenth
    #[arg(long, value_name = "X", default_value_t = 0.01)]
    rate: f32,
    /// What cosines are divided by
    #[arg(long, value_name = "X", default_value_t = 0.05)]
    temperature: f32,
}

impl AggregatorFlags {
    /// Returns the configuration, of a seed.
    pub fn config(&self, seed: u64) -> AggregatorConfig {
        AggregatorConfig {
            hidden: self.hidden,
            with_mean: self.with_mean,
            seed,
            steps: self.steps,
            batch: self.batch,
            rate: self.rate,
            temperature: self.temperature,
        }
    }
}

impl AdapterFlags {
    /// Returns the configuration, of a seed.
    pub fn config(&self, seed: u64) -> AdapterConfig {
        AdapterConfig {
            size: self.adapter_size.into(),
            seed,
            steps: self.adapter_steps,
            batch: self.adapter_batch,
            rate: self.adapter_rate,
            temperature: self.adapter_temperature,
            batches: match self.batches {
                BatchesFlag::Random => Batches::Random,
                BatchesFlag::Walk => Batches::Walk,
                BatchesFlag::Snowball => Batches::Snowball,
            },
            near: self.near,
        }
    }
}

impl TrainFlags {
    /// Returns the configuration, of a seed.
    pub fn config(&self, levels: Levels, code_dims: Option<usize>, seed: u64) -> TrainConfig {
        TrainConfig {
            levels,
            code_dims,
            queries: if self.symmetric { QueryForm::Coded } else { QueryForm::Projected },
            size: self.size.into(),
            seed,
            steps: self.steps,
            batch: self.batch,
            rate: self.rate,
            temperature: self.temperature,
            negatives: self.hardest.map_or(Negatives::All, Negatives::Hardest),
            mined: self.mined,
            mine_every: self.mine_every,
            averaging: self.averaging,
            queue: self.queue,
            ..TrainConfig::default()
        }
    }
}
