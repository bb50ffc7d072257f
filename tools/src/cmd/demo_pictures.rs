//! `bigrain demo --images`: pictures of a folder are indexed, searched by texts and by pictures, and shown
//! on a page.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use bigrain_engine::{Collection, DEFAULT_FIELD, Engine, Query, SearchParams};

use crate::cmd::build_pictures;
use crate::cmd::field_spec::FieldSpec;
use crate::pictures::{
    DEFAULT_COLLECTION, Page, PictureFiles, PictureModel, PictureReport, heat_maps,
};
use crate::session::{Session, find_collection};
use crate::{hits, human, table};

/// Results of each question.
const LIMIT: usize = 6;
/// Pictures that are asked with, spread over the folder.
const ASKED_WITH: usize = 3;

const QUESTIONS: [&str; 6] = [
    "a bird that swims",
    "something to eat for breakfast",
    "a musical instrument",
    "an animal with stripes",
    "a vehicle that flies",
    "a house by the sea",
];

/// Indexes the pictures of a folder in `data`, asks, and writes a page.
pub(super) fn run(
    folder: &Path,
    model: Option<&Path>,
    html: &Path,
    data: &Path,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let model = PictureModel::open_or_default(model, &session.encode_on())?;
    let found = PictureFiles::list(folder, &session.cancel)?;
    if found.files.is_empty() {
        bail!("no pictures under {}", folder.display());
    }
    let count = found.files.len();
    let mut places: Vec<usize> =
        (0..ASKED_WITH).map(|part| (2 * part + 1) * count / (2 * ASKED_WITH)).collect();
    places.dedup();
    let asked_with: Vec<_> =
        places.into_iter().map(|place| found.files[place].source.clone()).collect();
    let engine = session.create_or_open(data)?;
    let collection = open_or_create(&engine, &model)?;
    let (report, ended) = build_pictures::index(&collection, (&model, None), found, session);
    write_report(session, folder, &report)?;
    ended.context("build the demo (the same command goes on)")?;

    let mut page = Page::new(&format!("Pictures of {}", folder.display()), *model.model().decode());
    let text = model.model().text_encoder();
    for question in QUESTIONS {
        session.cancel.check()?;
        let vector = text.encode_query(question).context("encode the question")?;
        let query = Query::new(vector).in_space(model.space());
        let found = collection.search(&query, &SearchParams::new(LIMIT)?)?;
        writeln!(session.out, "\n{question}")?;
        writeln!(session.out, "{}", hits::to_table(&found.points).trim_fmt())?;
        let heat = heat_maps(&model, question, &found.points)?;
        page.results(question, None, &found.points, &heat);
    }
    for source in &asked_with {
        // One that cannot be read was listed above.
        let Ok(vector) = model.encode_source(source, &session.cancel) else { continue };
        let query = Query::new(vector).in_space(model.space());
        let found = collection.search(&query, &SearchParams::new(LIMIT)?)?;
        page.results("Pictures like this one", Some(source), &found.points, &[]);
    }
    fs::write(html, page.into_html()).with_context(|| format!("write {}", html.display()))?;
    Ok(writeln!(session.out, "\nThe pictures: {}", html.display())?)
}

/// Opens the demo's collection, or a new one in place of one that another model made.
fn open_or_create(engine: &Engine, model: &PictureModel) -> anyhow::Result<Collection> {
    if let Some(collection) = find_collection(engine, DEFAULT_COLLECTION)? {
        if collection.config().first().is_some_and(|first| first.space == Some(model.space())) {
            return Ok(collection);
        }
        drop(collection);
        engine.drop_collection(DEFAULT_COLLECTION)?;
    }
    let field = FieldSpec { name: DEFAULT_FIELD.to_owned(), ..FieldSpec::default() };
    Ok(engine.create_collection(DEFAULT_COLLECTION, model.collection(&field)?)?)
}

fn write_report(
    session: &mut Session<'_>,
    folder: &Path,
    report: &PictureReport,
) -> anyhow::Result<()> {
    let facts = table::facts([
        ("pictures", format!("{} of {}", report.pictures_line(), folder.display())),
        ("speed", report.speed_line()),
    ]);
    writeln!(session.out, "{}", facts.trim_fmt())?;
    for file in &report.skipped_files {
        writeln!(session.out, "skipped {file}")?;
    }
    let unlisted = report.skipped - report.skipped_files.len() as u64;
    if unlisted > 0 {
        writeln!(session.out, "skipped {}", human::counted(unlisted, "more file", "more files"))?;
    }
    Ok(session.out.flush()?)
}
