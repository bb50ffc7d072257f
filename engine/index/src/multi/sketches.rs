//! `sketches.<field>`: merged tokens as codes, resident while they serve, and lists of them.
//!
//! ```text
//! ┌───────────────────────────────────────────────────────────────────────────────────────────┐
//! │ points u32, vectors u32, codes u32, code dims u32, lists u32, postings u32, unit f32,      │ header
//! │ efforts u32, code space 16 B                                                               │
//! ├──────────────────────────────────────────────┬────────────────────────────────────────────┤
//! │ starts: (points + 1) × u32                   │ the first code of each point, and the end   │
//! │ rescale: codes × f16                         │ factors of the codes, in multiples of unit  │
//! │ plane: codes × code dims / 64 × u64          │ signs, code after code                      │
//! │ efforts: { probes u32, recall f32 } each     │ what probing so many lists finds            │
//! │ list starts: (lists + 1) × u32               │ none without lists                          │
//! │ postings: u32 each, rising in each list      │ offsets of points                           │
//! │ centroids: lists × code dims × f32           │ in rotated coordinates                      │
//! └──────────────────────────────────────────────┴────────────────────────────────────────────┘
//! ```
//!
//! Every section begins at a multiple of 4096. All is read into memory, checked, when a search first
//! asks for it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bigrain_binarize::{CodeLayout, from_half};
use bigrain_storage::{BlockFile, BlockFileWriter, Directory, FileKind};
use bigrain_types::{CodeSpaceId, Levels};
use bytemuck::Pod;
use parking_lot::Mutex;

use super::SECTION_BYTES;
use super::layout::{HEADER_BYTES, Section, SketchLayout};
use super::reach::Effort;
use crate::IndexError;

/// The merged tokens of a segment's points as codes, and lists of them, in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketches {
    /// Words of a code.
    pub(super) words: usize,
    pub(super) unit: f32,
    /// The first code of each point, and the end of the last.
    pub(super) starts: Vec<u32>,
    pub(super) rescale: Vec<u16>,
    pub(super) plane: Vec<u64>,
    /// By rising recall.
    pub(super) efforts: Vec<Effort>,
    /// Empty where there are no lists.
    pub(super) list_starts: Vec<u32>,
    pub(super) postings: Vec<u32>,
    pub(super) centroids: Vec<f32>,
}

impl Sketches {
    /// Returns how many points there are, those without a multi-vector included.
    #[must_use]
    pub fn points(&self) -> u32 {
        self.starts.len().saturating_sub(1) as u32
    }

    /// Returns how many lists there are; none in a small segment.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.list_starts.len().saturating_sub(1)
    }

    /// Returns the codes of a point.
    #[inline]
    pub(super) fn codes_of(&self, point: u32) -> Range<usize> {
        self.starts[point as usize] as usize..self.starts[point as usize + 1] as usize
    }

    /// Whether a point has a multi-vector.
    #[must_use]
    pub fn has(&self, point: u32) -> bool {
        !self.codes_of(point).is_empty()
    }

    pub(super) fn factor(&self, code: usize) -> f32 {
        from_half(self.rescale[code], self.unit)
    }

    pub(super) fn posting_list(&self, list: usize) -> &[u32] {
        &self.postings[self.list_starts[list] as usize..self.list_starts[list + 1] as usize]
    }

    /// Writes the file.
    pub(super) fn write(
        &self,
        directory: &dyn Directory,
        path: &Path,
        space: CodeSpaceId,
    ) -> Result<(), IndexError> {
        let layout = SketchLayout {
            points: self.points(),
            vectors: (0..self.points()).filter(|&point| self.has(point)).count() as u32,
            codes: self.rescale.len() as u32,
            dims: (64 * self.words) as u32,
            lists: self.lists() as u32,
            postings: self.postings.len() as u32,
            unit: self.unit,
            efforts: self.efforts.len() as u32,
            space: *space.as_bytes(),
        };
        let mut file = BlockFileWriter::create(directory, path, FileKind::Sketches)?;
        file.append(&layout.to_bytes())?;
        for section in Section::ALL {
            file.align_to(SECTION_BYTES)?;
            match section {
                Section::Starts => file.append_slice(&self.starts)?,
                Section::Rescale => file.append_slice(&self.rescale)?,
                Section::Plane => file.append_slice(&self.plane)?,
                Section::Efforts => {
                    for effort in &self.efforts {
                        file.append(&effort.probes.to_le_bytes())?;
                        file.append(&effort.recall.to_le_bytes())?;
                    }
                }
                Section::ListStarts => file.append_slice(&self.list_starts)?,
                Section::Postings => file.append_slice(&self.postings)?,
                Section::Centroids => file.append_slice(&self.centroids)?,
            }
        }
        file.finish()?;
        Ok(())
    }

    /// Says what contradicts itself, if anything does.
    fn contradiction(&self, codes: usize) -> Option<String> {
        let rises_to = |starts: &[u32], end: usize| {
            starts.first() == Some(&0)
                && starts.is_sorted()
                && starts.last().is_some_and(|last| *last as usize == end)
        };
        if !rises_to(&self.starts, codes) {
            return Some("starts of codes do not rise to their end".to_owned());
        }
        if self.list_starts.is_empty() {
            return None;
        }
        if !rises_to(&self.list_starts, self.postings.len()) {
            return Some("starts of lists do not rise to their end".to_owned());
        }
        let points = self.points();
        let wrong = |list: &usize| {
            let list = self.posting_list(*list);
            !list.is_sorted_by(|a, b| a < b) || list.last().is_some_and(|last| *last >= points)
        };
        let wrong = (0..self.lists()).find(wrong)?;
        Some(format!("list {wrong} does not hold rising points of {points}"))
    }
}

