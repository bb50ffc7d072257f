//! From rows to `sparse.<field>`.
//!
//! Rows are gone through several times: once to count, once for each part of the lists that fits into
//! memory, and once to be written themselves. So a file of any size is built in bounded memory.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use bigrain_storage::{BlockFileWriter, Directory, FileKind};
use bigrain_types::SparseView;

use super::index::ValueBounds;
use super::layout::{COMPONENT_BYTES, SECTION_BYTES, SparseLayout};
use crate::IndexError;

/// Components of lists that are put in order at a time; a longer list is one part by itself.
const PART_COMPONENTS: u64 = 4 << 20;

/// Bytes of memory that lists take while they are put in order.
pub const BUILD_BYTES: u64 = PART_COMPONENTS * COMPONENT_BYTES;

/// The rows of a file to be, in the order of their offsets.
pub trait SparseSource {
    /// Returns how many rows there are, those without a vector included.
    fn rows(&self) -> usize;

    /// Returns a row; none for a point without a vector.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a row that lies in a file cannot be read.
    fn row(&self, offset: usize) -> Result<Option<SparseView<'_>>, IndexError>;
}

/// Writes the sparse vectors of a segment.
///
/// Memory: [`BUILD_BYTES`], 8 bytes a row and about 40 for each dimension in use.
///
/// # Errors
///
/// [`IndexError`] when a row cannot be read, or the directory refuses.
pub fn write(
    directory: &dyn Directory,
    path: &Path,
    source: &impl SparseSource,
) -> Result<(), IndexError> {
    write_in_parts(directory, path, source, PART_COMPONENTS)
}

fn write_in_parts(
    directory: &dyn Directory,
    path: &Path,
    source: &impl SparseSource,
    part_components: u64,
) -> Result<(), IndexError> {
    let Counted { terms, row_ends, vectors } = count(source)?;
    let dimensions: Vec<u32> = terms.iter().map(|term| term.dimension).collect();
    let list_ends: Vec<u64> = ends(terms.iter().map(|term| u64::from(term.rows))).collect();
    let bounds: Vec<[f32; 2]> =
        terms.iter().map(|Term { bounds, .. }| [bounds.min, bounds.max]).collect();
    let layout = SparseLayout {
        rows: source.rows() as u32,
        terms: terms.len() as u32,
        components: list_ends.last().copied().unwrap_or_default(),
        vectors,
    };
    let mut file = BlockFileWriter::create(directory, path, FileKind::Sparse)?;
    file.append(&layout.to_bytes())?;
    file.align_to(SECTION_BYTES)?;
    file.append_slice(&dimensions)?;
    file.align_to(SECTION_BYTES)?;
    file.append_slice(&list_ends)?;
    file.align_to(SECTION_BYTES)?;
    file.append_slice(bytemuck::cast_slice::<[f32; 2], f32>(&bounds))?;
    file.align_to(SECTION_BYTES)?;
    file.append_slice(&row_ends)?;
    file.align_to(SECTION_BYTES)?;
    let mut part = 0..0;
    while part.end < terms.len() {
        part = next_part(&list_ends, part.end, part_components);
        let mut lists = Lists::new(&dimensions[part.clone()], &terms[part.clone()]);
        for offset in 0..source.rows() {
            if let Some(row) = source.row(offset)? {
                lists.add(offset as u32, row);
            }
        }
        lists.write(&mut file)?;
    }
    file.align_to(SECTION_BYTES)?;
    for offset in 0..source.rows() {
        if let Some(row) = source.row(offset)? {
            file.append_slice(row.dimensions())?;
            file.append_slice(row.values())?;
        }
    }
    file.finish()?;
    Ok(())
}

/// A dimension that some row uses.
struct Term {
    dimension: u32,
    rows: u32,
    bounds: ValueBounds,
}

/// What is known after going through all rows once.
struct Counted {
    /// In the order of their dimensions.
    terms: Vec<Term>,
    row_ends: Vec<u64>,
    vectors: u32,
}

fn count(source: &impl SparseSource) -> Result<Counted, IndexError> {
    let mut terms: HashMap<u32, (u32, ValueBounds)> = HashMap::new();
    let (mut row_ends, mut end, mut vectors) = (Vec::with_capacity(source.rows()), 0, 0);
    for offset in 0..source.rows() {
        if let Some(row) = source.row(offset)?.filter(|row| !row.is_empty()) {
            for (dimension, value) in row.iter() {
                let (rows, bounds) = terms.entry(dimension).or_insert((0, ValueBounds::NONE));
                *rows += 1;
                bounds.include(value);
            }
            end += row.len() as u64;
            vectors += 1;
        }
        row_ends.push(end);
    }
    let term = |(dimension, (rows, bounds))| Term { dimension, rows, bounds };
    let mut terms: Vec<Term> = terms.into_iter().map(term).collect();
    terms.sort_unstable_by_key(|term| term.dimension);
    Ok(Counted { terms, row_ends, vectors })
}

