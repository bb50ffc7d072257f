//! The file of one sparse field of a segment.

use std::path::Path;
use std::sync::Arc;

use bigrain_index::IndexError;
use bigrain_index::sparse::SparseReader;
use bigrain_storage::{BlockFile, Directory, FileKind};
use bigrain_types::FieldId;

use crate::field::SparseField;

/// The open file of one sparse field of a segment. Its rows are the segment's offsets.
#[derive(Debug)]
pub(crate) struct SparseFiles {
    field: Arc<SparseField>,
    pub reader: SparseReader,
}

impl SparseFiles {
    /// Opens the file of a field in a segment's folder, and checks that it is of a segment of `points`
    /// points.
    pub fn open(
        directory: &dyn Directory,
        folder: &Path,
        field: &Arc<SparseField>,
        points: u64,
    ) -> Result<Self, IndexError> {
        let path = folder.join(FileKind::Sparse.file_name(&field.file_stem));
        let reader = SparseReader::open(directory, &path)?;
        if reader.rows() != points {
            let reason = format!("rows differ: {points} points, {} here", reader.rows());
            return Err(IndexError::Malformed { path: reader.file().path(), reason });
        }
        Ok(Self { field: Arc::clone(field), reader })
    }

    /// Returns which field it is.
    pub fn id(&self) -> FieldId {
        self.field.id
    }

    /// Returns the file with its name.
    pub fn file(&self) -> (String, &BlockFile) {
        (FileKind::Sparse.file_name(&self.field.file_stem), self.reader.file())
    }

    /// Returns the bytes of the file.
    pub fn disk_bytes(&self) -> u64 {
        self.reader.file().identity().length
    }
}
