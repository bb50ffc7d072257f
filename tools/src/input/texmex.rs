//! The vector files of the TEXMEX data sets: each row is a length word and that many components.
//!
//! ```text
//! .fvecs ┌── i32 d ──┬── f32 × d ──┬── i32 d ──┬── f32 × d ──┬ ...      all little-endian
//! .bvecs ┌── i32 d ──┬── u8 × d ───┬── i32 d ──┬── u8 × d ───┬ ...
//! .ivecs ┌── i32 d ──┬── i32 × d ──┬── i32 d ──┬── i32 × d ──┬ ...      row numbers, not vectors
//! ```
//!
//! [`Frames`] reads the rows of all three; [`Texmex`] makes vectors of the first two.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bigrain_engine::{MAX_DIMS, Payload, PointId};

use super::error::{check_ids, or_io};
use super::{At, Content, InputError, Place, Problem, Record, Shape};

const WORD: usize = size_of::<i32>();

/// What a component of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// `.fvecs`.
    F32,
    /// `.bvecs`.
    U8,
    /// `.ivecs`.
    I32,
}

impl Component {
    fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::U8 => 1,
        }
    }

    fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let words = bytes.as_chunks::<WORD>().0.iter();
        match self {
            Self::F32 => words.map(|&word| f32::from_le_bytes(word)).collect(),
            Self::U8 => bytes.iter().map(|&byte| f32::from(byte)).collect(),
            Self::I32 => words.map(|&word| i32::from_le_bytes(word) as f32).collect(),
        }
    }
}

/// Reads the rows of a file, all of one length, as bytes.
#[derive(Debug)]
pub struct Frames<R> {
    reader: R,
    file: Arc<Path>,
    shape: Shape,
    row_bytes: u64,
    len_bytes: u64,
    /// Rows read.
    row: u64,
    ended: bool,
    bytes: Vec<u8>,
}

impl<R: Read> Frames<R> {
    /// Reads the first length word and checks that the file holds whole rows of that length.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a length word out of range or a file that is cut off.
    pub fn new(
        mut reader: R,
        file: Arc<Path>,
        len_bytes: u64,
        component: Component,
    ) -> Result<Self, InputError> {
        let place = Place::new(&file, At::Start);
        let refuse = |problem| place.error(problem);
        let (mut dims, mut rows, mut row_bytes) = (0, 0, 0);
        if len_bytes > 0 {
            let cut = Problem::Length { expected: WORD as u64, actual: len_bytes };
            dims = read_word(&mut reader, cut).and_then(checked_dims).map_err(refuse)?;
            row_bytes = (WORD + component.size() * dims) as u64;
            if !len_bytes.is_multiple_of(row_bytes) {
                let expected = len_bytes.next_multiple_of(row_bytes);
                return Err(refuse(Problem::Length { expected, actual: len_bytes }));
            }
            rows = len_bytes / row_bytes;
        }
        let bytes = vec![0; component.size() * dims];
        let shape = Shape { rows, dims };
        Ok(Self { reader, file, shape, row_bytes, len_bytes, row: 0, ended: false, bytes })
    }

    /// Returns how many rows there are, and how long each is.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the components of the next row, and which row it is; after an error the rows end.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a row of another length, or a read that the system refuses.
    pub fn next_row(&mut self) -> Result<Option<(u64, &[u8])>, InputError> {
        if self.ended || self.row == self.shape.rows {
            return Ok(None);
        }
        match self.read_row() {
            Ok(()) => {
                self.row += 1;
                Ok(Some((self.row - 1, &self.bytes)))
            }
            Err(problem) => {
                self.ended = true;
                Err(Place::new(&self.file, At::Row(self.row)).error(problem))
            }
        }
    }

    fn read_row(&mut self) -> Result<(), Problem> {
        let shrunk = || Problem::Shrunk { expected: self.len_bytes };
        // The first row's length word was read when the file was opened.
        if self.row > 0 {
            let word = read_word(&mut self.reader, shrunk())?;
            if usize::try_from(word) != Ok(self.shape.dims) {
                let expected = self.shape.dims.to_string();
                return Err(Problem::RowLength { expected, actual: word });
            }
        }
        self.reader.read_exact(&mut self.bytes).map_err(|error| or_io(error, shrunk()))
    }
}

/// Reads records from an `.fvecs` or `.bvecs` file; ids count up from the first.
#[derive(Debug)]
pub struct Texmex<R> {
    frames: Frames<R>,
    component: Component,
    first_id: u64,
}

impl<R: Read> Texmex<R> {
    /// Reads the first length word and checks that the file holds whole rows of that length.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a length word out of range or a file that is cut off.
    pub fn new(
        reader: R,
        file: Arc<Path>,
        len_bytes: u64,
        component: Component,
        first_id: u64,
    ) -> Result<Self, InputError> {
        let frames = Frames::new(reader, file, len_bytes, component)?;
        let place = Place::new(&frames.file, At::Start);
        check_ids(first_id, frames.shape.rows).map_err(|problem| place.error(problem))?;
        Ok(Self { frames, component, first_id })
    }

