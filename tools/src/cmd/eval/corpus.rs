//! What codes cost in retrieval quality, on texts of a judged test collection.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bigrain_encoders::TextEncoder;
use bigrain_engine::{
    Cancel, Collection, CollectionConfig, Engine, Levels, Metric, Query, SearchParams, SearchStats,
};
use clap::Args;
use serde::Serialize;

use super::args::Common;
use super::quality_table::{MRR_10, NDCG_10, QualityTable, RECALL_10, RECALL_100};
use super::scratch::Scratch;
use crate::beir::{Beir, JudgedQuery};
use crate::device::EncodeOn;
use crate::footprint::Footprint;
use crate::human;
use crate::ingest::{BadRows, Ingest, IngestReport, KnownRows};
use crate::model::Model;
use crate::progress::Progress;
use crate::queries::encode_queries;
use crate::ranking::Quality;
use crate::session::Session;

/// As many results as the deepest measure, Recall@100, looks at.
const LIMIT: usize = 100;

/// Texts to search, and what encodes them.
#[derive(Args, Debug)]
pub struct CorpusArgs {
    /// The folder in BEIR layout: corpus.jsonl, queries.jsonl, qrels.tsv
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present_any = ["vectors", "code", "images", "compare"],
        conflicts_with = "vectors"
    )]
    corpus: Option<PathBuf>,
    /// The folder of the model that encodes the corpus [default: all-MiniLM-L6-v2]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_MODEL")]
    model: Option<PathBuf>,
}

impl CorpusArgs {
    /// Returns the folder, if texts are what is measured.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.corpus.as_deref()
    }

    /// Returns the folder of the model, where one was named.
    pub(super) fn model(&self) -> Option<&Path> {
        self.model.as_deref()
    }

    /// Opens the model.
    pub(super) fn open_model(&self, on: &EncodeOn) -> anyhow::Result<Model> {
        Model::open_or_default(self.model.as_deref(), on)
    }

    /// Opens the test collection in a folder, and the model.
    pub(super) fn open(
        &self,
        folder: &Path,
        session: &Session<'_>,
    ) -> anyhow::Result<(Beir, Model)> {
        let beir = Beir::open(folder)?;
        Ok((beir, self.open_model(&session.encode_on())?))
    }
}

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// The folder.
    pub corpus: String,
    /// The model's folder.
    pub model: String,
    /// Documents indexed.
    pub documents: u64,
    /// Documents passed over, because they are empty or malformed.
    pub skipped_documents: u64,
    /// Queries with a relevant document.
    pub queries: usize,
    /// Queries without one, which are left out.
    pub skipped_queries: usize,
    /// A row for each way to search.
    pub rows: Vec<EvaluationRow>,
}

/// One way to search, measured with 100 results a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluationRow {
    /// How: `exact f32`, or codes of how many levels.
    pub method: String,
    /// Mean quality over the queries.
    #[serde(flatten)]
    pub quality: Quality,
    /// Bytes a vector: of resident codes, or of f32 where there are none.
    pub bytes_per_vector: f64,
    /// Dense vectors scored for a query, in the mean.
    pub rows_read_per_query: f64,
    /// Searches a second, one after the other; encoding is not in it.
    pub queries_per_second: f64,
}

/// Measures. Nothing is left behind: the index lives in a temporary folder.
///
/// # Errors
///
/// When the corpus or the model is refused, or the caller stops it.
pub(super) fn run(
    folder: &Path,
    args: &CorpusArgs,
    common: Common,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let corpus = folder.display().to_string();
    let (beir, model) = args.open(folder, session)?;
    let params = params(common.oversampling)?;
    let scratch = Scratch::open(session)?;
    let index = Index::build(&scratch.engine, &beir, model.encoder(), &session.cancel)?;
    let evaluation = Evaluation {
        corpus,
        model: model.name().to_owned(),
        documents: index.report.inserted,
        skipped_documents: index.report.bad,
        queries: beir.queries().len(),
        skipped_queries: beir.unjudged(),
        rows: index.measure(&beir, model.encoder(), params, &session.cancel)?,
    };
    if common.json {
        return session.write_json(&evaluation);
    }
    write_table(session, &evaluation, &index.report)
}

fn params(oversampling: Option<f32>) -> anyhow::Result<SearchParams> {
    // Payloads decide nothing here.
    let params = SearchParams::new(LIMIT)?.with_payload(false);
    match oversampling {
        Some(oversampling) => Ok(params.with_oversampling(oversampling)?),
        None => Ok(params),
    }
}

/// The corpus, indexed once for each number of levels.
struct Index {
    collections: Vec<Collection>,
    report: IngestReport,
}