/// A sketches file, open; what is in it becomes resident when it is first asked for.
#[derive(Debug)]
pub struct SketchesReader {
    file: BlockFile,
    layout: SketchLayout,
    resident: Mutex<Option<Arc<Sketches>>>,
}

impl SketchesReader {
    /// Opens the file; reads only its header.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the file is missing, fails a check or has not the length its header states.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, IndexError> {
        let file = BlockFile::open(directory, path, FileKind::Sketches)?;
        let mut header = [0; HEADER_BYTES];
        file.read_into(0, &mut header)?;
        let layout = SketchLayout::from_bytes(header);
        let malformed = |reason| IndexError::Malformed { path: file.path(), reason };
        let SketchLayout { points, vectors, codes, dims, lists, unit, .. } = layout;
        CodeLayout::new(dims as usize, Levels::ONE)
            .map_err(|error| malformed(error.to_string()))?;
        if dims % 64 != 0 || !(unit.is_finite() && unit > 0.0) {
            return Err(malformed(format!(
                "codes of {dims} dimensions, factors in units of {unit}"
            )));
        }
        if layout.body_bytes() != Some(file.body_bytes()) {
            return Err(malformed(format!(
                "{} bytes for {codes} codes of {points} points and {lists} lists",
                file.body_bytes()
            )));
        }
        if vectors > points || vectors > codes {
            return Err(malformed(format!("{codes} codes of {vectors} of {points} points")));
        }
        Ok(Self { file, layout, resident: Mutex::new(None) })
    }

    /// Returns the number of points, those without a multi-vector included.
    #[must_use]
    pub fn points(&self) -> u64 {
        u64::from(self.layout.points)
    }

    /// Returns the number of points with a multi-vector.
    #[must_use]
    pub fn vectors(&self) -> u64 {
        u64::from(self.layout.vectors)
    }

    /// Returns the number of codes.
    #[must_use]
    pub fn codes(&self) -> u64 {
        u64::from(self.layout.codes)
    }

    /// Returns the dimensions of a code.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.layout.dims as usize
    }

    /// Returns which binarizer made the codes.
    #[must_use]
    pub fn space(&self) -> CodeSpaceId {
        CodeSpaceId::from_bytes(self.layout.space)
    }

    /// Returns the file, for checks and sizes.
    #[must_use]
    pub fn file(&self) -> &BlockFile {
        &self.file
    }

    /// Returns the bytes that it takes in memory once resident.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.layout.resident_bytes()
    }

    /// Whether the sketches are in memory now; false while they are being read.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        self.resident.try_lock().is_some_and(|resident| resident.is_some())
    }

    /// Returns the sketches, reading and checking them the first time.
    ///
    /// The lock is held while reading, so that concurrent searches read once.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block fails its check, the system cannot read, or what was read
    /// contradicts itself.
    pub fn resident(&self) -> Result<Arc<Sketches>, IndexError> {
        let mut resident = self.resident.lock();
        if let Some(sketches) = &*resident {
            return Ok(Arc::clone(sketches));
        }
        let sketches = Arc::new(self.load()?);
        *resident = Some(Arc::clone(&sketches));
        Ok(sketches)
    }

    fn load(&self) -> Result<Sketches, IndexError> {
        let efforts: Vec<[u32; 2]> = self.section(Section::Efforts)?;
        let effort = |[probes, recall]: [u32; 2]| Effort { probes, recall: f32::from_bits(recall) };
        let sketches = Sketches {
            words: self.dims() / 64,
            unit: self.layout.unit,
            starts: self.section(Section::Starts)?,
            rescale: self.section(Section::Rescale)?,
            plane: self.section(Section::Plane)?,
            efforts: efforts.into_iter().map(effort).collect(),
            list_starts: self.section(Section::ListStarts)?,
            postings: self.section(Section::Postings)?,
            centroids: self.section(Section::Centroids)?,
        };
        match sketches.contradiction(self.layout.codes as usize) {
            Some(reason) => Err(IndexError::Malformed { path: self.file.path(), reason }),
            None => Ok(sketches),
        }
    }

    /// Reads and checks a section. Its bounds were compared with the file's when it was opened.
    fn section<T: Pod>(&self, section: Section) -> Result<Vec<T>, IndexError> {
        let bytes = self.layout.bytes(section).unwrap_or_default() as usize;
        let mut values = vec![T::zeroed(); bytes / size_of::<T>()];
        let start = self.layout.start(section).unwrap_or_default();
        self.file.read_into(start, bytemuck::cast_slice_mut(&mut values))?;
        Ok(values)
    }
}
