//! `bigrain bprop`: queries for a collection that has none.
//!
//! | file | holds |
//! |---|---|
//! | `terms_file.rs` | first pass: what each document is about, in a file that a stopped run goes on with |
//! | `sample.rs` | second pass: pairs of word sets, a line each |
//! | `check.rs` | how often such sets find the document they were drawn from |

mod check;
mod sample;
mod terms_file;

use std::path::PathBuf;

use bigrain_encoders::b_prop::SamplingMode;
use clap::{Args, Subcommand};

use crate::model::Model;
use crate::session::Session;

/// Makes pseudo-queries of documents, by what a model's attention says they are about (B-PROP).
#[derive(Args, Debug)]
pub struct BpropArgs {
    #[command(subcommand)]
    command: BpropCommand,
}

#[derive(Debug, Subcommand)]
enum BpropCommand {
    /// Writes pairs of word sets for each document, the better one first
    Sample(sample::SampleArgs),
    /// Measures how often word sets find their own document
    Check(check::CheckArgs),
}

/// What both commands read.
#[derive(Args, Debug)]
pub struct Corpus {
    /// The documents: JSON lines with an id and a text
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// The folder of the model, of the BERT family [default: all-MiniLM-L6-v2]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_MODEL")]
    model: Option<PathBuf>,
    /// Where the first pass keeps what each document is about; a later run goes on with it
    /// [default: FILE with .terms behind it]
    #[arg(long, value_name = "FILE")]
    terms: Option<PathBuf>,
    /// With a document's id, decides what is drawn for it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// How words are drawn.
#[derive(Args, Debug)]
pub struct Drawing {
    /// How a word's weight becomes its probability: proportional, or softmax:TEMPERATURE
    #[arg(long, value_name = "MODE", default_value = "proportional")]
    mode: SamplingMode,
}

impl Corpus {
    fn open_model(&self, session: &Session<'_>) -> anyhow::Result<Model> {
        Model::open_or_default(self.model.as_deref(), &session.encode_on())
    }

    fn terms_path(&self) -> PathBuf {
        self.terms.clone().unwrap_or_else(|| {
            let mut name = self.input.clone().into_os_string();
            name.push(".terms");
            name.into()
        })
    }
}

/// Runs the command.
///
/// # Errors
///
/// When the input or the model is refused, a file cannot be written, or the caller stops it.
pub fn run(args: &BpropArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    match &args.command {
        BpropCommand::Sample(args) => sample::run(args, session),
        BpropCommand::Check(args) => check::run(args, session),
    }
}
