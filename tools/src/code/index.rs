//! Files become points.
//!
//! All points of a file are one durable commit, and carry the hash of its bytes. So a file whose first
//! point has the hash that the file has is stored as it is, and is passed over; a build that was stopped
//! goes on with the first file that is not. The points of a file that changed are deleted before the new
//! ones are written, and those of a file that is gone when the walk did not find it.

use std::time::{Duration, Instant};

use anyhow::Context;
use bigrain_encoders::EncodeOptions;
use bigrain_encoders::sea::{CodeEncoder, SourceFile};
use bigrain_engine::{Cancel, Collection, MAX_POINTS_PER_BATCH, Point, ScrollParams};
use serde::Serialize;

use super::files::{CodeFile, CodeFiles, read_code};
use super::points::{Part, first_points, payload, point_id, points_of};
use crate::human;
use crate::progress::Progress;
use crate::stored_versions::stored_versions;

/// Blocks that are encoded together: enough to sort by length, few enough to show progress.
const BLOCKS_AT_ONCE: usize = 256;
/// Files listed as passed over; the others are counted.
const MAX_LISTED: usize = 100;
/// Points read at once.
const PAGE: usize = 4096;

/// What came of the files.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CodeReport {
    /// Source files found.
    pub files: u64,
    /// Files that were stored already as they are.
    pub unchanged: u64,
    /// Files encoded, new or changed.
    pub encoded: u64,
    /// Files that are no longer there, whose points were deleted.
    pub gone: u64,
    /// Files of no known language, which are not looked at.
    pub others: u64,
    /// Snippets of the files encoded.
    pub snippets: u64,
    /// Points written: a whole or a window of a snippet each.
    pub points: u64,
    /// Points deleted.
    pub deleted: u64,
    /// Tokens encoded.
    pub tokens: u64,
    /// Files passed over.
    pub skipped: u64,
    /// The first of them: which, and why.
    pub skipped_files: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A collection of code, and what encodes for it.
#[derive(Clone, Copy, Debug)]
pub struct Index<'a> {
    /// The collection.
    pub collection: &'a Collection,
    /// What cuts and encodes.
    pub encoder: &'a CodeEncoder,
    /// Raised to stop after the files in hand.
    pub cancel: &'a Cancel,
}

/// Changes with what is stored of a file, so that files which an older program stored are encoded anew.
const LAYOUT: &[u8] = b"2";

/// Returns what changes with a file's text, and with what is stored of it.
fn version_of(text: &str) -> String {
    let hash = blake3::Hasher::new().update(LAYOUT).update(text.as_bytes()).finalize();
    hash.to_hex()[..16].to_owned()
}

/// Files to be encoded together.
#[derive(Default)]
struct Batch {
    files: Vec<(CodeFile, String, String)>,
    bytes: u64,
}

