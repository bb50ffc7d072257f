//! A recurrent binarizer as bytes; the first 32 are laid out as those of a rotation.
//!
//! ```text
//!  byte   0        8         12       13       14       15   16       24
//!         | magic  | version | kind 2 | metric | levels | 0  | d: u64 | rotation's seed: u64 |
//!  32     | m: u32 | units: u32 | steps: u32 | quantiles: u32 | training seed: u64 | parent: 16 B |
//!  72     | slope, intercept, error: f32 each, of all levels, then of the signs   |
//!  96     | queries: u32 | limit: u32 | rotation, learned, low, high: f32 each    |
//!  120    | slope, intercept, error: as above, with codes of the parent; in versions 2 and 3 |
//!         | d': u32 | slope, intercept, error: of translated queries | map: d' x d f32; only in version 3 |
//!         | share, full, sign: f32 each, for each quantile |
//!         | signs of the rotation: u64 each |
//!         | W | B_1 | R_1 | B_2 | ..            f32 each; absent tensors are zeros
//!         | check: 16 B of the BLAKE3 hash of all before |
//!
//!  A binarizer with a parent has version 2, with one of another encoder version 3, any other version 1.
//!
//!  a map: | delta: outputs x inputs | bias: outputs | into: units x inputs | bias: units | out: outputs x units |
//! ```

use bigrain_types::{CodeSpaceId, Levels, MAX_DIMS, Metric};

use super::{
    Champion, ErrorQuantile, Fit, MAX_HIDDEN, MAX_QUANTILES, Parent, Provenance, Recurrent,
    RecurrentError, RecurrentLoop, RecurrentParts, ResidualMap, Scoring, Translation,
};
use crate::binarizer::metric_code;
use crate::file::{BinarizerFileError, CHECK, MAGIC, VERSION, check_of};
use crate::rotation::{Rotation, sign_words};
use crate::tensors::{MapShape, Reader, push_floats, push_map, push_tensor, read_map};

/// The byte that stands for a recurrent binarizer in hashes and files.
pub(crate) const KIND_RECURRENT: u8 = 2;

const HEADER: usize = 120;

impl Recurrent {
    /// Returns the bytes of the picture above.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let RecurrentParts { dims, code_dims, levels, seed, .. } = *self.parts();
        let RecurrentParts { scoring, provenance, .. } = self.parts();
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        let version = match &provenance.parent {
            Some(Parent { translation: Some(_), .. }) => WITH_TRANSLATION,
            Some(_) => WITH_PARENT,
            None => VERSION,
        };
        bytes.extend_from_slice(&version.to_le_bytes());
        let metric = metric_code(Metric::Cosine).unwrap_or_default();
        bytes.extend_from_slice(&[KIND_RECURRENT, metric, levels.get(), 0]);
        bytes.extend_from_slice(&(dims as u64).to_le_bytes());
        bytes.extend_from_slice(&seed.to_le_bytes());
        let units = units_of(self.parts()) as u32;
        let quantiles = provenance.quantiles.len() as u32;
        for number in [code_dims as u32, units, provenance.steps, quantiles] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&provenance.training_seed.to_le_bytes());
        let parent = provenance.parent.as_ref();
        let parent = parent.map_or(NO_PARENT, |parent| *parent.space.as_bytes());
        bytes.extend_from_slice(&parent);
        push_scoring(&mut bytes, scoring);
        let Champion { queries, limit, rotation, learned, low, high } = provenance.champion;
        bytes.extend_from_slice(&queries.to_le_bytes());
        bytes.extend_from_slice(&limit.to_le_bytes());
        push_floats(&mut bytes, &[rotation, learned, low, high]);
        if let Some(parent) = &provenance.parent {
            push_scoring(&mut bytes, &parent.scoring);
            if let Some(Translation { dims, map, fit }) = &parent.translation {
                bytes.extend_from_slice(&(*dims as u32).to_le_bytes());
                push_fit(&mut bytes, fit);
                push_floats(&mut bytes, map);
            }
        }
        for ErrorQuantile { share, full, sign } in &provenance.quantiles {
            push_floats(&mut bytes, &[*share, *full, *sign]);
        }
        for word in self.rotation().signs() {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let units = units as usize;
        for (map, inputs, outputs) in maps(self.parts()) {
            push_map(&mut bytes, map, MapShape { inputs, outputs, units });
        }
        let check = check_of(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// Reads what [`Recurrent::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// [`BinarizerFileError`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BinarizerFileError> {
        let least = HEADER + CHECK;
        let too_short = BinarizerFileError::Length { expected: least, actual: bytes.len() };
        let (body, check) = bytes.split_last_chunk::<CHECK>().ok_or(too_short.clone())?;
        let mut reader = Reader::new(body);
        if reader.take::<8>() != Some(MAGIC) {
            return Err(BinarizerFileError::Magic);
        }
        let shape = Shape::read(&mut reader, body, &too_short)?;
        let expected = shape.file_bytes();
        if expected != Some(bytes.len()) {
            let expected = expected.unwrap_or(usize::MAX);
            return Err(BinarizerFileError::Length { expected, actual: bytes.len() });
        }
        if check_of(body) != *check {
            return Err(BinarizerFileError::Check);
        }
        let (parts, rotation) = shape.parts(&mut reader).ok_or(too_short)?;
        Ok(Self::with_rotation(parts, rotation?)?)
    }
}

