//! An open segment.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bigrain_index::IndexError;
use bigrain_index::ids::IdsReader;
use bigrain_lexical::LexicalReader;
use bigrain_storage::{BlockFile, Directory, FileKind, SegmentRow, fs};
use bigrain_types::{FieldId, SegmentId};

use super::{FieldFiles, MultiFiles, Placement, SparseFiles};
use crate::field::{Field, Fields, MultiField, SparseField};
use crate::memory::{Charge, Memory, Purpose};

/// The fields that have files in a segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentFields {
    /// In the order of the collection's.
    pub dense: Vec<(Arc<Field>, Placement)>,
    /// In the order of the collection's.
    pub sparse: Vec<Arc<SparseField>>,
    /// In the order of the collection's.
    pub multi: Vec<Arc<MultiField>>,
}

/// An open segment; opening reads footers and headers only.
#[derive(Debug)]
pub(crate) struct Segment {
    pub id: SegmentId,
    pub ids: Arc<IdsReader>,
    /// Which points have which payload values.
    pub lexical: Arc<LexicalReader>,
    /// The dense fields it has vectors of, in the order of the collection's.
    fields: Vec<Arc<FieldFiles>>,
    /// The sparse fields it has vectors of, in the order of the collection's.
    sparse: Vec<Arc<SparseFiles>>,
    /// The multi-vector fields it has vectors of, in the order of the collection's.
    multi: Vec<Arc<MultiFiles>>,
    /// Files of fields that were dropped, with their lengths: they take room, and nobody reads them.
    left_over: Vec<(String, u64)>,
    /// Whether its points arrive in parts: a row that is dead now may be alive later.
    arriving: bool,
    /// Set when the manifest has the segment no longer; shared by all copies, the last of which
    /// removes the files.
    retired: Arc<OnceLock<RetiredFolder>>,
    /// What it takes, for as long as anybody reads it; shared by all copies.
    memory: Option<Arc<Charge>>,
}

/// A folder that nobody will open again: removed when it is dropped.
#[derive(Debug)]
struct RetiredFolder {
    directory: Arc<dyn Directory>,
    path: PathBuf,
}

impl Drop for RetiredFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_folder(&*self.directory, &self.path) {
            // The next open removes it, as the manifest does not name it.
            tracing::warn!(folder = %self.path.display(), %error, "folder of merged segment stays");
        }
    }
}