impl Index<'_> {
    /// Brings the collection to what the files are. Returns what was done, and how it ended: what the
    /// report counts is on disk even if the end is an error.
    pub fn run(
        &self,
        found: CodeFiles,
        progress: &mut Progress,
    ) -> (CodeReport, anyhow::Result<()>) {
        let started = Instant::now();
        let mut report = CodeReport {
            files: found.files.len() as u64,
            others: found.others,
            ..CodeReport::default()
        };
        found.skipped.into_iter().for_each(|file| report.skip(file));
        let ended = self.files(found.files, &mut report, progress);
        report.elapsed = started.elapsed();
        (report, ended)
    }

    fn files(
        &self,
        files: Vec<CodeFile>,
        report: &mut CodeReport,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        let mut stored = stored_versions(
            self.collection,
            ScrollParams::new(PAGE)?.with_filter(first_points()?),
        )?;
        let mut batch = Batch::default();
        let mut position = 0;
        for file in files {
            self.cancel.check()?;
            position += file.bytes;
            let version = stored.remove(&file.name);
            let text = match read_code(&file) {
                Ok(text) => text,
                Err(reason) => {
                    report.deleted += self.delete(&file.name, version.as_ref())?;
                    report.skip(reason);
                    continue;
                }
            };
            let new = version_of(&text);
            if version.as_ref() == Some(&new) {
                report.unchanged += 1;
                progress.advance(0, position);
                continue;
            }
            report.deleted += self.delete(&file.name, version.as_ref())?;
            batch.bytes += text.len() as u64;
            batch.files.push((file, text, new));
            // A block has some hundreds of bytes.
            if batch.bytes >= BLOCKS_AT_ONCE as u64 * 128 {
                let points = self.write(&std::mem::take(&mut batch), report)?;
                progress.advance(points, position);
            }
        }
        let points = self.write(&batch, report)?;
        progress.advance(points, position);
        for (file, version) in stored {
            report.deleted += self.delete(&file, Some(&version))?;
            report.gone += 1;
        }
        Ok(())
    }

    /// Deletes the points of a file that is stored.
    fn delete(&self, file: &str, version: Option<&String>) -> anyhow::Result<u64> {
        if version.is_none() {
            return Ok(0);
        }
        Ok(self.collection.delete_matching(&points_of(file)?)?.deleted)
    }

    /// Encodes and writes some files; returns how many points they have.
    fn write(&self, batch: &Batch, report: &mut CodeReport) -> anyhow::Result<u64> {
        if batch.files.is_empty() {
            return Ok(0);
        }
        let parsed: Vec<SourceFile<'_>> = batch
            .files
            .iter()
            .map(|(file, text, _)| SourceFile::new(text, Some(file.language)))
            .collect();
        let snippets: Vec<_> = parsed.iter().map(SourceFile::snippets).collect();
        let mut blocks = Vec::new();
        for (text, snippets) in parsed.iter().zip(&snippets) {
            blocks.extend(
                snippets.iter().map(|snippet| self.encoder.blocks(text, &snippet.span.bytes)),
            );
        }
        let options = EncodeOptions { cancel: self.cancel.clone(), ..EncodeOptions::default() };
        let (encoded, stats) =
            self.encoder.encode_cut(blocks, &options).context("encode blocks of code")?;
        report.tokens += stats.tokens;
        let space = self.encoder.encoder().space();
        let mut encoded = encoded.into_iter();
        let mut points = Vec::new();
        let mut written = 0;
        for (((file, _, version), text), snippets) in batch.files.iter().zip(&parsed).zip(&snippets)
        {
            let mut of_file = Vec::new();
            for (index, (snippet, blocks)) in snippets.iter().zip(encoded.by_ref()).enumerate() {
                for (block, (span, vector)) in
                    blocks.spans().iter().zip(blocks.vectors()).enumerate()
                {
                    let part = Part { snippet: index, block };
                    let payload = payload(file, text, snippet, span, (part, version));
                    let point = Point::new(point_id(file, part)?, vector.to_vec());
                    of_file.push(point.in_space(space).with_payload(payload));
                }
            }
            report.snippets += snippets.len() as u64;
            report.encoded += u64::from(!snippets.is_empty());
            written += of_file.len() as u64;
            if points.len() + of_file.len() > MAX_POINTS_PER_BATCH {
                self.commit(std::mem::take(&mut points), report)?;
            }
            points.extend(of_file);
        }
        self.commit(points, report)?;
        Ok(written)
    }

    fn commit(&self, points: Vec<Point>, report: &mut CodeReport) -> anyhow::Result<()> {
        if !points.is_empty() {
            report.points += points.len() as u64;
            self.collection.upsert(points)?;
        }
        Ok(())
    }
}

impl CodeReport {
    /// Returns one line on the files: how many, and what became of them.
    #[must_use]
    pub fn files_line(&self) -> String {
        let mut line = format!("{} encoded", human::count(self.encoded));
        for (number, what) in [
            (self.unchanged, "unchanged"),
            (self.gone, "gone"),
            (self.skipped, "skipped"),
            (self.others, "of other kinds"),
        ] {
            if number > 0 {
                line.push_str(&format!(", {} {what}", human::count(number)));
            }
        }
        line
    }

    /// Returns one line on the points: how many were written and deleted.
    #[must_use]
    pub fn points_line(&self) -> String {
        let mut line = format!(
            "{} written for {}",
            human::count(self.points),
            human::counted(self.snippets, "snippet", "snippets")
        );
        if self.deleted > 0 {
            line.push_str(&format!(", {} deleted", human::count(self.deleted)));
        }
        line
    }

    /// Returns one line on the speed: points and tokens a second, and the time in all.
    #[must_use]
    pub fn speed_line(&self) -> String {
        let per_second = |amount| human::count(human::rate(amount, self.elapsed).round() as u64);
        format!(
            "{} points/s, {} tokens/s, {} in all",
            per_second(self.points),
            per_second(self.tokens),
            human::duration(self.elapsed)
        )
    }

