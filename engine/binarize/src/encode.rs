//! An embedding becomes a code and its factors; a code becomes an embedding again, roughly.

use bigrain_kernels::{QuantizeSums, dot, quantize, signed_sum};
use bigrain_types::Metric;

use crate::binarizer::{Binarizer, Model};
use crate::factors::{Factors, round_to_half_precision};
use crate::recurrent::{Fit, Recurrent, RecurrentScratch};

/// Vectors shorter than this are treated as if every estimate for them were zero, with their length
/// as the error: their square would hardly be a normal `f32`.
pub(crate) const SHORTEST: f64 = 1e-18;

/// What rounding in `f32` may add to the error, relative to the vector's length.
const ROUNDING: f64 = 1.0 / (1 << 20) as f64;

/// Memory that encoding reuses from one vector to the next.
#[derive(Clone, Debug, Default)]
pub struct EncodeScratch {
    rotated: Vec<f32>,
    residual: Vec<f32>,
    changes: Vec<(f32, u32)>,
    recurrent: RecurrentScratch,
}

/// The factors of a code and of its signs alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CodeFactors {
    /// For scores of all levels.
    pub full: Factors,
    /// For scores of plane 0; the same as `full` at one level.
    pub sign: SignFactors,
}

/// The factors of the signs (plane 0) of a code; their error follows from `rescale`
/// (see [`QueryCode::sign_terms_about`](crate::QueryCode::sign_terms_about)).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SignFactors {
    /// As [`Factors::add`].
    pub add: f32,
    /// As [`Factors::rescale`].
    pub rescale: f32,
}

impl Binarizer {
    /// Encodes one embedding about the origin: writes its planes, level after level, and returns
    /// its factors.
    ///
    /// Under cosine the vector must have length one. The same vector gives the same code on any
    /// machine at one level, and on any machine with the same instruction set above.
    ///
    /// # Panics
    ///
    /// When `vector` does not have [`Binarizer::dims`] numbers or `planes` not
    /// [`CodeLayout::words`](crate::CodeLayout::words) words.
    pub fn encode(
        &self,
        vector: &[f32],
        scratch: &mut EncodeScratch,
        planes: &mut [u64],
    ) -> Factors {
        let mut rotated = std::mem::take(&mut scratch.rotated);
        rotated.resize(self.layout().dims(), 0.0);
        let factors = match self.model() {
            Model::Rotation(rotation) => {
                rotation.rotate(vector, &mut rotated);
                let residual = Residual::new(&rotated, None);
                self.encode_residual(&residual, &mut scratch.changes, planes)
            }
            Model::Recurrent(recurrent) => {
                recurrent.project_with(vector, &mut rotated, &mut scratch.recurrent);
                recurrent.encode(vector, &rotated, &mut scratch.recurrent, planes)
            }
        };
        scratch.rotated = rotated;
        factors.full
    }

    /// Encodes a vector of a list, as it is and rotated: the code is that of its difference to the
    /// list's centre, or of the vector itself where the binarizer was learned
    /// ([`QueryCode::terms_in_list`](crate::QueryCode::terms_in_list) is the query's side of it).
    ///
    /// # Panics
    ///
    /// As [`Binarizer::encode_about`]; `vector` has [`Binarizer::dims`] numbers.
    pub fn encode_in_list(
        &self,
        vector: &[f32],
        rotated: &[f32],
        centre: &[f32],
        scratch: &mut EncodeScratch,
        planes: &mut [u64],
    ) -> CodeFactors {
        match self.model() {
            Model::Rotation(_) => self.encode_about(rotated, centre, scratch, planes),
            Model::Recurrent(recurrent) => {
                recurrent.encode(vector, rotated, &mut scratch.recurrent, planes)
            }
        }
    }

