//! The pictures of a folder.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context;
use bigrain_encoders::is_image;
use bigrain_engine::Cancel;
use ignore::WalkBuilder;

use super::captions::{self, Caption, CaptionList};
use super::source::PictureSource;
use super::{shards, wit};

/// Endings of files that should be pictures: what is wrong with one is said.
const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "jpe", "webp", "gif", "bmp"];
/// Bytes that say what a file is.
const START_BYTES: usize = 32;
/// How much of a path a point's id has room for.
const MAX_PATH_BYTES: usize = 480;

/// A picture, which was not opened yet.
#[derive(Clone, Debug)]
pub struct PictureFile {
    /// Its path, from the folder, with `/` between names.
    pub name: String,
    /// Where its bytes are.
    pub source: PictureSource,
    /// What is said of it.
    pub caption: Caption,
    /// Changes when the file does, or the caption.
    pub version: String,
}

impl PictureFile {
    /// `version` changes when the bytes do.
    pub(super) fn new(
        name: String,
        source: PictureSource,
        caption: Caption,
        version: &str,
    ) -> Self {
        // A new caption is a new version: the payload holds it.
        let said = blake3::hash(caption.text.as_bytes()).to_hex();
        let version = format!("{version}-{}", &said[..8]);
        Self { name, source, caption, version }
    }
}

/// What is in a folder.
#[derive(Clone, Debug, Default)]
pub struct PictureFiles {
    /// Pictures, in the order of their names.
    pub files: Vec<PictureFile>,
    /// Files that should be pictures and are passed over, and why.
    pub skipped: Vec<String>,
    /// Other files.
    pub others: u64,
}

impl PictureFiles {
    /// Lists the pictures under `folder` (or the file itself), by what they hold: a picture under any
    /// name is one. Archives (`.tar`) are listed by what is in them, as WebDataset lays them out. Hidden files,
    /// and those that `.gitignore` and its like name, are left out; links are not followed.
    ///
    /// A file that ends in `.tsv` is a table as WIT has it, which names pictures or holds them.
    ///
    /// # Errors
    ///
    /// When the folder is not there, its list of captions has a bad line, a table is none of WIT, or the walk is
    /// cancelled.
    pub fn list(folder: &Path, cancel: &Cancel) -> anyhow::Result<Self> {
        if wit::is_table(folder) {
            return wit::list(folder, cancel);
        }
        let folder = folder.canonicalize().with_context(|| format!("open {}", folder.display()))?;
        let captions =
            if folder.is_dir() { CaptionList::read(&folder)? } else { CaptionList::default() };
        let mut found = Self::default();
        let mut walk = WalkBuilder::new(&folder);
        walk.require_git(false).sort_by_file_path(Path::cmp);
        for entry in walk.build() {
            cancel.check()?;
            match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                    found.add(&folder, entry.into_path(), &captions);
                }
                Ok(_) => {}
                Err(error) => found.skipped.push(error.to_string()),
            }
        }
        Ok(found)
    }

    fn add(&mut self, folder: &Path, path: PathBuf, captions: &CaptionList) {
        let inside = path.strip_prefix(folder).ok().filter(|inside| inside.file_name().is_some());
        let inside = inside.map_or_else(|| path.file_name().map(Path::new), Some).unwrap_or(&path);
        let name = inside.to_string_lossy().replace('\\', "/");
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if shards::is_shard(&path) {
            shards::list(&name, &path, self);
            return;
        }
        let should_be = ending.is_some_and(|ending| should_be_picture(&ending));
        let start = if captions::is_list(&path) { Ok(Vec::new()) } else { start_of(&path) };
        match start {
            Err(error) if should_be => self.skipped.push(format!("{name}: {error}")),
            Ok(start) if should_be || is_image(&start) => {
                let (caption, version) = (captions.of(&name, &path), size_and_time(&path));
                let source = PictureSource::File(path);
                self.push(PictureFile::new(name, source, caption, &version));
            }
            _ => self.others += 1,
        }
    }

    /// Adds a picture, unless its path is too long.
    pub(super) fn push(&mut self, file: PictureFile) {
        if file.name.len() > MAX_PATH_BYTES {
            let (name, limit) = (file.name, MAX_PATH_BYTES);
            self.skipped.push(format!("{name}: its path is longer than {limit} bytes"));
            return;
        }
        self.files.push(file);
    }
}

/// Whether a file that ends so should be a picture.
pub(super) fn should_be_picture(ending: &str) -> bool {
    ENDINGS.contains(&ending)
}

fn start_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(START_BYTES as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// Bytes of a file, and when it was written, in nanoseconds: what changes when the file does.
pub(super) fn size_and_time(path: &Path) -> String {
    let Ok(metadata) = fs::metadata(path) else { return String::new() };
    let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{}-{}", metadata.len(), time.unwrap_or_default().as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_told_by_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("b.dat", b"\x89PNG\r\n\x1a\n rest");
        write("a.JPG", b"not a picture");
        write("c.txt", b"GIFT of words");
        write("d.svg", b"<svg/>");
        let found = PictureFiles::list(folder.path(), &Cancel::new()).unwrap();
        let names: Vec<&str> = found.files.iter().map(|file| &*file.name).collect();
        // What is wrong with the first is said when it is opened.
        assert_eq!(names, ["a.JPG", "b.dat"]);
        assert_eq!((found.others, found.skipped.len()), (2, 0));
        let one = PictureFiles::list(&folder.path().join("b.dat"), &Cancel::new()).unwrap();
        assert_eq!(one.files[0].name, "b.dat");
        assert!(PictureFiles::list(&folder.path().join("none"), &Cancel::new()).is_err());
    }

    #[test]
    fn a_version_changes_with_the_caption() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png"), b"x").unwrap();
        let version = || {
            let found = PictureFiles::list(folder.path(), &Cancel::new()).unwrap();
            found.files[0].version.clone()
        };
        let before = version();
        assert_eq!(version(), before);
        fs::write(folder.path().join("a.txt"), "An a.").unwrap();
        assert_ne!(version(), before);
    }
}
