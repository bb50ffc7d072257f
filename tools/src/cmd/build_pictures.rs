//! `bigrain build --images`: a folder of pictures becomes a collection.

use std::path::Path;

use anyhow::Context;
use bigrain_engine::{Collection, Engine};

use crate::cmd::built::Built;
use crate::cmd::field_spec::FieldSpec;
use crate::human;
use crate::pictures::{PictureFiles, PictureIndex, PictureModel, PictureReport};
use crate::progress::Progress;
use crate::session::{Session, find_collection};

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
    /// Whether the result is written as JSON.
    pub(super) json: bool,
}

pub(super) fn run(request: &PicturesRequest<'_>, session: &mut Session<'_>) -> anyhow::Result<()> {
    let found = PictureFiles::list(request.folder, &session.cancel)?;
    let engine = session.create_or_open(&session.data_dir())?;
    let (collection, model) = request.open(&engine, session.threads)?;
    let (report, ended) = index(&collection, &model, found, session);
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
    model: &PictureModel,
    found: PictureFiles,
    session: &Session<'_>,
) -> (PictureReport, anyhow::Result<()>) {
    let mut progress = Progress::counting(collection.name(), "pictures", found.files.len() as u64);
    let index = PictureIndex { collection, model, cancel: &session.cancel };
    let (report, ended) = index.run(found, &mut progress);
    progress.finish();
    let ended = ended.and_then(|()| {
        collection.flush()?;
        Ok(collection.settle()?)
    });
    (report, ended)
}

impl PicturesRequest<'_> {
    fn open(&self, engine: &Engine, threads: usize) -> anyhow::Result<(Collection, PictureModel)> {
        if let Some(collection) = find_collection(engine, self.name)? {
            let config = collection.config();
            self.field.check(config.field(None)?, &format!("collection {:?}", self.name))?;
            let model = PictureModel::open_for(&collection, self.model, threads)?;
            return Ok((collection, model));
        }
        let model = PictureModel::open_or_default(self.model, threads)?;
        let collection = engine.create_collection(self.name, model.collection(&self.field)?)?;
        Ok((collection, model))
    }
}
