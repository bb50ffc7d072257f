//! Reads the lexical index of a segment.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bigrain_storage::{BlockFile, Directory};
use bigrain_types::filter::{FieldPath, SortDirection, SortKey};
use bigrain_types::{Filter, TextField};
use roaring::RoaringBitmap;
use tantivy::schema::IndexRecordOption;
use tantivy::{Index, SegmentReader};

use crate::LexicalError;
use crate::archive::Archive;
use crate::dictionary::{Dictionary, guarded};
use crate::schema::{terms_field, text_field};
use crate::select::{FacetCounts, Selection, Terms};
use crate::tantivy_directory::ArchiveDirectory;
use crate::text::TextIndex;

/// The lexical index of a segment, shared by any number of threads.
///
/// Opening reads the file's footer and contents. Dictionary and posting lists are mapped when the
/// first filter comes, and checked block by block as they are touched.
pub struct LexicalReader {
    archive: Arc<Archive>,
    index: Mutex<Option<Arc<OpenIndex>>>,
}

/// What was opened by the first who asked.
struct OpenIndex {
    segment: SegmentReader,
    terms: Dictionary,
    /// The fields of words that were asked for.
    texts: Mutex<HashMap<TextField, Arc<TextIndex>>>,
}

impl LexicalReader {
    /// Opens an index.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when the file is missing or fails a check.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, LexicalError> {
        let archive = Arc::new(Archive::open(directory, path)?);
        Ok(Self { archive, index: Mutex::new(None) })
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.archive.rows()
    }

    /// Returns the file, for checks and sizes.
    #[must_use]
    pub fn file(&self) -> &BlockFile {
        self.archive.file()
    }

    /// Returns the rows that match a filter, and those that the index cannot decide.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when a block is damaged or cannot be read.
    pub fn select(&self, filter: &Filter) -> Result<Selection, LexicalError> {
        Terms(&self.index()?.terms).select(filter)
    }

    /// Counts the values of a field in some rows.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when a block is damaged or cannot be read.
    pub fn facet(
        &self,
        field: &FieldPath,
        rows: &RoaringBitmap,
    ) -> Result<FacetCounts, LexicalError> {
        Terms(&self.index()?.terms).facet(field, rows)
    }

    /// Goes through some rows in the order of the values of a field: calls `visit` with a value and
    /// the rows that are sorted by it, from `from` on, until it returns false. One value may come
    /// several times in a row, each time with other rows; rows without any value are not visited.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when a block is damaged or cannot be read, and what `visit` returns.
    pub fn sorted<E: From<LexicalError>>(
        &self,
        field: &FieldPath,
        direction: SortDirection,
        from: Option<&SortKey>,
        rows: &RoaringBitmap,
        visit: impl FnMut(SortKey, RoaringBitmap) -> Result<bool, E>,
    ) -> Result<(), E> {
        Terms(&self.index()?.terms).sorted(field, direction, from, rows, visit)
    }

    /// Returns the rows that have a value by which they can be sorted.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when a block is damaged or cannot be read.
    pub fn sortable(&self, field: &FieldPath) -> Result<RoaringBitmap, LexicalError> {
        Terms(&self.index()?.terms).sortable(field)
    }

    /// Returns the words of a text field; none if the index was written without it.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when a block is damaged or cannot be read.
    pub fn text(&self, field: &TextField) -> Result<Option<Arc<TextIndex>>, LexicalError> {
        let index = self.index()?;
        let Some(words) = text_field(index.segment.schema(), field) else { return Ok(None) };
        let mut texts = index.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = texts.get(field) {
            return Ok(Some(Arc::clone(text)));
        }
        let text = Arc::new(TextIndex::open(&index.segment, words, &self.archive.path())?);
        texts.insert(field.clone(), Arc::clone(&text));
        Ok(Some(text))
    }

    /// Returns the terms and their posting lists, opened by the first who asks. An error is not
    /// kept: what failed to be read may be read the next time.
    fn index(&self) -> Result<Arc<OpenIndex>, LexicalError> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*index {
            return Ok(Arc::clone(index));
        }
        let opened = self.open_index()?;
        *index = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn open_index(&self) -> Result<Arc<OpenIndex>, LexicalError> {
        let path = self.archive.path();
        let malformed = |reason: String| LexicalError::Malformed { path: path.clone(), reason };
        let segments = guarded(&path, || {
            let index = Index::open(ArchiveDirectory(Arc::clone(&self.archive)))?;
            let segments = index.searchable_segments()?;
            segments.iter().map(SegmentReader::open).collect::<tantivy::Result<Vec<_>>>()
        })?;
        let mut segments = segments.map_err(|error| LexicalError::of_tantivy(&path, &error))?;
        let count = segments.len();
        let Some(segment) = segments.pop().filter(|_| count == 1) else {
            return Err(malformed(format!("expected one segment of tantivy, got {count}")));
        };
        if u64::from(segment.max_doc()) != self.rows() {
            let reason = format!("{} rows, its index has {}", self.rows(), segment.max_doc());
            return Err(malformed(reason));
        }
        let terms = terms_field(segment.schema());
        let terms = terms.map_err(|error| LexicalError::of_tantivy(&path, &error))?;
        let terms = Dictionary::open(&segment, terms, IndexRecordOption::Basic, &path)?;
        Ok(Arc::new(OpenIndex { segment, terms, texts: Mutex::default() }))
    }
}

impl std::fmt::Debug for LexicalReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LexicalReader").field("archive", &self.archive).finish_non_exhaustive()
    }
}
