//! What the commands write: facts, a table, lines of JSON, a page of pictures.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bigrain_encoders::{DecodeOptions, Transparency};
use clap::Args;
use comfy_table::Table;
use serde_json::{Value, json};

use crate::curation::Collected;
use crate::pictures::{Page, PagePicture, PictureSource};
use crate::session::Session;
use crate::{human, table};

/// Lines of a table; the others are in the file.
pub(super) const MAX_LINES: usize = 20;
/// Pictures on a page.
const MAX_PICTURES: usize = 300;
/// Characters of a caption in a table.
const EXCERPT: usize = 60;

/// Where findings go.
#[derive(Args, Debug)]
pub(super) struct FindingFlags {
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    pub(super) collection: Option<String>,
    /// Write all that was found to this file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a page with the pictures to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// What a command found.
pub(super) struct Findings<'a> {
    /// What it is called.
    pub(super) title: String,
    /// What it was found in.
    pub(super) collected: &'a Collected,
    /// What there is to say of all of it, as people read it.
    pub(super) facts: Vec<(&'static str, String)>,
    /// The same, as programs do.
    pub(super) summary: Value,
    /// The first of it.
    pub(super) table: Table,
    /// All of it.
    pub(super) lines: Vec<Value>,
    /// Rows of the page.
    pub(super) rows: Vec<PageRow>,
}

/// Some pictures under a heading.
pub(super) struct PageRow {
    pub(super) heading: String,
    /// Rows of the collection, and what is noted below their captions.
    pub(super) pictures: Vec<(usize, String)>,
}

impl Findings<'_> {
    /// Writes it all.
    pub(super) fn write(
        mut self,
        flags: &FindingFlags,
        session: &mut Session<'_>,
    ) -> anyhow::Result<()> {
        if let Some(path) = &flags.out {
            self.write_lines(path).with_context(|| format!("write {}", path.display()))?;
            self.facts.push(("all of it", path.display().to_string()));
        }
        if let Some(path) = &flags.html {
            let page = self.page();
            fs::write(path, page).with_context(|| format!("write {}", path.display()))?;
            self.facts.push(("the pictures", path.display().to_string()));
        }
        if flags.json {
            return session.write_json(&json!({ "summary": self.summary, "found": self.lines }));
        }
        if self.table.row_count() > 0 {
            writeln!(session.out, "{}\n", self.table.trim_fmt())?;
        }
        Ok(writeln!(session.out, "{}", table::facts(self.facts).trim_fmt())?)
    }

    fn write_lines(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for line in &self.lines {
            writeln!(file, "{line}")?;
        }
        Ok(file.flush()?)
    }

    fn page(&self) -> String {
        // What one can see through lies on paper.
        let transparency = Transparency::Over([255; 3]);
        let mut page = Page::new(&self.title, DecodeOptions { transparency, ..Default::default() });
        let mut left = MAX_PICTURES;
        for row in &self.rows {
            let shown: Vec<_> = row.pictures.iter().take(left).collect();
            let payload = |at: usize| &self.collected.payloads[at];
            let sources: Vec<PictureSource> =
                shown.iter().map(|(at, _)| PictureSource::of(payload(*at))).collect();
            let shown = shown.iter().zip(&sources).map(|((at, note), source)| {
                let payload = payload(*at);
                PagePicture {
                    source,
                    text: payload.text("text").unwrap_or_default(),
                    note,
                    heat: None,
                }
            });
            page.row(&row.heading, None, shown);
            left = left.saturating_sub(row.pictures.len());
            if left == 0 {
                break;
            }
        }
        page.into_html()
    }
}

/// A caption, as a table shows it.
pub(super) fn caption(collected: &Collected, row: usize) -> String {
    human::excerpt(collected.payloads[row].text("text").unwrap_or_default(), EXCERPT)
}

/// A share as people read it.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
