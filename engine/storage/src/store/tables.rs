//! Which table of RocksDB is damaged, where RocksDB does not say.
//!
//! Most damage it names by itself, because the checksum of a block is compared and the message has
//! the file. But the properties of a table are taken apart *before* they are compared, and what fails
//! there is reported without a name; while the store opens, with the manifest's.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rocksdb::{DB, InfoLogger, LogLevel, Options};

use super::StoreError;
use super::error::is_missing;
use crate::format::STORE_FOLDER;

/// What the names of tables end with, behind a dot.
const TABLE: &str = "sst";

/// Where RocksDB puts tables that it cannot read when it repairs a folder.
const LOST: &str = "lost";

/// Has an error of reading name the damaged table, where it is damage and RocksDB has not named one: reads
/// tables until one fails. `folder` is the data folder.
pub(super) fn named(error: StoreError, folder: &Path) -> StoreError {
    let StoreError::Damaged { path, reason } = error else { return error };
    if is_missing(&reason) || path != folder {
        return StoreError::Damaged { path, reason };
    }
    // While it opens, RocksDB blames the manifest for what it read at the manifest's word.
    let cause = || reason.split("  The file ").next().unwrap_or_default().to_owned();
    if names_a_table(&reason) {
        return StoreError::Damaged { path, reason: cause() };
    }
    match find_damaged(&folder.join(STORE_FOLDER)) {
        Some(table) => StoreError::Damaged { path: table, reason: cause() },
        None => StoreError::Damaged { path, reason },
    }
}

/// Whether a message of RocksDB has the name of a table.
fn names_a_table(message: &str) -> bool {
    message.contains(&format!(".{TABLE}"))
}

/// Returns the first table of RocksDB's folder that RocksDB cannot read from end to end, if there is
/// one and this can be found out. Reads all tables before it; changes nothing in the folder.
fn find_damaged(folder: &Path) -> Option<PathBuf> {
    tables(folder).ok()?.into_iter().find(|table| is_damaged(table).unwrap_or(false))
}

fn tables(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == TABLE) {
            tables.push(path);
        }
    }
    tables.sort();
    Ok(tables)
}

/// Has RocksDB repair a folder whose one file is a link to the table: it reads the whole table, and
/// throws the link out if it cannot.
fn is_damaged(table: &Path) -> io::Result<bool> {
    let folder = tempfile::tempdir()?;
    let name = table.file_name().unwrap_or_default();
    symlink(std::path::absolute(table)?, folder.path().join(name))?;
    let mut options = Options::default();
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
    // Whether it succeeds says nothing: it does so without the table as well.
    let _ = DB::repair(&options, folder.path());
    folder.path().join(LOST).join(name).try_exists()
}
