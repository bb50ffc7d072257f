//! Compiled kernels on disk.

use std::fs;
use std::path::{Path, PathBuf};

use crate::compile::options;
use crate::{Architecture, CodeShape, GpuError, SOURCE, compile};

/// A folder of compiled kernels, each under a hash of source, options, architecture and its own bytes.
///
/// A file is its 32 bytes of BLAKE3 and then the image; one that does not agree is compiled again. The folder may be
/// deleted at any time, and several processes may share it.
#[derive(Clone, Debug)]
pub struct KernelCache {
    folder: Option<PathBuf>,
}

impl KernelCache {
    /// Keeps kernels in a folder, which is created when there is something to keep.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// Keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { folder: None }
    }

    /// Returns the kernels, compiled now or before. A folder that cannot be written costs the next process a
    /// compilation, no more.
    ///
    /// # Errors
    ///
    /// As [`compile`].
    pub fn image(&self, architecture: Architecture, shape: CodeShape) -> Result<Vec<u8>, GpuError> {
        let Some(folder) = &self.folder else { return compile(architecture, shape) };
        let path = folder.join(file_name(architecture, shape));
        if let Some(image) = read(&path) {
            return Ok(image);
        }
        let image = compile(architecture, shape)?;
        // See above: there is nothing to tell of a failure.
        let _ = write(folder, &path, &image);
        Ok(image)
    }
}

fn file_name(architecture: Architecture, shape: CodeShape) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(SOURCE.as_bytes());
    hasher.update(options(architecture, shape).join("\n").as_bytes());
    format!("{}.{architecture}", hasher.finalize().to_hex())
}

/// Returns the image of a file that is whole.
fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    let (hash, image) = bytes.split_at_checked(blake3::OUT_LEN)?;
    (blake3::hash(image).as_bytes() == hash).then(|| image.to_vec())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a cache: what a crash leaves is not whole, and not taken"
)]
fn write(folder: &Path, path: &Path, image: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let part = path.with_extension(format!("part{}", std::process::id()));
    fs::write(&part, [blake3::hash(image).as_bytes(), image].concat())?;
    fs::rename(part, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: CodeShape = CodeShape { levels: 2, width: 5 };

    #[test]
    fn names_differ_by_what_is_compiled() {
        let name = file_name(Architecture::Real(90), SHAPE);
        assert_ne!(name, file_name(Architecture::Virtual(90), SHAPE));
        assert_ne!(name, file_name(Architecture::Real(80), SHAPE));
        assert_ne!(name, file_name(Architecture::Real(90), CodeShape { levels: 1, width: 5 }));
        assert_eq!(name, file_name(Architecture::Real(90), SHAPE));
    }

    #[test]
    fn a_file_that_is_not_whole_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(folder.path(), &path, b"kernels").unwrap();
        assert_eq!(read(&path).unwrap(), b"kernels");
        let bytes = fs::read(&path).unwrap();
        for len in [0, 31, bytes.len() - 1] {
            fs::write(&path, &bytes[..len]).unwrap();
            assert_eq!(read(&path), None, "{len}");
        }
    }
}
