//! What is said of a picture, and where.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bigrain_engine::Payload;
use serde_json::{Map, Value};

/// Files in the folder that list captions, a line of JSON each.
const LISTS: [&str; 2] = ["captions.jsonl", "metadata.jsonl"];
/// What their lines call the picture, and the caption.
const FILE_KEYS: [&str; 4] = ["file_name", "file", "path", "image"];
const CAPTION_KEYS: [&str; 3] = ["caption", "text", "description"];
/// What img2dataset says of how a picture was fetched, which is not about the picture.
pub(super) const FETCHING: [&str; 4] = ["key", "status", "error_message", "exif"];
/// A caption is a sentence or some; more is not one.
const MAX_BYTES: u64 = 64 << 10;

/// Where a caption was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptionSource {
    /// A line of the folder's list.
    List,
    /// A text file of the same name.
    Sidecar,
    /// The words of the file's name.
    Name,
}

/// What is said of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Caption {
    /// What is said.
    pub text: String,
    /// Where.
    pub source: CaptionSource,
    /// What else its line in a list has.
    pub payload: Payload,
}

/// The captions of a folder's list, by the paths of the pictures.
#[derive(Debug, Default)]
pub(super) struct CaptionList(HashMap<String, (String, Payload)>);

impl CaptionList {
    /// Reads the list of a folder, if it has one.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut captions = HashMap::new();
        for path in LISTS.map(|name| folder.join(name)) {
            if !path.try_exists().with_context(|| format!("look for {}", path.display()))? {
                continue;
            }
            let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
            for (number, line) in (1..).zip(BufReader::new(file).lines()) {
                let place = || format!("{}:{number}", path.display());
                let line = line.with_context(place)?;
                if line.trim().is_empty() {
                    continue;
                }
                let row: Map<String, Value> = serde_json::from_str(&line).with_context(place)?;
                let Some((name, caption, payload)) = split(row)? else {
                    bail!("{}: expected a file_name and a caption", place());
                };
                captions.insert(name, (caption, payload));
            }
        }
        Ok(Self(captions))
    }

    /// What is said of the picture `name`, a path from the folder, which is the file at `path`.
    pub fn of(&self, name: &str, path: &Path) -> Caption {
        if let Some((text, payload)) = self.0.get(name) {
            return Caption {
                text: text.clone(),
                source: CaptionSource::List,
                payload: payload.clone(),
            };
        }
        let (said, payload) = json_sidecar(path).unwrap_or_default();
        let (text, source) = match sidecar(path).or(said) {
            Some(text) => (text, CaptionSource::Sidecar),
            None => (words_of_name(path), CaptionSource::Name),
        };
        Caption { text, source, payload }
    }
}

/// The picture a line is of, its caption, and the rest; `None` where one of the first two is missing.
fn split(mut row: Map<String, Value>) -> anyhow::Result<Option<(String, String, Payload)>> {
    let Some(name) = take(&mut row, &FILE_KEYS) else { return Ok(None) };
    let (Some(caption), payload) = caption_of_json(row)? else { return Ok(None) };
    Ok(Some((name.trim_start_matches("./").to_owned(), caption, payload)))
}

/// The caption in what is known of a picture, if there is one, and the rest.
pub(super) fn caption_of_json(
    mut fields: Map<String, Value>,
) -> anyhow::Result<(Option<String>, Payload)> {
    let caption = take(&mut fields, &CAPTION_KEYS).filter(|text| !text.trim().is_empty());
    Ok((caption, Payload::from_json(Value::Object(fields).to_string().as_bytes())?))
}

fn take(fields: &mut Map<String, Value>, keys: &[&str]) -> Option<String> {
    let key = keys.iter().find(|key| fields.get(**key).is_some_and(Value::is_string))?;
    fields.remove(*key)?.as_str().map(str::to_owned)
}

/// What the JSON file beside a picture says of it, as img2dataset writes them.
fn json_sidecar(path: &Path) -> Option<(Option<String>, Payload)> {
    let mut bytes = Vec::new();
    File::open(path.with_extension("json")).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&bytes) else { return None };
    FETCHING.iter().for_each(|field| drop(fields.remove(*field)));
    caption_of_json(fields).ok()
}

/// The first line of the text file beside a picture: `a.txt` or `a.png.txt` beside `a.png`.
fn sidecar(path: &Path) -> Option<String> {
    let beside: [PathBuf; 2] = [
        path.with_extension("txt"),
        path.with_file_name(format!("{}.txt", path.file_name()?.to_string_lossy())),
    ];
    let mut file = beside.iter().find_map(|path| File::open(path).ok())?.take(MAX_BYTES);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    first_line(&text)
}

/// The first line of a text that says something.
pub(super) fn first_line(text: &str) -> Option<String> {
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// The words of a file's name; the name itself, where it has no letters.
pub(super) fn words_of_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let words: Vec<&str> =
        stem.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { stem.into_owned() } else { words.join(" ") }
}

/// Whether a file is a text about a picture beside it rather than a picture.
pub(super) fn is_list(path: &Path) -> bool {
    path.file_name().is_some_and(|name| LISTS.iter().any(|list| name == *list))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_list_wins_over_a_sidecar_and_a_sidecar_over_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let list = r#"{"file_name": "a/one-1.png", "caption": "The first.", "year": 1999}"#;
        fs::write(path("captions.jsonl"), format!("{list}\n\n")).unwrap();
        fs::create_dir(path("a")).unwrap();
        for (name, text) in [("a/one-1.txt", "one"), ("a/two.png.txt", "\n A duck. \nes=Un pato.")]
        {
            fs::write(path(name), text).unwrap();
        }
        let list = CaptionList::read(folder.path()).unwrap();
        let caption = |name: &str| list.of(name, &path(name));
        let one = caption("a/one-1.png");
        assert_eq!((&*one.text, one.source), ("The first.", CaptionSource::List));
        assert_eq!(one.payload.get("year").and_then(|year| year.as_u64()), Some(1999));
        assert_eq!(caption("a/two.png").text, "A duck.");
        assert_eq!(caption("a/two.png").source, CaptionSource::Sidecar);
        assert_eq!(caption("a/red_fox-2.jpeg").text, "red fox");
        assert_eq!(caption("a/0001.png").text, "0001");
        fs::write(path("a/7.json"), r#"{"caption": "A boat.", "url": "u", "key": "7"}"#).unwrap();
        let seven = caption("a/7.jpg");
        assert_eq!((&*seven.text, seven.source), ("A boat.", CaptionSource::Sidecar));
        assert_eq!((seven.payload.text("url"), seven.payload.get("key")), (Some("u"), None));
    }

    #[test]
    fn a_bad_line_of_a_list_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |text: &str| {
            fs::write(folder.path().join("metadata.jsonl"), text).unwrap();
            format!("{:#}", CaptionList::read(folder.path()).unwrap_err())
        };
        assert!(refused("{\n").contains("metadata.jsonl:1"));
        let error = refused("\n{\"file\": \"a.png\"}\n");
        assert!(error.ends_with("metadata.jsonl:2: expected a file_name and a caption"), "{error}");
    }
}
