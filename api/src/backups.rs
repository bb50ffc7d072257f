//! The folder of backups: archives by name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tonic::Status;

/// What the names of archives end with on disk.
const SUFFIX: &str = ".tar";
/// The longest name of a backup.
const MAX_NAME_BYTES: usize = 128;

/// The folder that holds backups; made when the first one is written.
#[derive(Clone, Debug)]
pub(crate) struct BackupFolder(PathBuf);

/// An archive in the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BackupFile {
    /// Its name, without the suffix.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, in milliseconds since 1970.
    pub modified_unix_ms: u64,
}

impl BackupFolder {
    /// Names the folder; nothing is read or made.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Returns where a backup of this name lies, or will, in a folder that is there.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a name that is not one; UNAVAILABLE when the folder cannot be made.
    pub(crate) fn place(&self, name: &str) -> Result<PathBuf, Status> {
        let place = self.path(name)?;
        fs::create_dir_all(&self.0).map_err(|error| failed("make", &self.0, &error))?;
        Ok(place)
    }

    /// Returns the path of a backup that is there.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a name that is not one; NOT_FOUND.
    pub(crate) fn existing(&self, name: &str) -> Result<PathBuf, Status> {
        let path = self.path(name)?;
        if path.is_file() { Ok(path) } else { Err(not_found(name)) }
    }

    /// Returns what the system says of a backup.
    ///
    /// # Errors
    ///
    /// As [`BackupFolder::existing`]; UNAVAILABLE when the system does not say.
    pub(crate) fn describe(&self, name: &str) -> Result<BackupFile, Status> {
        let path = self.existing(name)?;
        let metadata = path.metadata().map_err(|error| failed("look at", &path, &error))?;
        Ok(backup_file(name, &metadata))
    }

    /// Opens a backup for reading, and says its size.
    ///
    /// # Errors
    ///
    /// As [`BackupFolder::existing`]; UNAVAILABLE when the system refuses.
    pub(crate) fn open(&self, name: &str) -> Result<(File, u64), Status> {
        let path = self.existing(name)?;
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes, file) = opened.map_err(|error| failed("open", &path, &error))?;
        Ok((file, bytes))
    }

    /// Returns the backups there are, sorted by name.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE when the folder cannot be read.
    pub(crate) fn list(&self) -> Result<Vec<BackupFile>, Status> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| failed("list", &self.0, &error))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| failed("list", &self.0, &error))?;
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else {
                continue;
            };
            let metadata = match entry.metadata() {
                // Removed just now by somebody else.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.map_err(|error| failed("look at", &entry.path(), &error))?,
            };
            if metadata.is_file() && check_name(name).is_ok() {
                found.push(backup_file(name, &metadata));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Removes a backup.
    ///
    /// # Errors
    ///
    /// As [`BackupFolder::existing`]; UNAVAILABLE when the system refuses.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Status> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_found(name)),
            removed => removed.map_err(|error| failed("remove", &path, &error)),
        }
    }

    /// A name has no path in it, so nothing outside of the folder is ever reached.
    fn path(&self, name: &str) -> Result<PathBuf, Status> {
        check_name(name)?;
        Ok(self.0.join(format!("{name}{SUFFIX}")))
    }
}

fn check_name(name: &str) -> Result<(), Status> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with('.')
    {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "backup name {name:?} refused: expected 1 to {MAX_NAME_BYTES} letters, digits, `_`, `-` or `.`, \
         the first of which is not `.`"
    )))
}

fn backup_file(name: &str, metadata: &fs::Metadata) -> BackupFile {
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    BackupFile {
        name: name.to_owned(),
        bytes: metadata.len(),
        modified_unix_ms: modified.map_or(0, |since| since.as_millis() as u64),
    }
}

fn not_found(name: &str) -> Status {
    Status::not_found(format!("no backup {name:?}"))
}

/// Returns a name with the time behind what it begins with.
pub(crate) fn name_by_time(beginning: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{beginning}{}", now.as_millis())
}

/// The path is the operator's business, and goes to the log alone.
pub(crate) fn failed(doing: &str, path: &Path, error: &io::Error) -> Status {
    tracing::error!(%error, path = %path.display(), "failed to {doing} a backup");
    Status::unavailable(format!("failed to {doing} the backup or its folder: {error}"))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_name_is_never_a_path() {
        let folder = BackupFolder::new(PathBuf::from("backups"));
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        for refused in ["", "..", ".hidden", "a/b", "../store", "a\\b", "a\0", "é", &long] {
            let status = folder.place(refused).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{refused:?}");
        }
        assert_eq!(folder.path("monday-2.b_c").unwrap(), Path::new("backups/monday-2.b_c.tar"));
    }

    #[test]
    fn a_folder_that_is_not_there_lists_nothing_and_other_files_are_passed_over() {
        let parent = tempfile::tempdir().unwrap();
        let folder = BackupFolder::new(parent.path().join("backups"));
        assert_eq!(folder.list().unwrap(), []);
        fs::write(folder.place("b").unwrap(), b"four").unwrap();
        fs::write(folder.place("a").unwrap(), b"").unwrap();
        fs::write(parent.path().join("backups/c.tar.tmp"), b"unfinished").unwrap();
        fs::create_dir(parent.path().join("backups/d.tar")).unwrap();
        let listed: Vec<_> =
            folder.list().unwrap().into_iter().map(|file| (file.name, file.bytes)).collect();
        assert_eq!(listed, [("a".to_owned(), 0), ("b".to_owned(), 4)]);
        folder.remove("a").unwrap();
        for status in [folder.remove("a").unwrap_err(), folder.open("a").unwrap_err()] {
            assert_eq!(status.code(), Code::NotFound, "{status:?}");
        }
    }
}
