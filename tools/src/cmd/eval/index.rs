//! Where the vectors of an evaluation are indexed, and what that took.
//!
//! A collection is built as *one* segment, as far as a segment may have as many rows: everything is
//! imported into the memtable and flushed once. So searches meet what a collection looks like when
//! all its merges are done, and import and index time can be told apart. The price is memory: the
//! memtable holds every vector.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use bigrain_engine::{
    Cancel, Collection, CollectionConfig, DenseFormat, Engine, EngineConfig, Metric, Payload,
    PointId,
};
use tempfile::TempDir;

use crate::failure::Usage;
use crate::human;
use crate::ingest::{BadRows, Ingest, KnownRows};
use crate::input::{Record, Shape, VectorFile};
use crate::progress::Progress;
use crate::session::{Session, find_collection};
use crate::truth::similarity::{dot, similarity};

/// The most rows that the engine puts into one segment.
const MAX_SEGMENT_ROWS: u64 = 1 << 24;

/// Rows compared with what is stored before a collection is used again.
const ROWS_COMPARED: usize = 64;

/// The name of the collection in a temporary folder.
const TEMPORARY_NAME: &str = "vectors";

/// What a row carries beside its vector, by its number.
type RowPayload<'a> = &'a (dyn Fn(u64) -> Payload + Sync);

/// Where the vectors are indexed.
pub(super) struct IndexPlace<'a> {
    folder: Folder,
    name: String,
    payload: RowPayload<'a>,
}

#[derive(Debug)]
enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

/// How long building took; nothing, where the collection was there before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BuildTimes {
    pub import_seconds: Option<f64>,
    pub index_seconds: Option<f64>,
}

impl<'a> IndexPlace<'a> {
    /// A collection of a data folder, to be built once and used again.
    pub fn kept(folder: PathBuf, name: &str) -> Self {
        Self { folder: Folder::Kept(folder), name: name.to_owned(), payload: &|_| Payload::new() }
    }

    /// A folder that goes when this value does.
    pub fn temporary() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("create a temporary folder")?;
        Ok(Self {
            folder: Folder::Temporary(folder),
            name: TEMPORARY_NAME.to_owned(),
            payload: &|_| Payload::new(),
        })
    }

    /// Gives rows payloads, by their numbers, when they are imported.
    pub fn with_payload(mut self, payload: RowPayload<'a>) -> Self {
        self.payload = payload;
        self
    }

    /// Returns the data folder.
    pub fn folder(&self) -> &Path {
        match &self.folder {
            Folder::Temporary(folder) => folder.path(),
            Folder::Kept(folder) => folder,
        }
    }

    /// Opens the collection, with so many threads for the engine.
    pub fn open(&self, threads: usize, session: &Session<'_>) -> anyhow::Result<Collection> {
        let config = EngineConfig { threads, background_threads: 0, ..session.engine_config() };
        Ok(session.open_engine(self.folder(), config)?.collection(&self.name)?)
    }

    /// Builds the collection, unless it is there with the same shape and content.
    pub fn build(
        &self,
        base: &VectorFile,
        config: &CollectionConfig,
        threads: usize,
        cancel: &Cancel,
    ) -> anyhow::Result<BuildTimes> {
        let rows = base.shape().rows;
        let engine = Engine::open(self.folder(), one_segment(rows, threads))?;
        if let Some(collection) = find_collection(&engine, &self.name)? {
            check_shape(&collection, config, base.shape())?;
            check_content(&collection, base)?;
            collection.flush()?;
            collection.settle()?;
            return Ok(BuildTimes::default());
        }
        announce(base.shape(), config);
        let collection = engine.create_collection(&self.name, config.clone())?;
        let built = import(&collection, base, self.payload, cancel);
        if built.is_err() {
            // Half a collection would be taken for another one the next time.
            engine.drop_collection(&self.name)?;
        }
        built
    }
}

