//! `bigrain pictures`: a collection that `bigrain build --images` made, looked at as a data set.
//!
//! | file | holds |
//! |---|---|
//! | `findings.rs` | what all of them write: facts, a table, lines of JSON, a page |
//! | `duplicates.rs`, `subset.rs`, `align.rs`, `prune.rs`, `audit.rs`, `heat.rs` | one command each |
//!
//! What is decided, and how, is in [`curation`](crate::curation).

mod align;
mod audit;
mod duplicates;
mod findings;
mod heat;
mod prune;
mod subset;

use clap::{Args, Subcommand};

use crate::session::Session;

/// Looks at a collection of pictures as a data set. Nothing is changed: the ids that are found can be given to
/// bigrain delete.
#[derive(Args, Debug)]
pub struct PicturesArgs {
    #[command(subcommand)]
    command: PicturesCommand,
}

#[derive(Debug, Subcommand)]
enum PicturesCommand {
    Duplicates(duplicates::DuplicatesArgs),
    Subset(subset::SubsetArgs),
    Align(align::AlignArgs),
    Prune(prune::PruneArgs),
    Audit(audit::AuditArgs),
    Heat(heat::HeatArgs),
}

/// Runs the command.
///
/// # Errors
///
/// When a parameter is out of range, data folder, collection or model cannot be opened, or a file cannot be
/// written.
pub fn run(args: &PicturesArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    match &args.command {
        PicturesCommand::Duplicates(args) => duplicates::run(args, session),
        PicturesCommand::Subset(args) => subset::run(args, session),
        PicturesCommand::Align(args) => align::run(args, session),
        PicturesCommand::Prune(args) => prune::run(args, session),
        PicturesCommand::Audit(args) => audit::run(args, session),
        PicturesCommand::Heat(args) => heat::run(args, session),
    }
}

/// Reads a share of something.
fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("{text:?} is no share: expected 0 to 1")),
    }
}
