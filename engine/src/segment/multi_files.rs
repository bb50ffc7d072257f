//! The files of one multi-vector field of a segment.

use std::path::Path;
use std::sync::Arc;

use bigrain_index::IndexError;
use bigrain_index::multi::{SketchesReader, TokensReader};
use bigrain_storage::{BlockFile, Directory, FileKind};
use bigrain_types::FieldId;

use crate::field::MultiField;

/// The open files of one multi-vector field of a segment. Their points are the segment's offsets.
#[derive(Debug)]
pub(crate) struct MultiFiles {
    field: Arc<MultiField>,
    pub tokens: TokensReader,
    pub sketches: SketchesReader,
}

impl MultiFiles {
    /// Opens the files of a field in a segment's folder, and checks that they belong together, to the
    /// field, and to a segment of `points` points.
    pub fn open(
        directory: &dyn Directory,
        folder: &Path,
        field: &Arc<MultiField>,
        points: u64,
    ) -> Result<Self, IndexError> {
        let path = |kind: FileKind| folder.join(kind.file_name(&field.file_stem));
        let tokens = TokensReader::open(directory, &path(FileKind::Tokens))?;
        let sketches = SketchesReader::open(directory, &path(FileKind::Sketches))?;
        let malformed =
            |file: &BlockFile, reason| Err(IndexError::Malformed { path: file.path(), reason });
        let dims = field.config.dims;
        if tokens.dims() != dims {
            let (name, has) = (&field.name, tokens.dims());
            let reason = format!("dimension mismatch: field {name:?} has {dims}, file has {has}");
            return malformed(tokens.file(), reason);
        }
        let binarizer = &field.binarizer;
        if sketches.space() != binarizer.id() || sketches.dims() != binarizer.layout().dims() {
            let (name, own, found) = (&field.name, binarizer.id(), sketches.space());
            let reason = format!("code space mismatch: field {name:?} has {own}, file has {found}");
            return malformed(sketches.file(), reason);
        }
        for (file, found) in
            [(tokens.file(), tokens.points()), (sketches.file(), sketches.points())]
        {
            if found != points {
                return malformed(file, format!("rows differ: {points} points, {found} here"));
            }
        }
        if sketches.vectors() != tokens.vectors() {
            let (tokens, found) = (tokens.vectors(), sketches.vectors());
            let reason = format!("rows differ: {tokens} multi-vectors, {found} here");
            return malformed(sketches.file(), reason);
        }
        Ok(Self { field: Arc::clone(field), tokens, sketches })
    }

    /// Returns which field it is.
    pub fn id(&self) -> FieldId {
        self.field.id
    }

    /// Returns the files with their names.
    pub fn files(&self) -> [(String, &BlockFile); 2] {
        let name = |kind: FileKind| kind.file_name(&self.field.file_stem);
        [
            (name(FileKind::Tokens), self.tokens.file()),
            (name(FileKind::Sketches), self.sketches.file()),
        ]
    }

    /// Returns the bytes of memory that readers of the files hold, which are mostly checksums.
    pub fn reader_bytes(&self) -> u64 {
        self.files().iter().map(|(_, file)| file.memory_bytes() as u64).sum()
    }

    /// Returns the bytes of codes and lists once they are resident, and of where tokens lie, which is
    /// mapped.
    pub fn code_bytes(&self) -> u64 {
        const END_BYTES: u64 = 8;
        self.sketches.resident_bytes() + END_BYTES * self.tokens.points()
    }

    /// Returns the bytes of both files.
    pub fn disk_bytes(&self) -> u64 {
        self.files().iter().map(|(_, file)| file.identity().length).sum()
    }
}
