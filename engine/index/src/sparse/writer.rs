//! From rows to `sparse.<field>`.

use std::collections::BTreeMap;
use std::path::Path;

use bigrain_storage::{BlockFileWriter, Directory, FileKind};
use bigrain_types::SparseVector;

use super::layout::{SECTION_BYTES, SparseLayout};
use crate::IndexError;

/// Writes the sparse vectors of a segment, in offset order; `None` for points without one.
///
/// Memory: the vectors, and 8 bytes for each of their components.
///
/// # Errors
///
/// [`IndexError::Write`] when the directory refuses.
pub fn write<'a>(
    directory: &dyn Directory,
    path: &Path,
    rows: impl ExactSizeIterator<Item = Option<&'a SparseVector>>,
) -> Result<(), IndexError> {
    let rows: Vec<Option<&SparseVector>> = rows.collect();
    let lists = invert(&rows);
    let ends = |lengths: &mut dyn Iterator<Item = usize>| -> Vec<u64> {
        let sum = |end: &mut u64, length: usize| {
            *end += length as u64;
            Some(*end)
        };
        lengths.scan(0, sum).collect()
    };
    let list_ends = ends(&mut lists.values().map(Vec::len));
    let row_ends = ends(&mut rows.iter().map(|row| row.map_or(0, SparseVector::len)));
    let layout = SparseLayout {
        rows: rows.len() as u32,
        terms: lists.len() as u32,
        components: list_ends.last().copied().unwrap_or_default(),
    };

    let mut file = BlockFileWriter::create(directory, path, FileKind::Sparse)?;
    file.append(&layout.to_bytes())?;
    file.align_to(SECTION_BYTES)?;
    file.append_slice(&lists.keys().copied().collect::<Vec<u32>>())?;
    file.align_to(SECTION_BYTES)?;
    file.append_slice(&list_ends)?;
    file.align_to(SECTION_BYTES)?;
    file.append_slice(&row_ends)?;
    file.align_to(SECTION_BYTES)?;
    for list in lists.values() {
        file.append_slice(&list.iter().map(|&(offset, _)| offset).collect::<Vec<u32>>())?;
    }
    file.align_to(SECTION_BYTES)?;
    for list in lists.values() {
        file.append_slice(&list.iter().map(|&(_, value)| value).collect::<Vec<f32>>())?;
    }
    file.align_to(SECTION_BYTES)?;
    rows.iter().flatten().try_for_each(|row| file.append_slice(row.dimensions()))?;
    file.align_to(SECTION_BYTES)?;
    rows.iter().flatten().try_for_each(|row| file.append_slice(row.values()))?;
    file.finish()?;
    Ok(())
}

/// Returns for each dimension the offsets that use it, rising, with their values.
fn invert(rows: &[Option<&SparseVector>]) -> BTreeMap<u32, Vec<(u32, f32)>> {
    let mut lists: BTreeMap<u32, Vec<(u32, f32)>> = BTreeMap::new();
    for (offset, row) in rows.iter().enumerate() {
        for (dimension, value) in row.iter().flat_map(|row| row.iter()) {
            lists.entry(dimension).or_default().push((offset as u32, value));
        }
    }
    lists
}
