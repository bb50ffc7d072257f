//! `lists.<field>`: reading and writing.

use std::path::Path;
use std::sync::Arc;

use bigrain_kernels::dot;
use bigrain_storage::{BlockFile, BlockFileWriter, Directory, FileKind};
use bigrain_types::CodeSpaceId;
use bytemuck::Pod;
use parking_lot::Mutex;

use super::calibration::{Calibration, Effort};
use super::centroids::{Centroids, Nearness};
use super::layout::ListLayout;
use crate::IndexError;
use crate::build::BuiltIndex;
use crate::codes::CodesReader;

/// Sections begin at multiples of this.
const SECTION_BYTES: u32 = 4096;

/// Bytes of the header that mean something.
const HEADER_BYTES: usize = 32;

/// More entries than this no calibration has.
const MAX_ENTRIES: u32 = 4096;

/// Writes the lists of a built index.
///
/// # Errors
///
/// [`IndexError::Write`] when the directory refuses.
pub fn write(
    directory: &dyn Directory,
    path: &Path,
    space: CodeSpaceId,
    built: &BuiltIndex,
) -> Result<(), IndexError> {
    let BuiltIndex { layout, centroids, calibration, .. } = built;
    let mut file = BlockFileWriter::create(directory, path, FileKind::Lists)?;
    let starts = layout.starts();
    let rows = starts.last().copied().unwrap_or_default();
    let dims = centroids.vectors.len() / layout.len();
    let entries = calibration.entries();
    for field in [rows, layout.len() as u32, dims as u32, entries.len() as u32] {
        file.append(&field.to_le_bytes())?;
    }
    file.append(space.as_bytes())?;
    file.align_to(SECTION_BYTES)?;
    file.append_slice(starts)?;
    file.align_to(SECTION_BYTES)?;
    for entry in entries {
        file.append(&entry.to_bytes())?;
    }
    file.align_to(SECTION_BYTES)?;
    file.append_slice(&centroids.vectors)?;
    file.finish()?;
    Ok(())
}

/// The lists of a segment, open; they become resident when they are first asked for.
#[derive(Debug)]
pub struct ListsReader {
    file: BlockFile,
    codes: CodesReader,
    rows: u32,
    lists: u32,
    dims: u32,
    entries: u32,
    space: CodeSpaceId,
    resident: Mutex<Option<Arc<ResidentLists>>>,
}

/// What of the lists is in memory: all but the centroids themselves, which are read in place.
#[derive(Debug)]
pub struct ResidentLists {
    /// Which rows belong to which list.
    pub layout: ListLayout,
    /// How hard to look for a target recall.
    pub calibration: Calibration,
    codes: Arc<crate::codes::ResidentCodes>,
    norms_squared: Vec<f32>,
    mean: Vec<f32>,
    mean_norm_squared: f32,
}

