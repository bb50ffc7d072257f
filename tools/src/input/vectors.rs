//! Files of vectors for an evaluation: read as often as needed, a row at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{At, Content, Fields, Format, Input, InputError, Place, Problem, Record, Shape};
use crate::matrix::Matrix;

/// What the vectors of a file are for, which tells one matrix of a file with several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// They are searched.
    Base,
    /// They are looked for.
    Queries,
}

/// A matrix in a file, its header checked.
#[derive(Clone, Debug)]
pub struct VectorFile {
    path: PathBuf,
    format: Format,
    role: Role,
    shape: Shape,
    len_bytes: u64,
}

impl VectorFile {
    /// Checks the header of a file whose name tells its format.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a file that is missing, of no known format, without rows, or refused.
    pub fn open(path: &Path, role: Role) -> Result<Self, InputError> {
        let format = Format::of(path)?;
        let input = open(path, format, role)?;
        let place = Place::new(&Arc::from(path), At::Start);
        let shape = input.shape().ok_or_else(|| place.error(Problem::NoMatrix))?;
        if shape.rows == 0 {
            return Err(place.error(Problem::NoRows));
        }
        let len_bytes = input.len_bytes();
        Ok(Self { path: path.to_owned(), format, role, shape, len_bytes })
    }

    /// Returns where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the format of the file.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns how many vectors there are, and how long each is.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the position after the last record.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Reads the vectors from the first on, as records whose ids are row numbers.
    ///
    /// # Errors
    ///
    /// [`InputError`] when the file cannot be opened again, or is of another shape by now.
    pub fn records(&self) -> Result<Input, InputError> {
        let input = open(&self.path, self.format, self.role)?;
        if input.shape() == Some(self.shape) {
            return Ok(input);
        }
        Err(Place::new(&Arc::from(self.path.as_path()), At::Start).error(Problem::Changed))
    }

    /// Reads the vectors from the first on.
    ///
    /// # Errors
    ///
    /// [`InputError`] as for [`VectorFile::records`], or for the row that cannot be read.
    pub fn rows(
        &self,
    ) -> Result<impl Iterator<Item = Result<Vec<f32>, InputError>> + use<>, InputError> {
        Ok(self.records()?.map(|record| record.and_then(vector)))
    }

    /// Reads all of it into memory.
    ///
    /// # Errors
    ///
    /// [`InputError`] as for [`VectorFile::rows`].
    pub fn to_matrix(&self) -> Result<Matrix, InputError> {
        // What is read grows it, never what a header claims.
        let mut matrix = Matrix::empty(self.shape.dims);
        for row in self.rows()? {
            matrix.push(&row?);
        }
        Ok(matrix)
    }
}

fn open(path: &Path, format: Format, role: Role) -> Result<Input, InputError> {
    Input::open_role(path, format, Fields::default(), 0, role)
}

fn vector(record: Record) -> Result<Vec<f32>, InputError> {
    match record.content {
        Content::Vector(vector) => Ok(vector),
        Content::Text(_) | Content::Named { .. } => Err(record.place.error(Problem::NoMatrix)),
    }
}
