//! A dense adapter: what queries are compared with stored vectors as, once codes have found candidates.
//!
//! ```text
//!  shortlist   the C nearest by codes, each with the similarity s that its code says
//!  a(q)        l2norm(q + A q + b + out relu(into q + c))
//!  score       <a(q), d> + lambda s                       of each document d of the shortlist
//! ```
//!
//! This is the local stage of BiDR (docs/papers.md): codes tell apart all documents, the adapter those
//! that codes take for near. It maps queries alone. With linear maps that is no loss: two maps
//! `<A q, B d>` are one, `<B' A q, d>`, and so what is stored, and read from disk, stays the embedding.
//!
//! As bytes:
//!
//! ```text
//!  byte   0        8              12       16         20         24
//!         | magic  | version: u32 | d: u32 | units: u32 | steps: u32 | lambda: f32 | shortlist: u32 |
//!  32     | training seed: u64 | queries: u32 | limit: u32 | before, after, low, high: f32 each |
//!  64     | code space: 16 B | the map (see tensors.rs) | check: 16 B of the BLAKE3 hash of all before |
//! ```

use bigrain_types::{CodeSpaceId, MAX_DIMS, normalize};
use thiserror::Error;

use crate::file::{CHECK, check_of};
use crate::recurrent::{Champion, MAX_HIDDEN, RecurrentError, ResidualMap};
use crate::tensors::{MapShape, Reader, push_floats, push_map, read_map};

const MAGIC: [u8; 8] = *b"bigrnADP";
const VERSION: u32 = 1;
const HEADER: usize = 80;
/// Candidates of one shortlist at most.
const MAX_SHORTLIST: usize = 1 << 16;
/// The largest weight of codes: beyond it nothing but codes counts.
const MAX_WEIGHT: f32 = 1e3;

/// What queries are compared with stored vectors as.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    parts: AdapterParts,
}

/// What an adapter is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterParts {
    /// Components of an embedding.
    pub dims: usize,
    /// What is added to a query of length one.
    pub map: ResidualMap,
    /// The weight of what codes say, `lambda`: 0 or more.
    pub code_weight: f32,
    /// Candidates that it was fitted on, and that a search scores by it.
    pub shortlist: usize,
    /// The codes that found them.
    pub codes: CodeSpaceId,
    /// The seed of its training.
    pub training_seed: u64,
    /// Steps of its training.
    pub steps: u32,
    /// Recalls of held-out queries: verified by floats (`rotation`), and by the adapter (`learned`).
    pub champion: Champion,
}

/// Parts or bytes that give no adapter.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AdapterError {
    /// Fewer or more bytes than the header announces, or fewer than a header.
    #[error("adapter has the wrong length: expected {expected} bytes, got {actual}")]
    Length {
        /// What the header announces, or the shortest possible.
        expected: usize,
        /// What was given.
        actual: usize,
    },
    /// The first bytes are not an adapter's.
    #[error("not an adapter: bad magic number")]
    Magic,
    /// Written by a later version.
    #[error("adapter has version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// The hash at the end does not fit.
    #[error("adapter is corrupt: its hash does not match")]
    Check,
    /// A number outside its range.
    #[error("adapter: {name} out of range: expected {expected}, got {actual}")]
    Range {
        /// Which.
        name: &'static str,
        /// What it may be.
        expected: String,
        /// What it was.
        actual: String,
    },
    /// A map of another shape, or with numbers that are not finite.
    #[error(transparent)]
    Map(#[from] RecurrentError),
}

impl Adapter {
    /// Takes the parts together.
    ///
    /// # Errors
    ///
    /// [`AdapterError`] for parts that do not fit together, and numbers that are not finite.
    pub fn new(parts: AdapterParts) -> Result<Self, AdapterError> {
        let range = |name, most: f64, actual: f64, least: f64| {
            let expected = || format!("{least} to {most}");
            match (least..=most).contains(&actual) {
                true => Ok(()),
                false => {
                    let actual = actual.to_string();
                    Err(AdapterError::Range { name, expected: expected(), actual })
                }
            }
        };
        range("dimensions", MAX_DIMS as f64, parts.dims as f64, 1.0)?;
        range("weight of codes", MAX_WEIGHT.into(), parts.code_weight.into(), 0.0)?;
        range("shortlist", MAX_SHORTLIST as f64, parts.shortlist as f64, 1.0)?;
        parts.map.check("the adapter", parts.dims, parts.dims)?;
        Ok(Self { parts })
    }

    /// Returns the parts.
    #[must_use]
    pub fn parts(&self) -> &AdapterParts {
        &self.parts
    }

    /// Returns what stored vectors are compared with, of length one. `query` has length one.
    ///
    /// # Panics
    ///
    /// When `query` does not have the adapter's dimensions.
    #[must_use]
    pub fn adapt(&self, query: &[f32]) -> Vec<f32> {
        assert_eq!(query.len(), self.parts.dims, "components of the query");
        let mut adapted = query.to_vec();
        self.parts.map.add_to(query, &mut adapted, &mut Vec::new());
        normalize(&mut adapted);
        adapted
    }

    /// Returns the score of a document of the shortlist: `dense` is the product of its vector with
    /// the adapted query, `code` the similarity that its code says.
    #[must_use]
    pub fn score(&self, dense: f32, code: f32) -> f32 {
        dense + self.parts.code_weight * code
    }

