//! What scores of learned codes mean: a line through held-out pairs, and how far they stray from it.
//!
//! The bound of a random rotation does not hold for learned codes, so errors are counted: documents
//! are taken as queries and compared with those that codes call nearest and with some others. `truth ~
//! intercept + slope * score` is the least squares line; what the truth lies above it by, for a share of
//! pairs, are the quantiles.

use std::collections::HashMap;
use std::sync::Arc;

use bigrain_binarize::{
    Binarizer, ErrorQuantile, Fit, Parent, QueryCode, QueryWidth, Recurrent, RecurrentParts,
    Scoring, Translation,
};
use bigrain_kernels::{dot, score_one};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

use crate::TrainError;
use crate::across::FormerVectors;
use crate::ranking::DocumentCodes;

/// Documents taken as queries.
const QUERIES: usize = 512;

/// Nearest documents of each, and as many others.
const PAIRS: usize = 64;

/// The shares whose quantiles are kept.
const SHARES: [f32; 8] = [0.5, 0.8, 0.9, 0.95, 0.97, 0.99, 0.995, 0.999];

/// The share that the usual number of deviations covers on one side.
const USUAL_SHARE: f32 = 0.97;
const USUAL_DEVIATIONS: f32 = 1.9;

/// A pair: the cosine, and the scores of all levels and of the signs.
type Pair = (f32, f32, f32);

/// Returns the binarizer with its scores fitted on some of `rows`, vectors of length one that it was not
/// trained on.
///
/// # Errors
///
/// [`TrainError::Input`] for too few rows, or scores that say nothing of the truth.
pub fn fit_scores(recurrent: &Recurrent, rows: &[f32], seed: u64) -> Result<Recurrent, TrainError> {
    let mut parts = recurrent.parts().clone();
    let binarizer = unfitted(recurrent)?;
    let drawn = Drawn::new(&binarizer, &binarizer, rows, rows, seed)?;
    let (scoring, quantiles) = fitted(&drawn.pairs(|query, row| drawn.cosine(query, row))?)?;
    parts.scoring = scoring;
    parts.provenance.quantiles = quantiles;
    Ok(Recurrent::new(parts)?)
}

/// Returns the binarizer with what the scores of its queries mean with codes of `parent`, which becomes its
/// parent: the version that it was [trained](crate::Trainer::compatible) to be compatible with. `rows`
/// are those of [`fit_scores`].
///
/// # Errors
///
/// As [`fit_scores`].
pub fn fit_crossing(
    recurrent: &Recurrent,
    parent: &Recurrent,
    rows: &[f32],
    seed: u64,
) -> Result<Recurrent, TrainError> {
    let mut parts = recurrent.parts().clone();
    let (asking, coding) = (unfitted(recurrent)?, unfitted(parent)?);
    let drawn = Drawn::new(&asking, &coding, rows, rows, seed)?;
    let (scoring, _) = fitted(&drawn.pairs(|query, row| drawn.cosine(query, row))?)?;
    parts.provenance.parent = Some(Parent { space: parent.id(), scoring, translation: None });
    Ok(Recurrent::new(parts)?)
}

/// As [`fit_crossing`], where the parent is of another encoder: the version that the binarizer was
/// [trained](crate::Trainer::across) to be compatible with. `map` is the trainer's
/// [translation](crate::Trainer::translation), `rows` are those of [`fit_scores`], and `former` the same documents
/// by the other encoder.
///
/// # Errors
///
/// As [`fit_scores`]; [`TrainError::Input`] for as many rows of one encoder as there are not of the other.
pub fn fit_across(
    recurrent: &Recurrent,
    parent: &Recurrent,
    map: &[f32],
    rows: &[f32],
    former: FormerVectors<'_>,
    seed: u64,
) -> Result<Recurrent, TrainError> {
    let mut parts = recurrent.parts().clone();
    let (asking, coding) = (unfitted(recurrent)?, unfitted(parent)?);
    let (count, theirs) = (rows.len() / parts.dims, former.documents.len() / former.dims.max(1));
    if count != theirs || former.dims != parent.dims() {
        let reason = format!(
            "{count} held-out rows, and {theirs} of {} components by the other encoder",
            former.dims
        );
        return Err(TrainError::Input(reason));
    }
    let fit = Fit { slope: 1.0, intercept: 0.0, error: 1.0 };
    let mut translation = Translation { dims: former.dims, map: map.to_vec(), fit };
    let drawn = Drawn::new(&asking, &coding, rows, former.documents, seed)?;
    let translate = |&(query, _): &(u32, Vec<u32>)| {
        let lost = || TrainError::Input("a translated query has no direction".to_owned());
        Ok((query, translation.translate(drawn.asked(query)).ok_or_else(lost)?))
    };
    let translated: HashMap<u32, Vec<f32>> =
        drawn.sets.iter().map(translate).collect::<Result<_, TrainError>>()?;
    let cosine = |query: u32, row: u32| dot(&translated[&query], drawn.stored(row));
    let own = |row: u32| &rows[row as usize * parts.dims..][..parts.dims];
    let truths: Vec<(f32, f32)> = drawn
        .sets
        .iter()
        .flat_map(|(query, others)| others.iter().map(move |&row| (*query, row)))
        .map(|(query, row)| (cosine(query, row), dot(own(query), own(row))))
        .collect();
    let (scoring, _) = fitted(&drawn.pairs(cosine)?)?;
    translation.fit = line(&truths)?.0;
    parts.provenance.parent =
        Some(Parent { space: parent.id(), scoring, translation: Some(translation) });
    Ok(Recurrent::new(parts)?)
}

