//! The source files of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bigrain_encoders::sea::Language;
use bigrain_engine::Cancel;
use ignore::WalkBuilder;

/// Files above this size are passed over: they are generated or packed.
pub const MAX_FILE_BYTES: u64 = 512 << 10;

/// How much of a path a point's id has room for.
const MAX_PATH_BYTES: usize = 480;

/// A source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeFile {
    /// Its path, from the folder, with `/` between names.
    pub name: String,
    /// Its whole path.
    pub path: PathBuf,
    /// Its language, by its name.
    pub language: Language,
    /// Its size when it was found.
    pub bytes: u64,
}

/// Folders of tests.
const TEST_FOLDERS: [&str; 5] = ["test", "tests", "__tests__", "spec", "testing"];
/// How the names of test files begin and end, without what stands behind the last dot.
const TEST_BEGINNINGS: [&str; 1] = ["test_"];
const TEST_ENDINGS: [&str; 7] = ["_test", "_tests", "_spec", ".test", ".spec", "Test", "Tests"];
/// Whole names of test files, likewise.
const TEST_NAMES: [&str; 4] = ["test", "tests", "conftest", "spec"];

impl CodeFile {
    /// Whether its path says that it holds tests, by what is usual in the languages there are:
    /// `tests/a.rs`, `test_a.py`, `a_test.go`, `a.spec.ts`, `ATest.java`.
    #[must_use]
    pub fn is_test(&self) -> bool {
        let (folders, name) = self.name.rsplit_once('/').unwrap_or(("", &self.name));
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        folders.split('/').any(|folder| TEST_FOLDERS.contains(&folder))
            || TEST_NAMES.contains(&stem)
            || TEST_BEGINNINGS.iter().any(|beginning| stem.starts_with(beginning))
            || TEST_ENDINGS.iter().any(|ending| stem.ends_with(ending))
    }
}

/// What is in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeFiles {
    /// Source files, in the order of their names.
    pub files: Vec<CodeFile>,
    /// Source files that are passed over, and why.
    pub skipped: Vec<String>,
    /// Files of no language that is known.
    pub others: u64,
}

impl CodeFiles {
    /// Lists the files under `folder` (or the file itself). Hidden files, and those that `.gitignore` and
    /// its like name, are left out; links are not followed.
    ///
    /// # Errors
    ///
    /// When the folder is not there, or the walk is cancelled.
    pub fn list(folder: &Path, cancel: &Cancel) -> anyhow::Result<Self> {
        fs::metadata(folder).with_context(|| format!("open {}", folder.display()))?;
        let mut found = Self::default();
        // The files of a folder that is no checkout may be ignored as well.
        let mut walk = WalkBuilder::new(folder);
        walk.require_git(false).sort_by_file_path(Path::cmp);
        for entry in walk.build() {
            cancel.check()?;
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    found.skipped.push(error.to_string());
                    continue;
                }
            };
            if entry.file_type().is_some_and(|kind| kind.is_file()) {
                let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
                found.add(folder, entry.into_path(), bytes);
            }
        }
        Ok(found)
    }

    fn add(&mut self, folder: &Path, path: PathBuf, bytes: u64) {
        let Some(language) = Language::of_path(&path) else {
            self.others += 1;
            return;
        };
        let inside =
            path.strip_prefix(folder).ok().filter(|inside| inside.components().count() > 0);
        let inside = inside.map_or_else(|| path.file_name().map(Path::new), Some).unwrap_or(&path);
        let name = inside.to_string_lossy().replace('\\', "/");
        if bytes > MAX_FILE_BYTES {
            self.skipped.push(format!("{name}: {bytes} bytes, the limit is {MAX_FILE_BYTES}"));
        } else if name.len() > MAX_PATH_BYTES {
            self.skipped.push(format!("{name}: its path is longer than {MAX_PATH_BYTES} bytes"));
        } else {
            self.files.push(CodeFile { name, path, language, bytes });
        }
    }
}

/// Reads a source file; `Err` says why it is passed over.
///
/// # Errors
///
/// When the file cannot be read, or holds something else than text.
pub fn read_code(file: &CodeFile) -> Result<String, String> {
    let refuse = |reason: &dyn std::fmt::Display| format!("{}: {reason}", file.name);
    let bytes = fs::read(&file.path).map_err(|error| refuse(&error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(refuse(&format!("{} bytes, the limit is {MAX_FILE_BYTES}", bytes.len())));
    }
    if bytes.contains(&0) {
        return Err(refuse(&"a binary file"));
    }
    String::from_utf8(bytes).map_err(|error| refuse(&error.utf8_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn names(found: &CodeFiles) -> Vec<&str> {
        found.files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn ignored_and_hidden_files_are_left_out() {
        let folder = folder(&[
            (".gitignore", b"target\n*.gen.py\n"),
            ("target/a.rs", b""),
            ("src/b.gen.py", b""),
            ("src/z.py", b""),
            ("src/a.rs", b""),
            (".hidden/c.py", b""),
            ("README.md", b""),
        ]);
        let found = CodeFiles::list(folder.path(), &Cancel::new()).unwrap();
        assert_eq!(names(&found), ["src/a.rs", "src/z.py"]);
        assert_eq!((found.others, found.skipped.len()), (1, 0));
        let one = CodeFiles::list(&folder.path().join("src/a.rs"), &Cancel::new()).unwrap();
        assert_eq!(names(&one), ["a.rs"]);
    }

    #[test]
    fn files_of_tests_are_known_by_their_paths() {
        let is_test = |name: &str| {
            let (name, path) = (name.to_owned(), PathBuf::new());
            CodeFile { name, path, language: Language::Python, bytes: 0 }.is_test()
        };
        for name in [
            "tests/it/a.rs",
            "pkg/test_a.py",
            "pkg/tests.py",
            "conftest.py",
            "a/b_test.go",
            "web/a.spec.ts",
            "web/__tests__/a.js",
            "src/test/java/A.java",
            "src/ATest.java",
            "lib/a_spec.rb",
        ] {
            assert!(is_test(name), "{name}");
        }
        for name in ["src/latest.rs", "contest/a.py", "a/testimony.py", "src/greatest.java"] {
            assert!(!is_test(name), "{name}");
        }
    }

    #[test]
    fn huge_and_binary_files_are_named() {
        let huge = vec![b'x'; MAX_FILE_BYTES as usize + 1];
        let folder =
            folder(&[("a.c", &huge), ("b.py", b"x\0"), ("c.py", b"\xff"), ("d.py", b"ok")]);
        let found = CodeFiles::list(folder.path(), &Cancel::new()).unwrap();
        assert_eq!(found.skipped, ["a.c: 524289 bytes, the limit is 524288"]);
        let read: Vec<Result<String, String>> = found.files.iter().map(read_code).collect();
        assert_eq!(read[0], Err("b.py: a binary file".to_owned()));
        assert!(read[1].as_ref().is_err_and(|reason| reason.starts_with("c.py: invalid utf-8")));
        assert_eq!(read[2], Ok("ok".to_owned()));
    }

    #[test]
    fn a_missing_folder_is_named_and_cancel_stops() {
        let error = CodeFiles::list(Path::new("/no/such/code"), &Cancel::new()).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/code"));
        let cancel = Cancel::new();
        cancel.cancel();
        let folder = folder(&[("a.py", b"")]);
        assert!(CodeFiles::list(folder.path(), &cancel).is_err());
    }
}
