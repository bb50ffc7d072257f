//! The three stages and what runs between them.

use std::panic;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Context, bail};
use bigrain_encoders::{
    Embeddings, EncodeError, EncodeOptions, TextEncoder, TextKind, TokenMatrix,
};
use bigrain_engine::{
    Cancel, Collection, CollectionConfig, EmbeddingSpaceId, MultiVector, Point, PointId,
    SparseVector,
};

use super::chunk::{Chunk, is_unchanged};
use super::{Door, IngestReport};
use crate::building::saying_builds;
use crate::input::{Content, InputError, Problem, Record};
use crate::progress::Progress;

/// Chunks that may wait between two stages.
const CHUNKS_WAITING: usize = 2;

/// What to do with a row that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRows {
    /// Stop, after the rows before it are committed.
    Stop,
    /// Pass over it, and list it in the report.
    Skip,
}

/// What to do with a row that is stored already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownRows {
    /// Pass over it.
    Skip,
    /// Encode and write it again.
    Rewrite,
}

/// Takes records into collections.
#[derive(Clone, Copy)]
pub struct Ingest<'a> {
    /// The collections that get each point; at least one, all of the same dims and metric.
    pub targets: &'a [Collection],
    /// Encodes texts, if there may be any.
    pub encoder: Option<&'a dyn TextEncoder>,
    /// What to do with a row that is refused.
    pub bad_rows: BadRows,
    /// What to do with a row that the first target has already.
    pub known_rows: KnownRows,
    /// Raised to stop after the chunk in hand.
    pub cancel: &'a Cancel,
}

/// Points ready to be written, and what it took to make them.
struct Batch {
    points: Vec<Point>,
    position: u64,
    report: IngestReport,
}