/// Returns a binarizer whose scores are the cosine of code and query.
fn unfitted(recurrent: &Recurrent) -> Result<Binarizer, TrainError> {
    let parts = RecurrentParts { scoring: Scoring::default(), ..recurrent.parts().clone() };
    Ok(Binarizer::new_recurrent(Arc::new(Recurrent::new(parts)?)))
}

/// Some of the rows as queries of one binarizer, each with others as codes of another: those that codes call
/// nearest, and as many drawn from all.
struct Drawn<'a> {
    asking: &'a Binarizer,
    coding: &'a Binarizer,
    /// The rows as the binarizer that asks takes them, and as the other one does.
    asked: &'a [f32],
    stored: &'a [f32],
    sets: Vec<(u32, Vec<u32>)>,
}

impl<'a> Drawn<'a> {
    fn new(
        asking: &'a Binarizer,
        coding: &'a Binarizer,
        asked: &'a [f32],
        stored: &'a [f32],
        seed: u64,
    ) -> Result<Self, TrainError> {
        let mut drawn = Self { asking, coding, asked, stored, sets: Vec::new() };
        let count = stored.len() / coding.dims();
        if count < 2 * PAIRS {
            let few = format!("fitting scores takes {} held-out rows, got {count}", 2 * PAIRS);
            return Err(TrainError::Input(few));
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut pick = || (random.next_u64() % count as u64) as u32;
        let chosen: Vec<u32> = (0..QUERIES.min(count)).map(|_| pick()).collect();
        let others: Vec<Vec<u32>> =
            chosen.iter().map(|_| (0..PAIRS).map(|_| pick()).collect()).collect();
        let queries: Vec<f32> = chosen.iter().flat_map(|&at| drawn.asked(at)).copied().collect();
        let codes = DocumentCodes::new(coding, stored).asked_by(asking);
        let nearest = codes.nearest(&queries, &chosen, PAIRS)?;
        let sets = chosen.iter().zip(nearest).zip(others).map(|((&query, nearest), others)| {
            let rows = nearest.into_iter().chain(others).filter(|&at| at != query);
            (query, rows.collect())
        });
        drawn.sets = sets.collect();
        Ok(drawn)
    }

    fn asked(&self, at: u32) -> &'a [f32] {
        let dims = self.asking.dims();
        &self.asked[at as usize * dims..(at as usize + 1) * dims]
    }

    fn stored(&self, at: u32) -> &'a [f32] {
        let dims = self.coding.dims();
        &self.stored[at as usize * dims..(at as usize + 1) * dims]
    }

    /// Returns the cosine of a query and a row, where both are of one encoder.
    fn cosine(&self, query: u32, row: u32) -> f32 {
        dot(self.asked(query), self.stored(row))
    }

    /// Returns what codes say of each pair, beside the truth.
    fn pairs(&self, truth: impl Fn(u32, u32) -> f32 + Sync) -> Result<Vec<Pair>, TrainError> {
        let sets = self.sets.par_iter().map(|(query, rows)| {
            let code = self.asking.prepare_query(self.asked(*query), QueryWidth::DEFAULT)?;
            let pair = |&row: &u32| {
                let (full, sign) = scores(self.coding, &code, self.stored(row));
                (truth(*query, row), full, sign)
            };
            Ok(rows.iter().map(pair).collect())
        });
        Ok(sets.collect::<Result<Vec<Vec<Pair>>, TrainError>>()?.concat())
    }
}

/// Returns what all levels of a row's code say of a query, and what the signs say.
fn scores(binarizer: &Binarizer, query: &QueryCode, row: &[f32]) -> (f32, f32) {
    let layout = *binarizer.layout();
    let mut code = vec![0; layout.words()];
    let factors = binarizer.encode(row, &mut Default::default(), &mut code);
    let planes: Vec<&[u64]> = layout.levels_of(&code).collect();
    let full = query.estimate(score_one(&planes, query.planes()), factors).similarity;
    let scale = query.terms().scale / (layout.dims() as f32).sqrt();
    let sign = score_one(&planes[..1], query.planes()) as f32 * scale;
    (full, sign)
}

