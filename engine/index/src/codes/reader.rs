//! Reading codes, and keeping them.

use std::path::Path;
use std::sync::Arc;

use bigrain_binarize::CodeLayout;
use bigrain_kernels::{BLOCK_ROWS, block_bytes};
use bigrain_storage::{BlockFile, Directory, FileKind};
use bigrain_types::{CodeSpaceId, Levels};
use bytemuck::Pod;
use parking_lot::Mutex;

use super::large::Large;
use super::{HEADER_BYTES, ResidentCodes};
use crate::IndexError;

/// A codes file, open; its codes become resident when they are first asked for.
#[derive(Debug)]
pub struct CodesReader {
    file: BlockFile,
    rows: u64,
    layout: CodeLayout,
    unit: f32,
    shift_unit: f32,
    signs_first: bool,
    space: CodeSpaceId,
    resident: Mutex<Option<Arc<ResidentCodes>>>,
}

impl CodesReader {
    /// Opens a file of kind `Codes` or `Centroids`; reads only its header.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the file is missing, fails a check or contradicts itself.
    pub fn open(
        directory: &dyn Directory,
        path: &Path,
        kind: FileKind,
    ) -> Result<Self, IndexError> {
        let file = BlockFile::open(directory, path, kind)?;
        let malformed = |reason| IndexError::Malformed { path: file.path(), reason };
        let mut header = [0; HEADER_BYTES];
        file.read_into(0, &mut header)?;
        let rows = u64::from_le_bytes(field(&header, 0));
        let dims = u32::from_le_bytes(field(&header, 8)) as usize;
        let levels = Levels::new(header[12]).map_err(|error| malformed(error.to_string()))?;
        let signs_first = match header[13] {
            0 => false,
            1 if levels.count() > 1 => true,
            other => return Err(malformed(format!("{other} for whether signs come first"))),
        };
        let unit = f32::from_le_bytes(field(&header, 16));
        let shift_unit = f32::from_le_bytes(field(&header, 20));
        let space = CodeSpaceId::from_bytes(field(&header, 24));
        let layout = CodeLayout::new(dims, levels).map_err(|error| malformed(error.to_string()))?;
        if [unit, shift_unit].iter().any(|unit| !(unit.is_finite() && *unit > 0.0)) {
            return Err(malformed(format!("units of the factors are {unit} and {shift_unit}")));
        }
        let resident = Mutex::new(None);
        let reader = Self { file, rows, layout, unit, shift_unit, signs_first, space, resident };
        let expected = expected_bytes(rows, layout, signs_first);
        if u32::try_from(rows).is_err() || expected != Some(reader.file.body_bytes()) {
            return Err(IndexError::Malformed {
                path: reader.file.path(),
                reason: format!(
                    "{} bytes for {rows} codes of {dims} dimensions and {} levels",
                    reader.file.body_bytes(),
                    levels.get()
                ),
            });
        }
        Ok(reader)
    }

    /// Returns the number of codes.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the layout of each code.
    #[must_use]
    pub fn layout(&self) -> CodeLayout {
        self.layout
    }

    /// Returns which binarizer made the codes.
    #[must_use]
    pub fn space(&self) -> CodeSpaceId {
        self.space
    }

    /// Returns the file, for checks and sizes.
    #[must_use]
    pub fn file(&self) -> &BlockFile {
        &self.file
    }

    /// Returns the bytes codes and factors take in memory once resident.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        sections(self.rows, self.layout, self.signs_first)
            .map(|sections| sections.iter().sum())
            .unwrap_or_default()
    }

    /// Whether the codes are in memory now; false while they are being read.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        self.resident.try_lock().is_some_and(|resident| resident.is_some())
    }

    /// Returns the codes, reading and checking them the first time.
    ///
    /// The lock is held while reading, so that concurrent searches read once.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block fails its check or the system cannot read.
    pub fn resident(&self) -> Result<Arc<ResidentCodes>, IndexError> {
        let mut resident = self.resident.lock();
        if let Some(codes) = &*resident {
            return Ok(Arc::clone(codes));
        }
        let codes = Arc::new(self.load()?);
        *resident = Some(Arc::clone(&codes));
        Ok(codes)
    }

    fn load(&self) -> Result<ResidentCodes, IndexError> {
        let rows = self.rows as usize;
        let padded = rows.next_multiple_of(BLOCK_ROWS);
        let plane = padded / BLOCK_ROWS * block_bytes(self.layout.dims());
        let mut sections = Sections { file: &self.file, at: SECTION_BYTES };
        let (add, rescale) = (sections.next(padded)?, sections.next(padded)?);
        let error = sections.next(if self.signs_first { 0 } else { padded })?;
        let mut planes = vec![sections.next(plane)?];
        let rest = sections.next(if self.signs_first { rows } else { 0 })?;
        for _ in 1..self.layout.levels().count() {
            planes.push(sections.next(plane)?);
        }
        Ok(ResidentCodes {
            layout: self.layout,
            rows,
            signs_first: self.signs_first,
            unit: self.unit,
            shift_unit: self.shift_unit,
            add,
            rescale,
            error,
            planes,
            rest,
        })
    }
}

/// Walks the sections of a file.
struct Sections<'a> {
    file: &'a BlockFile,
    at: u64,
}

impl Sections<'_> {
    /// Reads and checks the next section, of `len` values.
    fn next<T: Pod>(&mut self, len: usize) -> Result<Large<T>, IndexError> {
        let mut values = Large::<T>::zeroed(len);
        self.file.read_into(self.at, bytemuck::cast_slice_mut(&mut values))?;
        let bytes = (len * size_of::<T>()) as u64;
        self.at = (self.at + bytes).next_multiple_of(SECTION_BYTES);
        Ok(values)
    }
}

/// Returns the bytes of each section, in the order of the file; nothing when they overflow.
fn sections(rows: u64, layout: CodeLayout, signs_first: bool) -> Option<Vec<u64>> {
    let padded = rows.checked_next_multiple_of(BLOCK_ROWS as u64)?;
    let levels = layout.levels().count();
    let plane = (padded / BLOCK_ROWS as u64).checked_mul(block_bytes(layout.dims()) as u64)?;
    let [errors, rest] = if signs_first { [0, rows] } else { [padded, 0] };
    let mut sections = vec![
        padded.checked_mul(4)?,
        padded.checked_mul(2)?,
        errors.checked_mul(2)?,
        plane,
        rest.checked_mul(6)?,
    ];
    sections.extend((1..levels).map(|_| plane));
    Some(sections)
}

fn expected_bytes(rows: u64, layout: CodeLayout, signs_first: bool) -> Option<u64> {
    sections(rows, layout, signs_first)?.into_iter().try_fold(SECTION_BYTES, |at, bytes| {
        at.checked_next_multiple_of(SECTION_BYTES)?.checked_add(bytes)
    })
}

const SECTION_BYTES: u64 = super::SECTION_BYTES as u64;

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}
