//! `bigrain export`: a collection becomes a file that others read.

use std::path::{Path, PathBuf};

use anyhow::bail;
use bigrain_engine::{Collection, Cursor, ScrollParams, StoredPoint};
use clap::{Args, ValueEnum};

use crate::exchange::{ExportedShape, JsonlExport, ParquetExport, ShapeFile};
use crate::human;
use crate::progress::Progress;
use crate::session::{Session, open_collection};

/// Points in memory at a time.
const PAGE_POINTS: usize = 256;

/// Pages after which an export can go on when it was stopped.
const PAGES_PER_SAVE: u64 = 64;

/// A format that points are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum ExportFormat {
    /// A JSON object a line: id, vectors, payload. The collection's shape goes into a file beside it.
    Jsonl,
    /// A table: id, a column for each vector field, payload as JSON text.
    Parquet,
}

/// Writes all points of a collection to a file that others read, and `bigrain import` reads back
/// exactly.
///
/// An export as JSON lines that was stopped is taken up by running the same command again.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// The collection
    collection: String,
    /// The file to write; there must be none of that name yet
    #[arg(long, short, value_name = "FILE")]
    to: PathBuf,
    /// The format [default: what the file's name says]
    #[arg(long)]
    format: Option<ExportFormat>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the collection or the file is refused, or the caller stops it.
pub fn run(args: &ExportArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let format = args.format.map_or_else(|| format_of(&args.to), Ok)?;
    if args.to.try_exists()? {
        bail!("{} exists", args.to.display());
    }
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, Some(&args.collection))?;
    let points = collection.count();
    let mut progress = Progress::new("export", points);
    let written = match format {
        ExportFormat::Jsonl => to_jsonl(&args.to, &collection, session, &mut progress),
        ExportFormat::Parquet => to_parquet(&args.to, &collection, session, &mut progress),
    };
    let (_, elapsed) = progress.finish();
    let bytes = written?;
    if args.json {
        return session.write_json(&serde_json::json!({ "points": points, "bytes": bytes }));
    }
    let (points, bytes) = (human::counted(points, "point", "points"), human::bytes(bytes));
    let time = human::duration(elapsed);
    Ok(writeln!(session.out, "{points}, {bytes}, {time}: {}", args.to.display())?)
}

fn format_of(path: &Path) -> anyhow::Result<ExportFormat> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("jsonl" | "ndjson") => Ok(ExportFormat::Jsonl),
        Some("parquet") => Ok(ExportFormat::Parquet),
        _ => bail!("unknown format: expected a name ending in .jsonl or .parquet, or --format"),
    }
}

fn to_jsonl(
    path: &Path,
    collection: &Collection,
    session: &Session<'_>,
    progress: &mut Progress,
) -> anyhow::Result<u64> {
    let mut export = JsonlExport::start(path, collection.name())?;
    let (mut cursor, mut done) = export.resume()?;
    progress.advance(done, done);
    let mut pages = 0;
    loop {
        let (points, next) = page(collection, cursor.take())?;
        for point in &points {
            export.write(point)?;
        }
        done += points.len() as u64;
        pages += 1;
        progress.advance(points.len() as u64, done);
        let Some(next) = next else { break };
        let stopped = session.cancel.check();
        if stopped.is_err() || pages % PAGES_PER_SAVE == 0 {
            export.save(Some(&next))?;
        }
        stopped?;
        cursor = Some(next);
    }
    ShapeFile::beside(path).write(&ExportedShape::of(collection))?;
    export.finish()
}

fn to_parquet(
    path: &Path,
    collection: &Collection,
    session: &Session<'_>,
    progress: &mut Progress,
) -> anyhow::Result<u64> {
    let mut export = ParquetExport::start(path, &ExportedShape::of(collection))?;
    match fill(&mut export, collection, session, progress) {
        Ok(()) => export.finish(),
        Err(error) => {
            export.discard();
            Err(error)
        }
    }
}

fn fill(
    export: &mut ParquetExport,
    collection: &Collection,
    session: &Session<'_>,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let (mut cursor, mut done) = (None, 0);
    loop {
        let (points, next) = page(collection, cursor)?;
        let count = points.len() as u64;
        points.into_iter().try_for_each(|point| export.write(point))?;
        done += count;
        progress.advance(count, done);
        if next.is_none() {
            return Ok(());
        }
        session.cancel.check()?;
        cursor = next;
    }
}

fn page(
    collection: &Collection,
    cursor: Option<Cursor>,
) -> anyhow::Result<(Vec<StoredPoint>, Option<Cursor>)> {
    let mut params = ScrollParams::new(PAGE_POINTS)?.with_vectors(true);
    if let Some(cursor) = cursor {
        params = params.from_cursor(cursor);
    }
    let page = collection.scroll_page(&params)?;
    Ok((page.points, page.next))
}
