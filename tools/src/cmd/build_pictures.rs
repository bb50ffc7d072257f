//! `bigrain build --images`: a folder of pictures becomes a collection.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bigrain_engine::{Collection, Engine};
use clap::Args;

use crate::cmd::built::Built;
use crate::cmd::field_spec::FieldSpec;
use crate::device::EncodeOn;
use crate::human;
use crate::pictures::{PictureFiles, PictureIndex, PictureModel, PictureReport, Tagger};
use crate::progress::Progress;
use crate::session::{Session, find_collection};

/// Labels for pictures.
#[derive(Args, Debug)]
pub struct TagFlags {
    /// Label the pictures, in the payload field tags: a file with a label on each line, as JSON: a name, or
    /// {"name": .., "descriptions": [..]} with texts that describe a picture of it
    #[arg(long, value_name = "FILE", requires = "images", conflicts_with = "input")]
    tags: Option<PathBuf>,
    /// The least cosine of a picture and a label that it gets
    #[arg(long, value_name = "X", default_value_t = 0.25, allow_negative_numbers = true)]
    tag_min_score: f32,
    /// How many labels a picture gets at most
    #[arg(long, value_name = "N", default_value_t = 5)]
    tag_limit: usize,
}

impl TagFlags {
    fn open(&self, model: &PictureModel, session: &Session<'_>) -> anyhow::Result<Option<Tagger>> {
        let Some(path) = &self.tags else { return Ok(None) };
        let wanted = (self.tag_min_score, self.tag_limit);
        Tagger::open(path, wanted, model, &session.cancel).map(Some)
    }
}

/// What is asked.
pub(super) struct PicturesRequest<'a> {
    /// The folder of pictures.
    pub(super) folder: &'a Path,
    /// The collection's name.
    pub(super) name: &'a str,
    /// The shape of its field, if it is new.
    pub(super) field: FieldSpec,
    /// The model's folder, if it was named.
    pub(super) model: Option<&'a Path>,
    /// The labels to give them.
    pub(super) tags: &'a TagFlags,
    /// Whether the result is written as JSON.
    pub(super) json: bool,
}

pub(super) fn run(request: &PicturesRequest<'_>, session: &mut Session<'_>) -> anyhow::Result<()> {
    let found = PictureFiles::list(request.folder, &session.cancel)?;
    let engine = session.create_or_open(&session.data_dir())?;
    let (collection, model) = request.open(&engine, &session.encode_on())?;
    let tagger = request.tags.open(&model, session)?;
    let (report, ended) = index(&collection, (&model, tagger.as_ref()), found, session);
    let built = Built {
        files: Some(report.pictures_line()),
        points: format!("{} written", human::count(report.encoded)),
        speed: report.speed_line(),
        remarks: Vec::new(),
        skipped: &report.skipped_files,
        skipped_in_all: report.skipped,
        more: ["more file", "more files"],
    };
    built.write(&report, request.json, &collection, session)?;
    ended.with_context(|| {
        let pictures =
            human::counted(report.encoded, "picture of this run is", "pictures of this run are");
        format!("build {:?} ({pictures} stored; the same command goes on after that)", request.name)
    })
}

/// Takes pictures into a collection and shows how far it is.
pub(super) fn index(
    collection: &Collection,
    (model, tagger): (&PictureModel, Option<&Tagger>),
    found: PictureFiles,
    session: &Session<'_>,
) -> (PictureReport, anyhow::Result<()>) {
    let mut progress = Progress::counting(collection.name(), "pictures", found.files.len() as u64);
    let index = PictureIndex { collection, model, tagger, cancel: &session.cancel };
    let (report, ended) = index.run(found, &mut progress);
    progress.finish();
    let ended = ended.and_then(|()| {
        collection.flush()?;
        Ok(collection.settle()?)
    });
    (report, ended)
}

impl PicturesRequest<'_> {
    fn open(&self, engine: &Engine, on: &EncodeOn) -> anyhow::Result<(Collection, PictureModel)> {
        if let Some(collection) = find_collection(engine, self.name)? {
            let config = collection.config();
            self.field.check(config.field(None)?, &format!("collection {:?}", self.name))?;
            let model = PictureModel::open_for(&collection, self.model, on)?;
            return Ok((collection, model));
        }
        let model = PictureModel::open_or_default(self.model, on)?;
        let collection = engine.create_collection(self.name, model.collection(&self.field)?)?;
        Ok((collection, model))
    }
}
