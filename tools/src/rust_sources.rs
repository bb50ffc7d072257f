//! Folders of Rust sources, such as those that cargo downloads, and the documented functions in
//! them.
//!
//! The choice depends on nothing but the sources: folders are walked in the order of their names,
//! a doc comment that stands at several functions counts at the first, and where there are more
//! functions than asked for, those with the smallest hash of their doc comment stay. That is a
//! sample spread evenly over all crates, and the same one on every machine with these sources.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

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
    /// Walks `folders` and keeps at most `cap` functions.
    ///
    /// # Errors
    ///
    /// When a folder or file cannot be read, or the walk is cancelled.
    pub fn collect(folders: &[PathBuf], cap: usize, cancel: &Cancel) -> anyhow::Result<Self> {
        let mut collector = Collector::default();
        for folder in folders {
            let krate = folder_name(folder);
            collector.walk(folder, &Crate { name: krate, root: folder.clone() }, cancel)?;
        }
        Ok(collector.finish(cap))
    }
}

#[derive(Clone)]
struct Crate {
    name: String,
    root: PathBuf,
}

#[derive(Default)]
struct Collector {
    found: Functions,
    docs_seen: HashSet<u64>,
    hashed: Vec<(u64, LocatedFunction)>,
}

impl Collector {
    fn walk(&mut self, folder: &Path, outer: &Crate, cancel: &Cancel) -> anyhow::Result<()> {
        cancel.check()?;
        let entries =
            sorted_entries(folder).with_context(|| format!("read {}", folder.display()))?;
        let is_crate = entries.iter().any(|entry| entry.ends_with("Cargo.toml"));
        let own = is_crate.then(|| Crate { name: folder_name(folder), root: folder.to_owned() });
        let krate = own.as_ref().unwrap_or(outer);
        for entry in &entries {
            let kind = fs::symlink_metadata(entry)
                .with_context(|| format!("look at {}", entry.display()))?;
            let name = folder_name(entry);
            if kind.is_dir() && !name.starts_with('.') && !OUTSIDE.contains(&name.as_str()) {
                self.walk(entry, krate, cancel)?;
            } else if kind.is_file() && name.ends_with(".rs") && kind.len() <= MAX_SOURCE_BYTES {
                self.read(entry, krate)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, path: &Path, krate: &Crate) -> anyhow::Result<()> {
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let Ok(source) = String::from_utf8(bytes) else {
            self.found.unparsed += 1;
            return Ok(());
        };
        // Parsing is what takes the time, and most files have nothing to offer.
        if !source.contains("fn ") || !["///", "/**", "#[doc"].iter().any(|m| source.contains(m)) {
            return Ok(());
        }
        let Ok(functions) = documented_functions(&source) else {
            self.found.unparsed += 1;
            return Ok(());
        };
        self.found.files += 1;
        let file = path.strip_prefix(&krate.root).unwrap_or(path).to_string_lossy().into_owned();
        for function in functions {
            let hash = fnv1a(function.prose().as_bytes());
            if self.docs_seen.insert(hash) {
                let (krate, file, path) = (krate.name.clone(), file.clone(), path.to_owned());
                self.hashed.push((hash, LocatedFunction { krate, file, path, function }));
            }
        }
        Ok(())
    }

    fn finish(mut self, cap: usize) -> Functions {
        self.found.found = self.hashed.len();
        if cap < self.hashed.len() {
            self.hashed.select_nth_unstable_by_key(cap, |&(hash, _)| hash);
            self.hashed.truncate(cap);
        }
        let mut functions: Vec<_> =
            self.hashed.into_iter().map(|(_, function)| function).collect();
        functions.sort_by(|a, b| {
            (&a.krate, &a.file, a.function.line).cmp(&(&b.krate, &b.file, b.function.line))
        });
        Functions { functions, ..self.found }
    }
}

fn sorted_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        entries.push(entry?.path());
    }
    entries.sort_unstable();
    Ok(entries)
}

fn folder_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The 64-bit FNV-1a hash, finished as in MurmurHash3 so that its order is random in every bit.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
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
        Functions::collect(&[root.to_owned()], cap, &Cancel::new()).unwrap()
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
    fn the_cap_keeps_the_same_functions_every_time() {
        let root = sources();
        let (first, second) = (collect(root.path(), 1), collect(root.path(), 1));
        assert_eq!(first.functions, second.functions);
        assert_eq!((first.functions.len(), first.found), (1, 2));
    }

    #[test]
    fn a_missing_folder_is_named_and_cancel_stops() {
        let missing = [PathBuf::from("/no/such/sources")];
        let error = Functions::collect(&missing, 1, &Cancel::new()).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/sources"));
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(Functions::collect(&missing, 1, &cancel).is_err());
    }
}
