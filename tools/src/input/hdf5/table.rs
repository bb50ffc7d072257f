//! A matrix of numbers in an HDF5 file.

use std::path::Path;
use std::sync::Arc;

use bigrain_engine::MAX_DIMS;
use hdf5_reader::{
    Dataset, Datatype, FileStorage, H5Type, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem,
};

use super::super::{At, InputError, Place, Problem, Shape};

/// Values decoded at a time, about.
const BLOCK_VALUES: u64 = 1 << 20;

/// The largest chunk, decoded, that a file may ask for; h5py makes chunks of about 1 MiB.
const MAX_CHUNK_BYTES: usize = 64 << 20;

/// The most bytes that one decoded block takes.
const MAX_READ_BYTES: usize = 64 << 20;

/// A matrix of numbers, its size and type checked.
pub(super) struct Table {
    file: Arc<Path>,
    name: &'static str,
    dataset: Dataset,
    element: Element,
    shape: Shape,
}

/// Opens a file with limits on what it may ask for.
pub(super) fn open_file(file: &Arc<Path>) -> Result<Hdf5File, InputError> {
    let options = OpenOptions::default()
        .with_max_chunk_bytes(MAX_CHUNK_BYTES)
        .with_max_read_bytes(MAX_READ_BYTES);
    // Read rather than mapped: a map of a file that shrinks ends the process.
    let opened = FileStorage::open(file)
        .and_then(|storage| Hdf5File::from_storage_with_options(Arc::new(storage), options));
    opened.map_err(|error| Place::new(file, At::Start).error(refusal(&error)))
}

/// Says what the reader has against a file.
pub(super) fn refusal(error: &hdf5_reader::error::Error) -> Problem {
    Problem::Hdf5(error.to_string())
}

impl Table {
    /// Opens the dataset called `name` in the root group.
    pub fn open(
        opened: &Hdf5File,
        file: &Arc<Path>,
        name: &'static str,
    ) -> Result<Self, InputError> {
        let refuse = |problem| Place::new(file, At::Start).error(problem);
        let bad = |reason: String| refuse(Problem::Hdf5(format!("dataset {name:?}: {reason}")));
        let dataset = opened.dataset(name).map_err(|error| refuse(refusal(&error)))?;
        let &[rows, dims] = dataset.shape() else {
            return Err(bad(format!("expected a matrix of 2 axes, got {}", dataset.ndim())));
        };
        let dims = usize::try_from(dims)
            .ok()
            .filter(|dims| (1..=MAX_DIMS).contains(dims))
            .ok_or_else(|| bad(format!("expected 1 to {MAX_DIMS} columns, got {dims}")))?;
        let element = Element::of(dataset.dtype()).map_err(bad)?;
        Ok(Self { file: Arc::clone(file), name, dataset, element, shape: Shape { rows, dims } })
    }

    /// Returns the file it lies in.
    pub fn file(&self) -> &Arc<Path> {
        &self.file
    }

    /// Returns the file as a place.
    pub fn place(&self) -> Place {
        Place::new(&self.file, At::Start)
    }

    /// Returns how many rows there are, and how long each is.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the values of some rows from `row` on, at least one.
    pub fn read(&self, row: u64) -> Result<Vec<f64>, Problem> {
        let rows = self.block_rows();
        // Whole chunks, so that none is decoded twice.
        let end = (row / rows + 1).saturating_mul(rows).min(self.shape.rows);
        let dims = self.shape.dims as u64;
        let selection = SliceInfo {
            selections: vec![
                SliceInfoElem::Slice { start: row, end, step: 1 },
                SliceInfoElem::Slice { start: 0, end: dims, step: 1 },
            ],
        };
        let values = self.element.read(&self.dataset, &selection);
        let values = values.map_err(|error| refusal(&error))?;
        if values.len() as u64 != (end - row) * dims {
            let reason = format!("dataset {:?}: {} values came back", self.name, values.len());
            return Err(Problem::Hdf5(reason));
        }
        Ok(values)
    }

    /// Returns the rows of a block: about [`BLOCK_VALUES`] in whole chunks.
    fn block_rows(&self) -> u64 {
        let rows = (BLOCK_VALUES / self.shape.dims as u64).max(1);
        let chunk_rows = self.dataset.chunks().and_then(|chunk| chunk.first().copied());
        match chunk_rows.map(u64::from) {
            Some(chunk_rows) if (1..=rows).contains(&chunk_rows) => rows - rows % chunk_rows,
            Some(_) | None => rows,
        }
    }
}

/// What a value of a dataset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F32,
    F64,
    U8,
    I32,
    I64,
    U32,
    U64,
}

impl Element {
    fn of(datatype: &Datatype) -> Result<Self, String> {
        let element = if let Datatype::FloatingPoint { size, .. } = datatype {
            match size {
                4 => Some(Self::F32),
                8 => Some(Self::F64),
                _ => None,
            }
        } else if let Datatype::FixedPoint { size, signed, .. } = datatype {
            match (size, signed) {
                (1, false) => Some(Self::U8),
                (4, true) => Some(Self::I32),
                (8, true) => Some(Self::I64),
                (4, false) => Some(Self::U32),
                (8, false) => Some(Self::U64),
                _ => None,
            }
        } else {
            None
        };
        element.ok_or_else(|| {
            format!("expected f32, f64, u8, i32, i64, u32 or u64 values, got {datatype:?}")
        })
    }

    /// Reads a selection, widened; integers beyond 53 bits are rounded.
    fn read(
        self,
        dataset: &Dataset,
        selection: &SliceInfo,
    ) -> hdf5_reader::error::Result<Vec<f64>> {
        match self {
            Self::F32 => widened(dataset, selection, |value: f32| f64::from(value)),
            Self::F64 => widened(dataset, selection, |value: f64| value),
            Self::U8 => widened(dataset, selection, |value: u8| f64::from(value)),
            Self::I32 => widened(dataset, selection, |value: i32| f64::from(value)),
            Self::I64 => widened(dataset, selection, |value: i64| value as f64),
            Self::U32 => widened(dataset, selection, |value: u32| f64::from(value)),
            Self::U64 => widened(dataset, selection, |value: u64| value as f64),
        }
    }
}

fn widened<T: H5Type>(
    dataset: &Dataset,
    selection: &SliceInfo,
    widen: impl Fn(T) -> f64,
) -> hdf5_reader::error::Result<Vec<f64>> {
    Ok(dataset.read_slice::<T>(selection)?.into_iter().map(widen).collect())
}
