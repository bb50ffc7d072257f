//! Which files are checked, and what is done about them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::edit::{first_sequence, last_sequence};
use super::record::BLOCK_BYTES;
use super::walk::{InFlight, Tail, Walk};
use crate::store::StoreError;

const CURRENT: &str = "CURRENT";

/// Checks the logs and the manifest that RocksDB will recover from, in a folder that may not exist
/// yet, and cuts off tails that were never acknowledged.
pub(in crate::store) fn check_folder(folder: &Path) -> Result<(), StoreError> {
    let names = match list(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("list", folder, error)),
    };
    let manifest = current_manifest(folder, &names)?;
    let (mut last_in_tables, mut first_in_logs) = (0, None::<u64>);
    if let Some(manifest) = &manifest {
        check_log(manifest, InFlight::Many, &mut |edit| {
            last_in_tables = last_in_tables.max(last_sequence(edit).unwrap_or(0));
        })?;
    }
    for name in names.iter().filter(|name| is_log(name)) {
        let mut first = None;
        check_log(&folder.join(name), InFlight::One, &mut |batch| {
            first = first.or(first_sequence(batch));
        })?;
        first_in_logs = first.into_iter().chain(first_in_logs).min();
    }
    match (manifest, first_in_logs) {
        (Some(manifest), Some(first)) if first > last_in_tables.saturating_add(1) => {
            let reason = format!("it ends at sequence {last_in_tables}, logs begin at {first}");
            Err(StoreError::Damaged { path: manifest, reason })
        }
        _ => Ok(()),
    }
}

/// Returns the manifest that is in force. Refuses a folder that has data and no `CURRENT`: RocksDB
/// would begin an empty database there and remove the rest.
fn current_manifest(folder: &Path, names: &[String]) -> Result<Option<PathBuf>, StoreError> {
    let is_data = |name: &String| is_log(name) || name.ends_with(".sst");
    let path = folder.join(CURRENT);
    let damaged =
        |path: &Path, reason: String| Err(StoreError::Damaged { path: path.to_owned(), reason });
    if !names.iter().any(|name| name == CURRENT) {
        if names.iter().any(is_data) {
            return damaged(folder, "it has data and no file CURRENT".to_owned());
        }
        return Ok(None);
    }
    let text = std::fs::read(&path).map_err(|error| StoreError::io("read", &path, error))?;
    let name = str::from_utf8(&text).ok().and_then(|text| text.strip_suffix('\n'));
    let Some(name) = name.filter(|name| name.starts_with("MANIFEST-")) else {
        return damaged(&path, "it does not name a manifest".to_owned());
    };
    if !names.iter().any(|known| known == name) {
        return damaged(&path, format!("it names {name}, which is not there"));
    }
    // A log is made before the one before it is removed, and both names are synced.
    if names.iter().any(|name| name.ends_with(".sst")) && !names.iter().any(|name| is_log(name)) {
        return damaged(folder, "it has tables and no log".to_owned());
    }
    Ok(Some(folder.join(name)))
}

fn is_log(name: &str) -> bool {
    name.ends_with(".log")
}

fn list(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Checks one file of records; shows the beginning of each.
fn check_log(
    path: &Path,
    in_flight: InFlight,
    show: &mut dyn FnMut(&[u8]),
) -> Result<(), StoreError> {
    match walk(path, in_flight, show)? {
        Tail::Whole | Tail::Cut => Ok(()),
        Tail::Holes { offset } => {
            cut(path, offset).map_err(|error| StoreError::io("cut torn tail of", path, error))
        }
    }
}

fn walk(path: &Path, in_flight: InFlight, show: &mut dyn FnMut(&[u8])) -> Result<Tail, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut walk = Walk::new(path, in_flight);
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    loop {
        block.clear();
        let read = file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block);
        read.map_err(failed)?;
        walk.block(&block, show)?;
        if block.len() < BLOCK_BYTES {
            return Ok(walk.end());
        }
    }
}

/// Makes a file end at `offset`, durably.
fn cut(path: &Path, offset: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(offset)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_without_current_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        check_folder(&folder.path().join("absent")).unwrap();
        check_folder(folder.path()).unwrap();
        std::fs::write(folder.path().join("000004.log"), b"").unwrap();
        let error = check_folder(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("it has data and no file CURRENT"), "{error}");
    }

    #[test]
    fn a_current_that_names_nothing_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let current = folder.path().join(CURRENT);
        std::fs::write(folder.path().join("MANIFEST-000005"), b"").unwrap();
        std::fs::write(&current, b"MANIFEST-000005\n").unwrap();
        check_folder(folder.path()).unwrap();
        for text in [&b""[..], b"MANIFEST-000005", b"MANIFEST-000001\n", b"\xffANIFEST-000005\n"] {
            std::fs::write(&current, text).unwrap();
            let error = check_folder(folder.path()).unwrap_err();
            assert!(
                matches!(&error, StoreError::Damaged { path, .. } if *path == current),
                "{error}"
            );
        }
    }
}
