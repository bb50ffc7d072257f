//! `bigrain train aggregator`: which blocks of a function count in its one vector.

use std::path::PathBuf;

use anyhow::bail;
use bigrain_encoders::sea::{AttentionOrigin, CodeEncoder};
use clap::Args;
use rayon::ThreadPoolBuilder;
use serde_json::json;

use super::block_scores::BlockScores;
use super::flags::AggregatorFlags;
use crate::cmd::split_flags::SplitFlags;
use crate::code::{DocstringOptions, docstring_pairs};
use crate::failure::Usage;
use crate::human;
use crate::learning::{
    Aggregating, FunctionBlocks, Part, TrainedAggregator, beats_the_mean, parts_of, write_file,
};
use crate::model::Model;
use crate::plot::LossPlot;
use crate::session::Session;

/// Trains attention over the blocks of functions, and keeps it if it finds more than the mean of blocks.
///
/// Learns from docstrings and the functions they were taken out of, whose blocks are encoded once; the encoder
/// does not change. Eight of a hundred files are held out with all their functions: three to choose settings
/// by, five judge. All functions are candidates.
#[derive(Args, Debug)]
pub struct AggregatorArgs {
    /// A folder of code with documented functions; may be given more than once
    #[arg(long, value_name = "DIR", required = true)]
    code: Vec<PathBuf>,
    /// Functions of each folder, at most
    #[arg(long, value_name = "N", default_value_t = 4000)]
    per_folder: usize,
    /// Bytes of a function without its comments, at least: the shortest ones are one block
    #[arg(long, value_name = "N", default_value_t = 400)]
    min_bytes: usize,
    #[command(flatten)]
    split: SplitFlags,
    /// The folder of the model that encodes blocks and docstrings [default: all-MiniLM-L6-v2]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_MODEL")]
    model: Option<PathBuf>,
    /// Keep the encoded blocks in this file, and take them from it while the code stays the same
    #[arg(long, value_name = "FILE")]
    blocks: Option<PathBuf>,
    /// Where the attention is written, for `bigrain eval --aggregator`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Decides batches and hidden layers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Trainings with seeds from --seed on, which are compared together; the first is written
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    #[command(flatten)]
    flags: AggregatorFlags,
    /// Judge by the functions that settings are chosen by, and leave those for the figures alone
    #[arg(long)]
    validation: bool,
    /// Keep what is needed to go on in this file, and go on from it
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    checkpoint: Option<PathBuf>,
    /// Draw the losses
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Write the attention even if the mean of blocks finds as much
    #[arg(long)]
    keep: bool,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When code or settings are refused, the caller stops it, or the mean of blocks was not beaten.
pub fn run(args: &AggregatorArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let model = Model::open_or_default(args.model.as_deref(), &session.encode_on())?;
    let split = args.split.options();
    let encoder = CodeEncoder::new(model.shared_encoder())
        .with_split(split.clone())
        .map_err(|error| Usage::new(error.to_string()))?;
    let options = DocstringOptions { per_folder: args.per_folder, min_bytes: args.min_bytes };
    let pairs = docstring_pairs(&args.code, options, &session.cancel)?;
    let judges = if args.validation { Part::Validation } else { Part::Test };
    let parts = parts_of(&pairs);
    let count = |wanted: Part| parts.iter().filter(|&&part| part == wanted).count();
    if count(judges) == 0 || count(Part::Training) < 2 {
        bail!(
            "too few documented functions: {} were found, and some must be held out, and some learned from",
            pairs.len()
        );
    }
    let kept_blocks = args.blocks.as_deref();
    let functions = FunctionBlocks::encode(&encoder, &split, &pairs, kept_blocks, &session.cancel)?;
    let aggregating = Aggregating { functions: &functions, judges };
    let threads = ThreadPoolBuilder::new().num_threads(session.threads).build()?;
    let mut trained = Vec::new();
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        let config = args.flags.config(seed);
        let checkpoint = args.checkpoint.as_deref();
        trained.push(threads.install(|| aggregating.run(config, checkpoint, &session.cancel))?);
    }
    let scores = threads.install(|| BlockScores::new(&aggregating, &trained));
    if let Some(path) = &args.plot {
        let curve = |(seed, one): (u64, &TrainedAggregator)| {
            (format!("seed {seed}"), one.steps.resumed_at, one.steps.losses.clone())
        };
        let curves = (args.seed..).zip(&trained).map(curve).collect();
        LossPlot { title: "training of an aggregator".to_owned(), curves }.write(path)?;
    }
    let Some((first, origin)) =
        trained.first().and_then(|first| Some((first, *first.attention.origin()?)))
    else {
        bail!("nothing was trained")
    };
    let kept = beats_the_mean(&origin) || args.keep;
    if kept {
        write_file(&first.attention.to_bytes()?, &args.out)?;
    }
    args.report(session, (first, &origin), &scores, kept)?;
    if !kept {
        bail!(
            "the mean of blocks was not beaten, so nothing was written (--keep writes it all the same)"
        );
    }
    Ok(())
}

impl AggregatorArgs {
    fn report(
        &self,
        session: &mut Session<'_>,
        (first, origin): (&TrainedAggregator, &AttentionOrigin),
        scores: &BlockScores,
        kept: bool,
    ) -> anyhow::Result<()> {
        let AttentionOrigin { steps, queries, mean, learned, low, high, .. } = *origin;
        if self.json {
            return session.write_json(&json!({
                "steps": steps,
                "resumed_at": first.steps.resumed_at,
                "seconds": first.took.as_secs_f64(),
                "queries": queries,
                "mean": mean,
                "learned": learned,
                "difference": [low, high],
                "won": beats_the_mean(origin),
                "scores": scores,
                "written": kept.then(|| self.out.display().to_string()),
            }));
        }
        scores.write(session)?;
        writeln!(
            session.out,
            "{} in {}; MRR of {} held out, among all functions: mean of blocks {mean:.4}, attention \
             {learned:.4} (difference {low:+.4} to {high:+.4} in 95 of 100 resamplings)",
            human::counted(u64::from(steps), "step", "steps"),
            human::duration(first.took),
            human::counted(u64::from(queries), "docstring", "docstrings"),
        )?;
        if kept {
            writeln!(session.out, "wrote {}", self.out.display())?;
        }
        Ok(())
    }
}
