//! The `.fvecs` files of the TEXMEX data sets: each row is a length word and that many f32.
//!
//! ```text
//! ┌── i32 d ──┬── f32 × d ──┬── i32 d ──┬── f32 × d ──┬ ...      all little-endian
//! ```

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bigrain_engine::{MAX_DIMS, Payload, PointId};

use super::error::check_ids;
use super::{At, Content, InputError, Place, Problem, Record};

const WORD: usize = size_of::<f32>();

/// Reads records from an `.fvecs` file; ids count up from the first.
#[derive(Debug)]
pub struct Fvecs<R> {
    reader: R,
    file: Arc<Path>,
    dims: usize,
    len_bytes: u64,
    rows: u64,
    row: u64,
    first_id: u64,
    bytes: Vec<u8>,
}

impl<R: Read> Fvecs<R> {
    /// Reads the first length word and checks that the file holds whole rows of that length.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a length word out of range or a file that is cut off.
    pub fn new(
        mut reader: R,
        file: Arc<Path>,
        len_bytes: u64,
        first_id: u64,
    ) -> Result<Self, InputError> {
        let place = Place::new(&file, At::Start);
        let mut dims = 0;
        let mut rows = 0;
        if len_bytes > 0 {
            let word = read_word(&mut reader).map_err(|problem| place.error(problem))?;
            dims = checked_dims(word).map_err(|problem| place.error(problem))?;
            let row_bytes = (WORD * (dims + 1)) as u64;
            if !len_bytes.is_multiple_of(row_bytes) {
                let expected = len_bytes.next_multiple_of(row_bytes);
                return Err(place.error(Problem::Length { expected, actual: len_bytes }));
            }
            rows = len_bytes / row_bytes;
        }
        check_ids(first_id, rows).map_err(|problem| place.error(problem))?;
        let bytes = vec![0; dims * WORD];
        Ok(Self { reader, file, dims, len_bytes, rows, row: 0, first_id, bytes })
    }

    /// Returns the length of the file.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn record(&mut self, place: Place) -> Result<Record, Problem> {
        // The first row's length word was read when the file was opened.
        if self.row > 0 {
            let word = read_word(&mut self.reader)?;
            if usize::try_from(word) != Ok(self.dims) {
                return Err(Problem::RowLength { expected: self.dims.to_string(), actual: word });
            }
        }
        self.reader.read_exact(&mut self.bytes)?;
        let (words, _) = self.bytes.as_chunks::<WORD>();
        let vector = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
        self.row += 1;
        Ok(Record {
            place,
            id: PointId::from(self.first_id + self.row - 1),
            content: Content::Vector(vector),
            payload: Payload::new(),
            position: self.row * (WORD * (self.dims + 1)) as u64,
        })
    }
}

impl<R: Read> Iterator for Fvecs<R> {
    type Item = Result<Record, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.row == self.rows {
            return None;
        }
        let place = Place::new(&self.file, At::Row(self.row));
        let record = self.record(place.clone()).map_err(|problem| place.error(problem));
        if record.is_err() {
            self.rows = self.row;
        }
        Some(record)
    }
}

fn read_word(reader: &mut impl Read) -> Result<i32, Problem> {
    let mut word = [0; WORD];
    reader.read_exact(&mut word)?;
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

    fn read(bytes: &[u8]) -> Result<Vec<Record>, String> {
        let file: Arc<Path> = Arc::from(Path::new("in.fvecs"));
        let input = Fvecs::new(bytes, file, bytes.len() as u64, 10);
        input.and_then(Iterator::collect).map_err(|error| error.to_string())
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
    fn truncated_ragged_and_hostile_files_are_refused() {
        let bytes = bytes_of(&[&[1.0, 2.0], &[3.0, 4.0]]);
        assert_eq!(
            read(&bytes[..20]).unwrap_err(),
            "in.fvecs: file has 20 bytes, its rows need 24"
        );
        let mut ragged = bytes;
        ragged[12] = 9;
        assert_eq!(read(&ragged).unwrap_err(), "in.fvecs row 1: row length is 9, expected 2");
        assert!(read(&(-1i32).to_le_bytes()).unwrap_err().contains("expected 1 to 65536"));
        assert!(read(&i32::MAX.to_le_bytes()).is_err());
        assert!(read(&[1, 0]).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }

        #[test]
        fn small_lengths_over_arbitrary_bytes_never_panic(
            dims in 0i32..4, bytes in prop::collection::vec(any::<u8>(), 0..64)
        ) {
            let _ = read(&[&dims.to_le_bytes(), bytes.as_slice()].concat());
        }
    }

    #[test]
    fn ids_that_would_pass_the_largest_number_are_refused() {
        let mut bytes = Vec::new();
        for _ in 0..3 {
            bytes.extend_from_slice(&1_u32.to_le_bytes());
            bytes.extend_from_slice(&1_f32.to_le_bytes());
        }
        let file: Arc<Path> = Arc::from(Path::new("in.fvecs"));
        let length = bytes.len() as u64;
        let error = Fvecs::new(&bytes[..], file, length, u64::MAX - 2).unwrap_err();
        assert!(error.to_string().contains("pass the largest id"), "{error}");
    }
}