    /// Returns the length of the file.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.frames.len_bytes
    }

    /// Returns how many rows there are, and how long each is.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.frames.shape
    }
}

impl<R: Read> Iterator for Texmex<R> {
    type Item = Result<Record, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (row, vector) = match self.frames.next_row() {
            Ok(found) => found.map(|(row, bytes)| (row, self.component.decode(bytes)))?,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(Record {
            place: Place::new(&self.frames.file, At::Row(row)),
            id: PointId::from(self.first_id + row),
            content: Content::Vector(vector),
            payload: Payload::new(),
            position: (row + 1) * self.frames.row_bytes,
        }))
    }
}

fn read_word(reader: &mut impl Read, cut: Problem) -> Result<i32, Problem> {
    let mut word = [0; WORD];
    reader.read_exact(&mut word).map_err(|error| or_io(error, cut))?;
    Ok(i32::from_le_bytes(word))
}

fn checked_dims(word: i32) -> Result<usize, Problem> {
    usize::try_from(word)
        .ok()
        .filter(|dims| (1..=MAX_DIMS).contains(dims))
        .ok_or_else(|| Problem::RowLength { expected: format!("1 to {MAX_DIMS}"), actual: word })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(rows: &[&[f32]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend_from_slice(&(row.len() as i32).to_le_bytes());
            row.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        }
        bytes
    }

    fn read_as(bytes: &[u8], component: Component) -> Result<Vec<Record>, String> {
        let file: Arc<Path> = Arc::from(Path::new("in.fvecs"));
        let input = Texmex::new(bytes, file, bytes.len() as u64, component, 10);
        input.and_then(Iterator::collect).map_err(|error| error.to_string())
    }

    fn read(bytes: &[u8]) -> Result<Vec<Record>, String> {
        read_as(bytes, Component::F32)
    }

    #[test]
    fn rows_become_vectors_with_counted_ids() {
        let bytes = bytes_of(&[&[1.0, 2.0], &[3.0, 4.0]]);
        let records = read(&bytes).unwrap();
        assert_eq!(records[1].id, PointId::from(11));
        assert_eq!(records[1].content, Content::Vector(vec![3.0, 4.0]));
        assert_eq!(records[1].position, bytes.len() as u64);
        assert!(read(&[]).unwrap().is_empty());
    }

    #[test]
    fn bytes_become_whole_numbers() {
        let bytes = [3, 0, 0, 0, 0, 128, 255, 3, 0, 0, 0, 1, 2, 3];
        let records = read_as(&bytes, Component::U8).unwrap();
        assert_eq!(records[0].content, Content::Vector(vec![0.0, 128.0, 255.0]));
        assert_eq!(records[1].content, Content::Vector(vec![1.0, 2.0, 3.0]));
        assert_eq!(
            read_as(&bytes[..13], Component::U8).unwrap_err(),
            "in.fvecs: file has 13 bytes, its rows need 14"
        );
    }

    #[test]
    fn truncated_ragged_and_hostile_files_are_refused() {
        let bytes = bytes_of(&[&[1.0, 2.0], &[3.0, 4.0]]);
        assert_eq!(
            read(&bytes[..20]).unwrap_err(),
            "in.fvecs: file has 20 bytes, its rows need 24"
        );
        assert_eq!(read(&bytes[..3]).unwrap_err(), "in.fvecs: file has 3 bytes, its rows need 4");
        let mut ragged = bytes;
        ragged[12] = 9;
        assert_eq!(read(&ragged).unwrap_err(), "in.fvecs row 1: row length is 9, expected 2");
        assert!(read(&(-1i32).to_le_bytes()).unwrap_err().contains("expected 1 to 65536"));
        assert!(read(&i32::MAX.to_le_bytes()).is_err());
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_refused() {
        let bytes = bytes_of(&[&[1.0, 2.0], &[3.0, 4.0]]);
        let file: Arc<Path> = Arc::from(Path::new("in.fvecs"));
        let input = Texmex::new(&bytes[..14], file, 24, Component::F32, 0).unwrap();
        let rows: Vec<Result<Record, InputError>> = input.collect();
        assert_eq!(rows.len(), 2);
        let error = rows[1].as_ref().unwrap_err().to_string();
        assert_eq!(error, "in.fvecs row 1: file ends before its 24 bytes");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            component in prop::sample::select(vec![Component::F32, Component::U8, Component::I32]),
        ) {
            let _ = read_as(&bytes, component);
        }
    }
    #[test]
    fn ids_that_would_pass_the_largest_number_are_refused() {
        let bytes = bytes_of(&[&[1.0], &[1.0], &[1.0]]);
        let file: Arc<Path> = Arc::from(Path::new("in.fvecs"));
        let length = bytes.len() as u64;
        let input = Texmex::new(&bytes[..], file, length, Component::F32, u64::MAX - 2);
        let error = input.unwrap_err();
        assert!(error.to_string().contains("pass the largest id"), "{error}");
    }
}
