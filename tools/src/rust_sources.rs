//! Folders of Rust sources, such as those that cargo downloads, and the documented functions in
//! them.
//!
//! The choice depends on nothing but the sources: folders are walked in the order of their names,
//! a doc comment that stands at several functions counts at the first, and where there are more
//! functions than asked for, those with the longest doc comments stay, which are the ones their
//! authors had most to say about.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io, panic, thread};

use anyhow::{Context, bail};
use bigrain_engine::Cancel;

use crate::functions::{Function, documented_functions};

/// Source files above this size are passed over: they are generated tables.
pub const MAX_SOURCE_BYTES: u64 = 1 << 20;

/// Folders whose code is not part of what a crate offers.
const OUTSIDE: [&str; 6] = ["tests", "test", "benches", "examples", "fuzz", "target"];

/// A documented function and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedFunction {
    /// The folder of its crate: `tokio-1.54.1`.
    pub krate: String,
    /// Its file, from the crate's folder: `src/process/mod.rs`.
    pub file: String,
    /// The whole path of its file.
    pub path: PathBuf,
    /// The function.
    pub function: Function,
}

/// What a walk over sources found.
#[derive(Debug, Default)]
pub struct Functions {
    /// The functions kept, by crate, file and line.
    pub functions: Vec<LocatedFunction>,
    /// How many distinct doc comments there were before the cap.
    pub found: usize,
    /// Source files parsed.
    pub files: usize,
    /// Source files that do not parse as a Rust file on their own, such as templates.
    pub unparsed: usize,
}

/// Returns the folders in which cargo keeps the sources that it downloaded: one for each registry
/// under `$CARGO_HOME/registry/src`, or `$HOME/.cargo/registry/src`.
///
/// # Errors
///
/// When there is no such folder, or it is empty.
pub fn downloaded_sources() -> anyhow::Result<Vec<PathBuf>> {
    let home = match (env::var_os("CARGO_HOME"), env::var_os("HOME")) {
        (Some(home), _) => PathBuf::from(home),
        (None, Some(home)) => Path::new(&home).join(".cargo"),
        (None, None) => bail!("neither CARGO_HOME nor HOME is set: pass --sources DIR"),
    };
    let root = home.join("registry").join("src");
    let entries = sorted_entries(&root)
        .with_context(|| format!("read {} (or pass --sources DIR)", root.display()))?;
    let folders: Vec<PathBuf> = entries.into_iter().filter(|path| path.is_dir()).collect();
    if folders.is_empty() {
        bail!("{} holds no sources: pass --sources DIR", root.display());
    }
    Ok(folders)
}

impl Functions {
    /// Walks `folders` and keeps at most `cap` functions. Files are parsed on `threads` threads;
    /// the result does not depend on how many.
    ///
    /// # Errors
    ///
    /// When a folder or file cannot be read, or the walk is cancelled.
    pub fn collect(
        folders: &[PathBuf],
        cap: usize,
        threads: NonZeroUsize,
        cancel: &Cancel,
    ) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for folder in folders {
            list_sources(folder, &Arc::from(folder.as_path()), cancel, &mut files)?;
        }
        let mut found = Self::default();
        let (mut seen, mut distinct) = (HashSet::new(), Vec::new());
        for (file, parsed) in files.iter().zip(parse_all(&files, threads, cancel)?) {
            match parsed {
                Parsed::Nothing => {}
                Parsed::Unparsed => found.unparsed += 1,
                Parsed::Functions(functions) => {
                    found.files += 1;
                    for function in functions {
                        if seen.insert(function.prose()) {
                            distinct.push(file.locate(function));
                        }
                    }
                }
            }
        }
        found.found = distinct.len();
        found.functions = best_documented(distinct, cap);
        Ok(found)
    }
}

/// A source file and the folder of its crate.
struct SourceFile {
    path: PathBuf,
    krate: Arc<Path>,
}

impl SourceFile {
    fn locate(&self, function: Function) -> LocatedFunction {
        let file = self.path.strip_prefix(&self.krate).unwrap_or(&self.path);
        LocatedFunction {
            krate: file_name(&self.krate),
            file: file.to_string_lossy().into_owned(),
            path: self.path.clone(),
            function,
        }
    }
}

/// What a source file had to offer.
enum Parsed {
    Nothing,
    Unparsed,
    Functions(Vec<Function>),
}

/// Adds the source files under `folder` in the order of their paths.
fn list_sources(
    folder: &Path,
    outer: &Arc<Path>,
    cancel: &Cancel,
    files: &mut Vec<SourceFile>,
) -> anyhow::Result<()> {
    cancel.check()?;
    let entries = sorted_entries(folder).with_context(|| format!("read {}", folder.display()))?;
    let is_crate = entries.iter().any(|entry| entry.ends_with("Cargo.toml"));
    let krate = if is_crate { Arc::from(folder) } else { Arc::clone(outer) };
    for path in entries {
        let kind = fs::symlink_metadata(&path);
        let kind = kind.with_context(|| format!("look at {}", path.display()))?;
        let name = file_name(&path);
        if kind.is_dir() && !name.starts_with('.') && !OUTSIDE.contains(&name.as_str()) {
            list_sources(&path, &krate, cancel, files)?;
        } else if kind.is_file() && name.ends_with(".rs") && kind.len() <= MAX_SOURCE_BYTES {
            files.push(SourceFile { path, krate: Arc::clone(&krate) });
        }
    }
    Ok(())
}

