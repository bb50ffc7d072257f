//! `bigrain train adapt`: an adapter of one's own queries.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use bigrain_binarize::{Binarizer, Champion, Recurrent};
use bigrain_engine::{FieldConfig, Levels, Metric};
use bigrain_train::TrainConfig;
use clap::Args;
use rayon::ThreadPoolBuilder;
use serde_json::json;

use super::flags::AdapterFlags;
use super::source::SourceFlags;
use crate::cmd::flags::parse_levels;
use crate::human;
use crate::learning::{Adapted, Adapting, Part, read_binarizer, write_file};
use crate::plot::LossPlot;
use crate::session::Session;

/// Results of each held-out query.
const LIMIT: usize = 10;

/// Trains an adapter, and keeps it if it finds more than floats among what codes find.
///
/// Learns from pairs of queries and their right documents. Eight of a hundred documents are held out with
/// all their queries: three fit the weight of codes, five judge. Pseudo-queries do neither.
#[derive(Args, Debug)]
pub struct AdaptArgs {
    #[command(flatten)]
    source: SourceFlags,
    /// A learned binarizer's file: adapt to what its codes find [default: the collection's, or the rotation]
    #[arg(long, value_name = "FILE")]
    binarizer: Option<PathBuf>,
    /// Bits a dimension of the rotation's codes, where documents are of no collection
    #[arg(long, value_parser = parse_levels, default_value = "2", conflicts_with_all = ["binarizer", "collection"])]
    levels: Levels,
    /// Where the adapter is written, for `bigrain search --adapter`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Candidates that it is fitted on, and that a search scores
    #[arg(long, value_name = "N", default_value_t = 100)]
    shortlist: usize,
    /// Decides batches and hidden layers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    flags: AdapterFlags,
    /// Draw the losses
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Write the adapter even if floats find as much
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
/// When inputs or settings are refused, the caller stops it, or floats were not beaten.
pub fn run(args: &AdaptArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let source = args.source.read(session)?;
    let pairs = &source.pairs;
    if pairs.are_pseudo() && !args.keep {
        bail!(
            "all pairs are pseudo-queries, which say little of real ones: --judge FILE of real pairs judges by those, \
             --keep writes the adapter whatever it is worth"
        );
    }
    for (part, what) in [(Part::Validation, "fit the weight of codes"), (Part::Test, "judge")] {
        if pairs.part(part).1.is_empty() {
            bail!("too few pairs: none of {} was dealt to {what}", pairs.right.len());
        }
    }
    let binarizer = args.codes(pairs.documents.dims(), source.field.as_ref())?;
    let (shortlist, limit) = (args.shortlist, LIMIT);
    let adapting = Adapting { pairs, binarizer: &binarizer, shortlist, limit, judges: Part::Test };
    let config = args.flags.config(args.seed);
    let threads = ThreadPoolBuilder::new().num_threads(session.threads).build()?;
    let adapted = threads.install(|| adapting.run(config, &session.cancel))?;
    if let Some(path) = &args.plot {
        let curve = (format!("seed {}", args.seed), 0, adapted.losses.clone());
        LossPlot { title: "training of an adapter".to_owned(), curves: vec![curve] }.write(path)?;
    }
    let kept = adapted.adapter.parts().champion.won() || args.keep;
    if kept {
        write_file(&adapted.adapter.to_bytes(), &args.out)?;
    }
    args.report(session, &adapted, kept)?;
    if !kept {
        bail!("floats found as much, so nothing was written (--keep writes it all the same)");
    }
    Ok(())
}

impl AdaptArgs {
    /// Returns what makes the codes that find candidates.
    fn codes(&self, dims: usize, field: Option<&FieldConfig>) -> anyhow::Result<Binarizer> {
        let learned = |recurrent: Recurrent| Binarizer::new_recurrent(Arc::new(recurrent));
        if let Some(path) = &self.binarizer {
            let recurrent = read_binarizer(path)?;
            if recurrent.dims() != dims {
                bail!("{}: takes {} dims, documents have {dims}", path.display(), recurrent.dims());
            }
            return Ok(learned(recurrent));
        }
        if let Some(binarizer) = field.and_then(|field| field.binarizer.as_ref()) {
            return Ok(learned(Recurrent::from_bytes(&binarizer.to_bytes())?));
        }
        let levels = field.map_or(self.levels, |field| field.levels);
        let seed = TrainConfig::default().rotation_seed;
        Ok(Binarizer::new_rotation(dims, levels, Metric::Cosine, seed)?)
    }

    fn report(
        &self,
        session: &mut Session<'_>,
        adapted: &Adapted,
        kept: bool,
    ) -> anyhow::Result<()> {
        let parts = adapted.adapter.parts();
        let Champion { queries, limit, rotation: floats, learned, low, high } = parts.champion;
        if self.json {
            return session.write_json(&json!({
                "steps": parts.steps,
                "seconds": adapted.took.as_secs_f64(),
                "queries": queries,
                "limit": limit,
                "shortlist": parts.shortlist,
                "code_weight": parts.code_weight,
                "floats": floats,
                "adapted": learned,
                "difference": [low, high],
                "won": parts.champion.won(),
                "written": kept.then(|| self.out.display().to_string()),
            }));
        }
        writeln!(
            session.out,
            "{} in {}; recall@{limit} of {} held out, among {} that codes find: floats {floats:.4}, adapter \
             {learned:.4} with {} of what codes say (difference {low:+.4} to {high:+.4} in 95 of 100 resamplings)",
            human::counted(u64::from(parts.steps), "step", "steps"),
            human::duration(adapted.took),
            human::counted(u64::from(queries), "query", "queries"),
            parts.shortlist,
            parts.code_weight,
        )?;
        if kept {
            writeln!(session.out, "wrote {}", self.out.display())?;
        }
        Ok(())
    }
}
