//! numpy's `.npy` files: a matrix of f16, f32 or f64, little-endian, in C order.
//!
//! ```text
//! "\x93NUMPY" │ version u8 u8 │ header length (u16, from version 2 on u32) │ header │ rows
//! header: {'descr': '<f4', 'fortran_order': False, 'shape': (1000, 384), }
//! ```
//!
//! The header is a Python literal. [`Header::parse`] reads just the literals that numpy writes:
//! three keys in any order, each once.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bigrain_engine::{MAX_DIMS, Payload, PointId};
use half::f16;

use super::error::{check_ids, or_io};
use super::{At, Content, InputError, Place, Problem, Record, Shape};

/// The longest header, in bytes; numpy's are below 200.
pub const MAX_NPY_HEADER_BYTES: usize = 64 << 10;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Reads records from a `.npy` matrix; ids count up from the first.
#[derive(Debug)]
pub struct Npy<R> {
    reader: R,
    file: Arc<Path>,
    header: Header,
    header_bytes: u64,
    len_bytes: u64,
    row: u64,
    ended: bool,
    first_id: u64,
    bytes: Vec<u8>,
}

/// What a header says about the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    element: Element,
    rows: u64,
    dims: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F16,
    F32,
    F64,
}

impl<R: Read> Npy<R> {
    /// Reads the header and checks it against the length of the file.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a header that is not a matrix of floats in C order, or a file whose
    /// length is not what the header says.
    pub fn new(
        mut reader: R,
        file: Arc<Path>,
        len_bytes: u64,
        first_id: u64,
    ) -> Result<Self, InputError> {
        let place = Place::new(&file, At::Start);
        let refuse = |problem| place.error(problem);
        let (header, header_bytes) = read_header(&mut reader).map_err(refuse)?;
        let expected = header
            .body_bytes()
            .and_then(|body| body.checked_add(header_bytes))
            .ok_or_else(|| refuse(bad("the shape is too large")))?;
        if expected != len_bytes {
            return Err(refuse(Problem::Length { expected, actual: len_bytes }));
        }
        check_ids(first_id, header.rows).map_err(refuse)?;
        let bytes = vec![0; header.dims * header.element.size()];
        Ok(Self {
            reader,
            file,
            header,
            header_bytes,
            len_bytes,
            row: 0,
            ended: false,
            first_id,
            bytes,
        })
    }

    /// Returns the length of the file.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Returns how many rows there are, and how long each is.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape { rows: self.header.rows, dims: self.header.dims }
    }

    fn record(&mut self, place: Place) -> Result<Record, Problem> {
        let shrunk = Problem::Shrunk { expected: self.len_bytes };
        self.reader.read_exact(&mut self.bytes).map_err(|error| or_io(error, shrunk))?;
        let id = PointId::from(self.first_id + self.row);
        self.row += 1;
        Ok(Record {
            place,
            id,
            content: Content::Vector(self.header.element.decode(&self.bytes)),
            payload: Payload::new(),
            position: self.header_bytes + self.row * self.bytes.len() as u64,
        })
    }
}

impl<R: Read> Iterator for Npy<R> {
    type Item = Result<Record, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.row == self.header.rows {
            return None;
        }
        let place = Place::new(&self.file, At::Row(self.row));
        let record = self.record(place.clone()).map_err(|problem| place.error(problem));
        self.ended = record.is_err();
        Some(record)
    }
}

impl Element {
    fn of(descr: &str) -> Result<Self, Problem> {
        match descr {
            "<f2" => Ok(Self::F16),
            "<f4" => Ok(Self::F32),
            "<f8" => Ok(Self::F64),
            other => Err(bad(format!("expected elements of '<f2', '<f4' or '<f8', got {other:?}"))),
        }
    }

    fn size(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F16 => values(bytes, |word| f16::from_le_bytes(word).to_f32()),
            Self::F32 => values(bytes, f32::from_le_bytes),
            Self::F64 => values(bytes, |word| f64::from_le_bytes(word) as f32),
        }
    }
}

fn values<const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&word| decode(word)).collect()
}

