//! Pictures of a table as WIT has it (arXiv 2103.01913): a line for each picture on each page, with the texts
//! that stand around it.
//!
//! The table says where pictures were (`image_url`) and, in one of its editions, holds their bytes
//! (`b64_bytes`). Nothing is fetched: without bytes a picture is looked for in the table's folder, under the last
//! part of its address.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use bigrain_engine::{Cancel, Payload};
use ignore::WalkBuilder;

use super::captions::{Caption, CaptionSource, words_of_name};
use super::files::{PictureFile, PictureFiles, should_be_picture};
use super::source::{PartCoding, PictureSource};

/// Columns that are read.
const ADDRESS: &str = "image_url";
const BYTES: &str = "b64_bytes";
const LANGUAGE: &str = "language";
/// Where a caption is taken from, the best first.
const CAPTIONS: [&str; 5] = [
    "caption_reference_description",
    "caption_alt_text_description",
    "caption_attribution_description",
    "caption_title_and_reference_description",
    "page_title",
];
/// What else becomes part of the payload.
const KEPT: [&str; 4] = [LANGUAGE, "page_url", "page_title", "section_title"];
/// Of several lines for a picture the one in this language is taken, or else the first.
const PREFERRED: &str = "en";
/// A line is shorter; one that is not is damaged.
const MAX_LINE_BYTES: u64 = 128 << 20;

/// Whether a file is such a table, by its name.
pub(super) fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tsv"))
}

/// The columns of a table, by name.
struct Columns(Vec<String>);

/// One line of a table, and where it starts.
struct Row<'l> {
    fields: Vec<&'l [u8]>,
    offset: u64,
}

/// Lists the pictures of the table at `path`.
///
/// # Errors
///
/// When the table or its folder cannot be read, has no column of addresses, or the caller gives up.
pub(super) fn list(path: &Path, cancel: &Cancel) -> anyhow::Result<PictureFiles> {
    let context = || format!("open {}", path.display());
    let path = &path.canonicalize().with_context(context)?;
    let file = File::open(path).with_context(context)?;
    let mut lines = BufReader::new(file);
    let mut found = PictureFiles::default();
    let mut line = Vec::new();
    let mut offset = next_line(&mut lines, &mut line)?;
    let columns = Columns::read(&line);
    if columns.position(ADDRESS).is_none() {
        bail!("{}: no column {ADDRESS}: expected a table of WIT", path.display());
    }
    let beside = match columns.position(BYTES) {
        Some(_) => HashMap::new(),
        None => pictures_beside(path, cancel)?,
    };
    let mut places: HashMap<String, usize> = HashMap::new();
    for number in 2.. {
        cancel.check()?;
        let len = next_line(&mut lines, &mut line)
            .with_context(|| format!("{}:{number}", path.display()))?;
        if len == 0 {
            break;
        }
        let row = Row { fields: line.split(|byte| *byte == b'\t').collect(), offset };
        offset += len;
        match columns.picture(path, &row, &beside) {
            Ok(picture) => found.add_line(picture, &mut places),
            Err(error) => found.skipped.push(format!("line {number}: {error}")),
        }
    }
    found.files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Reads a line without its end; returns how many bytes it takes in the file, none at its end.
fn next_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> anyhow::Result<u64> {
    line.clear();
    let len = lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', line)? as u64;
    ensure!(len < MAX_LINE_BYTES, "a line of more than {MAX_LINE_BYTES} bytes");
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(len)
}

/// The pictures of the table's folder, by the names of their files.
fn pictures_beside(table: &Path, cancel: &Cancel) -> anyhow::Result<HashMap<String, PathBuf>> {
    let folder = table.parent().unwrap_or(Path::new("."));
    let mut pictures = HashMap::new();
    for entry in WalkBuilder::new(folder).require_git(false).sort_by_file_path(Path::cmp).build() {
        cancel.check()?;
        // What cannot be walked is missing, which its line says.
        let Ok(entry) = entry else { continue };
        let ending = entry.path().extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if ending.is_some_and(|ending| should_be_picture(&ending)) {
            let name = entry.file_name().to_string_lossy().into_owned();
            pictures.entry(name).or_insert_with(|| entry.into_path());
        }
    }
    Ok(pictures)
}

impl PictureFiles {
    /// Adds the picture of a line, unless one of its address is there that is as good.
    fn add_line(&mut self, picture: PictureFile, places: &mut HashMap<String, usize>) {
        let is_preferred =
            |picture: &PictureFile| picture.caption.payload.text(LANGUAGE) == Some(PREFERRED);
        match places.get(&picture.name) {
            None => {
                let (name, place) = (picture.name.clone(), self.files.len());
                self.push(picture);
                if self.files.len() > place {
                    places.insert(name, place);
                }
            }
            Some(&place) => {
                self.others += 1;
                if is_preferred(&picture) && !is_preferred(&self.files[place]) {
                    self.files[place] = picture;
                }
            }
        }
    }
}

impl Columns {
    fn read(header: &[u8]) -> Self {
        let header = String::from_utf8_lossy(header);
        Self(
            header
                .trim_start_matches('\u{feff}')
                .split('\t')
                .map(|name| name.trim().to_owned())
                .collect(),
        )
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|column| column == name)
    }

    /// What a column says of a row, if it says something.
    fn text(&self, row: &Row<'_>, name: &str) -> Option<String> {
        let field = String::from_utf8_lossy(row.fields.get(self.position(name)?)?);
        let text = field.trim();
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let text = quoted.map_or_else(|| text.to_owned(), |text| text.replace("\"\"", "\""));
        (!text.trim().is_empty()).then_some(text)
    }

    fn picture(
        &self,
        table: &Path,
        row: &Row<'_>,
        beside: &HashMap<String, PathBuf>,
    ) -> anyhow::Result<PictureFile> {
        let (expected, actual) = (self.0.len(), row.fields.len());
        ensure!(actual == expected, "expected {expected} fields, got {actual}");
        let address = self.text(row, ADDRESS).context("no image_url")?;
        let name = last_part(&address);
        ensure!(!name.is_empty(), "{address} names no file");
        let (source, version) = match self.position(BYTES) {
            Some(column) => {
                let (offset, len) = (row.start_of(column), row.fields[column].len() as u64);
                ensure!(len > 0, "{name}: no bytes");
                let (file, coding) = (table.to_owned(), PartCoding::Base64);
                let said = blake3::hash(row.fields[column]).to_hex();
                (
                    PictureSource::Part { file, offset, len, coding },
                    format!("{offset}-{}", &said[..16]),
                )
            }
            None => {
                let file =
                    beside.get(&name).with_context(|| format!("{name} is not in its folder"))?;
                (PictureSource::File(file.clone()), super::files::size_and_time(file))
            }
        };
        let text = CAPTIONS.iter().find_map(|column| self.text(row, column));
        let (text, origin) = match text {
            Some(text) => (text, CaptionSource::List),
            None => (words_of_name(Path::new(&name)), CaptionSource::Name),
        };
        let mut payload = Payload::new().with(ADDRESS, address);
        for column in KEPT {
            if let Some(text) = self.text(row, column) {
                payload = payload.with(column, text);
            }
        }
        let caption = Caption { text, source: origin, payload };
        Ok(PictureFile::new(name, source, caption, &version))
    }
}

