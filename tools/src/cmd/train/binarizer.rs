//! `bigrain train binarizer`: a binarizer of one's own vectors.

use std::path::PathBuf;

use anyhow::bail;
use bigrain_binarize::Champion;
use bigrain_engine::Levels;
use bigrain_train::Examples;
use clap::Args;
use rayon::ThreadPoolBuilder;
use serde_json::json;

use super::flags::TrainFlags;
use super::former_flags::FormerFlags;
use super::source::{Source, SourceFlags};
use crate::cmd::flags::parse_levels;
use crate::human;
use crate::learning::{
    Ancestor, Compatibility, HeldOut, Part, Trained, compare_across, compare_with_parent, judge,
    read_binarizer, train, write_file,
};
use crate::plot::LossPlot;
use crate::session::Session;

/// Results of each held-out query.
const LIMIT: usize = 10;

/// Trains a binarizer, and keeps it if it beats the rotation on what was held out.
///
/// Learns from pairs of queries and their right documents, or without pairs from the order in which
/// floats have documents. Eight of a hundred documents are held out with all their queries, and judge; where there are
/// none but pseudo-queries, the neighbours of these documents do.
#[derive(Args, Debug)]
pub struct BinarizerArgs {
    #[command(flatten)]
    source: SourceFlags,
    /// An earlier binarizer's file: learn a version whose queries find documents by its codes, too, so that
    /// collections can be upgraded (`bigrain upgrade`)
    #[arg(long, value_name = "FILE")]
    parent: Option<PathBuf>,
    #[command(flatten)]
    former: FormerFlags,
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
    let parent = args.parent.as_deref().map(read_binarizer).transpose()?;
    let Source { pairs, former, .. } = args.source.read_beside(Some(&args.former), session)?;
    let config = args.flags.config(args.levels, args.code_dims, args.seed);
    let (queries, right) = pairs.part(Part::Training);
    let (held_queries, held_right) = pairs.held_out();
    let held_documents = pairs.held_out_documents();
    let without_pairs = !args.source.has_pairs();
    let judged_by = if held_right.is_empty() { JudgedBy::Neighbours } else { JudgedBy::Queries };
    let unjudged = judged_by == JudgedBy::Neighbours && !pairs.are_pseudo();
    if !without_pairs && (unjudged || right.len() < 2) {
        bail!("too few pairs: some must be held out, and some learned from");
    }
    // Without pairs, documents that are held out are not learned from either.
    let learned_documents;
    let examples = if without_pairs {
        learned_documents = pairs.training_documents();
        let (dims, documents) = (learned_documents.dims(), learned_documents.values());
        Examples { dims, documents, queries: &[], right: &[] }
    } else {
        pairs.examples(&queries, &right)
    };
    let held_out = HeldOut {
        documents: match judged_by {
            JudgedBy::Queries => &pairs.documents,
            JudgedBy::Neighbours => &held_documents,
        },
        queries: &held_queries,
        right: &held_right,
        limit: LIMIT,
    };
    let former_held = former.as_ref().map(|former| former.held_out_documents());
    let former_queries = former.as_ref().and_then(|former| former.held_out_queries(&pairs));
    let former_queries = former_queries.filter(|_| judged_by == JudgedBy::Queries);
    let (cancel, checkpoint) = (&session.cancel, args.checkpoint.as_deref());
    let threads = ThreadPoolBuilder::new().num_threads(session.threads).build()?;
    let (trained, judged, compatibility) = threads.install(|| {
        let ancestor = parent.as_ref().map(|recurrent| {
            let documents = former.as_ref().map(|former| &former.documents);
            Ancestor { recurrent, former: documents.zip(former_held.as_ref()).map(<[_; 2]>::from) }
        });
        let trained = train(config, examples, ancestor, &held_documents, checkpoint, cancel)?;
        let judged = judge(trained.recurrent.clone(), &held_out)?;
        let compatibility = match (&parent, &former, &former_queries) {
            (Some(parent), None, _) => Some(compare_with_parent(&judged, parent, &held_out)?),
            (Some(parent), Some(former), Some(queries)) => {
                let former = HeldOut { documents: &former.documents, queries, ..held_out };
                Some(compare_across(&judged, parent, &held_out, &former)?)
            }
            // Nobody has queries of the former encoder.
            (Some(_), Some(_), None) | (None, ..) => None,
        };
        Ok::<_, anyhow::Error>((trained, judged, compatibility))
    })?;
    if let Some(path) = &args.plot {
        let curve = (format!("seed {}", args.seed), trained.resumed_at, trained.losses.clone());
        LossPlot { title: "training of a binarizer".to_owned(), curves: vec![curve] }
            .write(path)?;
    }
    let champion = judged.parts().provenance.champion;
    let is_compatible = compatibility.is_none_or(|compatibility| compatibility.holds());
    let kept = champion.won() && is_compatible || args.keep;
    if kept {
        write_file(&judged.to_bytes(), &args.out)?;
    }
    args.report(session, &trained, (champion, judged_by), compatibility, kept)?;
    if !kept && champion.won() {
        bail!(
            "queries of this version find less by the codes of its parent than the parent's own, so nothing \
             was written (--keep writes it all the same)"
        );
    }
    if !kept {
        let hint = match pairs.are_pseudo() {
            true => {
                "; what pseudo-queries are worth to real ones, --judge FILE of such pairs tells"
            }
            false => "",
        };
        bail!(
            "the rotation was not beaten, so nothing was written (--keep writes it all the same){hint}"
        );
    }
    Ok(())
}