/// Returns what scores mean, and the quantiles of their errors.
fn fitted(pairs: &[Pair]) -> Result<(Scoring, Vec<ErrorQuantile>), TrainError> {
    let full: Vec<(f32, f32)> = pairs.iter().map(|&(truth, full, _)| (full, truth)).collect();
    let sign: Vec<(f32, f32)> = pairs.iter().map(|&(truth, _, sign)| (sign, truth)).collect();
    let ((full_fit, full), (sign_fit, sign)) = (line(&full)?, line(&sign)?);
    let quantile = |share| ErrorQuantile { share, full: at(&full, share), sign: at(&sign, share) };
    Ok((Scoring { full: full_fit, sign: sign_fit }, SHARES.map(quantile).to_vec()))
}

/// Returns the least squares line, and how far truths lie above it, rising.
fn line(points: &[(f32, f32)]) -> Result<(Fit, Vec<f32>), TrainError> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f32, f32)) -> f32| -> f64 {
        points.iter().map(|point| f64::from(of(point))).sum::<f64>() / count
    };
    let (x_mean, y_mean) = (mean(|p| p.0), mean(|p| p.1));
    let (mut square, mut product) = (0.0, 0.0);
    for &(x, y) in points {
        let (x, y) = (f64::from(x) - x_mean, f64::from(y) - y_mean);
        square += x * x;
        product += x * y;
    }
    let slope = product / square;
    if !slope.is_normal() || slope <= 0.0 {
        let reason = "scores of the codes say nothing of the similarity of embeddings";
        return Err(TrainError::Input(reason.to_owned()));
    }
    let intercept = y_mean - slope * x_mean;
    let above = |&(x, y): &(f32, f32)| (f64::from(y) - intercept - slope * f64::from(x)) as f32;
    let mut errors: Vec<f32> = points.iter().map(above).collect();
    errors.sort_by(f32::total_cmp);
    let error = (at(&errors, USUAL_SHARE) / USUAL_DEVIATIONS).max(1e-6);
    Ok((Fit { slope: slope as f32, intercept: intercept as f32, error }, errors))
}

/// Returns the quantile of rising numbers.
fn at(rising: &[f32], share: f32) -> f32 {
    let place = (share * (rising.len().max(1) - 1) as f32).round() as usize;
    rising.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bigrain_types::Levels;

    use super::*;
    use crate::support::random;

    #[test]
    fn the_line_goes_through_points_on_a_line_and_errors_are_what_lies_above() {
        let on = |x: f32| (x, 0.25 + 0.5 * x);
        let mut points: Vec<(f32, f32)> = (0..100).map(|i| on(i as f32 / 100.0)).collect();
        let (fit, errors) = line(&points).unwrap();
        assert!((fit.slope - 0.5).abs() < 1e-5 && (fit.intercept - 0.25).abs() < 1e-5, "{fit:?}");
        assert!(errors.iter().all(|error| error.abs() < 1e-5));
        points.iter_mut().for_each(|point| point.1 = -point.1);
        assert!(line(&points).is_err());
    }

    #[test]
    fn of_what_was_not_learned_bounds_hold_for_nearly_all_pairs() {
        let mut rows = random(600, 64, 1);
        rows.normalize_rows();
        let parts = RecurrentParts {
            dims: 64,
            code_dims: 64,
            levels: Levels::TWO,
            seed: 3,
            first: Default::default(),
            loops: vec![Default::default()],
            scoring: Scoring::default(),
            provenance: Default::default(),
        };
        let fitted = fit_scores(&Recurrent::new(parts).unwrap(), &rows.values, 1).unwrap();
        let Scoring { full, sign } = fitted.parts().scoring;
        assert!((0.5..1.5).contains(&full.slope) && full.error < sign.error, "{full:?} {sign:?}");
        let binarizer = Binarizer::new_recurrent(Arc::new(fitted));
        let mut inside = 0;
        for at in 0..300 {
            let code = binarizer.prepare_query(rows.row(at), QueryWidth::DEFAULT).unwrap();
            let mut planes = vec![0; binarizer.layout().words()];
            let factors =
                binarizer.encode(rows.row(at + 300), &mut Default::default(), &mut planes);
            let planes: Vec<&[u64]> = binarizer.layout().levels_of(&planes).collect();
            let estimate = code.estimate(score_one(&planes, code.planes()), factors);
            inside += usize::from(dot(rows.row(at), rows.row(at + 300)) <= estimate.upper());
        }
        assert!(inside >= 280, "{inside} of 300 truths lie below their bound");
    }
}
