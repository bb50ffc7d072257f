//! The recurrent binarizer of BEBR: its forward pass. Training it is `bigrain-train`'s.
//!
//! ```text
//!  b_0 = sign(W f)                                     f: an embedding of length one, d numbers
//!  f^  = c_i l2norm(B_i b_(i-1)) what the code so far says of f
//!  r_i = sign(R_i (f - f^))      what is left, always of the original f
//!  b_i = b_(i-1) + 2^-i r_i      for each level i = 1 .. B - 1
//! ```
//!
//! Level `i` of the code is plane `i`: `2^(B-1) b` are the odd integers that [`CodeLayout`] spells,
//! so codes, kernels and factors are those of the rotation.
//!
//! `W` and `R_i` map `d` to `m` numbers, `B_i` maps back. Each is a [`ResidualMap`]: the rotation
//! (its first `m` coordinates; for `B_i` its inverse) plus what was learned. With nothing learned plane
//! 0 is that of the rotation binarizer, bit for bit.
//!
//! `c_i` is not in the paper: [`rebuilt_length`]. A level halves the step whatever comes after it, so that with
//! more levels the first must be wider to reach the largest components, as a uniform quantiser's is.
//!
//! # Scores
//!
//! A code stands for `u / ||u||`, not for an embedding rescaled, and is never about a centre: lists
//! order rows, but a row's code is the same in each of them. A query is compared as `W q`, normalised
//! and rounded as any other. What the product says of the cosine was fitted on held-out vectors, as
//! was how far it strays (see [`Scoring`]); the bound of a random rotation does not hold here.

mod crossing;
mod error;
mod file;
mod map;
mod provenance;

use bigrain_kernels::dot;
use bigrain_types::{CodeSpaceId, Levels};

use crate::encode::length;
use crate::layout::CodeLayout;
use crate::rotation::Rotation;

pub use crossing::{Crossed, Crossing};
pub use error::RecurrentError;
pub use map::{HiddenLayer, MAX_HIDDEN, ResidualMap};
pub use provenance::{
    Champion, ErrorQuantile, Fit, MAX_QUANTILES, Parent, Provenance, Scoring, Translation,
};

pub(crate) use file::KIND_RECURRENT;

/// What a recurrent binarizer is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentParts {
    /// `d`, the components of embeddings.
    pub dims: usize,
    /// `m`, the dimensions of the code: a multiple of 64, at most `d` rounded up to one.
    pub code_dims: usize,
    /// The levels, one more than there are loops.
    pub levels: Levels,
    /// The seed of the rotation.
    pub seed: u64,
    /// What was learned of `W`.
    pub first: ResidualMap,
    /// What was learned of each level's `B_i` and `R_i`.
    pub loops: Vec<RecurrentLoop>,
    /// What scores mean.
    pub scoring: Scoring,
    /// Where it comes from, and how good it is.
    pub provenance: Provenance,
}

/// One level above the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecurrentLoop {
    /// `B_i`, from a code to the embedding it stands for.
    pub rebuild: ResidualMap,
    /// `R_i`, from what is left of the embedding to the level's signs.
    pub residual: ResidualMap,
}

/// A recurrent binarizer. Immutable.
#[derive(Clone, Debug)]
pub struct Recurrent {
    parts: RecurrentParts,
    rotation: Rotation,
    layout: CodeLayout,
    id: CodeSpaceId,
}

/// Memory that coding reuses from one vector to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecurrentScratch {
    code: Vec<f32>,
    level: Vec<f32>,
    left: Vec<f32>,
    wide: Vec<f32>,
    hidden: Vec<f32>,
}

impl Recurrent {
    /// Checks the parts and puts them together.
    ///
    /// # Errors
    ///
    /// [`RecurrentError`] for dimensions out of range, a map of another shape, or numbers that are not
    /// finite.
    pub fn new(parts: RecurrentParts) -> Result<Self, RecurrentError> {
        let rotation = Rotation::new(parts.dims, parts.seed)?;
        Self::with_rotation(parts, rotation)
    }

    pub(crate) fn with_rotation(
        parts: RecurrentParts,
        rotation: Rotation,
    ) -> Result<Self, RecurrentError> {
        let layout = CodeLayout::new(parts.code_dims, parts.levels)?;
        if parts.code_dims > rotation.rotated_dims() {
            let (code_dims, dims) = (parts.code_dims, parts.dims);
            return Err(RecurrentError::TooLong { code_dims, dims });
        }
        if parts.loops.len() + 1 != parts.levels.count() {
            let (levels, loops) = (parts.levels.get(), parts.loops.len());
            return Err(RecurrentError::Loops { levels, loops });
        }
        let (d, m) = (parts.dims, parts.code_dims);
        parts.first.check("W", d, m)?;
        for each in &parts.loops {
            each.rebuild.check("B", m, d)?;
            each.residual.check("R", d, m)?;
        }
        parts.scoring.check()?;
        parts.provenance.check(parts.dims)?;
        let id = file::code_space_id(&parts, &rotation);
        Ok(Self { parts, rotation, layout, id })
    }

