//! Points that get vectors of a later encoder, in place of those of the former one.

use std::path::Path;

use anyhow::{Context, bail};
use bigrain_encoders::EncodeOptions;
use bigrain_engine::{
    Cancel, Collection, Condition, Conditions, ErrorKind, FieldConfig, LearnedBinarizer, Point,
    PointId, StoredPoint,
};

use super::describe;
use crate::device::EncodeOn;
use crate::input::{Content, Fields, Format, Input, joined_text};
use crate::learning::Texts;
use crate::model::Model;
use crate::progress::Progress;

/// Points that go over with one write.
const PAGE: usize = 512;

/// Times that points are read again because somebody else has written one of them.
const MAX_ROUNDS: usize = 5;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    /// Vectors that were written.
    pub vectors: u64,
    /// Rows of the file whose point is not there, or has gone over; points without a text.
    pub passed_over: u64,
}

/// A field that goes over to another encoder.
pub(super) struct GoingOver<'a> {
    collection: &'a Collection,
    field: &'a str,
    folder: Option<&'a Path>,
    texts: Texts<'a>,
    cancel: &'a Cancel,
}

impl<'a> GoingOver<'a> {
    /// Says which model encodes texts: that in `folder`, or else the one that the field names once it has gone over.
    pub fn new(
        collection: &'a Collection,
        field: &'a str,
        folder: Option<&'a Path>,
        (cancel, on): (&'a Cancel, EncodeOn),
    ) -> Self {
        let open = move || match folder {
            Some(folder) => Model::open(folder, &on),
            None => Model::open_for(collection, Some(field), None, &on),
        };
        Self { collection, field, folder, texts: Texts::new(open, cancel), cancel }
    }

    /// Puts a field for the later encoder in the place of the present one, with a binarizer that has learned to follow.
    pub fn begin_learned(
        &self,
        present: &FieldConfig,
        binarizer: &LearnedBinarizer,
    ) -> anyhow::Result<()> {
        let dims = binarizer.dims();
        if self.folder.is_some() {
            let model = self.texts.model()?;
            let (name, has) = (model.name(), model.encoder().dims());
            if has != dims {
                bail!("the binarizer takes {dims} dimensions, model {name} has {has}");
            }
        }
        let later = FieldConfig::new(self.field, dims, present.metric);
        self.succeed(present, later.with_binarizer(binarizer.clone()))
    }

    /// Puts a field for the later encoder in the place of the present one, with codes of the rotation: for the model,
    /// or for vectors as the file has them.
    pub fn begin(&self, present: &FieldConfig, source: Option<&Path>) -> anyhow::Result<()> {
        let dims = match (self.folder, source) {
            (Some(_), _) => {
                let model = self.texts.model()?;
                if present.space == Some(model.encoder().space()) {
                    bail!("field {:?} has vectors of model {} already", self.field, model.name());
                }
                model.encoder().dims()
            }
            (None, Some(path)) => {
                let mut input = Input::open(path, Format::of(path)?, Fields::default(), 0)?;
                let first = input.next().transpose()?;
                let first = first.with_context(|| format!("{} is empty", path.display()))?;
                match first.content {
                    Content::Vector(vector) => vector.len(),
                    Content::Text(_) | Content::Named { .. } => {
                        bail!("{}: expected one vector, or a --model for the text", first.place)
                    }
                }
            }
            (None, None) => bail!("--new-encoder: expected --model DIR, or --source with vectors"),
        };
        let later = FieldConfig::new(self.field, dims, present.metric);
        self.succeed(present, later.with_levels(present.levels))
    }

    fn succeed(&self, present: &FieldConfig, later: FieldConfig) -> anyhow::Result<()> {
        let mut later = later.with_dense(present.dense);
        later.lists = present.lists;
        if self.folder.is_some() {
            let model = self.texts.model()?;
            later = later.with_space(model.encoder().space()).with_model(model.name());
        }
        Ok(self.collection.upgrade_encoder(Some(self.field), later)?)
    }

    /// Encodes the texts that points have kept.
    pub fn take_kept_texts(&self, count: u64) -> anyhow::Result<Moved> {
        let mut progress = Progress::counting("upgrade", "vectors", count);
        let (mut moved, mut last) = (Moved::default(), None);
        loop {
            let page = self.collection.scroll(last.as_ref(), PAGE)?;
            let Some(point) = page.last() else { break };
            last = Some(point.id.clone());
            let ids: Vec<PointId> = page.into_iter().map(|point| point.id).collect();
            let written = self.write(&ids, |points| {
                let text = |point: &&StoredPoint| {
                    let payload = &point.payload;
                    joined_text(payload.text("title"), payload.text("text")).unwrap_or_default()
                };
                let texts: Vec<String> = points.iter().map(text).collect();
                let with_text: Vec<&str> =
                    texts.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
                let mut vectors = self.encode(&with_text)?.into_iter();
                let vector = |text: &String| if text.is_empty() { None } else { vectors.next() };
                Ok(texts.iter().map(vector).collect())
            })?;
            moved.vectors += written.vectors;
            moved.passed_over += written.passed_over;
            progress.advance(written.vectors, moved.vectors);
        }
        progress.finish();
        Ok(moved)
    }

    /// Takes the vectors of a file, or encodes its texts.
    pub fn take_file(&self, path: &Path, count: u64) -> anyhow::Result<Moved> {
        let mut progress = Progress::counting("upgrade", "vectors", count);
        let mut input = Input::open(path, Format::of(path)?, Fields::default(), 0)?.peekable();
        let mut moved = Moved::default();
        while input.peek().is_some() {
            let (mut ids, mut contents) = (Vec::new(), Vec::new());
            for record in input.by_ref().take(PAGE) {
                let record = record?;
                match &record.content {
                    Content::Named { .. } => {
                        bail!("{}: expected one vector or a text", record.place)
                    }
                    Content::Vector(_) | Content::Text(_) => {}
                }
                ids.push(record.id);
                contents.push(record.content);
            }
            let given = ids.len() as u64;
            let written = self.write(&ids, |points| {
                let content = |point: &&StoredPoint| {
                    let at = ids.iter().rposition(|id| *id == point.id);
                    at.map(|at| &contents[at])
                };
                let found: Vec<Option<&Content>> = points.iter().map(content).collect();
                let texts: Vec<&str> = found
                    .iter()
                    .filter_map(|content| match content {
                        Some(Content::Text(text)) => Some(text.as_str()),
                        _ => None,
                    })
                    .collect();
                let mut encoded = self.encode(&texts)?.into_iter();
                let vector = |content: Option<&Content>| match content {
                    Some(Content::Vector(vector)) => Some(vector.clone()),
                    Some(Content::Text(_)) => encoded.next(),
                    Some(Content::Named { .. }) | None => None,
                };
                Ok(found.into_iter().map(vector).collect())
            })?;
            moved.vectors += written.vectors;
            moved.passed_over += given - written.vectors;
            progress.advance(written.vectors, moved.vectors);
        }
        progress.finish();
        Ok(moved)
    }

    /// Writes vectors of the points that have one of the former encoder, as they are when these are written.
    fn write(
        &self,
        ids: &[PointId],
        vectors: impl Fn(&[&StoredPoint]) -> anyhow::Result<Vec<Option<Vec<f32>>>>,
    ) -> anyhow::Result<Moved> {
        let former = describe(self.collection, self.field).and_then(|info| info.former_field);
        let former = former.context("the upgrade was ended by somebody else")?;
        for _ in 0..MAX_ROUNDS {
            self.cancel.check()?;
            let stored = self.collection.get(ids)?;
            let stays = |point: &&StoredPoint| point.vector(&former).is_some();
            let points: Vec<&StoredPoint> = stored.iter().flatten().filter(stays).collect();
            let vectors = vectors(&points)?;
            let (mut changed, mut unchanged) = (Vec::new(), Conditions::default());
            for (point, vector) in points.iter().zip(vectors) {
                let Some(vector) = vector else { continue };
                changed.push(Point::empty(point.id.clone()).with_vector(self.field, vector));
                unchanged = unchanged.with(point.id.clone(), Condition::Version(point.seq));
            }
            let passed_over = (points.len() - changed.len()) as u64;
            if changed.is_empty() {
                return Ok(Moved { vectors: 0, passed_over });
            }
            match self.collection.update_vectors_if(&changed, &unchanged) {
                Ok(output) => return Ok(Moved { vectors: output.updated, passed_over }),
                Err(error) if error.kind() == ErrorKind::Aborted => {}
                Err(error) => return Err(error.into()),
            }
        }
        bail!("points are written by somebody else all the time: try again when fewer are");
    }

    fn encode(&self, texts: &[&str]) -> anyhow::Result<Vec<Vec<f32>>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let model = self.texts.model()?;
        model.check(self.collection, Some(self.field))?;
        let cancel = self.cancel.clone();
        let options = EncodeOptions { cancel, ..EncodeOptions::default() };
        let embeddings = model.encoder().encode(texts, &options)?;
        Ok(embeddings.iter().map(<[f32]>::to_vec).collect())
    }
}
