//! First pass: what each document is about.
//!
//! ```text
//! {"space": "1f0c...", "version": 1}                          the encoder
//! {"id": "d1", "terms": [["wing", 0.61], ["lift", 0.58]]}     a document
//! ```
//!
//! One line a document, in the order of the corpus, written as soon as it is known. A run that finds
//! the file goes on behind its last whole line.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, ensure};
use bigrain_encoders::b_prop::{CorpusTerms, DocumentTerms};
use bigrain_encoders::{EncodeOptions, TextEncoder};
use bigrain_engine::PointId;
use serde::{Deserialize, Serialize};

use super::Corpus;
use crate::input::{Content, Fields, Format, Input, Record};
use crate::progress::Progress;
use crate::session::Session;

const VERSION: u32 = 1;
/// Documents that are encoded together.
const BATCH: usize = 64;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    space: String,
    version: u32,
}

/// A document and what it is about.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TermsLine {
    pub id: PointId,
    terms: Vec<(String, f32)>,
}

impl TermsLine {
    pub fn into_parts(self) -> (PointId, DocumentTerms) {
        (self.id, DocumentTerms::from_weights(self.terms))
    }
}

/// Opens the corpus.
pub(super) fn documents(corpus: &Corpus) -> anyhow::Result<Input> {
    let fields = Fields { keep_text: false, ..Fields::default() };
    Ok(Input::open(&corpus.input, Format::Jsonl, fields, 0)?)
}

/// Writes what is missing of the terms file.
pub(super) fn complete(
    corpus: &Corpus,
    encoder: &dyn TextEncoder,
    session: &Session<'_>,
) -> anyhow::Result<()> {
    let path = corpus.terms_path();
    let (file, done) = open(&path, &encoder.space().to_string())
        .with_context(|| format!("open {}", path.display()))?;
    let mut out = BufWriter::new(file);
    let input = documents(corpus)?;
    let mut progress = Progress::new("terms", input.len_bytes());
    let mut batch = Vec::with_capacity(BATCH);
    for record in input.skip(done) {
        batch.push(record?);
        if batch.len() == BATCH {
            write_batch(&batch, encoder, session, &mut out)?;
            progress.advance(BATCH as u64, batch[BATCH - 1].position);
            batch.clear();
        }
    }
    write_batch(&batch, encoder, session, &mut out)?;
    progress.finish();
    out.flush().with_context(|| format!("write {}", path.display()))
}

/// Reads the terms file from its first document on.
pub(super) fn read(
    path: &Path,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<TermsLine>> + use<>> {
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| format!("open {shown}"))?;
    let lines = BufReader::new(file).lines().enumerate().skip(1);
    Ok(lines.map(move |(index, line)| {
        let place = || format!("{shown} line {}", index + 1);
        serde_json::from_str(&line.with_context(place)?).with_context(place)
    }))
}

/// Counts all documents of the terms file.
pub(super) fn corpus_terms(path: &Path) -> anyhow::Result<CorpusTerms> {
    let mut corpus = CorpusTerms::default();
    for line in read(path)? {
        corpus.add(&line?.into_parts().1);
    }
    Ok(corpus)
}

/// Opens the file behind its last whole line; returns how many documents are before.
fn open(path: &Path, space: &str) -> anyhow::Result<(File, usize)> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let header = Header { space: space.to_owned(), version: VERSION };
    let (mut end, mut lines) = (0, 0);
    let mut reader = BufReader::new(&file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 && line.last() == Some(&b'\n') {
        if lines == 0 {
            let found: Header = serde_json::from_slice(&line).context("line 1")?;
            ensure!(
                found == header,
                "it is of another encoder or version: expected {header:?}, got {found:?}; remove it to \
                 start anew"
            );
        }
        end += line.len() as u64;
        lines += 1;
        line.clear();
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    if lines == 0 {
        serde_json::to_writer(&file, &header)?;
        file.write_all(b"\n")?;
        lines = 1;
    }
    Ok((file, lines - 1))
}

fn write_batch(
    batch: &[Record],
    encoder: &dyn TextEncoder,
    session: &Session<'_>,
    out: &mut BufWriter<File>,
) -> anyhow::Result<()> {
    session.cancel.check()?;
    let options = EncodeOptions { cancel: session.cancel.clone(), ..EncodeOptions::default() };
    // A document without a text gives a line without words, so that lines can be counted.
    let text = |record: &Record| match &record.content {
        Content::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        Content::Text(_) | Content::Vector(_) | Content::Named { .. } => None,
    };
    let texts: Vec<Option<String>> = batch.iter().map(text).collect();
    let present: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
    let mut attention = encoder.word_attention(&present, &options)?.into_iter();
    for (record, text) in batch.iter().zip(&texts) {
        let words = if text.is_some() { attention.next().unwrap_or_default() } else { Vec::new() };
        let words = words.iter().map(|word| (word.word.as_str(), word.attention));
        let terms = DocumentTerms::from_attention(words);
        let terms = terms.iter().map(|(word, weight)| (word.to_owned(), weight)).collect();
        serde_json::to_writer(&mut *out, &TermsLine { id: record.id.clone(), terms })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_behind_the_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        let (mut file, done) = open(&path, "s").unwrap();
        assert_eq!(done, 0);
        file.write_all(b"{\"id\": 1, \"terms\": [[\"a\", 0.5]]}\n{\"id\": 2, \"te").unwrap();
        let (mut file, done) = open(&path, "s").unwrap();
        assert_eq!(done, 1);
        file.write_all(b"{\"id\": \"x\", \"terms\": []}\n").unwrap();
        let ids: Vec<String> =
            read(&path).unwrap().map(|line| line.unwrap().into_parts().0.to_string()).collect();
        assert_eq!(ids, ["1", "x"]);
        let error = open(&path, "other").unwrap_err().to_string();
        assert!(error.contains("another encoder or version"), "{error}");
    }
}
