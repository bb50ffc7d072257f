//! The files of one model, mapped.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use super::error::WeightsError;
use super::map::MappedFile;
use super::tensors::Tensors;

/// The files that hold a model's weights: one, or the shards of one.
#[derive(Debug)]
pub(crate) struct Checkpoint(Vec<(PathBuf, MappedFile)>);

impl Checkpoint {
    /// Maps files.
    pub(crate) fn open(paths: &[impl AsRef<Path>]) -> Result<Self, WeightsError> {
        let open = |path: &Path| {
            let map = MappedFile::open(path);
            let map = map.map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
            Ok((path.to_owned(), map))
        };
        paths.iter().map(|path| open(path.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Size of the files together, in bytes.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.0.iter().map(|(_, map)| map.len() as u64).sum()
    }

    /// What the first file says of itself under a name, if it is a safetensors file that does.
    pub(crate) fn remark(&self, name: &str) -> Option<String> {
        let (_, map) = self.0.first()?;
        let (_, metadata) = SafeTensors::read_metadata(map).ok()?;
        metadata.metadata().as_ref()?.get(name).cloned()
    }

    /// Reads what tensors there are.
    pub(crate) fn tensors(&self) -> Result<Tensors<'_>, WeightsError> {
        Tensors::parse_all(self.0.iter().map(|(path, map)| (path.as_path(), &**map)))
    }
}
