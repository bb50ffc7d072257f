//! Pictures become points: one each.

use std::time::{Duration, Instant};

use anyhow::Context;
use bigrain_encoders::{EncodeOptions, Pixels};
use bigrain_engine::{Cancel, Collection, Point, PointId, ScrollParams};
use serde::Serialize;

use super::files::{PictureFile, PictureFiles};
use super::model::PictureModel;
use super::tags::Tagger;
use crate::human;
use crate::progress::Progress;
use crate::stored_versions::stored_versions;

/// Pictures that are decoded, encoded and written together.
const BATCH: usize = 64;
/// Points read at once to learn what is stored.
const PAGE: usize = 1_000;
/// Skipped files that are listed; the others are counted.
const MAX_LISTED: usize = 20;

/// Takes pictures into a collection.
#[derive(Clone, Copy, Debug)]
pub struct PictureIndex<'a> {
    /// Where they go.
    pub collection: &'a Collection,
    /// What encodes them.
    pub model: &'a PictureModel,
    /// What labels them.
    pub tagger: Option<&'a Tagger>,
    /// Raised to stop after the batch in hand.
    pub cancel: &'a Cancel,
}

/// What became of the pictures of a folder.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PictureReport {
    /// Pictures encoded and written.
    pub encoded: u64,
    /// Pictures that were stored as they are.
    pub unchanged: u64,
    /// Pictures deleted because their files are gone, or can no longer be read.
    pub deleted: u64,
    /// Files that should be pictures and are passed over.
    pub skipped: u64,
    /// Why, of the first of them.
    pub skipped_files: Vec<String>,
    /// Other files of the folder.
    pub others: u64,
    /// The time it took.
    pub elapsed: Duration,
}

impl PictureIndex<'_> {
    /// Encodes what is new or changed, and deletes what is gone. Returns what was done, and how it ended:
    /// whatever the report counts is on disk even if the end is an error.
    pub fn run(
        &self,
        found: PictureFiles,
        progress: &mut Progress,
    ) -> (PictureReport, anyhow::Result<()>) {
        let started = Instant::now();
        let mut report = PictureReport { others: found.others, ..PictureReport::default() };
        found.skipped.into_iter().for_each(|file| report.skip(file));
        let ended = self.files(&found.files, &mut report, progress);
        report.elapsed = started.elapsed();
        (report, ended)
    }

    fn files(
        &self,
        files: &[PictureFile],
        report: &mut PictureReport,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        let mut stored = stored_versions(self.collection, ScrollParams::new(PAGE)?)?;
        let mut position = 0;
        for batch in files.chunks(BATCH) {
            self.cancel.check()?;
            position += batch.len() as u64;
            let is_new = |file: &&PictureFile| {
                stored.get(&file.name).is_none_or(|version| *version != self.version(file))
            };
            let new: Vec<&PictureFile> = batch.iter().filter(is_new).collect();
            report.unchanged += (batch.len() - new.len()) as u64;
            let gone = self.write(&new, report)?;
            // What cannot be read any more is taken out with what is gone.
            for file in batch.iter().filter(|file| !gone.contains(&file.name)) {
                stored.remove(&file.name);
            }
            progress.advance(batch.len() as u64, position);
        }
        let gone: Vec<PointId> =
            stored.keys().map(|name| point_id(name)).collect::<Result<_, _>>()?;
        for ids in gone.chunks(PAGE) {
            report.deleted += self.collection.delete(ids)?.deleted;
        }
        Ok(())
    }

    /// What is stored is replaced when this changes.
    fn version(&self, file: &PictureFile) -> String {
        let tags = self.tagger.map_or_else(String::new, |tagger| format!("-{}", tagger.version()));
        format!("{}{tags}", file.version)
    }

    /// Decodes, encodes and writes some pictures; returns the names of those that cannot be read.
    fn write(
        &self,
        files: &[&PictureFile],
        report: &mut PictureReport,
    ) -> anyhow::Result<Vec<String>> {
        let (mut unread, mut read, mut pixels) = (Vec::new(), Vec::new(), Vec::<Pixels>::new());
        for (file, picture) in files.iter().zip(self.model.read(files)) {
            match picture {
                Ok(picture) => {
                    read.push((file, picture.size));
                    pixels.push(picture.pixels);
                }
                Err(error) => {
                    report.skip(format!("{error:#}"));
                    unread.push(file.name.clone());
                }
            }
        }
        let options = EncodeOptions { cancel: self.cancel.clone(), ..EncodeOptions::default() };
        let encoder = self.model.model().encoder();
        let embeddings = encoder.encode_images(&pixels, &options).context("encode pictures")?;
        let mut points = Vec::with_capacity(read.len());
        for ((file, size), vector) in read.iter().zip(embeddings.iter()) {
            let payload = file.caption.payload.clone();
            let payload = payload
                .with("path", file.name.as_str())
                .with("folder", folder(&file.name))
                .with("text", file.caption.text.as_str())
                .with("width", size.width as u64)
                .with("height", size.height as u64)
                .with("version", self.version(file));
            let payload = match self.tagger {
                Some(tagger) => payload.with("tags", tagger.tags(vector)),
                None => payload,
            };
            let payload = file.source.note_in(payload);
            let point = Point::new(point_id(&file.name)?, vector.to_vec());
            points.push(point.in_space(self.model.space()).with_payload(payload));
        }
        if !points.is_empty() {
            report.encoded += points.len() as u64;
            self.collection.upsert(points)?;
        }
        Ok(unread)
    }
}

/// The folder a picture is in, from the one that was indexed.
fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn point_id(name: &str) -> anyhow::Result<PointId> {
    PointId::parse(name).with_context(|| format!("{name}: no id of a point"))
}

impl PictureReport {
    /// Returns one line on the pictures: how many, and what became of them.
    #[must_use]
    pub fn pictures_line(&self) -> String {
        let mut line = format!("{} encoded", human::count(self.encoded));
        for (number, what) in
            [(self.unchanged, "unchanged"), (self.deleted, "deleted"), (self.skipped, "skipped")]
        {
            if number > 0 {
                line.push_str(&format!(", {} {what}", human::count(number)));
            }
        }
        line
    }

    /// Returns one line on the speed.
    #[must_use]
    pub fn speed_line(&self) -> String {
        let rate = human::rate(self.encoded, self.elapsed);
        format!("{rate:.1} pictures/s, {} in all", human::duration(self.elapsed))
    }

    fn skip(&mut self, file: String) {
        self.skipped += 1;
        if self.skipped_files.len() < MAX_LISTED {
            self.skipped_files.push(file);
        }
    }
}
