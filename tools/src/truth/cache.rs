//! The truth that was computed once is kept for the next evaluation.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context;
use bigrain_engine::Metric;

use super::Neighbors;
use crate::input::VectorFile;

/// Where computed truth lies: one `.ivecs` file for each base, queries and metric.
#[derive(Clone, Debug)]
pub struct TruthCache {
    path: PathBuf,
}

impl TruthCache {
    /// Returns the file for these vectors, in a folder beside the data folder. Files are told apart
    /// by path, length and time of writing.
    ///
    /// # Errors
    ///
    /// When a file cannot be found.
    pub fn beside(
        data: &Path,
        base: &VectorFile,
        queries: &VectorFile,
        metric: Metric,
        width: usize,
    ) -> anyhow::Result<Self> {
        let mut hash = blake3::Hasher::new();
        for file in [base, queries] {
            hash.update(identity(file.path())?.as_bytes());
        }
        hash.update(format!("{metric} {width}").as_bytes());
        let name = format!("{}.ivecs", &hash.finalize().to_hex()[..16]);
        let mut folder = data.as_os_str().to_owned();
        folder.push(".truth");
        Ok(Self { path: Path::new(&folder).join(name) })
    }

    /// Returns the truth that is kept, if it is there and whole.
    #[must_use]
    pub fn read(&self, queries: usize, rows: u64) -> Option<Neighbors> {
        let neighbors = Neighbors::read_ivecs(&self.path).ok()?;
        neighbors.check(queries, rows).is_ok().then_some(neighbors)
    }

    /// Keeps a truth; returns where.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write(&self, neighbors: &Neighbors) -> anyhow::Result<&Path> {
        let context = || format!("keep the truth in {}", self.path.display());
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(context)?;
        // Under a name of its own until it is whole.
        let file = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
        neighbors.write_ivecs(file.as_file()).with_context(context)?;
        file.persist(&self.path).map_err(io::Error::from).with_context(context)?;
        Ok(&self.path)
    }
}

fn identity(path: &Path) -> anyhow::Result<String> {
    let described = || -> io::Result<String> {
        let meta = File::open(path)?.metadata()?;
        let written = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(format!("{}\n{} {}\n", path.canonicalize()?.display(), meta.len(), written.as_nanos()))
    };
    described().with_context(|| format!("look at {}", path.display()))
}
