//! The command line of all evaluations.

use clap::Args;

use super::code::{self, CodeArgs};
use super::compare::{self, CompareArgs};
use super::corpus::{self, CorpusArgs};
use super::hybrid::{self, HybridArgs};
use super::long::{self, LongArgs};
use super::pictures::{self, PictureArgs};
use super::vectors::{self, VectorArgs};
use crate::session::Session;

/// Measures retrieval quality: of texts on a folder in BEIR layout (--corpus), of code by its own
/// comments (--code), of pictures by their captions (--images), of codes beside each other by queries with
/// their right documents (--compare), or of vectors with true neighbours (--vectors), as recall
/// against speed.
#[derive(Args, Debug)]
pub struct EvalArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    #[command(flatten)]
    hybrid: HybridArgs,
    #[command(flatten)]
    long: LongArgs,
    /// Verify at most this many candidates for each result, 1 to 1000 [default: what suits the
    /// codes]
    #[arg(long, value_name = "X")]
    oversampling: Option<f32>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    code: CodeArgs,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    compare: CompareArgs,
    #[command(flatten)]
    vectors: VectorArgs,
}

/// What the evaluations of texts and vectors are asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    pub oversampling: Option<f32>,
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the input or the model is refused, or the caller stops it.
pub fn run(args: &EvalArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    if args.code.is_asked() {
        let model = args.corpus.open_model(&session.encode_on())?;
        return code::run(&args.code, &model, args.json, session);
    }
    if args.pictures.is_asked() {
        return pictures::run(&args.pictures, args.json, session);
    }
    if args.compare.is_asked() {
        let model = args.corpus.model();
        return compare::run(&args.compare, &args.vectors, model, args.json, session);
    }
    let common = Common { oversampling: args.oversampling, json: args.json };
    match args.corpus.folder() {
        Some(folder) if args.hybrid.is_asked() => {
            hybrid::run(folder, &args.hybrid, &args.corpus, args.json, session)
        }
        Some(folder) if args.long.is_asked() => {
            long::run(folder, &args.long, &args.corpus, args.json, session)
        }
        Some(folder) => corpus::run(folder, &args.corpus, common, session),
        None => vectors::run(&args.vectors, common, session),
    }
}
