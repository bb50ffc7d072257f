//! `bigrain train`: what is learned.
//!
//! | file | holds |
//! |---|---|
//! | `flags.rs` | how to train |
//! | `source.rs` | what is learned from |
//! | `former_flags.rs` | the same by the encoder of an earlier version |
//! | `binarizer.rs` | a binarizer of one's own vectors |
//! | `adapt.rs` | an adapter of one's own queries |
//! | `aggregator.rs` | attention over the blocks of functions |
//! | `block_scores.rs` | the table of it |
//! | `demo.rs` | learned codes beside the rotation and floats, on WordNet |
//! | `comparison.rs` | the table of it |
//! | `versions.rs` | an old version, the next one, and a collection of both |
//! | `encoders.rs` | codes of one encoder, the next version for another, and a collection of both |
//! | `adapters.rs` | adapters beside floats, among what codes find |

mod adapt;
mod adapters;
mod aggregator;
mod binarizer;
mod block_scores;
mod comparison;
mod demo;
mod encoders;
mod flags;
mod former_flags;
mod source;
mod versions;

use clap::{Args, Subcommand};

use crate::session::Session;

/// Learns binarizers, whose codes find more, adapters, which order better what codes find, and aggregators,
/// which make one vector of the blocks of a function.
#[derive(Args, Debug)]
pub struct TrainArgs {
    #[command(subcommand)]
    command: TrainCommand,
}

#[derive(Debug, Subcommand)]
enum TrainCommand {
    /// Trains a binarizer, and keeps it if it beats the rotation on what was held out
    Binarizer(binarizer::BinarizerArgs),
    /// Trains an adapter of queries, and keeps it if it finds more than floats among what codes find
    Adapt(adapt::AdaptArgs),
    /// Trains attention over the blocks of functions, and keeps it if it finds more than their mean
    Aggregator(aggregator::AggregatorArgs),
    /// Trains on WordNet, examples to find their definitions, and compares
    Demo(demo::DemoArgs),
}

/// Runs the command.
///
/// # Errors
///
/// When inputs or settings are refused, or the caller stops it.
pub fn run(args: &TrainArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    match &args.command {
        TrainCommand::Binarizer(args) => binarizer::run(args, session),
        TrainCommand::Adapt(args) => adapt::run(args, session),
        TrainCommand::Aggregator(args) => aggregator::run(args, session),
        TrainCommand::Demo(args) => demo::run(args, session),
    }
}
