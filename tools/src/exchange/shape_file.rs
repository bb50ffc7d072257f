//! The shape of a collection beside its exported points.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::ExportedShape;

/// What the file is called: the name of the points' file with this at the end.
const SUFFIX: &str = ".shape.json";

/// The shape of a collection beside its exported points.
#[derive(Clone, Debug)]
pub struct ShapeFile(PathBuf);

impl ShapeFile {
    /// Names the file beside a file of points.
    #[must_use]
    pub fn beside(points: &Path) -> Self {
        let mut name = points.as_os_str().to_owned();
        name.push(SUFFIX);
        Self(name.into())
    }

    /// Writes the shape.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, shape: &ExportedShape) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(shape)?;
        write_durably(&self.0, text.as_bytes())
    }

    /// Reads the shape; none when there is no such file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or holds something else.
    pub fn read(&self) -> anyhow::Result<Option<ExportedShape>> {
        let text = match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("read {}", self.0.display()))?,
        };
        let shape = ExportedShape::from_json(&text);
        Ok(Some(shape.with_context(|| format!("read {}", self.0.display()))?))
    }
}

/// Writes a file that is complete whenever it is there.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        fs::File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// Gives a complete file its name.
pub(super) fn publish(unfinished: &Path, path: &Path) -> anyhow::Result<()> {
    let publish = || -> io::Result<()> {
        tempfile::TempPath::try_from_path(unfinished)?.persist(path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    publish().with_context(|| format!("write {}", path.display()))
}