/// What the gate asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JudgedBy {
    /// The right document of each held-out query.
    Queries,
    /// What floats find near some of the held-out documents.
    Neighbours,
}

impl BinarizerArgs {
    fn report(
        &self,
        session: &mut Session<'_>,
        trained: &Trained,
        (champion, judged_by): (Champion, JudgedBy),
        compatibility: Option<Compatibility>,
        kept: bool,
    ) -> anyhow::Result<()> {
        let steps = trained.recurrent.parts().provenance.steps;
        let Champion { queries, limit, rotation, learned, low, high } = champion;
        if self.json {
            return session.write_json(&json!({
                "steps": steps,
                "resumed_at": trained.resumed_at,
                "seconds": trained.took.as_secs_f64(),
                "judged_by": match judged_by {
                    JudgedBy::Queries => "queries",
                    JudgedBy::Neighbours => "neighbours",
                },
                "queries": queries,
                "limit": limit,
                "rotation": rotation,
                "learned": learned,
                "difference": [low, high],
                "won": champion.won(),
                "parent": compatibility.map(|compatibility| json!({
                    "recall": compatibility.before,
                    "crossed": compatibility.crossed,
                })),
                "written": kept.then(|| self.out.display().to_string()),
            }));
        }
        let judges = match judged_by {
            JudgedBy::Queries => human::counted(u64::from(queries), "query", "queries"),
            JudgedBy::Neighbours => {
                let documents = human::counted(u64::from(queries), "document", "documents");
                format!("the neighbours of {documents}")
            }
        };
        writeln!(
            session.out,
            "{} in {}; recall@{limit} of {judges} held out, by codes alone: rotation {rotation:.4}, \
             learned {learned:.4} (difference {low:+.4} to {high:+.4} in 95 of 100 resamplings)",
            human::counted(u64::from(steps), "step", "steps"),
            human::duration(trained.took),
        )?;
        if let Some(Compatibility { before, crossed }) = compatibility {
            writeln!(
                session.out,
                "by the codes of the parent: {before:.4} with its own queries, {crossed:.4} with those of this version"
            )?;
        }
        if kept {
            writeln!(session.out, "wrote {}", self.out.display())?;
        }
        Ok(())
    }
}