/// The hash of all that decides a code.
pub(super) fn code_space_id(parts: &RecurrentParts, rotation: &Rotation) -> CodeSpaceId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"bigrain code space 1");
    hasher.update(&[KIND_RECURRENT, parts.levels.get()]);
    hasher.update(&(parts.dims as u64).to_le_bytes());
    hasher.update(&(parts.code_dims as u64).to_le_bytes());
    for word in rotation.signs() {
        hasher.update(&word.to_le_bytes());
    }
    let units = units_of(parts);
    hasher.update(&(units as u64).to_le_bytes());
    let mut bytes = Vec::new();
    for (map, inputs, outputs) in maps(parts) {
        push_tensor(&mut bytes, &map.delta, inputs * outputs);
        push_tensor(&mut bytes, &map.bias, outputs);
        if let Some(hidden) = &map.hidden {
            push_floats(&mut bytes, &hidden.into);
            push_floats(&mut bytes, &hidden.bias);
            push_floats(&mut bytes, &hidden.out);
        }
        hasher.update(&bytes);
        bytes.clear();
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    CodeSpaceId::from_bytes(id)
}

/// The version of files with a parent.
const WITH_PARENT: u32 = 2;

/// The version of files with a parent of another encoder.
const WITH_TRANSLATION: u32 = 3;

/// Where `d'` lies in a file of that version.
const TRANSLATED_DIMS: usize = HEADER + SCORING;

/// The bytes of what scores mean.
const SCORING: usize = 24;

/// Stands for no code space.
const NO_PARENT: [u8; 16] = [0; 16];

/// Returns the units of the largest hidden layer; 0 for linear maps.
fn units_of(parts: &RecurrentParts) -> usize {
    let units = |(map, ..): (&ResidualMap, usize, usize)| {
        map.hidden.as_ref().map_or(0, |hidden| hidden.bias.len())
    };
    maps(parts).map(units).max().unwrap_or(0)
}

/// Returns the maps in their order, with their inputs and outputs.
fn maps(parts: &RecurrentParts) -> impl Iterator<Item = (&ResidualMap, usize, usize)> {
    let (d, m) = (parts.dims, parts.code_dims);
    let loops = parts.loops.iter();
    let loops = loops.flat_map(move |each| [(&each.rebuild, m, d), (&each.residual, d, m)]);
    std::iter::once((&parts.first, d, m)).chain(loops)
}

/// What the header says of the sizes.
struct Shape {
    dims: usize,
    code_dims: usize,
    levels: Levels,
    seed: u64,
    units: usize,
    steps: u32,
    quantiles: usize,
    has_parent: bool,
    /// The components of the other encoder's embeddings, where the parent is of another one.
    translated: Option<usize>,
}

impl Shape {
    fn read(
        reader: &mut Reader<'_>,
        body: &[u8],
        too_short: &BinarizerFileError,
    ) -> Result<Self, BinarizerFileError> {
        let short = || too_short.clone();
        let version = reader.u32().ok_or_else(short)?;
        if ![VERSION, WITH_PARENT, WITH_TRANSLATION].contains(&version) {
            let newest = WITH_TRANSLATION;
            return Err(BinarizerFileError::NewerVersion { version, newest });
        }
        let has_parent = version != VERSION;
        let unknown = |field, value: u64| BinarizerFileError::Unknown { field, value };
        let [kind, metric, levels, zero] = reader.take::<4>().ok_or_else(short)?;
        if kind != KIND_RECURRENT {
            return Err(unknown("kind", kind.into()));
        }
        if metric_code(Metric::Cosine) != Ok(metric) {
            return Err(unknown("metric", metric.into()));
        }
        if zero != 0 {
            return Err(unknown("scale search", zero.into()));
        }
        let levels = Levels::new(levels)?;
        let within = |field, value: u64, least: usize, most: usize| {
            let fits = usize::try_from(value).ok().filter(|v| (least..=most).contains(v));
            fits.ok_or(unknown(field, value))
        };
        let dims = reader.u64().ok_or_else(short)?;
        let dims = within("number of dimensions", dims, 1, MAX_DIMS)?;
        let seed = reader.u64().ok_or_else(short)?;
        let mut number = || reader.u32().map(u64::from).ok_or_else(short);
        let (code_dims, units) = (number()?, number()?);
        let (steps, quantiles) = (number()? as u32, number()?);
        let code_dims = within("number of code dimensions", code_dims, 64, MAX_DIMS)?;
        let units = within("number of hidden units", units, 0, MAX_HIDDEN)?;
        let quantiles = within("number of quantiles", quantiles, 0, MAX_QUANTILES)?;
        let translated = (version == WITH_TRANSLATION).then(|| {
            let at = body.get(TRANSLATED_DIMS..).ok_or_else(short)?;
            let dims = Reader::new(at).u32().ok_or_else(short)?;
            within("number of the parent's dimensions", dims.into(), 1, MAX_DIMS)
        });
        let translated = translated.transpose()?;
        Ok(Self { dims, code_dims, levels, seed, units, steps, quantiles, has_parent, translated })
    }

