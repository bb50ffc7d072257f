//! Writing codes.

use std::path::Path;

use bigrain_binarize::{CodeLayout, Factors, unit_for};
use bigrain_storage::{BlockFileWriter, Directory, FileKind};
use bigrain_types::CodeSpaceId;

use super::SECTION_BYTES;
use crate::IndexError;

/// The codes of a segment to be.
#[derive(Clone, Copy, Debug)]
pub struct CodesInput<'a> {
    /// One vector per level, of rows × words words.
    pub planes: &'a [Vec<u64>],
    /// One entry per row.
    pub factors: &'a [Factors],
}

/// Writes the codes of a segment.
///
/// # Errors
///
/// [`IndexError::Write`] when the directory refuses.
pub fn write(
    directory: &dyn Directory,
    path: &Path,
    space: CodeSpaceId,
    layout: CodeLayout,
    codes: &CodesInput<'_>,
) -> Result<(), IndexError> {
    let CodesInput { planes, factors } = *codes;
    debug_assert_eq!(planes.len(), layout.levels().count());
    let largest = factors.iter().map(|factors| factors.rescale.abs()).fold(0.0, f32::max);
    let unit = unit_for(largest);
    let mut file = BlockFileWriter::create(directory, path, FileKind::Codes)?;
    file.append(&(factors.len() as u64).to_le_bytes())?;
    file.append(&(layout.dims() as u32).to_le_bytes())?;
    file.append(&[layout.levels().get(), 0, 0, 0])?;
    file.append(&unit.to_le_bytes())?;
    file.append(space.as_bytes())?;
    file.align_to(SECTION_BYTES)?;
    for &factors in factors {
        file.append(&factors.pack(unit, &layout).to_bytes())?;
    }
    for plane in planes {
        file.align_to(SECTION_BYTES)?;
        file.append_slice(plane)?;
    }
    file.finish()?;
    Ok(())
}
