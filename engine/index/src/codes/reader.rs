//! Reading codes, and keeping them.

use std::path::Path;
use std::sync::Arc;

use bigrain_binarize::{CodeLayout, PackedFactors};
use bigrain_storage::{BlockFile, Directory, FileKind};
use bigrain_types::{CodeSpaceId, Levels};
use parking_lot::Mutex;

use super::HEADER_BYTES;
use crate::{FactorSlice, IndexError};

/// A codes file, open; its codes become resident when they are first asked for.
#[derive(Debug)]
pub struct CodesReader {
    file: BlockFile,
    rows: u64,
    layout: CodeLayout,
    unit: f32,
    space: CodeSpaceId,
    resident: Mutex<Option<Arc<ResidentCodes>>>,
}

/// The codes of one segment in memory, every block checked.
#[derive(Debug)]
pub struct ResidentCodes {
    layout: CodeLayout,
    unit: f32,
    factors: Vec<PackedFactors>,
    planes: Vec<Vec<u64>>,
}

impl CodesReader {
    /// Opens a file; reads only its header.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the file is missing, fails a check or contradicts itself.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, IndexError> {
        let file = BlockFile::open(directory, path, FileKind::Codes)?;
        let malformed = |reason| IndexError::Malformed { path: file.path(), reason };
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(file.read(0, HEADER_BYTES)?);
        let rows = u64::from_le_bytes(field(&header, 0));
        let dims = u32::from_le_bytes(field(&header, 8)) as usize;
        let levels = Levels::new(header[12]).map_err(|error| malformed(error.to_string()))?;
        let unit = f32::from_le_bytes(field(&header, 16));
        let space = CodeSpaceId::from_bytes(field(&header, 20));
        let layout = CodeLayout::new(dims, levels).map_err(|error| malformed(error.to_string()))?;
        if !(unit.is_finite() && unit > 0.0) {
            return Err(malformed(format!("unit of the factors is {unit}")));
        }
        let reader = Self { file, rows, layout, unit, space, resident: Mutex::new(None) };
        let expected = reader.expected_bytes();
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
        self.rows * (FACTOR_BYTES + self.plane_row_bytes() * self.layout.levels().count() as u64)
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
        let mut at = SECTION_BYTES;
        let mut bytes = vec![0; rows * FACTOR_BYTES as usize];
        self.file.read_into(at, &mut bytes)?;
        let (entries, _) = bytes.as_chunks();
        let factors = entries.iter().map(|&entry| PackedFactors::from_bytes(entry)).collect();
        at = next_section(at + bytes.len() as u64);
        let mut planes = Vec::with_capacity(self.layout.levels().count());
        for _ in 0..self.layout.levels().count() {
            let mut plane = vec![0_u64; rows * self.layout.words_per_plane()];
            self.file.read_into(at, bytemuck::cast_slice_mut(&mut plane))?;
            at = next_section(at + plane.len() as u64 * 8);
            planes.push(plane);
        }
        Ok(ResidentCodes { layout: self.layout, unit: self.unit, factors, planes })
    }

    fn plane_row_bytes(&self) -> u64 {
        self.layout.words_per_plane() as u64 * 8
    }

    fn expected_bytes(&self) -> Option<u64> {
        let mut at = SECTION_BYTES.checked_add(self.rows.checked_mul(FACTOR_BYTES)?)?;
        for _ in 0..self.layout.levels().count() {
            at = at.checked_next_multiple_of(SECTION_BYTES)?;
            at = at.checked_add(self.rows.checked_mul(self.plane_row_bytes())?)?;
        }
        Some(at)
    }
}

impl ResidentCodes {
    /// Returns the layout of each code.
    #[must_use]
    pub fn layout(&self) -> CodeLayout {
        self.layout
    }

    /// Returns one slice per level.
    #[must_use]
    pub fn planes(&self) -> Vec<&[u64]> {
        self.planes.iter().map(Vec::as_slice).collect()
    }

    /// Returns the factors.
    #[must_use]
    pub fn factors(&self) -> FactorSlice<'_> {
        FactorSlice::Packed(&self.factors, self.unit)
    }
}

const FACTOR_BYTES: u64 = 8;
const SECTION_BYTES: u64 = super::SECTION_BYTES as u64;

fn next_section(at: u64) -> u64 {
    at.next_multiple_of(SECTION_BYTES)
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}