    /// Returns how long a file of this shape is; nothing where that is beyond memory.
    fn file_bytes(&self) -> Option<usize> {
        let (d, m, units) = (self.dims, self.code_dims, self.units);
        let map = |inputs, outputs| MapShape { inputs, outputs, units }.floats();
        let each = map(m, d)?.checked_add(map(d, m)?)?;
        let floats = each.checked_mul(self.levels.count() - 1)?.checked_add(map(d, m)?)?;
        let parent = if self.has_parent { SCORING } else { 0 };
        let translation = match self.translated {
            Some(dims) => dims.checked_mul(d)?.checked_add(4)?.checked_mul(4)?,
            None => 0,
        };
        let parent = translation.checked_add(parent)?;
        let rest = HEADER + parent + 12 * self.quantiles + 8 * sign_words(d) + CHECK;
        floats.checked_mul(4)?.checked_add(rest)
    }

    fn parts(
        &self,
        reader: &mut Reader<'_>,
    ) -> Option<(RecurrentParts, Result<Rotation, RecurrentError>)> {
        let training_seed = reader.u64()?;
        let space = CodeSpaceId::from_bytes(reader.take()?);
        let scoring = read_scoring(reader)?;
        let (queries, limit) = (reader.u32()?, reader.u32()?);
        let [rotation, learned, low] = reader.floats3()?;
        let high = f32::from_le_bytes(reader.take()?);
        let champion = Champion { queries, limit, rotation, learned, low, high };
        let parent = match self.has_parent {
            true => {
                let scoring = read_scoring(reader)?;
                let translation = match self.translated {
                    Some(dims) => Some(read_translation(reader, dims, self.dims)?),
                    None => None,
                };
                Some(Parent { space, scoring, translation })
            }
            false => None,
        };
        let mut quantiles = Vec::with_capacity(self.quantiles);
        for _ in 0..self.quantiles {
            let [share, full, sign] = reader.floats3()?;
            quantiles.push(ErrorQuantile { share, full, sign });
        }
        let mut signs = Vec::with_capacity(sign_words(self.dims));
        for _ in 0..sign_words(self.dims) {
            signs.push(reader.u64()?);
        }
        let (d, m) = (self.dims, self.code_dims);
        let units = self.units;
        let widen = MapShape { inputs: m, outputs: d, units };
        let narrow = MapShape { inputs: d, outputs: m, units };
        let first = read_map(reader, narrow)?;
        let mut loops = Vec::new();
        for _ in 1..self.levels.count() {
            let (rebuild, residual) = (read_map(reader, widen)?, read_map(reader, narrow)?);
            loops.push(RecurrentLoop { rebuild, residual });
        }
        let provenance =
            Provenance { parent, training_seed, steps: self.steps, quantiles, champion };
        let (levels, seed) = (self.levels, self.seed);
        let parts = RecurrentParts {
            dims: d,
            code_dims: m,
            levels,
            seed,
            first,
            loops,
            scoring,
            provenance,
        };
        Some((parts, Rotation::from_signs(d, signs).map_err(RecurrentError::from)))
    }
}

fn push_scoring(bytes: &mut Vec<u8>, scoring: &Scoring) {
    push_fit(bytes, &scoring.full);
    push_fit(bytes, &scoring.sign);
}

fn push_fit(bytes: &mut Vec<u8>, &Fit { slope, intercept, error }: &Fit) {
    push_floats(bytes, &[slope, intercept, error]);
}

fn read_scoring(reader: &mut Reader<'_>) -> Option<Scoring> {
    Some(Scoring { full: read_fit(reader)?, sign: read_fit(reader)? })
}

fn read_fit(reader: &mut Reader<'_>) -> Option<Fit> {
    let [slope, intercept, error] = reader.floats3()?;
    Some(Fit { slope, intercept, error })
}

/// Reads what joins two encoders; the number of the other one's dimensions comes first once more.
fn read_translation(reader: &mut Reader<'_>, dims: usize, inputs: usize) -> Option<Translation> {
    reader.u32()?;
    let fit = read_fit(reader)?;
    Some(Translation { dims, map: reader.floats(dims * inputs)?, fit })
}
