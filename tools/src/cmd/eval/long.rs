//! Long documents: what reading all of one is worth, on a judged test collection.
//!
//! An encoder reads so many tokens of a document and no more. Compared, each document having one
//! rank whatever it was cut into: what the encoder reads of it; the mean of the vectors of its
//! chunks; the best of them; and its words (BM25). Vectors are compared exactly.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Context;
use bigrain_encoders::{EncodeOptions, EncodeStats, TextEncoder};
use bigrain_engine::{
    Cancel, Collection, CollectionConfig, Metric, Payload, Point, PointId, SearchParams, TextField,
    TextQuery, normalize,
};
use clap::Args;
use serde::Serialize;

use super::corpus::CorpusArgs;
use super::quality_table::{MRR_10, NDCG_10, QualityTable, RECALL_10};
use super::scratch::Scratch;
use crate::beir::{Beir, JudgedQuery};
use crate::human;
use crate::input::Content;
use crate::progress::Progress;
use crate::queries::encode_queries;
use crate::ranking::Quality;
use crate::session::Session;

/// As many results as are judged.
const LIMIT: usize = 10;
/// Documents that are encoded together.
const BATCH: usize = 8;

/// How long documents are evaluated.
#[derive(Args, Debug)]
pub struct LongArgs {
    /// Compare ways to search long documents: by what the model reads of each, by the mean and by
    /// the best of its chunks, and by words (BM25)
    #[arg(long, requires = "corpus", conflicts_with_all = ["oversampling", "hybrid"])]
    long: bool,
    /// Words of a chunk
    #[arg(long, value_name = "N", requires = "long", default_value = "100")]
    chunk_words: NonZeroUsize,
}

/// What an evaluation of long documents found.
#[derive(Clone, Debug, Serialize)]
pub struct LongEvaluation {
    /// The folder.
    pub corpus: String,
    /// The model's folder.
    pub model: String,
    /// The most tokens the model reads of a text.
    pub max_tokens: usize,
    /// Documents compared.
    pub documents: usize,
    /// Words of all of them.
    pub words: u64,
    /// Queries with a relevant document.
    pub queries: usize,
    /// A row for each way to search.
    pub rows: Vec<LongRow>,
}

/// One way to search long documents.
#[derive(Clone, Debug, Serialize)]
pub struct LongRow {
    /// How.
    pub method: String,
    /// Mean quality over the queries.
    #[serde(flatten)]
    pub quality: Quality,
    /// Texts encoded for it, and how many of them were longer than the model reads.
    pub texts: u64,
    /// See `texts`.
    pub truncated: u64,
    /// Tokens of the documents that were read.
    pub tokens: u64,
    /// Seconds it took to read them.
    pub seconds: f64,
}

impl LongArgs {
    /// Whether this is what the command is to do.
    pub(super) fn is_asked(&self) -> bool {
        self.long
    }
}

/// Measures. Nothing is left behind: the words are indexed in a temporary folder.
pub(super) fn run(
    folder: &Path,
    args: &LongArgs,
    corpus: &CorpusArgs,
    json: bool,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let (beir, model) = corpus.open(folder, session)?;
    let encoder = model.encoder();
    let documents = Documents::read(&beir)?;
    let vectors = documents.encode(encoder, args.chunk_words.get(), &session.cancel)?;
    let texts = beir.queries().iter().map(|query| query.text.as_str());
    let queries = encode_queries(texts, encoder, &session.cancel)?;
    let queries: Vec<Vec<f32>> = queries.iter().map(unit).collect();
    let mut rows = vectors.rows(&documents.ids, encoder.dims(), beir.queries(), &queries)?;
    rows.push(documents.by_words(beir.queries(), session)?);
    let evaluation = LongEvaluation {
        corpus: folder.display().to_string(),
        model: model.name().to_owned(),
        max_tokens: encoder.max_tokens(),
        documents: documents.ids.len(),
        words: documents.words(),
        queries: queries.len(),
        rows,
    };
    if json {
        return session.write_json(&evaluation);
    }
    write_table(session, &evaluation)
}

/// The corpus.
struct Documents {
    ids: Vec<PointId>,
    texts: Vec<String>,
}

