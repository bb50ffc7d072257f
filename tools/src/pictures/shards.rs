//! Pictures in archives, as WebDataset lays them out and img2dataset writes them: files of one name with
//! different endings belong together, a picture, its caption as a text, and what else is known as JSON.
//!
//! ```text
//!  00000.tar   000000000.jpg  000000000.txt  000000000.json  000000001.jpg ...
//! ```

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use bigrain_engine::Payload;
use serde_json::{Map, Value};
use tar::{Archive, Entry};

use super::captions::{
    Caption, CaptionSource, FETCHING, caption_of_json, first_line, words_of_name,
};
use super::files::{PictureFile, PictureFiles, should_be_picture};
use super::source::{PartCoding, PictureSource};

/// Bytes of a caption or of what else is known of a picture.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// Whether a file is an archive of pictures, by its name.
pub(super) fn is_shard(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tar"))
}

/// What an archive has of one name.
#[derive(Default)]
struct Sample {
    key: String,
    /// The picture's ending, where it starts, its length and when it was written.
    picture: Option<(String, u64, u64, u64)>,
    text: Option<String>,
    json: Map<String, Value>,
}

/// Lists the pictures of the archive at `path`, which is called `name`. One that ends early gives those before
/// its end.
pub(super) fn list(name: &str, path: &Path, found: &mut PictureFiles) {
    if let Err(error) = read(name, path, found) {
        found.skipped.push(format!("{name}: {error:#}"));
    }
}

fn read(name: &str, path: &Path, found: &mut PictureFiles) -> anyhow::Result<()> {
    let mut archive = Archive::new(File::open(path)?);
    let mut sample = Sample::default();
    // Data is passed over by seeking. Where an entry is damaged, what is before it stays.
    let ended = archive.entries_with_seek()?.try_for_each(|entry| {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            return Ok(());
        }
        let inside = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // A key ends at the first point behind the last folder.
        let start = inside.rfind('/').map_or(0, |at| at + 1);
        let end = inside[start..].find('.').map_or(inside.len(), |at| start + at);
        let (key, ending) = (&inside[..end], inside[end..].trim_start_matches('.'));
        if sample.key != key {
            std::mem::take(&mut sample).finish(name, path, found);
            sample.key = key.to_owned();
        }
        sample.add(&ending.to_lowercase(), entry).with_context(|| inside.clone())
    });
    sample.finish(name, path, found);
    ended
}

impl Sample {
    fn add(&mut self, ending: &str, mut entry: Entry<'_, File>) -> anyhow::Result<()> {
        if should_be_picture(ending) {
            if self.picture.is_none() {
                let (at, len) = (entry.raw_file_position(), entry.size());
                let written = entry.header().mtime().unwrap_or_default();
                self.picture = Some((ending.to_owned(), at, len, written));
            }
            return Ok(());
        }
        if ending != "txt" && ending != "json" {
            return Ok(());
        }
        let mut bytes = Vec::new();
        entry.by_ref().take(MAX_TEXT_BYTES).read_to_end(&mut bytes)?;
        if ending == "txt" {
            self.text = first_line(&String::from_utf8_lossy(&bytes));
        } else if let Ok(Value::Object(fields)) = serde_json::from_slice(&bytes) {
            self.json = fields;
        }
        Ok(())
    }

    fn finish(mut self, shard: &str, path: &Path, found: &mut PictureFiles) {
        if self.key.is_empty() {
            return;
        }
        let Some((ending, offset, len, written)) = self.picture.take() else {
            // What could not be fetched has no picture, and may say why.
            let why = self.json.get("error_message").and_then(Value::as_str);
            let why = why.map_or_else(String::new, |why| format!(" ({why})"));
            found.skipped.push(format!("{shard}: {} has no picture{why}", self.key));
            return;
        };
        FETCHING.iter().for_each(|field| drop(self.json.remove(*field)));
        let (said, payload) = caption_of_json(self.json).unwrap_or((None, Payload::new()));
        let (text, source) = match self.text.or(said) {
            Some(text) => (text, CaptionSource::Sidecar),
            None => (words_of_name(Path::new(&self.key)), CaptionSource::Name),
        };
        let (file, coding) = (path.to_owned(), PartCoding::Plain);
        found.push(PictureFile::new(
            format!("{shard}/{}.{ending}", self.key),
            PictureSource::Part { file, offset, len, coding },
            Caption { text, source, payload },
            &format!("{offset}-{len}-{written}"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn listed(bytes: &[u8]) -> PictureFiles {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000.tar");
        std::fs::write(&path, bytes).unwrap();
        let mut found = PictureFiles::default();
        list("00000.tar", &path, &mut found);
        found
    }

    #[test]
    fn files_of_one_key_are_one_picture() {
        let bytes = shard(&[
            ("a/0.jpg", b"first picture"),
            ("a/0.txt", b" a red fox \nmore"),
            (
                "a/0.json",
                br#"{"key": "0", "url": "http://a", "caption": "other", "status": "success"}"#,
            ),
            ("a/1.json", br#"{"status": "failed_to_download", "error_message": "404"}"#),
            ("a/1.txt", b"nothing"),
            ("a/2.json", br#"{"caption": "from json"}"#),
            ("a/2.png", b"second"),
            ("blue_whale.cls", b"7"),
            ("blue_whale.webp", b"third"),
        ]);
        let found = listed(&bytes);
        let names: Vec<&str> = found.files.iter().map(|file| &*file.name).collect();
        assert_eq!(names, ["00000.tar/a/0.jpg", "00000.tar/a/2.png", "00000.tar/blue_whale.webp"]);
        let captions: Vec<&str> = found.files.iter().map(|file| &*file.caption.text).collect();
        assert_eq!(captions, ["a red fox", "from json", "blue whale"]);
        assert_eq!(found.skipped, ["00000.tar: a/1 has no picture (404)"]);
        assert_eq!(found.files[0].caption.payload.text("url"), Some("http://a"));
        assert!(found.files[0].caption.payload.get("status").is_none());
        let PictureSource::Part { offset, len, .. } = found.files[1].source else { panic!() };
        assert_eq!(&bytes[offset as usize..(offset + len) as usize], b"second");
    }

    #[test]
    fn a_damaged_archive_gives_what_is_before_the_damage() {
        let bytes = shard(&[("0.jpg", &[1; 3_000]), ("0.txt", b"one"), ("1.jpg", b"two")]);
        let mut damaged = bytes.clone();
        // The header of the third entry.
        damaged[512 + 3_072 + 1_024..][..512].fill(0xff);
        let found = listed(&damaged);
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.files[0].caption.text, "one");
        assert!(found.skipped[0].starts_with("00000.tar: "), "{:?}", found.skipped);
        assert_eq!(listed(b"no archive at all").skipped.len(), 1);
    }
}