impl Segment {
    /// Opens the files of some fields and checks that they belong together.
    pub fn open(
        directory: &dyn Directory,
        folder: &Path,
        id: SegmentId,
        fields: &SegmentFields,
    ) -> crate::Result<Self> {
        let path = |kind: FileKind| folder.join(kind.file_name(""));
        let ids = Arc::new(IdsReader::open(directory, &path(FileKind::Ids))?);
        let lexical = Arc::new(LexicalReader::open(directory, &path(FileKind::Lexical))?);
        if lexical.rows() != ids.rows() {
            let reason = format!("rows differ: {} ids, {} here", ids.rows(), lexical.rows());
            return Err(IndexError::Malformed { path: lexical.file().path(), reason }.into());
        }
        let open = |(field, placement): &(Arc<Field>, Placement)| {
            FieldFiles::open(directory, folder, field, *placement, ids.rows()).map(Arc::new)
        };
        let open_sparse = |field: &Arc<SparseField>| {
            SparseFiles::open(directory, folder, field, ids.rows()).map(Arc::new)
        };
        let open_multi = |field: &Arc<MultiField>| {
            MultiFiles::open(directory, folder, field, ids.rows()).map(Arc::new)
        };
        let multi = fields.multi.iter().map(open_multi).collect::<Result<_, _>>()?;
        let sparse = fields.sparse.iter().map(open_sparse).collect::<Result<_, _>>()?;
        let fields = fields.dense.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self {
            id,
            ids,
            lexical,
            fields,
            sparse,
            multi,
            left_over: Vec::new(),
            arriving: false,
            retired: Arc::default(),
            memory: None,
        })
    }

    /// Has what it takes count from now until nobody reads it any more.
    #[must_use]
    pub fn charged_to(mut self, memory: &Arc<Memory>) -> Self {
        self.memory = Some(Arc::new(memory.charge(Purpose::Codes, self.memory_bytes())));
        self
    }

    /// Notes which other files the manifest names.
    #[must_use]
    pub fn with_left_over_of(mut self, row: &SegmentRow) -> Self {
        let known: Vec<String> = self.files().into_iter().map(|(name, _)| name).collect();
        let others = row.files.iter().filter(|file| !known.contains(&file.name));
        self.left_over = others.map(|file| (file.name.clone(), file.length)).collect();
        self
    }

    /// Returns which of `fields` have files in a segment, as the manifest names them. Files of other
    /// fields are left over from fields that were dropped.
    pub fn fields_in(row: &SegmentRow, fields: &Fields) -> SegmentFields {
        let names = |kind: FileKind, stem: &str| {
            let name = kind.file_name(stem);
            row.files.iter().any(|file| file.name == name)
        };
        let present = fields.iter().filter(|field| names(FileKind::Codes, &field.file_stem));
        let placed = present.map(|field| {
            let ordered = names(FileKind::Order, &field.file_stem);
            (Arc::clone(field), if ordered { Placement::Ordered } else { Placement::Leading })
        });
        let sparse = fields.sparse().filter(|field| names(FileKind::Sparse, &field.file_stem));
        let multi = fields.multi().filter(|field| names(FileKind::Tokens, &field.file_stem));
        SegmentFields {
            dense: placed.collect(),
            sparse: sparse.cloned().collect(),
            multi: multi.cloned().collect(),
        }
    }

    /// Returns the segment as it is when the collection has no other fields than these.
    #[must_use]
    pub fn with_only(&self, fields: &Fields) -> Self {
        let known = |files: &Arc<FieldFiles>| fields.get(files.id()).is_some();
        let (kept, dropped): (Vec<_>, Vec<_>) = self.fields.iter().cloned().partition(known);
        let known = |files: &Arc<SparseFiles>| fields.get_sparse(files.id()).is_some();
        let (sparse, dropped_sparse): (Vec<_>, Vec<_>) =
            self.sparse.iter().cloned().partition(known);
        let known = |files: &Arc<MultiFiles>| fields.get_multi(files.id()).is_some();
        let (multi, dropped_multi): (Vec<_>, Vec<_>) = self.multi.iter().cloned().partition(known);
        let dropped = dropped.iter().flat_map(|files| files.files());
        let dropped = dropped.chain(dropped_sparse.iter().map(|files| files.file()));
        let dropped = dropped.chain(dropped_multi.iter().flat_map(|files| files.files()));
        let dropped = dropped.map(|(name, file)| (name, file.identity().length));
        let left_over = self.left_over.iter().cloned().chain(dropped).collect();
        let (ids, lexical) = (Arc::clone(&self.ids), Arc::clone(&self.lexical));
        let retired = Arc::clone(&self.retired);
        let (id, arriving, memory) = (self.id, self.arriving, self.memory.clone());
        let fields = kept;
        let only =
            Self { id, ids, lexical, fields, sparse, multi, left_over, arriving, retired, memory };
        if let Some(memory) = &only.memory {
            memory.set(only.memory_bytes());
        }
        only
    }

    /// Says that the points arrive in parts, while searches go on.
    #[must_use]
    pub fn with_points_arriving(mut self) -> Self {
        self.arriving = true;
        self
    }

    /// Whether rows that are dead at one moment may be alive at a later one.
    pub fn is_arriving(&self) -> bool {
        self.arriving
    }

    /// Has the segment's folder removed when the last search that reads it ends. The manifest must
    /// have it no longer.
    pub fn retire(&self, directory: &Arc<dyn Directory>, path: PathBuf) {
        let directory = Arc::clone(directory);
        // Whoever retires it again has nothing to add.
        let _ = self.retired.set(RetiredFolder { directory, path });
    }

    /// Returns the number of points, deleted ones included.
    pub fn rows(&self) -> u64 {
        self.ids.rows()
    }

    /// Returns the files of every dense field.
    pub fn fields(&self) -> impl Iterator<Item = &Arc<FieldFiles>> {
        self.fields.iter()
    }

    /// Returns the files of every sparse field.
    pub fn sparse_fields(&self) -> impl Iterator<Item = &Arc<SparseFiles>> {
        self.sparse.iter()
    }

    /// Returns the file of a sparse field; none when no point has a vector in it.
    pub fn sparse(&self, id: FieldId) -> Option<&Arc<SparseFiles>> {
        self.sparse.iter().find(|files| files.id() == id)
    }

    /// Returns the files of every multi-vector field.
    pub fn multi_fields(&self) -> impl Iterator<Item = &Arc<MultiFiles>> {
        self.multi.iter()
    }

    /// Returns the files of a multi-vector field; none when no point has a vector in it.
    pub fn multi(&self, id: FieldId) -> Option<&Arc<MultiFiles>> {
        self.multi.iter().find(|files| files.id() == id)
    }

    /// Returns the files of a dense field; none when no point has a vector in it.
    pub fn field(&self, id: FieldId) -> Option<&Arc<FieldFiles>> {
        self.fields.iter().find(|files| files.id() == id)
    }

    /// Returns the files that are read, with their names.
    pub fn files(&self) -> Vec<(String, &BlockFile)> {
        let mut files: Vec<_> = self.fields.iter().flat_map(|files| files.files()).collect();
        files.extend(self.sparse.iter().map(|files| files.file()));
        files.extend(self.multi.iter().flat_map(|files| files.files()));
        files.push((FileKind::Ids.file_name(""), self.ids.file()));
        files.push((FileKind::Lexical.file_name(""), self.lexical.file()));
        files
    }

    /// Returns the bytes of memory that it takes once its codes and lists are resident, the checksums
    /// of its files included.
    pub fn memory_bytes(&self) -> u64 {
        let of_field = |files: &Arc<FieldFiles>| files.code_bytes() + files.reader_bytes();
        let sparse = self.sparse.iter().map(|files| files.file().1.memory_bytes()).sum::<usize>();
        let of_multi = |files: &Arc<MultiFiles>| files.code_bytes() + files.reader_bytes();
        let multi: u64 = self.multi.iter().map(of_multi).sum();
        let own = self.ids.file().memory_bytes() + self.lexical.file().memory_bytes();
        self.fields.iter().map(of_field).sum::<u64>() + multi + (sparse + own) as u64
    }

    /// Returns the names and lengths of all files, those of dropped fields included.
    pub fn file_lengths(&self) -> Vec<(String, u64)> {
        let files = self.files().into_iter();
        let lengths = files.map(|(name, file)| (name, file.identity().length));
        lengths.chain(self.left_over.iter().cloned()).collect()
    }

    /// Returns the bytes of all files.
    pub fn disk_bytes(&self) -> u64 {
        self.file_lengths().iter().map(|(_, length)| length).sum()
    }
}
