//! `bigrain build --code`: a folder of code becomes a collection.

use std::path::Path;

use anyhow::Context;
use bigrain_encoders::sea::CodeEncoder;
use bigrain_engine::{Collection, CollectionConfig, Engine};

use crate::cmd::built::Built;
use crate::cmd::field_spec::FieldSpec;
use crate::code::{CodeFiles, CodeReport, Index};
use crate::device::EncodeOn;
use crate::human;
use crate::model::Model;
use crate::progress::Progress;
use crate::session::{Session, find_collection};

/// Flags of `bigrain build` that mean nothing to code.
pub(super) const CODE_CONFLICTS: [&str; 15] = [
    "input",
    "metric",
    "fields",
    "sparse",
    "texts",
    "format",
    "id_field",
    "text_field",
    "title_field",
    "vector_field",
    "vectors_field",
    "drop_text",
    "first_id",
    "skip_bad",
    "rewrite",
];

/// What is asked.
pub(super) struct CodeRequest<'a> {
    /// The folder of code.
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

pub(super) fn run(request: &CodeRequest<'_>, session: &mut Session<'_>) -> anyhow::Result<()> {
    let found = CodeFiles::list(request.folder, &session.cancel)?;
    let engine = session.create_or_open(&session.data_dir())?;
    let (collection, model) = request.open(&engine, &session.encode_on())?;
    let bytes = found.files.iter().map(|file| file.bytes).sum();
    let mut progress = Progress::new(request.name, bytes);
    let encoder = CodeEncoder::new(model.shared_encoder());
    let index = Index { collection: &collection, encoder: &encoder, cancel: &session.cancel };
    let (report, ended) = index.run(found, &mut progress);
    progress.finish();
    if ended.is_ok() {
        collection.flush()?;
        collection.settle()?;
    }
    request.write_report(session, &collection, &report)?;
    ended.with_context(|| {
        let files = human::counted(report.encoded, "file of this run is", "files of this run are");
        format!("build {:?} ({files} stored; the same command goes on after that)", request.name)
    })
}

impl CodeRequest<'_> {
    fn open(&self, engine: &Engine, on: &EncodeOn) -> anyhow::Result<(Collection, Model)> {
        if let Some(collection) = find_collection(engine, self.name)? {
            let config = collection.config();
            self.field.check(config.field(None)?, &format!("collection {:?}", self.name))?;
            let model = Model::open_for(&collection, None, self.model, on)?;
            return Ok((collection, model));
        }
        let model = Model::open_or_default(self.model, on)?;
        let field = self.field.config(Some(model.encoder().dims()))?;
        let field = field.with_space(model.encoder().space()).with_model(model.name());
        let collection = engine.create_collection(self.name, CollectionConfig::of(field))?;
        Ok((collection, model))
    }

    fn write_report(
        &self,
        session: &mut Session<'_>,
        collection: &Collection,
        report: &CodeReport,
    ) -> anyhow::Result<()> {
        let built = Built {
            files: Some(report.files_line()),
            points: report.points_line(),
            speed: report.speed_line(),
            remarks: Vec::new(),
            skipped: &report.skipped_files,
            skipped_in_all: report.skipped,
            more: ["more file", "more files"],
        };
        built.write(report, self.json, collection, session)
    }
}
