//! `bigrain import`: a file of points becomes a collection.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use bigrain_engine::{
    Collection, CollectionConfig, Engine, FieldConfig, Metric, MultiFieldConfig, MultiVector,
    SparseFieldConfig,
};
use clap::Args;

use crate::building::finish_segments;
use crate::exchange::{Columns, ExportedShape, ShapeFile};
use crate::human;
use crate::ingest::{BadRows, Ingest, IngestReport, KnownRows};
use crate::input::{Content, Fields, Format, Input, InputError, ParquetInput, Record};
use crate::progress::Progress;
use crate::session::{Session, find_collection};

/// Reads points from a file of `bigrain export`, or from any Parquet table with a column of ids and
/// one of vectors.
///
/// Points that are stored already are passed over, so an import that was stopped is taken up by
/// running the same command again. For texts, and for JSON lines of any other form, there is
/// `bigrain build`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// JSON lines (.jsonl) or Parquet (.parquet)
    input: PathBuf,
    /// The collection to create, or to go on with
    #[arg(long, short, value_name = "NAME")]
    collection: String,
    /// The format of the input [default: what its name says]
    #[arg(long)]
    format: Option<Format>,
    /// Parquet: the column of ids, integers or texts [default: id, or else _id]
    #[arg(long, value_name = "COLUMN")]
    id_column: Option<String>,
    /// Parquet: a column of vectors, and which field they are of; can be given several times
    /// [default: every column with lists of floats, or structs of "indices" and "values"]
    #[arg(long, value_name = "[FIELD=]COLUMN")]
    vector_column: Vec<String>,
    /// Parquet: a column of JSON objects, the payloads [default: all other columns are attributes]
    #[arg(long, value_name = "COLUMN")]
    payload_column: Option<String>,
    /// Parquet: a column to leave out; can be given several times
    #[arg(long, value_name = "COLUMN")]
    skip_column: Vec<String>,
    /// How vectors of a new collection are compared: cosine, dot or l2 [default: as they were where
    /// they come from, or else cosine]
    #[arg(long)]
    metric: Option<Metric>,
    /// Pass over bad rows and list them at the end, instead of stopping at the first
    #[arg(long)]
    skip_bad: bool,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the input or the data folder is refused, or the caller stops it. Points that were committed
/// before stay.
pub fn run(args: &ImportArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let Source { mut records, end, shape } = args.open()?;
    // The first row is looked at before anything is created.
    let first =
        records.next().ok_or_else(|| anyhow!("{} holds no points", args.input.display()))?;
    let engine = session.create_or_open(&session.data_dir())?;
    let collection = match find_collection(&engine, &args.collection)? {
        Some(collection) => collection,
        None => args.create(&engine, shape, first.as_ref())?,
    };
    let mut progress = Progress::new(&args.collection, end);
    let ingest = Ingest {
        targets: std::slice::from_ref(&collection),
        encoder: None,
        bad_rows: if args.skip_bad { BadRows::Skip } else { BadRows::Stop },
        known_rows: KnownRows::Skip,
        cancel: &session.cancel,
    };
    let (report, ended) = ingest.run(std::iter::once(first).chain(records), &mut progress);
    progress.finish();
    if ended.is_ok() {
        finish_segments(&collection, false)?;
    }
    args.write_report(session, &collection, &report)?;
    ended.with_context(|| {
        let rows = human::counted(report.rows, "row of this run is", "rows of this run are");
        format!("import {:?} ({rows} stored; the same command goes on after that)", args.collection)
    })
}

/// Points to import.
struct Source {
    records: Box<dyn Iterator<Item = Result<Record, InputError>> + Send>,
    end: u64,
    /// The shape of the collection they come from.
    shape: Option<ExportedShape>,
}

