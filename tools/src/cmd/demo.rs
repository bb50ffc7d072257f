//! `bigrain demo`: the whole path on real text that every Rust developer has at hand.
//!
//! Documented functions from the sources that cargo downloaded are encoded, indexed and searched
//! through the same code as `bigrain build` and `bigrain search`.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use bigrain_engine::{
    Collection, CollectionConfig, CollectionState, Engine, Metric, Payload, PointId, Query,
    STORE_VERSION, SearchParams,
};
use clap::Args;

use crate::cmd::demo_pictures;
use crate::footprint::Footprint;
use crate::ingest::{BadRows, Ingest, IngestReport, KnownRows};
use crate::input::{At, Content, InputError, Place, Record};
use crate::model::Model;
use crate::progress::Progress;
use crate::rust_sources::{Functions, LocatedFunction, downloaded_sources};
use crate::session::{Session, cache_dir, find_collection};
use crate::{hits, human, table};

/// The collection that the demo builds.
const COLLECTION: &str = "functions";
/// Bytes of doc comment, signature and body in the text that is encoded: the beginnings say what a
/// function is for, and encoding takes time by the token.
const DOC_BYTES: usize = 200;
const SIGNATURE_BYTES: usize = 120;
const BODY_BYTES: usize = 60;
/// Results shown for each question.
const LIMIT: usize = 3;

/// Questions whose answers are in crates that bigrain itself is built from.
const QUESTIONS: [&str; 6] = [
    "how do I wait until a child process exits",
    "run a future but give up after a timeout",
    "what is the shortest path between two nodes of a graph",
    "map a file into memory for reading",
    "process chunks of a slice in parallel",
    "decode bytes as UTF-8 and replace invalid sequences",
];

/// Indexes the documented functions in cargo's downloaded sources, and answers six questions. With --images:
/// the pictures of a folder, and writes a page of what was found.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// A folder of Rust sources; may be given more than once [default: what cargo downloaded]
    #[arg(long, value_name = "DIR")]
    sources: Vec<PathBuf>,
    /// The folder of the model [default: all-MiniLM-L6-v2]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_MODEL")]
    model: Option<PathBuf>,
    /// Index the pictures of this folder instead
    #[arg(long, value_name = "DIR", conflicts_with_all = ["sources", "cap"])]
    images: Option<PathBuf>,
    /// The folder of the model for pictures [default: efficientnet-lite0-minilm]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_IMAGE_MODEL")]
    image_model: Option<PathBuf>,
    /// Where the page of pictures goes
    #[arg(long, value_name = "FILE", default_value = "pictures.html", requires = "images")]
    html: PathBuf,
    /// At most this many functions
    #[arg(long, value_name = "N", default_value_t = 4000)]
    cap: usize,
}

/// Runs the command.
///
/// # Errors
///
/// When there are no sources, the model or the data folder is refused, or the caller stops it.
pub fn run(args: &DemoArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let data = match &session.data {
        Some(data) => data.clone(),
        // A folder for each format, because one of another format is refused.
        None => cache_dir()?.join(format!("demo-{STORE_VERSION}")),
    };
    if let Some(folder) = &args.images {
        let model = args.image_model.as_deref();
        return demo_pictures::run(folder, model, &args.html, &data, session);
    }
    let model = Model::open_or_default(args.model.as_deref(), &session.encode_on())?;
    let functions = find_functions(args, session)?;
    let engine = session.create_or_open(&data)?;
    let collection = open_or_create(&engine, &model)?;
    let report = build(&collection, &model, &functions, session)?;
    write_footprint(session, &collection, &report, &data)?;
    for question in QUESTIONS {
        answer(session, &collection, &model, question)?;
    }
    let program = env::current_exe().unwrap_or_else(|_| PathBuf::from("bigrain"));
    writeln!(
        session.out,
        "\nAsk your own:\n  {} search --data {} \"your question\"",
        quoted(&program),
        quoted(&data)
    )?;
    Ok(())
}

fn find_functions(
    args: &DemoArgs,
    session: &mut Session<'_>,
) -> anyhow::Result<Vec<LocatedFunction>> {
    let started = Instant::now();
    let folders =
        if args.sources.is_empty() { downloaded_sources()? } else { args.sources.clone() };
    let found = Functions::collect(&folders, args.cap, session.thread_count(), &session.cancel)?;
    if found.functions.is_empty() {
        bail!("no documented functions under {}", folders[0].display());
    }
    for folder in &folders {
        writeln!(session.out, "sources    {}", folder.display())?;
    }
    writeln!(
        session.out,
        "functions  {} of {} documented ones, from {} files in {}",
        human::count(found.functions.len() as u64),
        human::count(found.found as u64),
        human::count(found.files as u64),
        human::duration(started.elapsed())
    )?;
    session.out.flush()?;
    Ok(found.functions)
}

