//! Second pass: pairs of word sets.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bigrain_encoders::b_prop::{MIN_WORDS, PairSampler, SampledPair};
use bigrain_engine::PointId;
use clap::Args;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::{Corpus, Drawing, terms_file};
use crate::human;
use crate::session::Session;

/// What is sampled.
#[derive(Args, Debug)]
pub struct SampleArgs {
    #[command(flatten)]
    corpus: Corpus,
    #[command(flatten)]
    drawing: Drawing,
    /// Where the pairs go, a JSON line each
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Pairs of each document
    #[arg(long, value_name = "N", default_value_t = 10)]
    pairs: usize,
}

/// A line of the output.
#[derive(Serialize)]
struct PairLine<'a> {
    doc_id: &'a PointId,
    pos: &'a [String],
    neg: &'a [String],
    score_pos: f64,
    score_neg: f64,
    seed: u64,
}

pub(super) fn run(args: &SampleArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let model = args.corpus.open_model(session)?;
    terms_file::complete(&args.corpus, model.encoder(), session)?;
    let path = args.corpus.terms_path();
    let corpus = terms_file::corpus_terms(&path)?;
    let sampler =
        PairSampler { mode: args.drawing.mode, pairs: args.pairs, seed: args.corpus.seed };
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let context = || format!("write {}", args.out.display());
    let file = NamedTempFile::new_in(folder).with_context(context)?;
    let (mut sampled, mut short) = (0, 0);
    {
        let mut out = BufWriter::new(file.as_file());
        for line in terms_file::read(&path)? {
            session.cancel.check()?;
            let (id, terms) = line?.into_parts();
            if terms.len() < MIN_WORDS {
                short += 1;
                continue;
            }
            sampled += 1;
            for pair in sampler.sample(&id.to_string(), &corpus.contrast(&terms)) {
                write_pair(&mut out, &id, &pair, sampler.seed).with_context(context)?;
            }
        }
        out.flush().with_context(context)?;
    }
    file.persist(&args.out).with_context(context)?;
    writeln!(
        session.out,
        "{} documents, {} pairs by {}, {} distinct words; {} documents of fewer than {MIN_WORDS} \
         words passed over: {}",
        human::count(sampled),
        human::count(sampled * args.pairs as u64),
        args.drawing.mode,
        human::count(corpus.words() as u64),
        human::count(short),
        args.out.display(),
    )?;
    Ok(())
}

fn write_pair(
    out: &mut impl Write,
    id: &PointId,
    pair: &SampledPair,
    seed: u64,
) -> anyhow::Result<()> {
    let line = PairLine {
        doc_id: id,
        pos: &pair.positive.words,
        neg: &pair.negative.words,
        score_pos: pair.positive.score,
        score_neg: pair.negative.score,
        seed,
    };
    serde_json::to_writer(&mut *out, &line)?;
    Ok(out.write_all(b"\n")?)
}