    /// Encodes a rotated vector about a rotated centre: the code is that of their difference, at the
    /// nearest odd integers.
    ///
    /// # Panics
    ///
    /// When a slice has the wrong length: `rotated` and `centre` have
    /// [`CodeLayout::dims`](crate::CodeLayout::dims) numbers.
    pub fn encode_about(
        &self,
        rotated: &[f32],
        centre: &[f32],
        scratch: &mut EncodeScratch,
        planes: &mut [u64],
    ) -> CodeFactors {
        assert_eq!(rotated.len(), centre.len(), "vector and centre differ in length");
        let mut residual = std::mem::take(&mut scratch.residual);
        residual.clear();
        residual.extend(rotated.iter().zip(centre).map(|(x, c)| x - c));
        let about = Residual::new(&residual, Some(centre));
        let factors = self.encode_residual(&about, &mut scratch.changes, planes);
        scratch.residual = residual;
        factors
    }

    fn encode_residual(
        &self,
        residual: &Residual<'_>,
        changes: &mut Vec<(f32, u32)>,
        planes: &mut [u64],
    ) -> CodeFactors {
        let (levels, dims) = (self.layout().levels().count(), self.layout().dims());
        let Residual { values, norm, .. } = *residual;
        assert_eq!(values.len(), dims, "vector differs from the code's dimensions");
        assert_eq!(planes.len(), self.layout().words(), "code has the wrong number of words");
        let (full, sign) = if norm < SHORTEST {
            quantize(values, 1.0, levels, planes);
            let none = Deviation { rescale: 0.0, error: norm as f32 };
            (none, none)
        } else {
            let inverse_scale = self.scale_search().inverse_scale(values, norm, levels, changes);
            let sums = quantize(values, inverse_scale, levels, planes);
            let full = Deviation::of(norm, inverse_scale, sums, dims);
            let sign = if levels == 1 { full } else { Deviation::of_signs(norm, values) };
            (full, sign)
        };
        let full = self.factors(full, levels, residual, planes);
        let Factors { add, rescale, .. } = self.factors(sign, 1, residual, planes);
        CodeFactors { full, sign: SignFactors { add, rescale } }
    }

    /// Returns the factors of the first `levels` planes of a code; see the query's page for `add`.
    fn factors(
        &self,
        deviation: Deviation,
        levels: usize,
        residual: &Residual<'_>,
        planes: &[u64],
    ) -> Factors {
        let Deviation { rescale, error } = deviation;
        let Residual { values, norm, centre } = *residual;
        // <r, c> and R <u, c>
        let (towards, seen) = centre.map_or((0.0, 0.0), |centre| {
            (dot(values, centre), rescale * self.dot_of_levels(planes, levels, centre))
        });
        if self.metric() != Metric::L2 {
            return Factors { add: towards - seen, rescale, error };
        }
        // -||x - q||^2 = -||r||^2 - ||q - c||^2 + 2 <r, q - c>; the query adds its own square.
        let add = -squared(norm) - 2.0 * seen;
        Factors { add, rescale: 2.0 * rescale, error: 2.0 * error }
    }

    /// Returns the dot product of the odd integers that the first `levels` planes spell and `values`.
    fn dot_of_levels(&self, planes: &[u64], levels: usize, values: &[f32]) -> f32 {
        let words = self.layout().words_per_plane();
        let planes = planes.chunks_exact(words).take(levels);
        planes.fold(0.0, |sum, plane| 2.0 * sum + signed_sum(plane, values))
    }

    /// Encodes `rows` (n times [`Binarizer::dims`]): appends each level to its own array, one code
    /// after the other, and the factors to theirs.
    ///
    /// # Panics
    ///
    /// When `rows` is not a whole number of vectors or `planes` has another number of levels.
    pub fn encode_many(&self, rows: &[f32], planes: &mut [Vec<u64>], factors: &mut Vec<Factors>) {
        assert!(rows.len().is_multiple_of(self.dims()), "rows are not a whole number of vectors");
        assert_eq!(planes.len(), self.layout().levels().count(), "one array for each level");
        let mut scratch = EncodeScratch::default();
        let mut code = vec![0; self.layout().words()];
        for row in rows.chunks_exact(self.dims()) {
            factors.push(self.encode(row, &mut scratch, &mut code));
            for (to, level) in planes.iter_mut().zip(self.layout().levels_of(&code)) {
                to.extend_from_slice(level);
            }
        }
    }

