//! Building a segment: a pure function from points to files.

use std::path::Path;

use bigrain_binarize::{Binarizer, Factors};
use bigrain_index::{IndexError, codes, dense::DenseWriter, ids};
use bigrain_storage::{Directory, FileKind};
use bigrain_types::{DenseFormat, PointId};
use rayon::prelude::*;

use crate::config::VECTOR_FIELD;
use crate::threads::Threads;

/// Rows encoded per task. Fixed, so that the work is cut alike for any number of threads.
const ENCODE_CHUNK: usize = 1024;

/// The points of a segment to be, in offset order.
pub(crate) trait SegmentInput: Sync {
    /// Returns how many there are.
    fn rows(&self) -> usize;
    /// Returns the id of a row.
    fn id(&self, row: usize) -> &PointId;
    /// Returns the dense vector of a row.
    fn vector(&self, row: usize) -> &[f32];
}

/// Writes the files of a segment into an existing folder, dense rows stored as `format`.
///
/// The same input gives the same bytes, for any number of threads. Memory is bounded by the codes
/// of the segment; dense rows are streamed.
///
/// # Errors
///
/// [`IndexError`] when the directory refuses. The folder then holds unfinished files that no
/// manifest names.
pub(crate) fn build_segment(
    directory: &dyn Directory,
    folder: &Path,
    input: &dyn SegmentInput,
    binarizer: &Binarizer,
    format: DenseFormat,
    threads: &Threads,
) -> Result<(), IndexError> {
    let path = |kind: FileKind| folder.join(kind.file_name(VECTOR_FIELD));
    let rows = input.rows();

    let (path_of_dense, dims) = (path(FileKind::Dense), binarizer.dims());
    let mut dense = DenseWriter::create(directory, &path_of_dense, rows as u64, dims, format)?;
    (0..rows).try_for_each(|row| dense.push(input.vector(row)))?;
    dense.finish()?;

    let (planes, factors) = threads.run(|| encode(input, binarizer));
    codes::write(
        directory,
        &path(FileKind::Codes),
        binarizer.id(),
        *binarizer.layout(),
        &codes::CodesInput { planes: &planes, factors: &factors },
    )?;

    ids::write(directory, &path(FileKind::Ids), (0..rows).map(|row| input.id(row)))
}

fn encode(input: &dyn SegmentInput, binarizer: &Binarizer) -> (Vec<Vec<u64>>, Vec<Factors>) {
    let levels = binarizer.layout().levels().count();
    let starts: Vec<usize> = (0..input.rows()).step_by(ENCODE_CHUNK).collect();
    let chunks: Vec<(Vec<Vec<u64>>, Vec<Factors>)> = starts
        .into_par_iter()
        .map(|start| {
            let end = (start + ENCODE_CHUNK).min(input.rows());
            let rows: Vec<f32> =
                (start..end).flat_map(|row| input.vector(row).iter().copied()).collect();
            let mut planes = vec![Vec::new(); levels];
            let mut factors = Vec::with_capacity(end - start);
            binarizer.encode_many(&rows, &mut planes, &mut factors);
            (planes, factors)
        })
        .collect();
    let mut planes = vec![Vec::new(); levels];
    let mut factors = Vec::with_capacity(input.rows());
    for (chunk_planes, chunk_factors) in chunks {
        for (plane, chunk) in planes.iter_mut().zip(chunk_planes) {
            plane.extend(chunk);
        }
        factors.extend(chunk_factors);
    }
    (planes, factors)
}

#[cfg(test)]
mod tests {
    use bigrain_storage::RamDirectory;
    use bigrain_types::{Levels, Metric, SegmentId};

    use super::super::Segment;
    use super::*;

    struct Rows(Vec<PointId>, Vec<Vec<f32>>);

    impl SegmentInput for Rows {
        fn rows(&self) -> usize {
            self.0.len()
        }
        fn id(&self, row: usize) -> &PointId {
            &self.0[row]
        }
        fn vector(&self, row: usize) -> &[f32] {
            &self.1[row]
        }
    }

    fn build(threads: usize, rows: usize) -> RamDirectory {
        let directory = RamDirectory::new();
        let binarizer = Binarizer::new_rotation(5, Levels::TWO, Metric::L2, 7).unwrap();
        let threads = Threads::start(threads).unwrap();
        let vector = |i: usize| (0..5).map(|d| ((i * 7 + d * 3) % 11) as f32 - 5.0).collect();
        let input = Rows(
            (0..rows).map(|i| PointId::from(i as u64)).collect(),
            (0..rows).map(vector).collect(),
        );
        let (folder, format) = (Path::new(""), DenseFormat::F16);
        build_segment(&directory, folder, &input, &binarizer, format, &threads).unwrap();
        let segment = Segment::open(&directory, Path::new(""), SegmentId(1), &binarizer).unwrap();
        assert_eq!(segment.rows(), rows as u64);
        directory
    }

    #[test]
    fn the_same_input_gives_the_same_bytes_for_any_number_of_threads() {
        let contents = |directory: &RamDirectory| {
            ["codes.vector", "dense.vector", "ids"].map(|name| {
                let file = directory.open(Path::new(name)).unwrap();
                let mut bytes = vec![0; file.len() as usize];
                file.read_at(0, &mut bytes).unwrap();
                bytes
            })
        };
        let rows = 2 * ENCODE_CHUNK + 17;
        assert_eq!(contents(&build(1, rows)), contents(&build(3, rows)));
    }

    #[test]
    fn empty_and_single_row_segments_are_segments() {
        build(2, 0);
        build(2, 1);
    }
}