/// Opens the demo's collection, or a new one in place of one that another model made or that cannot
/// be opened: it holds nothing that the sources do not.
fn open_or_create(engine: &Engine, model: &Model) -> anyhow::Result<Collection> {
    let space = model.encoder().space();
    if is_quarantined(engine) {
        engine.drop_collection(COLLECTION)?;
    }
    if let Some(collection) = find_collection(engine, COLLECTION)? {
        if collection.config().first().is_some_and(|first| first.space == Some(space)) {
            return Ok(collection);
        }
        drop(collection);
        engine.drop_collection(COLLECTION)?;
    }
    let config = CollectionConfig::new(model.encoder().dims(), Metric::Cosine)
        .with_space(space)
        .with_model(model.name());
    Ok(engine.create_collection(COLLECTION, config)?)
}

/// Whether the demo's collection is damaged, or of another format version.
fn is_quarantined(engine: &Engine) -> bool {
    let quarantined = |state: &CollectionState| matches!(state, CollectionState::Quarantined(_));
    let statuses = engine.collections();
    statuses.iter().any(|status| status.name == COLLECTION && quarantined(&status.state))
}

fn build(
    collection: &Collection,
    model: &Model,
    functions: &[LocatedFunction],
    session: &Session<'_>,
) -> anyhow::Result<IngestReport> {
    let mut progress = Progress::new("encode", functions.len() as u64);
    let ingest = Ingest {
        targets: std::slice::from_ref(collection),
        encoder: Some(model.encoder()),
        bad_rows: BadRows::Stop,
        // A crate's version never changes its text, and every id names the version.
        known_rows: KnownRows::Skip,
        cancel: &session.cancel,
    };
    let records = functions.iter().zip(1..).map(|(function, row)| record(function, row));
    let (report, ended) = ingest.run(records, &mut progress);
    progress.finish();
    ended.context("build the demo (the same command goes on)")?;
    collection.flush()?;
    Ok(report)
}

fn record(located: &LocatedFunction, position: u64) -> Result<Record, InputError> {
    let LocatedFunction { krate, file, path, function } = located;
    let path: Arc<Path> = Arc::from(path.as_path());
    let place = Place::new(&path, At::Line(function.line as u64));
    let id = PointId::parse(&format!("{krate}/{file}:{}", function.line));
    let id = id.map_err(|error| place.error(error))?;
    let payload = Payload::new()
        .with("crate", krate.as_str())
        .with("file", file.as_str())
        .with("line", function.line as u64)
        .with("name", function.name.as_str())
        .with("signature", function.signature.as_str())
        .with("doc", function.summary());
    Ok(Record { place, id, content: Content::Text(text(located)), payload, position })
}

/// Returns what is encoded: the doc comment, then the signature, then the beginning of the body.
fn text(located: &LocatedFunction) -> String {
    let function = &located.function;
    format!(
        "{}\n{}\n{}\n{}",
        start(&function.prose(), DOC_BYTES),
        function.name,
        start(&function.signature, SIGNATURE_BYTES),
        start(&function.body, BODY_BYTES)
    )
}

/// Returns the beginning of `text`, at most `bytes` long, cut between characters.
fn start(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn write_footprint(
    session: &mut Session<'_>,
    collection: &Collection,
    report: &IngestReport,
    data: &Path,
) -> anyhow::Result<()> {
    let footprint = Footprint::of(&collection.info());
    let facts = table::facts([
        ("points", format!("{} in {}", report.points_line(), data.display())),
        ("speed", report.speed_line()),
        ("codes in memory", footprint.describe(footprint.code_bytes)),
        ("segments on disk", footprint.describe(footprint.disk_bytes)),
        ("raw f32", human::bytes(footprint.raw_bytes)),
    ]);
    writeln!(session.out, "{}", facts.trim_fmt())?;
    session.out.flush()?;
    Ok(())
}

fn answer(
    session: &mut Session<'_>,
    collection: &Collection,
    model: &Model,
    question: &str,
) -> anyhow::Result<()> {
    session.cancel.check()?;
    let started = Instant::now();
    let vector = model.encoder().encode_query(question).context("encode the question")?;
    let encode = started.elapsed();
    let query = Query::new(vector).in_space(model.encoder().space());
    let found = collection.search(&query, &SearchParams::new(LIMIT)?)?;
    writeln!(session.out, "\n{question}?")?;
    writeln!(session.out, "{}", hits::to_table(&found.points).trim_fmt())?;
    writeln!(session.out, "{}", hits::stats_line(&found.stats, encode))?;
    Ok(())
}

/// Quotes a path for a shell, where it needs it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted(Path::new("/a/b-1.0")), "/a/b-1.0");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(start("häuser", 2), "h");
        assert_eq!(start("abc", 10), "abc");
    }
}
