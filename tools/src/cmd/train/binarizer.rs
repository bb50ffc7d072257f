//! `bigrain train binarizer`: a binarizer of one's own vectors.

use std::path::PathBuf;

use anyhow::bail;
use bigrain_engine::Levels;
use clap::Args;
use rayon::ThreadPoolBuilder;
use serde_json::json;

use super::flags::TrainFlags;
use crate::cmd::flags::parse_levels;
use crate::human;
use crate::input::{Role, VectorFile};
use crate::learning::{HeldOut, Pairs, Part, judge, train};
use crate::matrix::Matrix;
use crate::plot::LossPlot;
use crate::session::Session;

/// Trains a binarizer, and keeps it if it beats the rotation on what was held out.
#[derive(Args, Debug)]
pub struct BinarizerArgs {
    /// Vectors of documents: npy, fvecs, bvecs, HDF5
    #[arg(long, value_name = "FILE")]
    documents: PathBuf,
    /// Vectors of queries, with --pairs; without both, codes learn the order of floats
    #[arg(long, value_name = "FILE", requires = "pairs")]
    queries: Option<PathBuf>,
    /// Which belongs to which: a query's and a document's row number on each line, from 0
    #[arg(long, value_name = "FILE", requires = "queries")]
    pairs: Option<PathBuf>,
    /// Where the binarizer is written, for `bigrain build --binarizer`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Bits a dimension of the codes, 1 to 4
    #[arg(long, value_parser = parse_levels, default_value = "2")]
    levels: Levels,
    /// Dimensions of the codes, a multiple of 64 [default: those of the vectors, rounded up]
    #[arg(long, value_name = "N")]
    code_dims: Option<usize>,
    /// Decides batches and hidden layers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    flags: TrainFlags,
    /// Keep what is needed to go on in this file, and go on from it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Draw the losses
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Write the binarizer even if it does not beat the rotation
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
/// When inputs or settings are refused, the caller stops it, or the rotation was not beaten.
pub fn run(args: &BinarizerArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let documents = VectorFile::open(&args.documents, Role::Base)?.to_matrix()?;
    let pairs = match (&args.queries, &args.pairs) {
        (Some(queries), Some(pairs)) => {
            let queries = VectorFile::open(queries, Role::Queries)?.to_matrix()?;
            Pairs::read(documents, &queries, pairs)?
        }
        _ => {
            let none = Matrix::empty(documents.dims());
            Pairs::new(documents, none, Vec::new())?
        }
    };
    let config = args.flags.config(args.levels, args.code_dims, args.seed);
    let steps = config.steps;
    let (queries, right) = pairs.part(Part::Training);
    let (held_queries, held_right) = pairs.part(Part::Validation);
    let held_documents = pairs.held_out_documents();
    let held_out = HeldOut {
        documents: if pairs.right.is_empty() { &held_documents } else { &pairs.documents },
        queries: &held_queries,
        right: &held_right,
        limit: 10,
    };
    // Without pairs, documents that are held out are not learned from either.
    let learned_documents;
    let examples = if pairs.right.is_empty() {
        learned_documents = pairs.training_documents();
        bigrain_train::Examples {
            dims: learned_documents.dims(),
            documents: learned_documents.values(),
            queries: &[],
            right: &[],
        }
    } else if held_right.is_empty() || right.is_empty() {
        bail!("too few pairs: some must be held out, and some learned from");
    } else {
        pairs.examples(&queries, &right)
    };
    let threads = ThreadPoolBuilder::new().num_threads(session.threads).build()?;
    let (trained, judged) = threads.install(|| {
        let checkpoint = args.checkpoint.as_deref();
        let trained = train(config, examples, &held_documents, checkpoint, &session.cancel)?;
        let judged = judge(trained.recurrent.clone(), &held_out)?;
        Ok::<_, anyhow::Error>((trained, judged))
    })?;
    if let Some(path) = &args.plot {
        let curve = (format!("seed {}", args.seed), trained.resumed_at, trained.losses.clone());
        let title = format!("training of {}", args.documents.display());
        LossPlot { title, curves: vec![curve] }.write(path)?;
    }
    let champion = judged.parts().provenance.champion;
    let kept = champion.won() || args.keep;
    if kept {
        crate::learning::write_file(&judged.to_bytes(), &args.out)?;
    }
    if args.json {
        session.write_json(&json!({
            "steps": steps,
            "seconds": trained.took.as_secs_f64(),
            "queries": champion.queries,
            "limit": champion.limit,
            "rotation": champion.rotation,
            "learned": champion.learned,
            "difference": [champion.low, champion.high],
            "won": champion.won(),
            "written": kept.then(|| args.out.display().to_string()),
        }))?;
    } else {
        writeln!(
            session.out,
            "{} in {}; recall@{} of {} held out, by codes alone: rotation {:.4}, learned {:.4} \
             (difference {:+.4} to {:+.4} in 95 of 100 resamplings)",
            human::counted(u64::from(steps), "step", "steps"),
            human::duration(trained.took),
            champion.limit,
            human::counted(u64::from(champion.queries), "query", "queries"),
            champion.rotation,
            champion.learned,
            champion.low,
            champion.high,
        )?;
        if kept {
            writeln!(session.out, "wrote {}", args.out.display())?;
        }
    }
    if !kept {
        bail!(
            "the rotation was not beaten, so nothing was written (--keep writes it all the same)"
        );
    }
    Ok(())
}
