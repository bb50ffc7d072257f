//! `bigrain tune --hybrid`: how results of vectors and words are fused best on a collection.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use bigrain_engine::{Collection, TextField};
use clap::Args;
use serde_json::json;

use crate::beir::Beir;
use crate::failure::Usage;
use crate::fusing::pseudo::PseudoQuery;
use crate::fusing::{Asked, QueryVectors, Searched, Trial};
use crate::model::Model;
use crate::session::{Session, open_collection};

/// What fitting a fusion is asked.
#[derive(Args, Debug)]
pub struct HybridArgs {
    /// Fit how results of vectors and words are fused, and keep that with the collection for
    /// `search --hybrid fitted`; needs --judged or --pseudo
    #[arg(long, conflicts_with_all = ["queries", "sweep", "plot", "oversampling"])]
    hybrid: bool,
    /// Judged queries: a folder with queries.jsonl and qrels.tsv, whose documents are the
    /// collection's points. For a sparse field each query has "sparse": {"indices": [..], "values": [..]}
    #[arg(long, value_name = "DIR", requires = "hybrid", conflicts_with = "pseudo")]
    judged: Option<PathBuf>,
    /// Make queries of --sample stored points: field=PATH (such as a title that is not searched), or
    /// sentence, the first of each. They share more words with their points than people's queries do
    #[arg(long, value_name = "KIND", requires = "hybrid")]
    pseudo: Option<PseudoQuery>,
    /// The vector field to search, dense or sparse [default: the collection's first]
    #[arg(long, value_name = "NAME", requires = "hybrid")]
    field: Option<String>,
    /// The text field to search [default: the collection's first]
    #[arg(long, value_name = "NAME", requires = "hybrid")]
    bm25: Option<String>,
    /// The folder of the model that encodes queries [default: the field's]
    #[arg(long, value_name = "DIR", requires = "hybrid")]
    model: Option<PathBuf>,
    /// Parts of the queries: each is judged with what the others choose
    #[arg(long, value_name = "N", default_value = "5")]
    folds: NonZeroUsize,
    /// Keep it under this name, beside others, for `search --hybrid fitted(NAME)`
    #[arg(long, value_name = "NAME", requires = "hybrid")]
    name: Option<String>,
    /// Show what would be kept, and keep nothing
    #[arg(long, requires = "hybrid")]
    dry_run: bool,
}

/// What the other flags of the command say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common<'a> {
    pub collection: Option<&'a str>,
    pub sample: usize,
    pub json: bool,
}

impl HybridArgs {
    /// Whether this is what the command is to do.
    pub(super) fn is_asked(&self) -> bool {
        self.hybrid
    }
}

/// Fits, shows what came of it, and keeps it.
pub(super) fn run(
    args: &HybridArgs,
    common: Common<'_>,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, common.collection)?;
    let field = args.vector_field(&collection)?;
    let text_field = args.text_field(&collection)?;
    let asked = args.ask(&collection, &text_field, common.sample, session)?;
    let (vector_field, model) = match field {
        VectorField::Sparse(name) => (name, None),
        VectorField::Dense(name) => {
            let folder = args.model.as_deref();
            let model = Model::open_for(&collection, Some(&name), folder, &session.encode_on())?;
            (name, Some(model))
        }
    };
    let text_field = text_field.name();
    let searched = Searched {
        collection: &collection,
        vector_field: &vector_field,
        text_field: &text_field,
        vectors: match &model {
            Some(model) => QueryVectors::Encoded(model.encoder()),
            None => QueryVectors::Sparse,
        },
    };
    let fitting = Trial::run(searched, &asked, &session.cancel)?.fit(args.folds)?;
    let fit = fitting.to_fit(&vector_field, &text_field);
    if !args.dry_run {
        match &args.name {
            None => collection.set_hybrid_fit(Some(fit.clone()))?,
            Some(name) => collection.set_named_hybrid_fit(name, Some(fit.clone()))?,
        }
    }
    if common.json {
        return session.write_json(&json!({
            "collection": collection.name(),
            "fitting": fitting,
            "fit": fit,
            "kept": !args.dry_run,
        }));
    }
    fitting.write_table(&[], session.out)?;
    if args.pseudo.is_some() {
        session.note("queries made of stored points lean towards words: prefer judged ones");
    }
    match (args.dry_run, &args.name) {
        (true, _) => writeln!(session.out, "not kept, as asked")?,
        (false, None) => {
            writeln!(session.out, "kept with the collection: search it with --hybrid fitted")?
        }
        (false, Some(name)) => writeln!(
            session.out,
            "kept with the collection: search it with --hybrid 'fitted({name})'"
        )?,
    }
    Ok(())
}

/// The vector field of a fit, by its name.
enum VectorField {
    Dense(String),
    Sparse(String),
}

impl HybridArgs {
    fn vector_field(&self, collection: &Collection) -> anyhow::Result<VectorField> {
        let config = collection.config();
        let named = self.field.as_deref();
        let sparse = match named {
            Some(name) => config.sparse().iter().find(|field| field.name == name),
            None if config.fields().is_empty() => config.sparse().first(),
            None => None,
        };
        let Some(sparse) = sparse else {
            return Ok(VectorField::Dense(config.field(named)?.name.clone()));
        };
        let refuse = |flag: &str, reason: &str| {
            let name = &sparse.name;
            let line =
                format!("field {name:?} is sparse: its queries bring their vectors, {reason}");
            Err(Usage::new(format!("{line} (without {flag})")).into())
        };
        if self.pseudo.is_some() {
            return refuse("--pseudo", "so they come from --judged DIR");
        }
        if self.model.is_some() {
            return refuse("--model", "and no model encodes them");
        }
        Ok(VectorField::Sparse(sparse.name.clone()))
    }

    fn text_field(&self, collection: &Collection) -> anyhow::Result<TextField> {
        let config = collection.config();
        if let Some(name) = &self.bm25 {
            return Ok(config.text(name)?.clone());
        }
        let first = config.texts().first().cloned();
        first.ok_or_else(|| {
            let name = collection.name();
            let reason =
                format!("collection {name:?} has no text field: add one with build --bm25");
            Usage::new(reason).into()
        })
    }

    fn ask(
        &self,
        collection: &Collection,
        text_field: &TextField,
        sample: usize,
        session: &Session<'_>,
    ) -> anyhow::Result<Asked> {
        match (&self.judged, &self.pseudo) {
            (Some(folder), _) => {
                Ok(Asked::of_beir(folder.display().to_string(), &Beir::open(folder)?))
            }
            (None, Some(kind)) => kind.ask(collection, text_field, sample, &session.cancel),
            (None, None) => Err(Usage::new("--hybrid needs --judged DIR or --pseudo KIND").into()),
        }
    }
}
