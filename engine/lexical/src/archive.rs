//! Many small files in one block file.
//!
//! ```text
//! ┌────────────┬──────────────┬────────────────────────────────┬─ ─ ─┐
//! │ rows u64   │ contents:    │ file 0, at a multiple of 8     │ ... │
//! │ length u64 │ bincode      │                                │     │
//! └────────────┴──────────────┴────────────────────────────────┴─ ─ ─┘
//! ```
//!
//! The contents list each file's name, length and place, counted from the end of the contents.

use std::path::{Path, PathBuf};

use bigrain_storage::{
    BlockFile, BlockFileWriter, Directory, FileKind, MappedBytes, ReadError, codec,
};

use tantivy::directory::OwnedBytes;

use crate::LexicalError;

const HEADER_BYTES: u64 = 16;
const ALIGNMENT: u32 = 8;

/// A file's name, and its place and length in bytes.
type Entry = (String, u64, u64);

/// Writes some files, in their order.
pub(crate) fn write(
    directory: &dyn Directory,
    path: &Path,
    rows: u64,
    files: &[(String, OwnedBytes)],
) -> Result<(), LexicalError> {
    let mut place = 0;
    let mut entries: Vec<Entry> = Vec::with_capacity(files.len());
    for (name, bytes) in files {
        let length = bytes.len() as u64;
        entries.push((name.clone(), place, length));
        place = (place + length).next_multiple_of(u64::from(ALIGNMENT));
    }
    let contents =
        codec::to_bytes(&entries).map_err(|error| LexicalError::Build(error.to_string()))?;
    let mut writer = BlockFileWriter::create(directory, path, FileKind::Lexical)?;
    writer.append(&rows.to_le_bytes())?;
    writer.append(&(contents.len() as u64).to_le_bytes())?;
    writer.append(&contents)?;
    for (_, bytes) in files {
        writer.align_to(ALIGNMENT)?;
        writer.append(bytes)?;
    }
    writer.finish()?;
    Ok(())
}

/// An open archive.
#[derive(Debug)]
pub(crate) struct Archive {
    file: BlockFile,
    rows: u64,
    entries: Vec<Entry>,
    /// Where the first file begins.
    start: u64,
}

impl Archive {
    /// Opens an archive; reads its contents only.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, LexicalError> {
        let file = BlockFile::open(directory, path, FileKind::Lexical)?;
        let [rows, length] = [read_u64(&file, 0)?, read_u64(&file, 8)?];
        let malformed = |reason: String| LexicalError::Malformed { path: file.path(), reason };
        if length > file.body_bytes() {
            return Err(malformed(format!("contents of {length} bytes lie behind its end")));
        }
        let mut contents = vec![0; length as usize];
        file.read_into(HEADER_BYTES, &mut contents)?;
        let entries: Vec<Entry> =
            codec::from_bytes(&contents).map_err(|error| malformed(error.to_string()))?;
        let start = (HEADER_BYTES + length).next_multiple_of(u64::from(ALIGNMENT));
        for (name, place, length) in &entries {
            let end = start.checked_add(*place).and_then(|at| at.checked_add(*length));
            if end.is_none_or(|end| end > file.body_bytes()) {
                return Err(malformed(format!("{name} lies behind its end")));
            }
        }
        Ok(Self { file, rows, entries, start })
    }

    /// Returns the rows that the index was built of.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the file, for checks and sizes.
    pub fn file(&self) -> &BlockFile {
        &self.file
    }

    /// Returns the number of a file.
    pub fn find(&self, name: &Path) -> Option<usize> {
        self.entries.iter().position(|entry| Path::new(&entry.0) == name)
    }

    /// Returns the length of a file.
    pub fn length(&self, index: usize) -> usize {
        self.entries[index].2 as usize
    }

    /// Returns bytes of a file; none behind its end.
    pub fn read(&self, index: usize, from: usize, to: usize) -> Result<MappedBytes, ReadError> {
        let (name, place, length) = &self.entries[index];
        if from > to || to as u64 > *length {
            return Err(ReadError::OutOfBounds {
                path: self.file.path().join(name),
                offset: from as u64,
                wanted: (to.saturating_sub(from)) as u64,
                body_bytes: *length,
            });
        }
        self.file.read_shared(self.start + place + from as u64, to - from)
    }

    /// Returns the path, for messages.
    pub fn path(&self) -> PathBuf {
        self.file.path()
    }
}

fn read_u64(file: &BlockFile, at: u64) -> Result<u64, ReadError> {
    let mut bytes = [0; 8];
    file.read_into(at, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
