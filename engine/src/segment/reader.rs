//! An open segment.

use std::path::Path;

use bigrain_binarize::Binarizer;
use bigrain_index::IndexError;
use bigrain_index::codes::CodesReader;
use bigrain_index::dense::DenseReader;
use bigrain_index::ids::IdsReader;
use bigrain_index::lists::ListsReader;
use bigrain_storage::{BlockFile, Directory, FileKind};
use bigrain_types::SegmentId;

use crate::config::VECTOR_FIELD;

/// An open segment; opening reads footers and headers only.
#[derive(Debug)]
pub(crate) struct Segment {
    pub id: SegmentId,
    pub codes: CodesReader,
    pub lists: ListsReader,
    pub dense: DenseReader,
    pub ids: IdsReader,
}

impl Segment {
    /// Opens the files of a folder and checks that they belong together and to `binarizer`.
    pub fn open(
        directory: &dyn Directory,
        folder: &Path,
        id: SegmentId,
        binarizer: &Binarizer,
    ) -> Result<Self, IndexError> {
        let path = |kind: FileKind| folder.join(kind.file_name(VECTOR_FIELD));
        let codes = CodesReader::open(directory, &path(FileKind::Codes), FileKind::Codes)?;
        let lists =
            ListsReader::open(directory, &path(FileKind::Lists), &path(FileKind::Centroids))?;
        let dense = DenseReader::open(directory, &path(FileKind::Dense))?;
        let ids = IdsReader::open(directory, &path(FileKind::Ids))?;
        let malformed = |file: &BlockFile, reason: String| {
            Err(IndexError::Malformed { path: file.path(), reason })
        };
        if codes.space() != binarizer.id() || codes.layout() != *binarizer.layout() {
            let reason = format!(
                "code space mismatch: collection has {}, file has {}",
                binarizer.id(),
                codes.space()
            );
            return malformed(codes.file(), reason);
        }
        if lists.space() != binarizer.id() || lists.dims() != binarizer.layout().dims() {
            let reason = format!(
                "code space mismatch: collection has {}, file has {}",
                binarizer.id(),
                lists.space()
            );
            return malformed(lists.files()[0], reason);
        }
        if lists.rows() != codes.rows() {
            let reason = format!("rows differ: {} codes, {} in lists", codes.rows(), lists.rows());
            return malformed(lists.files()[0], reason);
        }
        if dense.dims() != binarizer.dims() {
            let reason = format!(
                "dimension mismatch: collection has {}, file has {}",
                binarizer.dims(),
                dense.dims()
            );
            return malformed(dense.file(), reason);
        }
        if dense.rows() != codes.rows() || ids.rows() != codes.rows() {
            let reason = format!(
                "rows differ: {} codes, {} dense, {} ids",
                codes.rows(),
                dense.rows(),
                ids.rows()
            );
            return malformed(ids.file(), reason);
        }
        Ok(Self { id, codes, lists, dense, ids })
    }

    /// Returns the number of rows, deleted ones included.
    pub fn rows(&self) -> u64 {
        self.codes.rows()
    }

    /// Returns the files with their names.
    pub fn files(&self) -> [(String, &BlockFile); 5] {
        let [lists, centroids] = self.lists.files();
        [
            (FileKind::Codes.file_name(VECTOR_FIELD), self.codes.file()),
            (FileKind::Lists.file_name(VECTOR_FIELD), lists),
            (FileKind::Centroids.file_name(VECTOR_FIELD), centroids),
            (FileKind::Dense.file_name(VECTOR_FIELD), self.dense.file()),
            (FileKind::Ids.file_name(VECTOR_FIELD), self.ids.file()),
        ]
    }

    /// Returns the bytes in memory once codes and lists are resident.
    pub fn resident_bytes(&self) -> u64 {
        self.codes.resident_bytes() + self.lists.resident_bytes()
    }

    /// Returns the bytes of all files.
    pub fn disk_bytes(&self) -> u64 {
        self.files().iter().map(|(_, file)| file.identity().length).sum()
    }
}