    /// Returns the bytes of the picture above.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts = &self.parts;
        let shape = shape_of(parts);
        let mut bytes = MAGIC.to_vec();
        for number in [VERSION, parts.dims as u32, shape.units as u32, parts.steps] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        push_floats(&mut bytes, &[parts.code_weight]);
        bytes.extend_from_slice(&(parts.shortlist as u32).to_le_bytes());
        bytes.extend_from_slice(&parts.training_seed.to_le_bytes());
        let Champion { queries, limit, rotation, learned, low, high } = parts.champion;
        bytes.extend_from_slice(&queries.to_le_bytes());
        bytes.extend_from_slice(&limit.to_le_bytes());
        push_floats(&mut bytes, &[rotation, learned, low, high]);
        bytes.extend_from_slice(parts.codes.as_bytes());
        push_map(&mut bytes, &parts.map, shape);
        let check = check_of(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// Reads what [`Adapter::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// [`AdapterError`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AdapterError> {
        let short = AdapterError::Length { expected: HEADER + CHECK, actual: bytes.len() };
        let (body, check) = bytes.split_last_chunk::<CHECK>().ok_or(short.clone())?;
        let mut reader = Reader::new(body);
        if reader.take::<8>() != Some(MAGIC) {
            return Err(AdapterError::Magic);
        }
        let version = reader.u32().ok_or(short.clone())?;
        if version != VERSION {
            return Err(AdapterError::Version(version));
        }
        let mut number = || reader.u32().map(|number| number as usize).ok_or(short.clone());
        let (dims, units, steps) = (number()?, number()?, number()? as u32);
        let range = |name, most: usize, actual: usize| AdapterError::Range {
            name,
            expected: format!("at most {most}"),
            actual: actual.to_string(),
        };
        if dims > MAX_DIMS {
            return Err(range("dimensions", MAX_DIMS, dims));
        }
        if units > MAX_HIDDEN {
            return Err(range("hidden units", MAX_HIDDEN, units));
        }
        let shape = MapShape { inputs: dims, outputs: dims, units };
        let floats = shape.floats().and_then(|floats| floats.checked_mul(4));
        let expected = floats.and_then(|floats| floats.checked_add(HEADER + CHECK));
        if expected != Some(bytes.len()) {
            let expected = expected.unwrap_or(usize::MAX);
            return Err(AdapterError::Length { expected, actual: bytes.len() });
        }
        if check_of(body) != *check {
            return Err(AdapterError::Check);
        }
        let read = |reader: &mut Reader<'_>| {
            let code_weight = f32::from_le_bytes(reader.take()?);
            let shortlist = reader.u32()? as usize;
            let training_seed = reader.u64()?;
            let (queries, limit) = (reader.u32()?, reader.u32()?);
            let [rotation, learned, low] = reader.floats3()?;
            let high = f32::from_le_bytes(reader.take()?);
            let codes = CodeSpaceId::from_bytes(reader.take()?);
            let champion = Champion { queries, limit, rotation, learned, low, high };
            let map = read_map(reader, shape)?;
            Some(AdapterParts {
                dims,
                map,
                code_weight,
                shortlist,
                codes,
                training_seed,
                steps,
                champion,
            })
        };
        Self::new(read(&mut reader).ok_or(short)?)
    }
}

fn shape_of(parts: &AdapterParts) -> MapShape {
    let units = parts.map.hidden.as_ref().map_or(0, |hidden| hidden.bias.len());
    MapShape { inputs: parts.dims, outputs: parts.dims, units }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recurrent::HiddenLayer;

    fn parts() -> AdapterParts {
        AdapterParts {
            dims: 2,
            map: ResidualMap {
                delta: vec![0.0, 1.0, 0.0, 0.0],
                bias: vec![0.0, 0.5],
                hidden: Some(HiddenLayer {
                    into: vec![1.0, 0.0],
                    bias: vec![-0.5],
                    out: vec![0.0, 2.0],
                }),
            },
            code_weight: 0.25,
            shortlist: 100,
            codes: CodeSpaceId::from_bytes([7; 16]),
            training_seed: 9,
            steps: 30,
            champion: Champion {
                queries: 50,
                limit: 10,
                rotation: 0.3,
                learned: 0.4,
                low: 0.05,
                high: 0.15,
            },
        }
    }

    #[test]
    fn a_query_is_moved_by_both_layers_and_codes_weigh_what_they_should() {
        let adapter = Adapter::new(parts()).unwrap();
        // (0.6 + 0.8, 0.8 + 0.5 + 2 (0.6 - 0.5)) is (1.4, 1.5).
        let (length, adapted) = (1.4_f32.hypot(1.5), adapter.adapt(&[0.6, 0.8]));
        for (actual, expected) in adapted.iter().zip([1.4 / length, 1.5 / length]) {
            assert!((actual - expected).abs() < 1e-6, "{adapted:?}");
        }
        assert_eq!(adapter.score(0.5, 0.4), 0.6);
    }

    #[test]
    fn bytes_round_trip_and_every_truncation_and_flipped_bit_is_refused() {
        let adapter = Adapter::new(parts()).unwrap();
        let bytes = adapter.to_bytes();
        assert_eq!(Adapter::from_bytes(&bytes).unwrap(), adapter);
        for length in 0..bytes.len() {
            assert!(Adapter::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Adapter::from_bytes(&flipped).is_err(), "{bit}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let named = |parts: AdapterParts| Adapter::new(parts).unwrap_err().to_string();
        let error = named(AdapterParts { code_weight: f32::NAN, ..parts() });
        assert!(error.contains("weight of codes"), "{error}");
        let error = named(AdapterParts { shortlist: 0, ..parts() });
        assert!(error.contains("shortlist"), "{error}");
        let error = named(AdapterParts { dims: 3, ..parts() });
        assert!(error.contains("the adapter"), "{error}");
        // A header that announces more than there is reserves nothing.
        let mut bytes = Adapter::new(parts()).unwrap().to_bytes();
        bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Adapter::from_bytes(&bytes).unwrap_err().to_string().contains("dimensions"));
    }
}