impl ImportArgs {
    fn open(&self) -> anyhow::Result<Source> {
        let format = self.format.map_or_else(|| Format::of(&self.input), Ok)?;
        if format == Format::Parquet {
            let file = File::open(&self.input)
                .with_context(|| format!("open {}", self.input.display()))?;
            let name: Arc<Path> = Arc::from(self.input.as_path());
            let input = ParquetInput::open(file, &name, &self.columns())?;
            let (end, shape) = (input.len_rows(), input.shape().cloned());
            return Ok(Source { records: Box::new(input), end, shape });
        }
        let fields = Fields { payload: Some("payload".to_owned()), ..Fields::default() };
        let input = Input::open(&self.input, format, fields, 0)?;
        let (end, shape) = (input.len_bytes(), ShapeFile::beside(&self.input).read()?);
        Ok(Source { records: Box::new(input), end, shape })
    }

    fn columns(&self) -> Columns {
        let vector = |flag: &String| match flag.split_once('=') {
            Some((field, column)) => (Some(field.to_owned()), column.to_owned()),
            None => (None, flag.clone()),
        };
        Columns {
            id: self.id_column.clone(),
            vectors: self.vector_column.iter().map(vector).collect(),
            payload: self.payload_column.clone(),
            skip: self.skip_column.clone(),
        }
    }

    fn create(
        &self,
        engine: &Engine,
        shape: Option<ExportedShape>,
        first: Result<&Record, &InputError>,
    ) -> anyhow::Result<Collection> {
        let config = match (shape, first) {
            (Some(shape), _) if self.metric.is_none() => {
                let collection =
                    engine.create_collection(&self.collection, shape.config.clone())?;
                shape.keep_fits(&collection)?;
                return Ok(collection);
            }
            (_, Ok(record)) => self.shape_of(record)?,
            (_, Err(error)) => return Err(anyhow!("{error}")),
        };
        Ok(engine.create_collection(&self.collection, config)?)
    }

    /// Returns the shape that a row's vectors have.
    fn shape_of(&self, record: &Record) -> anyhow::Result<CollectionConfig> {
        let metric = self.metric.unwrap_or(Metric::Cosine);
        let no_vector = || anyhow!("{}", record.place.error(crate::input::Problem::NoModel));
        match &record.content {
            Content::Vector(vector) => Ok(CollectionConfig::new(vector.len(), metric)),
            Content::Named { vectors, sparse, multi, .. } => {
                let field = |(name, vector): &(String, Vec<f32>)| {
                    FieldConfig::new(name, vector.len(), metric)
                };
                let mut fields = vectors.iter().map(field);
                let mut sparse = sparse.iter().map(|(name, _)| SparseFieldConfig::new(name));
                let of_tokens = |(name, vector): &(String, MultiVector)| {
                    MultiFieldConfig::new(name, vector.dims(), metric)
                };
                let mut multi = multi.iter().map(of_tokens);
                let config = match (fields.next(), sparse.next()) {
                    (Some(first), None) => CollectionConfig::of(first),
                    (Some(first), Some(next)) => CollectionConfig::of(first).with_sparse(next),
                    (None, Some(first)) => CollectionConfig::of_sparse(first),
                    (None, None) => CollectionConfig::of_multi(multi.next().ok_or_else(no_vector)?),
                };
                let config = fields.fold(config, CollectionConfig::with_field);
                let config = sparse.fold(config, CollectionConfig::with_sparse);
                Ok(multi.fold(config, CollectionConfig::with_multi))
            }
            Content::Text(_) => Err(no_vector()),
        }
    }

    fn write_report(
        &self,
        session: &mut Session<'_>,
        collection: &Collection,
        report: &IngestReport,
    ) -> anyhow::Result<()> {
        if self.json {
            return session.write_json(&serde_json::json!({
                "collection": collection.name(),
                "points": collection.count(),
                "report": report,
            }));
        }
        let points = human::counted(collection.count(), "point", "points");
        let (name, lines) = (collection.name(), report.points_line());
        writeln!(session.out, "{name}: {points} ({lines}), {}", report.speed_line())?;
        for row in &report.bad_rows {
            writeln!(session.out, "skipped {row}")?;
        }
        Ok(())
    }
}