fn import(
    collection: &Collection,
    base: &VectorFile,
    payload: RowPayload<'_>,
    cancel: &Cancel,
) -> anyhow::Result<BuildTimes> {
    let started = Instant::now();
    let mut progress = Progress::new("import", base.len_bytes());
    let ingest = Ingest {
        targets: std::slice::from_ref(collection),
        encoder: None,
        bad_rows: BadRows::Stop,
        known_rows: KnownRows::Rewrite,
        cancel,
    };
    let records = (0..)
        .zip(base.records()?)
        .map(|(row, record)| record.map(|record| Record { payload: payload(row), ..record }));
    let (_, ended) = ingest.run(records, &mut progress);
    progress.finish();
    ended?;
    let import_seconds = Some(started.elapsed().as_secs_f64());
    let started = Instant::now();
    collection.flush()?;
    let index_seconds = Some(started.elapsed().as_secs_f64());
    // Vectors that were imported lie in the store as well until it is compacted.
    collection.settle()?;
    Ok(BuildTimes { import_seconds, index_seconds })
}

/// Resources of an engine that flushes only when it is told to.
fn one_segment(rows: u64, threads: usize) -> EngineConfig {
    let flush_rows = (rows + 1).min(MAX_SEGMENT_ROWS) as usize;
    EngineConfig {
        threads,
        background_threads: 0,
        flush_rows,
        flush_bytes: usize::MAX,
        ..EngineConfig::default()
    }
}

/// Says what the build needs. A memtable is vectors, codes and ids in growing arrays, which take up
/// to twice what they hold.
fn announce(shape: Shape, config: &CollectionConfig) {
    const ID_BYTES: u64 = 120;
    let code_bytes = shape.dims.next_multiple_of(64) / 8
        * config.first().map_or(0, |first| usize::from(first.levels.get()));
    let row_bytes = (shape.dims * size_of::<f32>() + code_bytes) as u64 + ID_BYTES;
    let needed = human::bytes(2 * shape.rows.saturating_mul(row_bytes));
    let rows = human::count(shape.rows);
    let what = format!("{rows} vectors of {} dims", shape.dims);
    // Whoever cannot read it loses nothing.
    let _ =
        writeln!(io::stderr(), "the memtable of {what} takes up to {needed} while it is filled");
}

fn check_shape(
    collection: &Collection,
    config: &CollectionConfig,
    shape: Shape,
) -> anyhow::Result<()> {
    let (name, shape_there) = (collection.name(), collection.config());
    let (has, config) = (shape_there.field(None)?, config.field(None)?);
    let refuse = |what: &str, has: String, asked: String| -> anyhow::Error {
        let line = format!("collection {name:?} has {what} {has}, {what} {asked} was asked for");
        Usage::new(line).into()
    };
    let lists = |lists: Option<u32>| lists.map_or("default".to_owned(), |lists| lists.to_string());
    for (what, has, asked) in [
        ("dims", has.dims.to_string(), config.dims.to_string()),
        ("metric", has.metric.to_string(), config.metric.to_string()),
        ("levels", has.levels.get().to_string(), config.levels.get().to_string()),
        ("dense", has.dense.to_string(), config.dense.to_string()),
        ("lists", lists(has.lists), lists(config.lists)),
    ] {
        if has != asked {
            return Err(refuse(what, has, asked));
        }
    }
    let points = collection.count();
    if points == shape.rows {
        return Ok(());
    }
    Err(anyhow!(
        "collection {name:?} holds {} points, the base has {} rows: name another --collection",
        human::count(points),
        human::count(shape.rows)
    ))
}

/// Compares the first rows with what is stored under their numbers.
fn check_content(collection: &Collection, base: &VectorFile) -> anyhow::Result<()> {
    let config = collection.config();
    let config = config.field(None)?;
    // What the format may round off, as a share of the vector's length.
    let tolerance = match config.dense {
        DenseFormat::F32 => 1e-5,
        DenseFormat::F16 | DenseFormat::I8 | _ => 0.02,
    };
    for (number, row) in base.rows()?.take(ROWS_COMPARED).enumerate() {
        let row = row?;
        let stored = collection.get(&[PointId::from(number as u64)])?.pop().flatten();
        let same = stored.is_some_and(|stored| {
            let Some(other) = stored.vector(&config.name) else { return false };
            match config.metric {
                Metric::Cosine => similarity(Metric::Cosine, &row, other) >= 1.0 - tolerance,
                Metric::Dot | Metric::L2 | _ => {
                    let apart = -similarity(Metric::L2, &row, other);
                    apart <= tolerance * tolerance * dot(&row, &row)
                }
            }
        });
        if !same {
            bail!(
                "collection {:?} holds another vector than row {number} of {}: name another \
                 --collection",
                collection.name(),
                base.path().display()
            );
        }
    }
    Ok(())
}
