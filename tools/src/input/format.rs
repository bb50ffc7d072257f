//! Choosing the reader of a file.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use clap::ValueEnum;

use super::{
    At, Component, Fields, Hdf5, InputError, Jsonl, Npy, ParquetInput, Place, Problem, Record,
    Role, Shape, Texmex,
};
use crate::exchange::Columns;

/// A file format that `bigrain build` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// A Parquet table with a column of ids and one or more of vectors.
    Parquet,
    /// A numpy matrix: f16, f32 or f64, two dimensions, C order.
    Npy,
    /// Rows of a length word and that many f32, as the TEXMEX data sets have them.
    Fvecs,
    /// Rows of a length word and that many bytes, as the TEXMEX data sets have them.
    Bvecs,
    /// An HDF5 file in the layout of ann-benchmarks; its vectors are `train`.
    Hdf5,
}

impl Format {
    /// Tells the format from the file's name.
    ///
    /// # Errors
    ///
    /// [`Problem::UnknownFormat`] for any other name.
    pub fn of(path: &Path) -> Result<Self, InputError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("parquet") => Ok(Self::Parquet),
            Some("npy") => Ok(Self::Npy),
            Some("fvecs") => Ok(Self::Fvecs),
            Some("bvecs") => Ok(Self::Bvecs),
            Some("hdf5" | "h5") => Ok(Self::Hdf5),
            _ => Err(Place::new(&Arc::from(path), At::Start).error(Problem::UnknownFormat)),
        }
    }
}

/// The records of one file, whatever its format.
#[derive(Debug)]
pub enum Input {
    /// Lines of JSON.
    Jsonl(Jsonl<io::BufReader<fs::File>>),
    /// A Parquet table.
    Parquet(Box<ParquetInput>),
    /// A numpy matrix.
    Npy(Npy<io::BufReader<fs::File>>),
    /// Rows with length words.
    Texmex(Texmex<io::BufReader<fs::File>>),
    /// A matrix of an HDF5 file.
    Hdf5(Box<Hdf5>),
}

impl Input {
    /// Opens a file. `fields` names the fields of JSON lines; matrices have none, and count their
    /// ids from `first_id`.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a file that is missing or whose header is refused.
    pub fn open(
        path: &Path,
        format: Format,
        fields: Fields,
        first_id: u64,
    ) -> Result<Self, InputError> {
        Self::open_role(path, format, fields, first_id, Role::Base)
    }

    /// Opens a file; of one that holds several matrices, the one for `role`.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a file that is missing or whose header is refused.
    pub fn open_role(
        path: &Path,
        format: Format,
        fields: Fields,
        first_id: u64,
        role: Role,
    ) -> Result<Self, InputError> {
        let name: Arc<Path> = Arc::from(path);
        let place = Place::new(&name, At::Start);
        let file = fs::File::open(path).map_err(|error| place.error(error))?;
        let meta = file.metadata().map_err(|error| place.error(error))?;
        if meta.is_dir() {
            return Err(place.error(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let reader = io::BufReader::with_capacity(1 << 20, file);
        let texmex = |reader, component| {
            Texmex::new(reader, Arc::clone(&name), meta.len(), component, first_id)
                .map(Self::Texmex)
        };
        match format {
            Format::Jsonl => Ok(Self::Jsonl(Jsonl::new(reader, name, meta.len(), fields))),
            Format::Parquet => {
                let input = ParquetInput::open(reader.into_inner(), &name, &Columns::default())?;
                Ok(Self::Parquet(Box::new(input)))
            }
            Format::Npy => Npy::new(reader, name, meta.len(), first_id).map(Self::Npy),
            Format::Fvecs => texmex(reader, Component::F32),
            Format::Bvecs => texmex(reader, Component::U8),
            Format::Hdf5 => {
                Hdf5::open(&name, role, first_id).map(|input| Self::Hdf5(Box::new(input)))
            }
        }
    }

    /// Returns the position after its last record: the length of the file, or the rows of a table.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        match self {
            Self::Jsonl(input) => input.len_bytes(),
            Self::Parquet(input) => input.len_rows(),
            Self::Npy(input) => input.len_bytes(),
            Self::Texmex(input) => input.len_bytes(),
            Self::Hdf5(input) => input.len_bytes(),
        }
    }

    /// Returns how many rows a matrix has and how long each is; `None` for lines.
    #[must_use]
    pub fn shape(&self) -> Option<Shape> {
        match self {
            Self::Jsonl(_) | Self::Parquet(_) => None,
            Self::Npy(input) => Some(input.shape()),
            Self::Texmex(input) => Some(input.shape()),
            Self::Hdf5(input) => Some(input.shape()),
        }
    }
}

impl Iterator for Input {
    type Item = Result<Record, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Jsonl(input) => input.next(),
            Self::Parquet(input) => input.next(),
            Self::Npy(input) => input.next(),
            Self::Texmex(input) => input.next(),
            Self::Hdf5(input) => input.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats() {
        assert_eq!(Format::of(Path::new("a/b.jsonl")).unwrap(), Format::Jsonl);
        assert_eq!(Format::of(Path::new("b.npy")).unwrap(), Format::Npy);
        assert_eq!(Format::of(Path::new("b.fvecs")).unwrap(), Format::Fvecs);
        assert_eq!(Format::of(Path::new("b.hdf5")).unwrap(), Format::Hdf5);
        assert_eq!(Format::of(Path::new("b.bvecs")).unwrap(), Format::Bvecs);
        let error = Format::of(Path::new("notes.txt")).unwrap_err().to_string();
        assert!(error.starts_with("notes.txt: unknown format"), "{error}");
    }

    #[test]
    fn a_missing_file_and_a_folder_are_errors_that_name_them() {
        let open = |path: &str| Input::open(path.as_ref(), Format::Jsonl, Fields::default(), 0);
        let error = open("/no/such/file.jsonl").unwrap_err().to_string();
        assert!(error.starts_with("/no/such/file.jsonl: "), "{error}");
        let folder = tempfile::tempdir().unwrap();
        assert!(open(folder.path().to_str().unwrap()).is_err());
    }
}