    /// Returns what it is made of.
    #[must_use]
    pub fn parts(&self) -> &RecurrentParts {
        &self.parts
    }

    /// Returns the components of embeddings.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.parts.dims
    }

    /// Returns the shape of the codes.
    #[must_use]
    pub fn layout(&self) -> &CodeLayout {
        &self.layout
    }

    /// Returns the code space: a hash of all that decides a code.
    #[must_use]
    pub fn id(&self) -> CodeSpaceId {
        self.id
    }

    pub(crate) fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    /// Writes `W f`, of length one unless it is zero.
    ///
    /// # Panics
    ///
    /// When a slice has the wrong length: `vector` has `d` numbers and `projected` `m`.
    pub fn project(&self, vector: &[f32], projected: &mut [f32]) {
        let scratch = &mut RecurrentScratch::default();
        self.project_with(vector, projected, scratch);
    }

    pub(crate) fn project_with(
        &self,
        vector: &[f32],
        projected: &mut [f32],
        scratch: &mut RecurrentScratch,
    ) {
        let RecurrentScratch { wide, hidden, .. } = scratch;
        self.narrow(&self.parts.first, vector, projected, wide, hidden);
        let norm = length(projected);
        if norm > 0.0 {
            let inverse = (1.0 / norm) as f32;
            projected.iter_mut().for_each(|x| *x *= inverse);
        }
    }

    /// Writes the planes of a vector whose projection is known, and returns the length of its code as
    /// a vector of odd integers.
    pub(crate) fn code(
        &self,
        vector: &[f32],
        projected: &[f32],
        scratch: &mut RecurrentScratch,
        planes: &mut [u64],
    ) -> f32 {
        assert_eq!(planes.len(), self.layout.words(), "code has the wrong number of words");
        let words = self.layout.words_per_plane();
        let RecurrentScratch { code, level, left, wide, hidden } = scratch;
        let (d, m) = (self.parts.dims, self.parts.code_dims);
        code.clear();
        code.resize(m, 0.0);
        level.resize(m, 0.0);
        add_signs(projected, 1.0, code, &mut planes[..words]);
        let mut weight = 1.0;
        let planes = planes[words..].chunks_exact_mut(words);
        for (index, (each, plane)) in self.parts.loops.iter().zip(planes).enumerate() {
            left.resize(d, 0.0);
            self.widen(&each.rebuild, code, left, wide, hidden);
            let norm = length(left).max(f64::MIN_POSITIVE);
            let inverse = rebuilt_length(self.parts.levels, index) * (1.0 / norm) as f32;
            left.iter_mut().zip(vector).for_each(|(x, f)| *x = f - *x * inverse);
            self.narrow(&each.residual, left, level, wide, hidden);
            weight *= 0.5;
            add_signs(level, weight, code, plane);
        }
        dot(code, code).sqrt() / weight
    }

    /// From `d` to `m` numbers.
    fn narrow(
        &self,
        map: &ResidualMap,
        input: &[f32],
        output: &mut [f32],
        wide: &mut Vec<f32>,
        hidden: &mut Vec<f32>,
    ) {
        wide.resize(self.rotation.rotated_dims(), 0.0);
        self.rotation.rotate(input, wide);
        output.copy_from_slice(&wide[..self.parts.code_dims]);
        map.add_to(input, output, hidden);
    }

    /// From `m` to `d` numbers.
    fn widen(
        &self,
        map: &ResidualMap,
        input: &[f32],
        output: &mut [f32],
        wide: &mut Vec<f32>,
        hidden: &mut Vec<f32>,
    ) {
        wide.clear();
        wide.extend_from_slice(input);
        wide.resize(self.rotation.rotated_dims(), 0.0);
        self.rotation.rotate_back(wide, output);
        map.add_to(input, output, hidden);
    }
}

/// Returns the length that a loop's rebuilt embedding is brought to, loops counted from 0.
///
/// With nothing learned, the coordinates of a rotated embedding are nearly normal, and codes of `B` levels are those
/// of a uniform quantiser whose first level lies at `a / sqrt(d)`: for the least squared error `a` is
/// 0.996 (taken for 1), 1.172 and 1.341 at 2, 3 and 4 levels (Max, 1960). The length is `a` times the root mean square
/// of the code so far.
#[must_use]
pub fn rebuilt_length(levels: Levels, index: usize) -> f32 {
    let lengths: &[f32] = match levels.count() {
        0..=2 => &[1.0],
        3 => &[1.172, 1.003],
        _ => &[1.341, 1.047, 1.004],
    };
    lengths.get(index).copied().unwrap_or(1.0)
}

/// Adds `weight` times the signs of `values` to a code and writes them as a plane; zero is negative.
fn add_signs(values: &[f32], weight: f32, code: &mut [f32], plane: &mut [u64]) {
    plane.fill(0);
    for (dim, (&value, sum)) in values.iter().zip(code).enumerate() {
        let positive = value > 0.0;
        *sum += if positive { weight } else { -weight };
        plane[dim / 64] |= u64::from(positive) << (dim % 64);
    }
}

#[cfg(test)]
mod tests;