impl Index {
    fn build(
        engine: &Engine,
        beir: &Beir,
        encoder: &dyn TextEncoder,
        cancel: &Cancel,
    ) -> anyhow::Result<Self> {
        let mut collections = Vec::new();
        for levels in [Levels::ONE, Levels::TWO] {
            let config = CollectionConfig::new(encoder.dims(), Metric::Cosine)
                .with_levels(levels)
                .with_space(encoder.space());
            let name = format!("levels-{}", levels.get());
            collections.push(engine.create_collection(&name, config)?);
        }
        let corpus = beir.corpus()?;
        let mut progress = Progress::new("corpus", corpus.len_bytes());
        let ingest = Ingest {
            targets: &collections,
            encoder: Some(encoder),
            bad_rows: BadRows::Skip,
            known_rows: KnownRows::Rewrite,
            cancel,
        };
        let (report, ended) = ingest.run(corpus, &mut progress);
        progress.finish();
        ended?;
        for collection in &collections {
            collection.flush()?;
        }
        Ok(Self { collections, report })
    }

    fn measure(
        &self,
        beir: &Beir,
        encoder: &dyn TextEncoder,
        params: SearchParams,
        cancel: &Cancel,
    ) -> anyhow::Result<Vec<EvaluationRow>> {
        let texts = beir.queries().iter().map(|query| query.text.as_str());
        let embeddings = encode_queries(texts, encoder, cancel)?;
        let query = |vector: &[f32]| Query::new(vector.to_vec()).in_space(encoder.space());
        let queries: Vec<(&JudgedQuery, Query)> =
            beir.queries().iter().zip(embeddings.iter().map(query)).collect();
        let mut rows = Vec::new();
        if let Some(collection) = self.collections.last() {
            let raw = (encoder.dims() * size_of::<f32>()) as f64;
            let pass = Pass::run(collection, &queries, params.with_exact(true), cancel)?;
            rows.push(pass.row("exact f32".to_owned(), raw));
        }
        for collection in &self.collections {
            let levels = collection.config().field(None)?.levels.get();
            let plural = if levels == 1 { "" } else { "s" };
            let bytes = Footprint::of(&collection.info()).code_bytes_per_vector();
            let pass = Pass::run(collection, &queries, params, cancel)?;
            rows.push(pass.row(format!("codes of {levels} level{plural} + verify"), bytes));
        }
        Ok(rows)
    }
}

/// All queries searched one after the other.
#[derive(Default)]
struct Pass {
    qualities: Vec<Quality>,
    stats: SearchStats,
    elapsed: Duration,
}

impl Pass {
    fn run(
        collection: &Collection,
        queries: &[(&JudgedQuery, Query)],
        params: SearchParams,
        cancel: &Cancel,
    ) -> anyhow::Result<Self> {
        // The first search makes codes resident, which is no part of what a search takes.
        if let Some((_, query)) = queries.first() {
            collection.search(query, &params)?;
        }
        let mut pass = Self::default();
        for (judged, query) in queries {
            cancel.check()?;
            let started = Instant::now();
            let found = collection.search(query, &params)?;
            pass.elapsed += started.elapsed();
            pass.stats += found.stats;
            let ids = found.points.iter().map(|point| &point.id);
            pass.qualities.extend(judged.judgements.quality(ids));
        }
        Ok(pass)
    }

    fn row(&self, method: String, bytes_per_vector: f64) -> EvaluationRow {
        let queries = self.qualities.len() as u64;
        EvaluationRow {
            method,
            quality: Quality::mean(&self.qualities),
            bytes_per_vector,
            rows_read_per_query: human::ratio(self.stats.rows_read, queries),
            queries_per_second: human::rate(queries, self.elapsed),
        }
    }
}

fn write_table(
    session: &mut Session<'_>,
    evaluation: &Evaluation,
    report: &IngestReport,
) -> anyhow::Result<()> {
    writeln!(
        session.out,
        "{}: {} documents ({} skipped), {} queries ({} without a relevant document left out)\n\
         {}\nencoded: {}\n",
        evaluation.corpus,
        human::count(evaluation.documents),
        evaluation.skipped_documents,
        evaluation.queries,
        evaluation.skipped_queries,
        evaluation.model,
        report.speed_line(),
    )?;
    let measures = [NDCG_10, RECALL_10, RECALL_100, MRR_10];
    let mut table = QualityTable::new(&measures, &["B/vector", "rows read/query", "queries/s"]);
    for row in &evaluation.rows {
        let more = [row.bytes_per_vector, row.rows_read_per_query, row.queries_per_second];
        table.add(&row.method, &row.quality, more.map(|value| format!("{value:.0}")));
    }
    writeln!(session.out, "{}", table.text())?;
    for bad in &report.bad_rows {
        writeln!(session.out, "skipped {bad}")?;
    }
    Ok(())
}