/// Parses files, handing the next one to whichever thread is free; returns what they offer in the
/// order of the files.
fn parse_all(
    files: &[SourceFile],
    threads: NonZeroUsize,
    cancel: &Cancel,
) -> anyhow::Result<Vec<Parsed>> {
    let next = AtomicUsize::new(0);
    let worker = || -> anyhow::Result<Vec<(usize, Parsed)>> {
        let mut parsed = Vec::new();
        loop {
            cancel.check()?;
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else { return Ok(parsed) };
            parsed.push((index, parse(&file.path)?));
        }
    };
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(worker)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
        };
        workers.into_iter().map(join).collect()
    });
    let mut parsed: Vec<_> = (0..files.len()).map(|_| Parsed::Nothing).collect();
    for result in results {
        for (index, offer) in result? {
            parsed[index] = offer;
        }
    }
    Ok(parsed)
}

fn parse(path: &Path) -> anyhow::Result<Parsed> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let Ok(source) = String::from_utf8(bytes) else { return Ok(Parsed::Unparsed) };
    // Parsing is what takes the time, and most files have nothing to offer.
    let has_docs = ["///", "/**", "#[doc"].iter().any(|mark| source.contains(mark));
    if !has_docs || !source.contains("fn ") {
        return Ok(Parsed::Nothing);
    }
    Ok(documented_functions(&source).map_or(Parsed::Unparsed, Parsed::Functions))
}

/// Keeps the `cap` functions with the longest doc comments, by crate, file and line.
fn best_documented(mut functions: Vec<LocatedFunction>, cap: usize) -> Vec<LocatedFunction> {
    // Both sorts are stable, so that functions stay in the order in which they were found.
    functions.sort_by_key(|located| Reverse(located.function.docs.len()));
    functions.truncate(cap);
    functions.sort_by(|a, b| {
        (&a.krate, &a.file, a.function.line).cmp(&(&b.krate, &b.file, b.function.line))
    });
    functions
}

fn sorted_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        entries.push(entry?.path());
    }
    entries.sort_unstable();
    Ok(entries)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn documented(name: &str, docs: &str) -> String {
        format!("/// {docs} and that is all there is to say about it.\npub fn {name}() {{}}\n")
    }

    fn sources() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "alpha-1.0/Cargo.toml", "");
        write(root.path(), "alpha-1.0/src/lib.rs", &documented("one", "Opens a door"));
        write(root.path(), "alpha-1.0/tests/it.rs", &documented("hidden", "Tests a door"));
        write(root.path(), "alpha-1.0/src/broken.rs", "/// Broken.\nfn {");
        write(root.path(), "alpha-1.0/src/latin.rs", "");
        fs::write(root.path().join("alpha-1.0/src/latin.rs"), b"/// fn \xff").unwrap();
        write(root.path(), "beta-2.0/Cargo.toml", "");
        let twice = documented("copy", "Opens a door") + &documented("two", "Closes a door");
        write(root.path(), "beta-2.0/src/deep/mod.rs", &twice);
        root
    }

    fn collect(root: &Path, cap: usize) -> Functions {
        let threads = NonZeroUsize::new(3).unwrap();
        Functions::collect(&[root.to_owned()], cap, threads, &Cancel::new()).unwrap()
    }

    #[test]
    fn functions_are_found_once_with_crate_file_and_line() {
        let root = sources();
        let found = collect(root.path(), 100);
        let places: Vec<_> = found
            .functions
            .iter()
            .map(|f| (f.krate.as_str(), f.file.as_str(), f.function.line))
            .collect();
        assert_eq!(places, [("alpha-1.0", "src/lib.rs", 2), ("beta-2.0", "src/deep/mod.rs", 4)]);
        assert_eq!((found.found, found.files, found.unparsed), (2, 2, 2));
    }

    #[test]
    fn the_cap_keeps_the_longest_doc_comments() {
        let root = sources();
        let found = collect(root.path(), 1);
        assert_eq!((found.functions.len(), found.found), (1, 2));
        assert_eq!(found.functions[0].function.name, "two");
    }

    #[test]
    fn a_missing_folder_is_named_and_cancel_stops() {
        let missing = [PathBuf::from("/no/such/sources")];
        let error = Functions::collect(&missing, 1, NonZeroUsize::MIN, &Cancel::new()).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/sources"));
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(Functions::collect(&missing, 1, NonZeroUsize::MIN, &cancel).is_err());
    }
}
