//! Building a segment: a pure function from points to files.

use std::path::Path;

use bigrain_binarize::Binarizer;
use bigrain_index::build::{BuildParams, Rows, build};
use bigrain_index::{IndexError, codes, dense::DenseWriter, ids, lists};
use bigrain_storage::{Directory, FileKind};
use bigrain_types::{DenseFormat, PointId};

use crate::config::VECTOR_FIELD;
use crate::threads::Threads;

/// The points of a segment to be, in the order they were written.
pub(crate) trait SegmentInput: Rows {
    /// Returns the id of a row.
    fn id(&self, row: usize) -> &PointId;
}

/// How to build a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentParams<'a> {
    pub binarizer: &'a Binarizer,
    pub dense: DenseFormat,
    pub index: BuildParams,
}

/// Writes the files of a segment into an existing folder; returns for each offset the row of `input`
/// that lies there.
///
/// The same input gives the same bytes, for any number of threads. Memory is bounded by the codes
/// of the segment and a sample of its rows; dense rows are streamed.
///
/// # Errors
///
/// [`IndexError`] when the directory refuses. The folder then holds unfinished files that no
/// manifest names.
pub(crate) fn build_segment<I: SegmentInput>(
    directory: &dyn Directory,
    folder: &Path,
    input: &I,
    params: &SegmentParams<'_>,
    threads: &Threads,
) -> Result<Vec<u32>, IndexError> {
    let path = |kind: FileKind| folder.join(kind.file_name(VECTOR_FIELD));
    let SegmentParams { binarizer, dense, index } = *params;
    let space = binarizer.id();
    let built = threads.run(|| build(input, binarizer, &index))?;

    codes::write(directory, &path(FileKind::Codes), FileKind::Codes, space, &built.codes)?;
    let centroids = built.centroids.codes();
    codes::write(directory, &path(FileKind::Centroids), FileKind::Centroids, space, centroids)?;
    lists::write(directory, &path(FileKind::Lists), space, &built)?;

    let rows = input.len() as u64;
    let mut writer =
        DenseWriter::create(directory, &path(FileKind::Dense), rows, binarizer.dims(), dense)?;
    built.order.iter().try_for_each(|&row| writer.push(input.row(row as usize)))?;
    writer.finish()?;

    let ids = built.order.iter().map(|&row| input.id(row as usize));
    ids::write(directory, &path(FileKind::Ids), ids)?;
    Ok(built.order)
}

#[cfg(test)]
mod tests {
    use bigrain_storage::RamDirectory;
    use bigrain_types::{Levels, Metric, SegmentId};

    use super::super::Segment;
    use super::*;

    struct Points(Vec<PointId>, Vec<Vec<f32>>);

    impl Rows for Points {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn row(&self, at: usize) -> &[f32] {
            &self.1[at]
        }
    }

    impl SegmentInput for Points {
        fn id(&self, row: usize) -> &PointId {
            &self.0[row]
        }
    }

    fn build(threads: usize, rows: usize) -> RamDirectory {
        let directory = RamDirectory::new();
        let binarizer = Binarizer::new_rotation(5, Levels::TWO, Metric::L2, 7).unwrap();
        let threads = Threads::start(threads).unwrap();
        let vector = |i: usize| (0..5).map(|d| ((i * 7 + d * 3) % 11) as f32 - 5.0).collect();
        let input = Points(
            (0..rows).map(|i| PointId::from(i as u64)).collect(),
            (0..rows).map(vector).collect(),
        );
        let params = SegmentParams {
            binarizer: &binarizer,
            dense: DenseFormat::F32,
            index: BuildParams::default(),
        };
        let order = build_segment(&directory, Path::new(""), &input, &params, &threads).unwrap();
        assert_eq!(order.len(), rows);
        let segment = Segment::open(&directory, Path::new(""), SegmentId(1), &binarizer).unwrap();
        assert_eq!(segment.rows(), rows as u64);
        directory
    }

    #[test]
    fn the_same_input_gives_the_same_bytes_for_any_number_of_threads() {
        let contents = |directory: &RamDirectory| {
            let names = ["codes.vector", "lists.vector", "centroids.vector", "dense.vector", "ids"];
            names.map(|name| {
                let file = directory.open(Path::new(name)).unwrap();
                let mut bytes = vec![0; file.len() as usize];
                file.read_at(0, &mut bytes).unwrap();
                bytes
            })
        };
        let rows = 2065;
        assert_eq!(contents(&build(1, rows)), contents(&build(3, rows)));
    }

    #[test]
    fn empty_and_single_row_segments_are_segments() {
        build(2, 0);
        build(2, 1);
    }
}
