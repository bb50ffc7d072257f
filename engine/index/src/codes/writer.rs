//! Writing codes.

use std::path::Path;

use bigrain_storage::{BlockFileWriter, Directory, FileKind};
use bigrain_types::CodeSpaceId;

use super::{ResidentCodes, SECTION_BYTES};
use crate::IndexError;

/// Writes codes as a file of kind `Codes` or `Centroids`.
///
/// # Errors
///
/// [`IndexError::Write`] when the directory refuses.
pub fn write(
    directory: &dyn Directory,
    path: &Path,
    kind: FileKind,
    space: CodeSpaceId,
    codes: &ResidentCodes,
) -> Result<(), IndexError> {
    let mut file = BlockFileWriter::create(directory, path, kind)?;
    file.append(&(codes.rows as u64).to_le_bytes())?;
    file.append(&(codes.layout.dims() as u32).to_le_bytes())?;
    file.append(&[codes.layout.levels().get(), u8::from(codes.signs_first), 0, 0])?;
    file.append(&codes.unit.to_le_bytes())?;
    file.append(&codes.shift_unit.to_le_bytes())?;
    file.append(space.as_bytes())?;
    let mut section = |bytes: &[u8]| {
        file.align_to(SECTION_BYTES)?;
        file.append(bytes)
    };
    section(bytemuck::cast_slice(&codes.add))?;
    section(bytemuck::cast_slice(&codes.rescale))?;
    section(bytemuck::cast_slice(&codes.error))?;
    for (level, plane) in codes.planes.iter().enumerate() {
        section(plane)?;
        if level == 0 {
            section(bytemuck::cast_slice(&codes.rest))?;
        }
    }
    file.finish()?;
    Ok(())
}