impl Header {
    fn parse(text: &[u8]) -> Result<Self, Problem> {
        let mut literal = Literal { rest: text.trim_ascii() };
        let (mut element, mut fortran_order, mut shape) = (None, None, None);
        literal.expect("{")?;
        while !literal.take("}") {
            let key = literal.string()?;
            literal.expect(":")?;
            let repeated = match key {
                "descr" => element.replace(Element::of(literal.string()?)?).is_some(),
                "fortran_order" => fortran_order.replace(literal.boolean()?).is_some(),
                "shape" => shape.replace(literal.tuple()?).is_some(),
                other => return Err(bad(format!("unknown key {other:?}"))),
            };
            if repeated {
                return Err(bad(format!("key {key:?} twice")));
            }
            if !literal.take(",") {
                literal.expect("}")?;
                break;
            }
        }
        if !literal.rest.is_empty() {
            return Err(bad("bytes after the closing brace"));
        }
        let missing = |key| move || bad(format!("no key {key:?}"));
        if fortran_order.ok_or_else(missing("fortran_order"))? {
            return Err(bad("expected C order, got Fortran order"));
        }
        let element = element.ok_or_else(missing("descr"))?;
        let (rows, dims) = matrix(&shape.ok_or_else(missing("shape"))?)?;
        Ok(Self { element, rows, dims })
    }

    fn body_bytes(&self) -> Option<u64> {
        self.rows.checked_mul((self.dims * self.element.size()) as u64)
    }
}

fn matrix(shape: &[u64]) -> Result<(u64, usize), Problem> {
    let &[rows, dims] = shape else {
        return Err(bad(format!("expected a matrix of 2 axes, got {}", shape.len())));
    };
    let dims = usize::try_from(dims)
        .ok()
        .filter(|dims| (1..=MAX_DIMS).contains(dims))
        .ok_or_else(|| bad(format!("expected 1 to {MAX_DIMS} columns, got {dims}")))?;
    Ok((rows, dims))
}

/// Reads magic, version and header; returns the header and where the rows begin.
fn read_header(reader: &mut impl Read) -> Result<(Header, u64), Problem> {
    let mut start = [0; 8];
    fill(reader, &mut start)?;
    let Some([major, _]) = start.strip_prefix(MAGIC) else {
        return Err(bad("the file does not begin with \"\\x93NUMPY\""));
    };
    let (len, len_bytes) = match major {
        1 => {
            let mut len = [0; 2];
            fill(reader, &mut len)?;
            (usize::from(u16::from_le_bytes(len)), 2)
        }
        2 | 3 => {
            let mut len = [0; 4];
            fill(reader, &mut len)?;
            (usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX), 4)
        }
        other => return Err(bad(format!("expected version 1, 2 or 3, got {other}"))),
    };
    if len > MAX_NPY_HEADER_BYTES {
        return Err(bad(format!("{len} bytes, the limit is {MAX_NPY_HEADER_BYTES}")));
    }
    let mut text = vec![0; len];
    fill(reader, &mut text)?;
    Ok((Header::parse(&text)?, (start.len() + len_bytes + len) as u64))
}

/// Reads a part of the header.
fn fill(reader: &mut impl Read, part: &mut [u8]) -> Result<(), Problem> {
    reader.read_exact(part).map_err(|error| or_io(error, bad("the file ends inside it")))
}

fn bad(message: impl Into<String>) -> Problem {
    Problem::NpyHeader(message.into())
}

/// A cursor over the text of a Python literal; blanks before a token are passed over.
struct Literal<'a> {
    rest: &'a [u8],
}