/// Unit vectors of documents, row by row, and what making them took.
#[derive(Default)]
struct Vectors {
    whole: Vec<f32>,
    whole_stats: EncodeStats,
    means: Vec<f32>,
    chunks: Vec<f32>,
    /// The document of each chunk.
    chunk_of: Vec<usize>,
    chunk_stats: EncodeStats,
}

impl Documents {
    fn read(beir: &Beir) -> anyhow::Result<Self> {
        let mut documents = Self { ids: Vec::new(), texts: Vec::new() };
        for record in beir.corpus()? {
            let record = record?;
            if let Content::Text(text) = record.content {
                documents.ids.push(record.id);
                documents.texts.push(text);
            }
        }
        Ok(documents)
    }

    fn words(&self) -> u64 {
        self.texts.iter().map(|text| text.split_whitespace().count() as u64).sum()
    }

    fn encode(
        &self,
        encoder: &dyn TextEncoder,
        chunk_words: usize,
        cancel: &Cancel,
    ) -> anyhow::Result<Vectors> {
        let options = EncodeOptions { cancel: cancel.clone(), ..EncodeOptions::default() };
        let dims = encoder.dims();
        let mut vectors = Vectors::default();
        let mut progress = Progress::counting("corpus", "documents", self.texts.len() as u64);
        for (batch, texts) in self.texts.chunks(BATCH).enumerate() {
            let whole: Vec<&str> = texts.iter().map(String::as_str).collect();
            let whole = encoder.encode(&whole, &options).context("encode the documents")?;
            vectors.whole_stats += whole.stats();
            vectors.whole.extend(whole.iter().flat_map(unit));
            for (at, text) in texts.iter().enumerate() {
                let chunks = chunks(text, chunk_words);
                let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
                let encoded = encoder.encode(&chunks, &options).context("encode the chunks")?;
                vectors.chunk_stats += encoded.stats();
                let mut mean = vec![0.0; dims];
                for chunk in encoded.iter().map(unit) {
                    mean.iter_mut().zip(&chunk).for_each(|(sum, value)| *sum += value);
                    vectors.chunks.extend(chunk);
                    vectors.chunk_of.push(batch * BATCH + at);
                }
                normalize(&mut mean);
                vectors.means.extend(mean);
            }
            progress.advance(texts.len() as u64, (batch * BATCH + texts.len()) as u64);
        }
        progress.finish();
        Ok(vectors)
    }

    /// Searches by words, in an index of its own.
    fn by_words(&self, queries: &[JudgedQuery], session: &Session<'_>) -> anyhow::Result<LongRow> {
        let scratch = Scratch::open(session)?;
        let field: TextField = "text:en".parse()?;
        let name = field.name();
        // A collection has vectors; no query looks at these.
        let config = CollectionConfig::new(1, Metric::Dot).with_text(field);
        let collection = scratch.engine.create_collection("words", config)?;
        for (id, text) in self.ids.iter().zip(&self.texts) {
            session.cancel.check()?;
            let payload = Payload::new().with("text", text.as_str());
            collection.upsert(vec![Point::new(id.clone(), vec![1.0]).with_payload(payload)])?;
        }
        collection.flush()?;
        let qualities = queries
            .iter()
            .map(|query| words_of(&collection, &name, query))
            .collect::<anyhow::Result<Vec<Quality>>>()?;
        Ok(LongRow {
            method: "words (BM25)".to_owned(),
            quality: Quality::mean(&qualities),
            texts: 0,
            truncated: 0,
            tokens: 0,
            seconds: 0.0,
        })
    }
}