impl Row<'_> {
    /// Where in the file a field starts.
    fn start_of(&self, column: usize) -> u64 {
        let before: usize = self.fields[..column].iter().map(|field| field.len() + 1).sum();
        self.offset + before as u64
    }
}

/// The name of the file at an address, as it would be saved.
fn last_part(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, others @ ..] = rest {
        let hex = others.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &others[2..] } else { others };
    }
    String::from_utf8_lossy(&bytes).replace(['/', '\\'], "_")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_name_pictures_of_the_folder_and_english_wins() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        for name in ["in/Red_Fox.jpg", "in/B\u{e4}r.png"] {
            fs::write(folder.path().join(name), b"bytes").unwrap();
        }
        let table = folder.path().join("wit.tsv");
        let lines = [
            "language\tpage_title\timage_url\tcaption_reference_description",
            "de\tFuchs\thttps://a/b/Red_Fox.jpg\tEin Fuchs",
            "en\tFox\thttps://a/b/Red_Fox.jpg?x=1\t\"A \"\"red\"\" fox\"",
            "fr\tRenard\thttps://a/b/Red_Fox.jpg\tUn renard",
            "de\tB\u{e4}ren\thttps://a/b/B%C3%A4r.png\t",
            "en\tGone\thttps://a/b/gone.jpg\tGone",
            "en\ttoo few",
        ];
        fs::write(&table, lines.join("\n")).unwrap();
        let found = list(&table, &Cancel::new()).unwrap();
        let texts: Vec<(&str, &str)> =
            found.files.iter().map(|file| (&*file.name, &*file.caption.text)).collect();
        assert_eq!(texts, [("B\u{e4}r.png", "B\u{e4}ren"), ("Red_Fox.jpg", "A \"red\" fox")]);
        assert_eq!(found.files[1].caption.payload.text("language"), Some("en"));
        assert_eq!(found.others, 2);
        let expected =
            ["line 6: gone.jpg is not in its folder", "line 7: expected 4 fields, got 2"];
        assert_eq!(found.skipped, expected);
    }

    #[test]
    fn a_table_may_hold_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("pixels.tsv");
        let text = "image_url\tb64_bytes\tmetadata_url\nhttp://a/x.png\tYWJj\thttp://m\nhttp://a/y.png\t\t\n";
        fs::write(&table, text).unwrap();
        let found = list(&table, &Cancel::new()).unwrap();
        assert_eq!(found.skipped, ["line 3: y.png: no bytes"]);
        let PictureSource::Part { offset, len, coding, .. } = found.files[0].source else {
            panic!()
        };
        assert_eq!(coding, PartCoding::Base64);
        assert_eq!(&text[offset as usize..(offset + len) as usize], "YWJj");
        fs::write(&table, "a\tb\n").unwrap();
        let error = list(&table, &Cancel::new()).unwrap_err().to_string();
        assert!(error.ends_with("no column image_url: expected a table of WIT"), "{error}");
    }
}