impl<'a> Literal<'a> {
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_ascii_start();
        let Some(rest) = self.rest.strip_prefix(token.as_bytes()) else { return false };
        self.rest = rest;
        true
    }

    fn expect(&mut self, token: &str) -> Result<(), Problem> {
        if self.take(token) {
            return Ok(());
        }
        let found = &self.rest[..self.rest.len().min(16)];
        Err(bad(format!("expected {token:?}, got {:?}", String::from_utf8_lossy(found))))
    }

    fn string(&mut self) -> Result<&'a str, Problem> {
        let quote = if self.take("\"") {
            b'"'
        } else {
            self.expect("'")?;
            b'\''
        };
        let end = self.rest.iter().position(|&byte| byte == quote);
        let end = end.ok_or_else(|| bad("a string without its closing quote"))?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        str::from_utf8(text).map_err(|_| bad("a string that is not UTF-8"))
    }

    fn boolean(&mut self) -> Result<bool, Problem> {
        if self.take("True") {
            return Ok(true);
        }
        self.expect("False").map(|()| false)
    }

    fn tuple(&mut self) -> Result<Vec<u64>, Problem> {
        let mut numbers = Vec::new();
        self.expect("(")?;
        while !self.take(")") {
            numbers.push(self.number()?);
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(numbers)
    }

    fn number(&mut self) -> Result<u64, Problem> {
        self.rest = self.rest.trim_ascii_start();
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        str::from_utf8(number)
            .ok()
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| bad("expected an unsigned number in the shape"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(version: u8, header: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[version, 0]);
        if version == 1 {
            bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        } else {
            bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
        }
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn header(descr: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}   \n")
    }

    fn read(bytes: &[u8]) -> Result<Vec<Record>, String> {
        let name: Arc<Path> = Arc::from(Path::new("in.npy"));
        let input = Npy::new(bytes, name, bytes.len() as u64, 0);
        input.and_then(Iterator::collect).map_err(|error| error.to_string())
    }

    fn vectors(bytes: &[u8]) -> Vec<Vec<f32>> {
        let vector = |record: Record| match record.content {
            Content::Vector(vector) => vector,
            other @ (Content::Text(_) | Content::Named { .. }) => panic!("{other:?}"),
        };
        read(bytes).unwrap().into_iter().map(vector).collect()
    }

    #[test]
    fn every_float_width_and_version_is_read() {
        let expected = vec![vec![1.5, -2.0], vec![0.25, 8.0]];
        let flat = [1.5f32, -2.0, 0.25, 8.0];
        let f32s: Vec<u8> = flat.iter().flat_map(|value| value.to_le_bytes()).collect();
        let f64s: Vec<u8> = flat.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
        let f16s: Vec<u8> = flat.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        for version in 1..=3 {
            assert_eq!(vectors(&file(version, &header("<f4", "(2, 2)"), &f32s)), expected);
            assert_eq!(vectors(&file(version, &header("<f8", "(2, 2)"), &f64s)), expected);
            assert_eq!(vectors(&file(version, &header("<f2", "(2, 2)"), &f16s)), expected);
        }
    }

    #[test]
    fn ids_count_rows_and_positions_end_at_the_file_length() {
        let bytes = file(1, &header("<f2", "(3, 1)"), &[0; 6]);
        let records = read(&bytes).unwrap();
        assert_eq!(records[2].id, PointId::from(2));
        assert_eq!(records[2].position, bytes.len() as u64);
        assert_eq!(records[2].place.to_string(), "in.npy row 2");
        assert!(read(&file(1, &header("<f4", "(0, 5)"), &[])).unwrap().is_empty());
    }

    #[test]
    fn refusals_say_what_was_expected() {
        let refusal = |header: &str| read(&file(1, header, &[0; 8])).unwrap_err();
        for (header, expected) in [
            (header("<f4", "(2,)"), "expected a matrix of 2 axes, got 1"),
            (header("<f4", "(1, 0)"), "expected 1 to 65536 columns, got 0"),
            (header("<f4", "(18446744073709551615, 60000)"), "the shape is too large"),
            (header("<f4", "(99999999999999999999, 1)"), "expected an unsigned number"),
            (header(">f4", "(1, 2)"), "expected elements of '<f2', '<f4' or '<f8', got \">f4\""),
            (header("<f4", "(1, 2)").replace("False", "True"), "expected C order"),
            (header("<f4", "(1, 2)").replace("shape", "descr"), "expected \"'\", got"),
            (header("<f4", "(1, 2)").replace("'shape'", "'size'"), "unknown key \"size\""),
            ("{'descr': '<f4', 'descr': '<f4'}".to_owned(), "key \"descr\" twice"),
            ("{'descr': '<f4'} x".to_owned(), "bytes after the closing brace"),
            ("{'descr': '<f4".to_owned(), "a string without its closing quote"),
            ("{}".to_owned(), "no key \"fortran_order\""),
        ] {
            let error = refusal(&header);
            assert!(error.contains(expected), "{header}: {error}");
        }
        assert!(read(b"\x93NUMPY\x09\0").unwrap_err().contains("got 9"));
        assert!(read(b"\x93NUMPY\x01").unwrap_err().contains("the file ends inside it"));
        assert!(read(b"PK\x03\x04....").unwrap_err().contains("does not begin"));
    }

    #[test]
    fn a_file_cut_off_or_grown_is_refused_before_a_row_is_read() {
        let bytes = file(1, &header("<f4", "(2, 2)"), &[0; 16]);
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        let expected = format!("file has {} bytes, its rows need {}", longer.len(), bytes.len());
        assert!(read(&longer).unwrap_err().ends_with(&expected));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&[MAGIC, bytes.as_slice()].concat());
        }

        #[test]
        fn arbitrary_headers_never_panic(text in r"[{}'(),: \w<]{0,80}", body in 0usize..40) {
            let _ = read(&file(1, &text, &vec![0; body]));
        }
    }
}