impl Vectors {
    fn rows(
        &self,
        ids: &[PointId],
        dims: usize,
        judged: &[JudgedQuery],
        queries: &[Vec<f32>],
    ) -> anyhow::Result<Vec<LongRow>> {
        let ways = [
            ("what the model reads", &self.whole, None, self.whole_stats),
            ("mean of chunks", &self.means, None, self.chunk_stats),
            ("best chunk", &self.chunks, Some(&self.chunk_of), self.chunk_stats),
        ];
        let mut rows = Vec::new();
        for (method, vectors, owners, stats) in ways {
            let mut qualities = Vec::new();
            for (judged, query) in judged.iter().zip(queries) {
                let mut scores = vec![f32::NEG_INFINITY; ids.len()];
                for (row, vector) in vectors.chunks_exact(dims).enumerate() {
                    let document = owners.map_or(row, |owners| owners[row]);
                    let score: f32 = vector.iter().zip(query).map(|(x, y)| x * y).sum();
                    scores[document] = scores[document].max(score);
                }
                let mut order: Vec<usize> = (0..ids.len()).collect();
                order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
                let found = order.iter().take(LIMIT).map(|&document| &ids[document]);
                qualities.push(quality(judged, found)?);
            }
            rows.push(LongRow {
                method: method.to_owned(),
                quality: Quality::mean(&qualities),
                texts: stats.texts,
                truncated: stats.truncated,
                tokens: stats.tokens,
                seconds: (stats.tokenize + stats.forward).as_secs_f64(),
            });
        }
        Ok(rows)
    }
}

fn words_of(collection: &Collection, field: &str, judged: &JudgedQuery) -> anyhow::Result<Quality> {
    let params = SearchParams::new(LIMIT)?.with_payload(false);
    let found = collection.search_text(&TextQuery::new(&judged.text).in_field(field), &params)?;
    quality(judged, found.points.iter().map(|point| &point.id))
}

fn quality<'a>(
    judged: &JudgedQuery,
    found: impl Iterator<Item = &'a PointId>,
) -> anyhow::Result<Quality> {
    let quality = judged.judgements.quality(found);
    quality.context("a query without anything relevant cannot be judged")
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let mut vector = vector.to_vec();
    normalize(&mut vector);
    vector
}

/// Cuts a text after every so many words; a text of white space alone is one chunk.
fn chunks(text: &str, words: usize) -> Vec<String> {
    let all: Vec<&str> = text.split_whitespace().collect();
    if all.is_empty() {
        return vec![text.to_owned()];
    }
    all.chunks(words).map(|words| words.join(" ")).collect()
}

fn write_table(session: &mut Session<'_>, evaluation: &LongEvaluation) -> anyhow::Result<()> {
    writeln!(
        session.out,
        "{}: {} documents of {} words in the mean, {} queries\n{}, which reads {} tokens\n",
        evaluation.corpus,
        human::count(evaluation.documents as u64),
        human::count(evaluation.words / (evaluation.documents as u64).max(1)),
        evaluation.queries,
        evaluation.model,
        human::count(evaluation.max_tokens as u64),
    )?;
    let more = ["texts", "truncated", "tokens read", "seconds"];
    let measures = [NDCG_10, RECALL_10, MRR_10];
    let mut table = QualityTable::new(&measures, &more);
    for row in &evaluation.rows {
        let [texts, truncated, tokens] = [row.texts, row.truncated, row.tokens].map(human::count);
        let more = [texts, truncated, tokens, format!("{:.0}", row.seconds)];
        table.add(&row.method, &row.quality, more);
    }
    writeln!(session.out, "{}", table.text())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_all_words_once() {
        assert_eq!(chunks("a b\nc  d e", 2), ["a b", "c d", "e"]);
        assert_eq!(chunks("a", 9), ["a"]);
        assert_eq!(chunks(" ", 9), [" "]);
    }

    #[test]
    fn a_document_ranks_by_its_best_chunk() {
        let ids = [PointId::from(1), PointId::from(2)];
        let mut judgements = crate::ranking::Judgements::default();
        judgements.insert(ids[1].clone(), 1);
        let judged = [JudgedQuery { text: String::new(), sparse: None, judgements }];
        let vectors = Vectors {
            whole: vec![0.8, 0.6, 0.0, 1.0],
            means: vec![0.8, 0.6, 0.6, 0.8],
            chunks: vec![0.8, 0.6, 0.0, 1.0, 1.0, 0.0],
            chunk_of: vec![0, 1, 1],
            ..Vectors::default()
        };
        let rows = vectors.rows(&ids, 2, &judged, &[vec![1.0, 0.0]]).unwrap();
        let mrr: Vec<f64> = rows.iter().map(|row| row.quality.mrr_10).collect();
        assert_eq!(mrr, [0.5, 0.5, 1.0]);
    }
}
