//! How often word sets find the document they were drawn from.
//!
//! Every way of drawing gives each document one set of about as many words, the better of a pair.
//! The set is encoded as a query and compared, exactly, with all documents.

use std::collections::BTreeSet;

use anyhow::Context;
use bigrain_encoders::b_prop::{
    MIN_WORDS, PairSampler, SampledPair, SamplingMode, UnigramCorpus, unigram_words,
};
use bigrain_encoders::{EncodeOptions, TextEncoder, TextKind};
use bigrain_engine::{PointId, normalize};
use clap::Args;
use serde::Serialize;

use super::{Corpus, terms_file};
use crate::input::Content;
use crate::progress::Progress;
use crate::ranking::{Judgements, Quality};
use crate::session::Session;
use crate::table;

/// Results that are looked at.
const LIMIT: usize = 100;
/// Texts encoded at a time.
const CHUNK: usize = 256;

/// What is checked.
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    corpus: Corpus,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// One way of drawing.
#[derive(Debug, Serialize)]
struct Row {
    method: String,
    #[serde(flatten)]
    quality: Quality,
    words_per_query: f64,
}

/// The documents that are long enough, with their unit vectors.
struct Documents {
    ids: Vec<PointId>,
    texts: Vec<String>,
    vectors: Vec<Vec<f32>>,
}

pub(super) fn run(args: &CheckArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let model = args.corpus.open_model(session)?;
    let encoder = model.encoder();
    terms_file::complete(&args.corpus, encoder, session)?;
    let path = args.corpus.terms_path();
    let corpus = terms_file::corpus_terms(&path)?;
    let mut unigrams = UnigramCorpus::default();
    let (mut contrasts, mut documents) =
        (Vec::new(), Documents { ids: Vec::new(), texts: Vec::new(), vectors: Vec::new() });
    for (line, record) in terms_file::read(&path)?.zip(terms_file::documents(&args.corpus)?) {
        let ((id, terms), record) = (line?.into_parts(), record?);
        let Content::Text(text) = record.content else { continue };
        unigrams.add(&text);
        if terms.len() >= MIN_WORDS {
            contrasts.push(corpus.contrast(&terms));
            documents.ids.push(id);
            documents.texts.push(text);
        }
    }
    documents.vectors = encode(encoder, &documents.texts, TextKind::Document, session)?;

    let sampler = |mode| PairSampler { mode, pairs: 1, seed: args.corpus.seed };
    let softmax = |temperature| SamplingMode::Softmax { temperature };
    let mut rows = Vec::new();
    for mode in [SamplingMode::Proportional, softmax(1.0), softmax(0.1), softmax(0.02)] {
        let sets = documents.ids.iter().zip(&contrasts);
        let sets = sets.map(|(id, contrast)| sampler(mode).sample(&id.to_string(), contrast));
        let sets: Vec<_> = sets.collect();
        let method = format!("B-PROP, {mode}");
        rows.push(documents.row(method, &sets, encoder, session)?);
    }
    let background = unigrams.background();
    let sampler = sampler(SamplingMode::Proportional);
    let of_documents = || documents.ids.iter().map(PointId::to_string).zip(&documents.texts);
    let sets = of_documents().map(|(id, text)| background.sample(&id, text, &sampler));
    let sets: Vec<_> = sets.collect();
    rows.push(documents.row("PROP, unigram".to_owned(), &sets, encoder, session)?);
    let sets = of_documents().map(|(id, text)| {
        let words: BTreeSet<String> = unigram_words(text).collect();
        sampler.sample_evenly(&id, words)
    });
    rows.push(documents.row(
        "random words of the document".to_owned(),
        &sets.collect::<Vec<_>>(),
        encoder,
        session,
    )?);

    if args.json {
        return session.write_json(&rows);
    }
    writeln!(
        session.out,
        "{}: {} documents, one word set each, {}\n",
        args.corpus.input.display(),
        documents.ids.len(),
        model.name()
    )?;
    let mut table =
        table::plain(["words drawn by", "nDCG@10", "Recall@10", "Recall@100", "MRR@10", "words"]);
    for row in &rows {
        table.add_row([
            row.method.clone(),
            format!("{:.4}", row.quality.ndcg_10),
            format!("{:.4}", row.quality.recall_10),
            format!("{:.4}", row.quality.recall_100),
            format!("{:.4}", row.quality.mrr_10),
            format!("{:.2}", row.words_per_query),
        ]);
    }
    table::align_right(&mut table, &[1, 2, 3, 4, 5]);
    writeln!(session.out, "{}", table.trim_fmt())?;
    Ok(())
}

impl Documents {
    /// Asks with the better set of each document's pair.
    fn row(
        &self,
        method: String,
        sets: &[Vec<SampledPair>],
        encoder: &dyn TextEncoder,
        session: &Session<'_>,
    ) -> anyhow::Result<Row> {
        let queries: Vec<String> = sets
            .iter()
            .map(|pairs| pairs.first().map_or(String::new(), |pair| pair.positive.words.join(" ")))
            .collect();
        let words: usize = queries.iter().map(|query| query.split(' ').count()).sum();
        // A set without words, of a document whose every word was left out, finds nothing.
        let asked: Vec<String> =
            queries.iter().filter(|query| !query.is_empty()).cloned().collect();
        let mut vectors = encode(encoder, &asked, TextKind::Query, session)?.into_iter();
        let mut qualities = Vec::with_capacity(self.ids.len());
        for (own, query) in self.ids.iter().zip(&queries) {
            let mut judgements = Judgements::default();
            judgements.insert(own.clone(), 1);
            let vector = if query.is_empty() { None } else { vectors.next() };
            let found = vector.map(|vector| self.nearest(&vector)).unwrap_or_default();
            let quality = judgements.quality(found);
            qualities.push(quality.context("a query without its own document")?);
        }
        let words_per_query = words as f64 / self.ids.len().max(1) as f64;
        Ok(Row { method, quality: Quality::mean(&qualities), words_per_query })
    }

    fn nearest(&self, query: &[f32]) -> Vec<&PointId> {
        let score = |vector: &Vec<f32>| vector.iter().zip(query).map(|(x, y)| x * y).sum::<f32>();
        let mut scores: Vec<(f32, usize)> = self.vectors.iter().map(score).zip(0..).collect();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scores.iter().take(LIMIT).map(|&(_, place)| &self.ids[place]).collect()
    }
}

fn encode(
    encoder: &dyn TextEncoder,
    texts: &[String],
    kind: TextKind,
    session: &Session<'_>,
) -> anyhow::Result<Vec<Vec<f32>>> {
    let options =
        EncodeOptions { kind, cancel: session.cancel.clone(), ..EncodeOptions::default() };
    let mut vectors = Vec::with_capacity(texts.len());
    let mut progress = Progress::counting("encode", "texts", texts.len() as u64);
    for chunk in texts.chunks(CHUNK) {
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        for vector in encoder.encode(&chunk, &options)?.iter() {
            let mut vector = vector.to_vec();
            normalize(&mut vector);
            vectors.push(vector);
        }
        progress.advance(chunk.len() as u64, vectors.len() as u64);
    }
    progress.finish();
    Ok(vectors)
}