    fn skip(&mut self, file: String) {
        self.skipped += 1;
        if self.skipped_files.len() < MAX_LISTED {
            self.skipped_files.push(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use bigrain_encoders::ToyEncoder;
    use bigrain_engine::{CollectionConfig, Engine, EngineConfig, Metric, PointId};

    use super::*;

    const DIMS: usize = 16;

    struct Bench {
        _data: tempfile::TempDir,
        code: tempfile::TempDir,
        collection: Collection,
        encoder: CodeEncoder,
    }

    impl Bench {
        fn new() -> Self {
            let (data, code) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let engine = Engine::open(data.path(), EngineConfig::default()).unwrap();
            let encoder = ToyEncoder::new(DIMS);
            let config = CollectionConfig::new(DIMS, Metric::Cosine);
            let collection = engine.create_collection("code", config).unwrap();
            Self { _data: data, code, collection, encoder: CodeEncoder::new(Arc::new(encoder)) }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.code.path().join(name), text).unwrap();
        }

        fn build(&self, cancel: &Cancel) -> (CodeReport, anyhow::Result<()>) {
            let found = CodeFiles::list(self.code.path(), &Cancel::new()).unwrap();
            let index = Index { collection: &self.collection, encoder: &self.encoder, cancel };
            index.run(found, &mut Progress::hidden("test", 0))
        }

        fn built(&self) -> CodeReport {
            let (report, ended) = self.build(&Cancel::new());
            ended.unwrap();
            report
        }

        fn lines_of(&self, id: &str) -> Option<(u64, u64)> {
            let id = PointId::parse(id).unwrap();
            let payload = self.collection.get(&[id]).unwrap().remove(0)?.payload;
            let number = |field| payload.get(field).and_then(|value| value.as_u64()).unwrap();
            Some((number("line"), number("end_line")))
        }
    }

    /// A function with more tokens than a block has.
    fn long(name: &str) -> String {
        let body: String = (0..60).map(|i| format!("    a{i} = b{i} + c{i}\n")).collect();
        format!("def {name}():\n{body}\n")
    }

    #[test]
    fn a_long_function_is_its_whole_and_its_windows() {
        let bench = Bench::new();
        bench.write("a.py", &format!("{}def short():\n    pass\n", long("f")));
        let report = bench.built();
        assert_eq!((report.encoded, report.snippets), (1, 2));
        assert_eq!(bench.lines_of("a.py#0.0"), Some((1, 61)));
        assert_eq!(bench.lines_of("a.py#0.1").unwrap().0, 1);
        assert_eq!(bench.lines_of("a.py#1.0"), Some((63, 64)));
        assert_eq!(bench.lines_of("a.py#1.1"), None);
        assert_eq!(bench.collection.count(), report.points);
        assert!(report.points > 3, "{report:?}");
    }

    #[test]
    fn tests_are_marked_in_the_payload() {
        let bench = Bench::new();
        bench
            .write("a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {}\n}\n");
        bench.write("test_c.py", "def c():\n    pass\n");
        bench.built();
        let marked = |id: &str| {
            let id = PointId::parse(id).unwrap();
            bench.collection.get(&[id]).unwrap().remove(0).unwrap().payload.get("test").cloned()
        };
        let marks = ["a.rs#0.0", "a.rs#1.0", "test_c.py#0.0"].map(|id| marked(id).unwrap());
        assert_eq!(marks, [false, true, true]);
    }

    #[test]
    fn building_again_encodes_what_changed_and_deletes_what_is_gone() {
        let bench = Bench::new();
        for name in ["a.py", "b.py", "c.py"] {
            bench.write(name, &long("f"));
        }
        let first = bench.built();
        assert_eq!((first.encoded, first.deleted), (3, 0));
        let again = bench.built();
        assert_eq!((again.encoded, again.unchanged, again.points), (0, 3, 0));
        bench.write("a.py", "def g():\n    return 'now much shorter'\n");
        fs::remove_file(bench.code.path().join("b.py")).unwrap();
        let changed = bench.built();
        assert_eq!((changed.encoded, changed.unchanged, changed.gone), (1, 1, 1));
        assert_eq!(changed.deleted, first.points / 3 * 2);
        assert_eq!(bench.lines_of("a.py#0.1"), None);
        assert_eq!(bench.collection.count(), first.points / 3 + 1);
        bench.write("c.py", "\0");
        let skipped = bench.built();
        assert_eq!(skipped.skipped_files, ["c.py: a binary file"]);
        assert_eq!(bench.collection.count(), 1);
    }

    #[test]
    fn a_cancelled_build_stops_and_the_next_goes_on() {
        let bench = Bench::new();
        bench.write("a.py", &long("f"));
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(bench.build(&cancel).1.is_err());
        assert_eq!(bench.collection.count(), 0);
        assert_eq!(bench.built().encoded, 1);
    }

    #[test]
    fn a_folder_without_code_is_no_failure() {
        let bench = Bench::new();
        bench.write("README", "text");
        let report = bench.built();
        assert_eq!((report.files, report.others), (0, 1));
        assert_eq!(report.files_line(), "0 encoded, 1 of other kinds");
        assert!(Path::new(bench.code.path()).is_dir());
    }
}
