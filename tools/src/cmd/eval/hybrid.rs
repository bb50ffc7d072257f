//! What fusing vectors and words is worth, on a judged test collection.

use std::num::NonZeroUsize;
use std::path::Path;

use bigrain_encoders::TextEncoder;
use bigrain_engine::{
    Cancel, Collection, CollectionConfig, DEFAULT_FIELD, Engine, Metric, TextField,
};
use clap::Args;
use serde::Serialize;

use super::corpus::CorpusArgs;
use super::scratch::Scratch;
use crate::beir::Beir;
use crate::fusing::pseudo::PseudoQuery;
use crate::fusing::{Asked, Fitting, FittingRow, Interval, QueryVectors, Searched, Setting, Trial};
use crate::ingest::{BadRows, Ingest, KnownRows};
use crate::progress::Progress;
use crate::session::Session;

/// Stored points that become queries.
const PSEUDO_QUERIES: usize = 500;

/// How vectors and words are evaluated together.
#[derive(Args, Debug)]
pub struct HybridArgs {
    /// Compare vectors, words (BM25) and both fused, with weights fitted on other queries than those
    /// they are judged by
    #[arg(long, requires = "corpus", conflicts_with = "oversampling")]
    hybrid: bool,
    /// The texts that are searched by words: PATH[+PATH][:LANGUAGE[:no-stop-words]]
    #[arg(long, value_name = "TEXTS", requires = "hybrid", default_value = "title+text:en")]
    bm25: TextField,
    /// Parts of the queries: each is judged with what the others choose
    #[arg(long, value_name = "N", requires = "hybrid", default_value = "5")]
    folds: NonZeroUsize,
}

/// What an evaluation of vectors and words found.
#[derive(Clone, Debug, Serialize)]
pub struct HybridEvaluation {
    /// The folder.
    pub corpus: String,
    /// The model's folder.
    pub model: String,
    /// The texts that were searched by words.
    pub text_field: String,
    /// Documents indexed.
    pub documents: u64,
    /// What the judged queries say.
    pub fitting: Fitting,
    /// What a fit by queries made of stored points is worth on the judged queries.
    pub pseudo: PseudoRow,
}

/// A fit by queries made of stored points, on the judged queries.
#[derive(Clone, Debug, Serialize)]
pub struct PseudoRow {
    /// What the queries were made of.
    pub source: String,
    /// What they choose.
    pub setting: Setting,
    /// How good that is.
    #[serde(flatten)]
    pub row: FittingRow,
    /// By how much it is above the better search alone.
    pub gain: Interval,
}

impl HybridArgs {
    /// Whether this is what the command is to do.
    pub(super) fn is_asked(&self) -> bool {
        self.hybrid
    }
}

/// Measures. Nothing is left behind: the index lives in a temporary folder.
pub(super) fn run(
    folder: &Path,
    args: &HybridArgs,
    corpus: &CorpusArgs,
    json: bool,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let (beir, model) = corpus.open(folder, session)?;
    let scratch = Scratch::open(session)?;
    let collection = build(&scratch.engine, &beir, model.encoder(), &args.bm25, &session.cancel)?;
    let text_field = args.bm25.name();
    let searched = Searched {
        collection: &collection,
        vector_field: DEFAULT_FIELD,
        text_field: &text_field,
        vectors: QueryVectors::Encoded(model.encoder()),
    };
    let asked = Asked::of_beir(folder.display().to_string(), &beir);
    let trial = Trial::run(searched, &asked, &session.cancel)?;
    let fitting = trial.fit(args.folds)?;
    let asked =
        PseudoQuery::Sentence.ask(&collection, &args.bm25, PSEUDO_QUERIES, &session.cancel)?;
    let setting = Trial::run(searched, &asked, &session.cancel)?.fit(args.folds)?.setting;
    let row = FittingRow::new(&trial.under(setting));
    let gain = fitting.gain_of(&row);
    let pseudo = PseudoRow { source: asked.source, setting, row, gain };
    let evaluation = HybridEvaluation {
        corpus: folder.display().to_string(),
        model: model.name().to_owned(),
        text_field: args.bm25.to_string(),
        documents: collection.count(),
        fitting,
        pseudo,
    };
    if json {
        return session.write_json(&evaluation);
    }
    let HybridEvaluation { corpus, model, text_field, documents, fitting, pseudo } = evaluation;
    writeln!(session.out, "{corpus}: {documents} documents\n{model}; words of {text_field}\n")?;
    let name = format!("fused, fitted on {} ({})", pseudo.source, pseudo.setting);
    fitting.write_table(&[(name, pseudo.row)], session.out)
}

fn build(
    engine: &Engine,
    beir: &Beir,
    encoder: &dyn TextEncoder,
    text_field: &TextField,
    cancel: &Cancel,
) -> anyhow::Result<Collection> {
    let config = CollectionConfig::new(encoder.dims(), Metric::Cosine)
        .with_space(encoder.space())
        .with_text(text_field.clone());
    let collection = engine.create_collection("hybrid", config)?;
    let corpus = beir.corpus_with_texts()?;
    let mut progress = Progress::new("corpus", corpus.len_bytes());
    let ingest = Ingest {
        targets: std::slice::from_ref(&collection),
        encoder: Some(encoder),
        bad_rows: BadRows::Skip,
        known_rows: KnownRows::Rewrite,
        cancel,
    };
    let (_, ended) = ingest.run(corpus, &mut progress);
    progress.finish();
    ended?;
    collection.flush()?;
    Ok(collection)
}