impl ListsReader {
    /// Opens the files of lists and of the codes of their centroids; reads only their headers.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a file is missing, fails a check or contradicts itself or the other.
    pub fn open(
        directory: &dyn Directory,
        lists: &Path,
        centroids: &Path,
    ) -> Result<Self, IndexError> {
        let file = BlockFile::open(directory, lists, FileKind::Lists)?;
        let codes = CodesReader::open(directory, centroids, FileKind::Centroids)?;
        let malformed = |reason| IndexError::Malformed { path: file.path(), reason };
        let mut header = [0; HEADER_BYTES];
        file.read_into(0, &mut header)?;
        let (words, space) = header.split_at(16);
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| words[4 * at + i]));
        let [rows, lists, dims, entries] = [0, 1, 2, 3].map(word);
        let space = CodeSpaceId::from_bytes(space.try_into().unwrap_or_default());
        if lists == 0 || entries > MAX_ENTRIES {
            return Err(malformed(format!("{lists} lists, {entries} calibration entries")));
        }
        if codes.rows() != u64::from(lists) || codes.layout().dims() != dims as usize {
            return Err(malformed(format!(
                "{lists} lists of {dims} code dimensions, but codes of {} centroids of {}",
                codes.rows(),
                codes.layout().dims()
            )));
        }
        let resident = Mutex::new(None);
        let reader = Self { file, codes, rows, lists, dims, entries, space, resident };
        if reader.file.body_bytes() != reader.vectors_at() + reader.vector_bytes() {
            return Err(IndexError::Malformed {
                path: reader.file.path(),
                reason: format!(
                    "{} bytes for {lists} lists of {dims} code dimensions",
                    reader.file.body_bytes()
                ),
            });
        }
        Ok(reader)
    }

    /// Returns the rows that all lists hold together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::from(self.rows)
    }

    /// Returns the number of lists.
    #[must_use]
    pub fn lists(&self) -> u32 {
        self.lists
    }

    /// Returns the dimensions of centroids: those of the codes.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims as usize
    }

    /// Returns which binarizer the lists were made with.
    #[must_use]
    pub fn space(&self) -> CodeSpaceId {
        self.space
    }

    /// Returns both files, for checks and sizes: lists and centroids.
    #[must_use]
    pub fn files(&self) -> [&BlockFile; 2] {
        [&self.file, self.codes.file()]
    }

    /// Returns the bytes that are in memory once resident; the centroids themselves are not.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let (lists, dims) = (u64::from(self.lists), u64::from(self.dims));
        4 * (lists + 1) + 4 * lists + 4 * dims + self.codes.resident_bytes()
    }

    /// Returns what searches keep in memory, reading and checking it the first time.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block fails its check or the file contradicts itself.
    pub fn resident(&self) -> Result<Arc<ResidentLists>, IndexError> {
        let mut resident = self.resident.lock();
        if let Some(lists) = &*resident {
            return Ok(Arc::clone(lists));
        }
        let lists = Arc::new(self.load()?);
        *resident = Some(Arc::clone(&lists));
        Ok(lists)
    }

    /// Returns the centroids to search, where they lie.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block that is touched for the first time fails its check.
    pub fn centroids<'a>(
        &'a self,
        resident: &'a ResidentLists,
        nearness: Nearness,
    ) -> Result<Centroids<'a>, IndexError> {
        Ok(Centroids {
            vectors: self.vectors()?,
            norms_squared: &resident.norms_squared,
            penalties: &[],
            codes: &resident.codes,
            mean: (&resident.mean, resident.mean_norm_squared),
            nearness,
        })
    }

    fn load(&self) -> Result<ResidentLists, IndexError> {
        let malformed = |reason| IndexError::Malformed { path: self.file.path(), reason };
        let starts: Vec<u32> = self.section(u64::from(SECTION_BYTES), self.lists as usize + 1)?;
        let layout = ListLayout::new(starts).map_err(malformed)?;
        if layout.starts().last() != Some(&self.rows) {
            return Err(malformed(format!("lists end before row {}", self.rows)));
        }
        let entries: Vec<u8> =
            self.section(self.entries_at(), self.entries as usize * Effort::BYTES)?;
        let (entries, _) = entries.as_chunks();
        let entries = entries.iter().map(|&bytes| Effort::from_bytes(bytes)).collect();
        let vectors = self.vectors()?;
        let dims = self.dims as usize;
        let mean = super::centroids::mean(vectors, dims);
        Ok(ResidentLists {
            layout,
            calibration: Calibration::new(entries).map_err(malformed)?,
            codes: self.codes.resident()?,
            norms_squared: vectors.chunks_exact(dims).map(|vector| dot(vector, vector)).collect(),
            mean_norm_squared: dot(&mean, &mean),
            mean,
        })
    }

    fn vectors(&self) -> Result<&[f32], IndexError> {
        Ok(self.file.slice(self.vectors_at(), self.lists as usize * self.dims as usize)?)
    }

    fn section<T: Pod>(&self, at: u64, len: usize) -> Result<Vec<T>, IndexError> {
        let mut values = vec![T::zeroed(); len];
        self.file.read_into(at, bytemuck::cast_slice_mut(&mut values))?;
        Ok(values)
    }

    fn entries_at(&self) -> u64 {
        let section = u64::from(SECTION_BYTES);
        section + (4 * (u64::from(self.lists) + 1)).next_multiple_of(section)
    }

    fn vectors_at(&self) -> u64 {
        let bytes = u64::from(self.entries) * Effort::BYTES as u64;
        self.entries_at() + bytes.next_multiple_of(u64::from(SECTION_BYTES))
    }

    fn vector_bytes(&self) -> u64 {
        4 * u64::from(self.lists) * u64::from(self.dims)
    }
}