/// Returns where each of some lengths ends when they follow each other.
fn ends(lengths: impl Iterator<Item = u64>) -> impl Iterator<Item = u64> {
    lengths.scan(0, |end, length| {
        *end += length;
        Some(*end)
    })
}

/// Returns the terms from `first` on whose lists are put in order together: one at least.
fn next_part(list_ends: &[u64], first: usize, components: u64) -> Range<usize> {
    let before = if first == 0 { 0 } else { list_ends[first - 1] };
    let fitting = list_ends[first..].partition_point(|end| end - before <= components);
    first..first + fitting.max(1)
}

/// The lists of some neighbouring terms, while they are filled.
struct Lists<'a> {
    dimensions: &'a [u32],
    /// Where each list begins, and where its next component goes.
    starts: Vec<usize>,
    next: Vec<usize>,
    offsets: Vec<u32>,
    values: Vec<f32>,
}

impl<'a> Lists<'a> {
    fn new(dimensions: &'a [u32], terms: &[Term]) -> Self {
        let ends = ends(terms.iter().map(|term| u64::from(term.rows)));
        let starts: Vec<usize> = [0].into_iter().chain(ends.map(|end| end as usize)).collect();
        let components = starts.last().copied().unwrap_or_default();
        let (offsets, values) = (vec![0; components], vec![0.0; components]);
        Self { dimensions, next: starts.clone(), starts, offsets, values }
    }

    /// Adds the components of a row that are of these terms.
    fn add(&mut self, offset: u32, row: SparseView<'_>) {
        let (Some(first), Some(last)) = (self.dimensions.first(), self.dimensions.last()) else {
            return;
        };
        let from = row.dimensions().partition_point(|dimension| dimension < first);
        let mut term = 0;
        for (&dimension, &value) in row.dimensions()[from..].iter().zip(&row.values()[from..]) {
            if dimension > *last {
                break;
            }
            term += self.dimensions[term..].partition_point(|&other| other < dimension);
            let at = &mut self.next[term];
            self.offsets[*at] = offset;
            self.values[*at] = value;
            *at += 1;
        }
    }

    fn write(&self, file: &mut BlockFileWriter<'_>) -> Result<(), IndexError> {
        for [start, end] in self.starts.array_windows() {
            file.append_slice(&self.offsets[*start..*end])?;
            file.append_slice(&self.values[*start..*end])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bigrain_storage::RamDirectory;
    use bigrain_types::{Offset, SparseVector};

    use super::super::{SparseIndex, SparseReader};
    use super::*;

    /// Rows of which every third is empty.
    struct Some2Of3(Vec<SparseVector>);

    impl SparseSource for Some2Of3 {
        fn rows(&self) -> usize {
            self.0.len()
        }
        fn row(&self, offset: usize) -> Result<Option<SparseView<'_>>, IndexError> {
            Ok((offset % 3 != 1).then(|| self.0[offset].view()))
        }
    }

    #[test]
    fn how_many_components_fit_into_memory_does_not_matter() {
        let vector = |row: u32| {
            let dimensions = vec![row % 7, 10 + row % 5, 1000 + row, u32::MAX - row % 2];
            SparseVector::new(dimensions, vec![row as f32 - 20.0, 1.0, 2.0, -3.0]).unwrap()
        };
        let rows = Some2Of3((0..60).map(vector).collect());
        let directory = RamDirectory::new();
        let bytes = |components: u64| {
            let path = components.to_string();
            write_in_parts(&directory, Path::new(&path), &rows, components).unwrap();
            directory.open(Path::new(&path)).unwrap().map().unwrap().unwrap().to_vec()
        };
        let whole = bytes(PART_COMPONENTS);
        for components in [1, 2, 7, 50] {
            assert!(bytes(components) == whole, "{components} components");
        }
        let path = PART_COMPONENTS.to_string();
        let reader = SparseReader::open(&directory, Path::new(&path)).unwrap();
        // Row 20 has a zero, which is no component.
        assert_eq!((reader.rows(), reader.vectors(), reader.components()), (60, 40, 159));
        let list = reader.list(u32::MAX).unwrap().unwrap();
        assert_eq!(list.offsets.len(), 20);
        assert_eq!(list.bounds, ValueBounds { min: -3.0, max: -3.0 });
        let row = reader.vector(Offset(3)).unwrap().unwrap();
        assert_eq!(SparseVector::from(row), vector(3));
        assert_eq!(reader.vector(Offset(4)).unwrap(), None);
    }
}