impl Ingest<'_> {
    /// Runs until the records end. Returns what was done, and how it ended: whatever the report
    /// counts is on disk even if the end is an error.
    ///
    /// The second value is an error when a row is refused under [`BadRows::Stop`], the input
    /// cannot be read on, encoding or writing fails, or the caller cancels.
    pub fn run(
        &self,
        records: impl Iterator<Item = Result<Record, InputError>> + Send,
        progress: &mut Progress,
    ) -> (IngestReport, anyhow::Result<()>) {
        let started = Instant::now();
        let mut report = IngestReport::default();
        let ended = thread::scope(|scope| {
            let (chunk_sender, chunks) = sync_channel(CHUNKS_WAITING);
            let (batch_sender, batches) = sync_channel(CHUNKS_WAITING);
            // A stage owns its sender, so that its end closes the channel.
            let reader = scope.spawn(move || self.read(records, &chunk_sender));
            let encoder = scope.spawn(move || self.encode(chunks, &batch_sender));
            let written = self.write(batches, &mut report, progress);
            let encoded = join(encoder);
            let (bad, read) = join(reader);
            report += bad;
            // A stage that fails makes its neighbours end early but well: the error is its own.
            written.and(encoded).and(read.map_err(anyhow::Error::from))
        });
        report.elapsed = started.elapsed();
        (report, ended.and_then(|()| Ok(self.cancel.check()?)))
    }

    /// First stage. Returns a report of the bad rows, and the error that ended the reading.
    fn read(
        &self,
        records: impl Iterator<Item = Result<Record, InputError>>,
        chunks: &SyncSender<Chunk>,
    ) -> (IngestReport, Result<(), InputError>) {
        let mut bad = IngestReport::default();
        let mut chunk = Chunk::default();
        let mut ended = Ok(());
        let door = self.targets.first();
        let door = door.map(|target| Door::new(target.config(), self.encoder.is_some()));
        for record in records {
            if self.cancel.is_cancelled() {
                return (bad, Ok(()));
            }
            let checked = record.and_then(|record| {
                door.as_ref().map_or(Ok(()), |door| door.check(&record)).map(|()| record)
            });
            match checked {
                Ok(record) => {
                    let Some(full) = chunk.push(record) else { continue };
                    if chunks.send(full).is_err() {
                        return (bad, Ok(()));
                    }
                }
                Err(error) if error.skippable() && self.bad_rows == BadRows::Skip => {
                    bad.note_bad(&error);
                }
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        if !chunk.is_empty() {
            // When the next stage has gone, its own error says why.
            let _ = chunks.send(chunk);
        }
        (bad, ended)
    }

    /// Second stage.
    fn encode(&self, chunks: Receiver<Chunk>, batches: &SyncSender<Batch>) -> anyhow::Result<()> {
        for chunk in chunks {
            let batch = match self.batch(chunk) {
                Err(error) if is_cancelled(&error) => break,
                batch => batch?,
            };
            if self.cancel.is_cancelled() || batches.send(batch).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn batch(&self, chunk: Chunk) -> anyhow::Result<Batch> {
        let position = chunk.records.last().map_or(0, |record| record.position);
        let rows = chunk.records.len() as u64;
        let (mut records, repeated) = chunk.into_distinct();
        let distinct = records.len() as u64;
        self.drop_unchanged(&mut records)?;
        let unchanged = distinct - records.len() as u64;
        let mut report = IngestReport { rows, repeated, unchanged, ..IngestReport::default() };
        let points = self.points(records, &mut report)?;
        Ok(Batch { points, position, report })
    }

    fn drop_unchanged(&self, records: &mut Vec<Record>) -> anyhow::Result<()> {
        let Some(target) = self.targets.first() else { return Ok(()) };
        if self.known_rows == KnownRows::Rewrite || target.count() == 0 {
            return Ok(());
        }
        let ids: Vec<PointId> = records.iter().map(|record| record.id.clone()).collect();
        let mut stored = target.get(&ids).context("look for rows stored already")?.into_iter();
        let (first, tokens) = (self.first_field(), self.token_fields());
        records.retain(|record| {
            let stored = stored.next().flatten();
            !stored.is_some_and(|stored| is_unchanged(record, &stored, &first, &tokens))
        });
        Ok(())
    }

    fn points(
        &self,
        records: Vec<Record>,
        report: &mut IngestReport,
    ) -> anyhow::Result<Vec<Point>> {
        let first = self.first_field();
        let config = self.targets.first().map(Collection::config);
        let first_sparse = config.as_ref().and_then(|config| config.sparse().first());
        let first_sparse = first_sparse.map(|field| field.name.clone());
        let encoded = self.encode_texts(&records, &first, report)?;
        let mut embeddings = encoded.iter().flat_map(|(embeddings, _)| embeddings.iter());
        let space = encoded.as_ref().map(|&(_, space)| space);
        let tokens = self.token_fields();
        let mut matrices = self.encode_tokens(&records, &first, &tokens, report)?.into_iter();
        let mut points = Vec::with_capacity(records.len());
        for record in records {
            let mut point = Point::empty(record.id.clone());
            if let Some(space) = space.filter(|_| record.text(&first).is_some()) {
                let embedding = embeddings.next().context("too few embeddings came back")?;
                point = point.with_vector(&*first, embedding.to_vec()).in_space(space);
            }
            let matrix = record.text(&first).and_then(|_| matrices.next());
            if let Some(matrix) = matrix {
                let (dims, data) = (matrix.dims(), matrix.into_data());
                let vector = MultiVector::new(dims, data).context("tokens of a text")?;
                for field in tokens.iter().filter(|field| !has_multi(&record, field)) {
                    point = point.with_multi(field, vector.clone());
                }
            }
            match record.content {
                Content::Vector(vector) => point = point.with_vector(&*first, vector),
                Content::Named { vectors, sparse, multi, .. } => {
                    for (name, vector) in vectors {
                        point = point.with_vector(name, vector);
                    }
                    for (name, vector) in sparse {
                        point = point.with_sparse(name, vector);
                    }
                    for (name, vector) in multi {
                        point = point.with_multi(name, vector);
                    }
                }
                Content::Text(_) if space.is_none() => {
                    bail!("{}", record.place.error(Problem::NoModel))
                }
                Content::Text(_) => {}
            }
            if point.vectors.is_empty()
                && point.sparse.is_empty()
                && point.multi.is_empty()
                && let Some(field) = &first_sparse
            {
                // A vector of zeros is none, and yet the point is there.
                point = point.with_sparse(field, SparseVector::default());
            }
            points.push(point.with_payload(record.payload));
        }
        Ok(points)
    }

    /// Returns the name of the first dense field, which no field has where all are sparse: empty.
    fn first_field(&self) -> String {
        let config = self.targets.first().map(Collection::config);
        let first = config.as_ref().and_then(CollectionConfig::first);
        first.map_or_else(String::new, |first| first.name.clone())
    }

    /// Returns the fields that get the tokens of texts: those whose space is that of the encoder's tokens.
    fn token_fields(&self) -> Vec<String> {
        let shape = self.encoder.and_then(TextEncoder::token_shape);
        let (Some(shape), Some(target)) = (shape, self.targets.first()) else { return Vec::new() };
        let config = target.config();
        let fields = config.multi().iter().filter(|field| field.space == Some(shape.space));
        fields.map(|field| field.name.clone()).collect()
    }

    /// Encodes the texts among the records token by token, in their order; nothing where no field asks
    /// for it.
    fn encode_tokens(
        &self,
        records: &[Record],
        first: &str,
        fields: &[String],
        report: &mut IngestReport,
    ) -> anyhow::Result<Vec<TokenMatrix>> {
        let Some(encoder) = self.encoder.filter(|_| !fields.is_empty()) else {
            return Ok(Vec::new());
        };
        let texts: Vec<&str> = records.iter().filter_map(|record| record.text(first)).collect();
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let started = Instant::now();
        let options = EncodeOptions { cancel: self.cancel.clone(), ..EncodeOptions::default() };
        let matrices = encoder.encode_tokens(&texts, &options).context("encode tokens")?;
        report.encode += started.elapsed();
        Ok(matrices)
    }

    /// Encodes the texts among the records, in their order; `None` when there are none.
    fn encode_texts(
        &self,
        records: &[Record],
        first: &str,
        report: &mut IngestReport,
    ) -> anyhow::Result<Option<(Embeddings, EmbeddingSpaceId)>> {
        let Some(encoder) = self.encoder else { return Ok(None) };
        let texts: Vec<&str> = records.iter().filter_map(|record| record.text(first)).collect();
        if texts.is_empty() {
            return Ok(None);
        }
        let started = Instant::now();
        let options = EncodeOptions {
            kind: TextKind::Document,
            cancel: self.cancel.clone(),
            ..EncodeOptions::default()
        };
        let embeddings = encoder.encode(&texts, &options).context("encode texts")?;
        report.texts = embeddings.stats().texts;
        report.tokens = embeddings.stats().tokens;
        report.truncated = embeddings.stats().truncated;
        report.encode = started.elapsed();
        Ok(Some((embeddings, encoder.space())))
    }

    /// Third stage, on the calling thread.
    fn write(
        &self,
        batches: Receiver<Batch>,
        report: &mut IngestReport,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        let aside = progress.aside();
        saying_builds(self.targets, &aside, || {
            for mut batch in batches {
                let started = Instant::now();
                if let Some((last, others)) = self.targets.split_last()
                    && !batch.points.is_empty()
                {
                    for target in others {
                        target.upsert(batch.points.clone())?;
                    }
                    let output = last.upsert(batch.points)?;
                    batch.report.inserted = output.inserted;
                    batch.report.updated = output.updated;
                }
                batch.report.write = started.elapsed();
                progress.advance(batch.report.rows, batch.position);
                *report += batch.report;
            }
            Ok(())
        })
    }
}

/// Whether a record brings a multi-vector of a field.
fn has_multi(record: &Record, field: &str) -> bool {
    match &record.content {
        Content::Named { multi, .. } => multi.iter().any(|(name, _)| name == field),
        Content::Text(_) | Content::Vector(_) => false,
    }
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<EncodeError>(), Some(EncodeError::Cancelled(_)))
}

/// Waits for a stage; a panic in it goes on in this thread.
fn join<T>(stage: ScopedJoinHandle<'_, T>) -> T {
    stage.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use bigrain_encoders::ToyEncoder;
    use bigrain_engine::{Engine, EngineConfig, Levels, Metric, Payload};

    use super::*;
    use crate::input::{At, Place};

    const DIMS: usize = 16;

    struct Bench {
        _folder: tempfile::TempDir,
        targets: Vec<Collection>,
        encoder: ToyEncoder,
        cancel: Cancel,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let engine = Engine::open(folder.path(), EngineConfig::default()).unwrap();
            let encoder = ToyEncoder::new(DIMS);
            let create = |levels: Levels| {
                let config = CollectionConfig::new(DIMS, Metric::Cosine)
                    .with_levels(levels)
                    .with_space(encoder.space());
                engine.create_collection(&format!("l{}", levels.get()), config).unwrap()
            };
            let targets = vec![create(Levels::ONE), create(Levels::TWO)];
            Self { _folder: folder, targets, encoder, cancel: Cancel::new() }
        }

        fn run(
            &self,
            records: impl Iterator<Item = Result<Record, InputError>> + Send,
        ) -> (IngestReport, anyhow::Result<()>) {
            let ingest = Ingest {
                targets: &self.targets,
                encoder: Some(&self.encoder),
                bad_rows: BadRows::Stop,
                known_rows: KnownRows::Skip,
                cancel: &self.cancel,
            };
            ingest.run(records, &mut Progress::hidden("test", 0))
        }

        fn counts(&self) -> Vec<u64> {
            self.targets.iter().map(Collection::count).collect()
        }
    }

    fn text(id: u64, text: &str) -> Result<Record, InputError> {
        let file: Arc<Path> = Arc::from(Path::new("in"));
        let place = Place::new(&file, At::Line(id));
        let payload = Payload::new().with("text", text);
        let content = Content::Text(text.to_owned());
        Ok(Record { place, id: PointId::from(id), content, payload, position: id })
    }

    fn texts(ids: std::ops::Range<u64>) -> impl Iterator<Item = Result<Record, InputError>> {
        ids.map(|id| text(id, &format!("text number {id}")))
    }

    #[test]
    fn texts_reach_every_target_with_their_embeddings() {
        let bench = Bench::new();
        let (report, ended) = bench.run(texts(0..1300));
        ended.unwrap();
        assert_eq!((report.rows, report.inserted, report.texts), (1300, 1300, 1300));
        assert_eq!(report.tokens, 3 * 1300);
        assert_eq!(bench.counts(), [1300, 1300]);
        let expected = bench.encoder.encode_query("text number 700").unwrap();
        for target in &bench.targets {
            let stored = target.get(&[PointId::from(700)]).unwrap().remove(0).unwrap();
            assert_eq!(stored.payload.text("text"), Some("text number 700"));
            let off =
                stored.vector("vector").unwrap().iter().zip(&expected).map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f32::max) < 1e-6);
        }
    }

    #[test]
    fn a_cancelled_run_keeps_what_it_committed_and_the_next_goes_on() {
        let mut bench = Bench::new();
        let cancel = bench.cancel.clone();
        let (report, ended) = bench.run(texts(0..5000).inspect(move |record| {
            if record.as_ref().is_ok_and(|record| record.position == 2500) {
                cancel.cancel();
            }
        }));
        assert!(ended.unwrap_err().to_string().contains("cancelled"));
        let kept = bench.counts()[0];
        assert!(kept <= 2500, "{kept}");
        assert_eq!(report.inserted, kept);
        bench.cancel = Cancel::new();
        let (report, ended) = bench.run(texts(0..5000));
        ended.unwrap();
        assert_eq!((report.unchanged, report.inserted), (kept, 5000 - kept));
        assert_eq!(bench.counts(), [5000, 5000]);
    }

    #[test]
    fn a_changed_text_is_encoded_again_and_the_last_of_an_id_wins() {
        let bench = Bench::new();
        bench.run(texts(0..10)).1.unwrap();
        let changed = [text(3, "first"), text(4, "text number 4"), text(3, "second")];
        let (report, ended) = bench.run(changed.into_iter());
        ended.unwrap();
        assert_eq!((report.updated, report.unchanged, report.repeated), (1, 1, 1));
        let stored = bench.targets[0].get(&[PointId::from(3)]).unwrap().remove(0).unwrap();
        assert_eq!(stored.payload.text("text"), Some("second"));
    }

    #[test]
    fn a_bad_row_stops_the_run_after_the_rows_before_it() {
        let bench = Bench::new();
        let rows = texts(0..600).chain([text(600, " ")]).chain(texts(601..700));
        let (report, ended) = bench.run(rows);
        assert_eq!(ended.unwrap_err().to_string(), "in line 600: text is empty");
        assert_eq!(report.rows, 600);
        assert_eq!(bench.counts(), [600, 600]);
    }

    #[test]
    fn a_vector_of_the_wrong_length_is_refused_with_its_place() {
        let bench = Bench::new();
        let mut row = text(1, "x").unwrap();
        row.content = Content::Vector(vec![1.0; DIMS + 1]);
        let error = bench.run([Ok(row)].into_iter()).1.unwrap_err().to_string();
        assert_eq!(error, "in line 1: dimension mismatch: collection has 16, vector has 17");
    }
}