    /// Returns the vector that a code stands for: its odd integers, rescaled and rotated back; nothing
    /// where the binarizer was learned, whose codes stand for no vector.
    ///
    /// Its dot product with the embedding it was made from is that embedding's squared length; it is
    /// longer than the embedding by `1 / rho`.
    ///
    /// # Panics
    ///
    /// When `code` has the wrong number of words.
    #[must_use]
    pub fn decode(&self, code: &[u64], factors: Factors) -> Option<Vec<f32>> {
        let Model::Rotation(rotation) = self.model() else { return None };
        let mut values = vec![0; self.layout().dims()];
        self.layout().unpack(code, &mut values);
        let doubled = self.metric() == Metric::L2;
        let rescale = if doubled { 0.5 * factors.rescale } else { factors.rescale };
        let mut rotated: Vec<f32> = values.iter().map(|&value| value as f32 * rescale).collect();
        let mut vector = vec![0.0; self.dims()];
        rotation.rotate_back(&mut rotated, &mut vector);
        Some(vector)
    }
}

impl Recurrent {
    /// Encodes a vector whose projection is known. Factors make of `<u, W q>` what
    /// [`Scoring`](crate::Scoring) fitted: the same for all codes, but for the length of `u`.
    fn encode(
        &self,
        vector: &[f32],
        projected: &[f32],
        scratch: &mut RecurrentScratch,
        planes: &mut [u64],
    ) -> CodeFactors {
        let norm = self.code(vector, projected, scratch, planes);
        let scoring = &self.parts().scoring;
        let sign_norm = (self.layout().dims() as f32).sqrt();
        let rescale = |fit: Fit, norm: f32| round_to_half_precision(fit.slope / norm);
        let Fit { intercept, error, .. } = scoring.full;
        let full = Factors { add: intercept, rescale: rescale(scoring.full, norm), error };
        let fit = if self.layout().levels().count() == 1 { scoring.full } else { scoring.sign };
        let sign = SignFactors { add: fit.intercept, rescale: rescale(fit, sign_norm) };
        CodeFactors { full, sign }
    }
}

/// What is encoded: a rotated vector, less its centre.
struct Residual<'a> {
    values: &'a [f32],
    norm: f64,
    /// Nothing is the origin.
    centre: Option<&'a [f32]>,
}

impl<'a> Residual<'a> {
    fn new(values: &'a [f32], centre: Option<&'a [f32]>) -> Self {
        Self { values, norm: length(values), centre }
    }
}

/// How an estimated dot product relates to the score, and how far it strays.
#[derive(Clone, Copy)]
struct Deviation {
    rescale: f32,
    error: f32,
}

impl Deviation {
    /// With `y = x' / t`: `rescale = ||x||^2 / (t <u, y>)` and `rho = <u, y> t / (||u|| ||x||)`.
    fn of(norm: f64, inverse_scale: f32, sums: QuantizeSums, dims: usize) -> Self {
        let dot = f64::from(sums.dot) / f64::from(inverse_scale);
        let rho_squared = dot * dot / (f64::from(sums.norm_squared) * norm * norm);
        let tangent = ((1.0 - rho_squared).max(0.0) / rho_squared).sqrt();
        let rescale = norm * norm / dot;
        let kept = round_to_half_precision(rescale as f32);
        let lost = (f64::from(kept) - rescale).abs() * f64::from(sums.norm_squared).sqrt();
        let error = norm * tangent / ((dims - 1) as f64).sqrt() + lost + norm * ROUNDING;
        Self { rescale: kept, error: error as f32 }
    }

    /// That of the sign code, without its error.
    fn of_signs(norm: f64, residual: &[f32]) -> Self {
        let dot: f32 = residual.iter().map(|x| x.abs()).sum();
        let rescale = norm * norm / f64::from(dot);
        Self { rescale: round_to_half_precision(rescale as f32), error: 0.0 }
    }
}

/// Returns the square of a length; 0 where that is no normal `f32`, and would be more rounding than square.
pub(crate) fn squared(length: f64) -> f32 {
    let squared = (length * length) as f32;
    if squared < f32::MIN_POSITIVE { 0.0 } else { squared }
}

/// Returns a vector's length, also where its square leaves the range of `f32`.
pub(crate) fn length(vector: &[f32]) -> f64 {
    let squared = dot(vector, vector);
    if (1e-25..1e37).contains(&squared) {
        return f64::from(squared).sqrt();
    }
    vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}
