//! A binarizer as bytes.
//!
//! ```text
//!  byte   0        8         12     13      14       15       16       24      32
//!         | magic  | version | kind | metric | levels | search | dims   | seed  | signs ..    | check |
//!         | 8 B    | u32     | u8   | u8     | u8     | u8     | u64    | u64   | u64 each    | 16 B  |
//! ```
//!
//! Little-endian. The signs are stored although the seed would give them again: codes must stay
//! readable whatever becomes of a random number generator. `check` is the first 16 bytes of the
//! BLAKE3 hash of all bytes before it.

use bigrain_types::{Levels, LevelsError, MAX_DIMS, Metric};
use thiserror::Error;

use crate::binarizer::{Binarizer, BinarizerError, KIND_ROTATION, Model, metric_code};
use crate::recurrent::{KIND_RECURRENT, Recurrent, RecurrentError};
use crate::rotation::{Rotation, sign_words};
use crate::scale::ScaleSearch;

pub(crate) const MAGIC: [u8; 8] = *b"bigrnBIN";
pub(crate) const VERSION: u32 = 1;
const HEADER: usize = 32;
pub(crate) const CHECK: usize = 16;

/// Bytes that are not a binarizer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BinarizerFileError {
    /// Fewer or more bytes than the header announces, or fewer than a header.
    #[error("binarizer has the wrong length: expected {expected} bytes, got {actual}")]
    Length {
        /// What the header announces, or the shortest possible.
        expected: usize,
        /// What was given.
        actual: usize,
    },
    /// The first bytes are not a binarizer's.
    #[error("not a binarizer: bad magic number")]
    Magic,
    /// Written by another version.
    #[error("binarizer has version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// A learned binarizer, written by a later version.
    #[error("learned binarizer has version {version}, this program reads versions up to {newest}")]
    NewerVersion {
        /// Its version.
        version: u32,
        /// The newest that is read.
        newest: u32,
    },
    /// The hash at the end does not fit.
    #[error("binarizer is corrupt: its hash does not match")]
    Check,
    /// A byte of the header has no meaning.
    #[error("binarizer has an unknown {field}: {value}")]
    Unknown {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A number of levels outside the range.
    #[error(transparent)]
    Levels(#[from] LevelsError),
    /// Parameters that give no binarizer.
    #[error(transparent)]
    Binarizer(#[from] BinarizerError),
    /// Parts that give no recurrent binarizer.
    #[error(transparent)]
    Recurrent(#[from] RecurrentError),
}

impl Binarizer {
    /// Returns the bytes of the picture above; of a recurrent binarizer those that [`Recurrent::to_bytes`]
    /// shows.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let rotation = match self.model() {
            Model::Rotation(rotation) => rotation,
            Model::Recurrent(recurrent) => return recurrent.to_bytes(),
        };
        let mut bytes = Vec::with_capacity(HEADER + 8 * rotation.signs().len() + CHECK);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        // The constructor refused metrics without a code.
        let metric = metric_code(self.metric()).unwrap_or_default();
        let levels = self.layout().levels().get();
        bytes.extend_from_slice(&[KIND_ROTATION, metric, levels, search_code(self.scale_search())]);
        bytes.extend_from_slice(&(self.dims() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.seed().to_le_bytes());
        for word in rotation.signs() {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let check = check_of(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// Reads what [`Binarizer::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// [`BinarizerFileError`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BinarizerFileError> {
        let too_short =
            BinarizerFileError::Length { expected: HEADER + CHECK, actual: bytes.len() };
        let (body, check) = bytes.split_last_chunk::<CHECK>().ok_or(too_short.clone())?;
        if body.starts_with(&MAGIC) && body.get(12) == Some(&KIND_RECURRENT) {
            return Ok(Self::new_recurrent(Recurrent::from_bytes(bytes)?.into()));
        }
        let (header, signs) = body.split_first_chunk::<HEADER>().ok_or(too_short)?;
        let header = Header::read(header)?;
        let expected = HEADER + 8 * sign_words(header.dims) + CHECK;
        if bytes.len() != expected {
            return Err(BinarizerFileError::Length { expected, actual: bytes.len() });
        }
        if check_of(body) != *check {
            return Err(BinarizerFileError::Check);
        }
        let (signs, _) = signs.as_chunks::<8>();
        let signs = signs.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let rotation = Rotation::from_signs(header.dims, signs).map_err(BinarizerError::from)?;
        let binarizer = Self::from_rotation(rotation, header.levels, header.metric, header.seed)?;
        Ok(binarizer.with_scale_search(header.scale_search))
    }
}

struct Header {
    metric: Metric,
    levels: Levels,
    scale_search: ScaleSearch,
    dims: usize,
    seed: u64,
}

impl Header {
    fn read(bytes: &[u8; HEADER]) -> Result<Self, BinarizerFileError> {
        let unknown = |field, value: u8| BinarizerFileError::Unknown { field, value: value.into() };
        if bytes[..8] != MAGIC {
            return Err(BinarizerFileError::Magic);
        }
        let version = word(bytes, 8) as u32;
        if version != VERSION {
            return Err(BinarizerFileError::Version(version));
        }
        if bytes[12] != KIND_ROTATION {
            return Err(unknown("kind", bytes[12]));
        }
        let metric = [Metric::Cosine, Metric::Dot, Metric::L2]
            .into_iter()
            .find(|&metric| metric_code(metric) == Ok(bytes[13]))
            .ok_or(unknown("metric", bytes[13]))?;
        let levels = Levels::new(bytes[14])?;
        let scale_search = [ScaleSearch::Fixed, ScaleSearch::Grid, ScaleSearch::Exact]
            .into_iter()
            .find(|&search| search_code(search) == bytes[15])
            .ok_or(unknown("scale search", bytes[15]))?;
        let value = word(bytes, 16);
        let dims = usize::try_from(value)
            .ok()
            .filter(|dims| (1..=MAX_DIMS).contains(dims))
            .ok_or(BinarizerFileError::Unknown { field: "number of dimensions", value })?;
        Ok(Self { metric, levels, scale_search, dims, seed: word(bytes, 24) })
    }
}

/// Returns the eight bytes from `at` on as a number.
fn word(bytes: &[u8; HEADER], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn search_code(search: ScaleSearch) -> u8 {
    match search {
        ScaleSearch::Fixed => 0,
        ScaleSearch::Grid => 1,
        ScaleSearch::Exact => 2,
    }
}

pub(crate) fn check_of(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binarizer() -> Binarizer {
        let levels = Levels::new(3).unwrap();
        Binarizer::new_rotation(100, levels, Metric::L2, 77)
            .unwrap()
            .with_scale_search(ScaleSearch::Grid)
    }

    #[test]
    fn bytes_round_trip() {
        let bytes = binarizer().to_bytes();
        assert_eq!(bytes.len(), HEADER + 8 * 8 + CHECK);
        let back = Binarizer::from_bytes(&bytes).unwrap();
        assert_eq!(back.id(), binarizer().id());
        assert_eq!(back.scale_search(), ScaleSearch::Grid);
        assert_eq!(back.to_bytes(), bytes);
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused() {
        let bytes = binarizer().to_bytes();
        for length in 0..bytes.len() {
            assert!(Binarizer::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Binarizer::from_bytes(&flipped).is_err(), "{bit}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = binarizer().to_bytes();
        bytes[8] = 9;
        let error = Binarizer::from_bytes(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "binarizer has version 9, this program reads version 1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(
            tail in prop::collection::vec(any::<u8>(), 0..200),
            header: bool,
            resealed: bool,
        ) {
            let mut bytes = if header { binarizer().to_bytes()[..16].to_vec() } else { Vec::new() };
            bytes.extend(tail);
            if resealed {
                let check = check_of(&bytes);
                bytes.extend(check);
            }
            if let Ok(binarizer) = Binarizer::from_bytes(&bytes) {
                prop_assert_eq!(binarizer.to_bytes(), bytes);
            }
        }
    }
}
