//! Dropping what is near the middle of what is common (Sorscher et al., arXiv 2206.14486, section 5): a
//! picture near the centre of its group is like many others, one far from it is not.

use bigrain_engine::{NearestPrototype, Prototypes};
use bigrain_kernels::dot;
use rayon::prelude::*;

use crate::matrix::Matrix;
use crate::shuffle::shuffled;

/// Where prototypes and samples begin: the same collection is pruned the same way every time.
const SEED: u64 = 0x7072_756e;

/// Which end is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PruneEnd {
    /// What is near its prototype: much is like it.
    Near,
    /// What is far from all prototypes: little is like it, which may be noise.
    Far,
}

/// What is kept of some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned {
    /// Each row's prototype.
    pub nearest: Vec<NearestPrototype>,
    /// Whether each row is kept.
    pub kept: Vec<bool>,
}

/// Returns what is kept of `rows`: at least one, and else the share `keep`. Distances are to the nearest
/// of `count` prototypes, which are trained on the rows.
///
/// # Errors
///
/// When the rows give no prototypes.
pub fn prune(rows: &Matrix, count: usize, keep: f64, drop: PruneEnd) -> anyhow::Result<Pruned> {
    let prototypes = Prototypes::train(rows.values(), rows.dims(), count, SEED)?;
    let nearest = prototypes.nearest(rows.values())?;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| {
        let by_distance = nearest[a].distance.total_cmp(&nearest[b].distance);
        if drop == PruneEnd::Near { by_distance.reverse() } else { by_distance }.then(a.cmp(&b))
    });
    let mut kept = vec![false; rows.len()];
    order.iter().take(kept_rows(rows.len(), keep)).for_each(|&row| kept[row] = true);
    Ok(Pruned { nearest, kept })
}

/// How many of `rows` are kept.
#[must_use]
pub fn kept_rows(rows: usize, keep: f64) -> usize {
    ((rows as f64 * keep).round() as usize).clamp(1.min(rows), rows)
}

/// Returns as many rows at random as are kept.
#[must_use]
pub fn kept_at_random(rows: usize, keep: f64) -> Vec<bool> {
    let mut kept = vec![false; rows];
    shuffled(rows, SEED).iter().take(kept_rows(rows, keep)).for_each(|&row| kept[row] = true);
    kept
}

/// Divides rows into those to prune and at most `most` that are held out, a fifth of them: the rows of both.
#[must_use]
pub fn hold_out(rows: usize, most: usize) -> (Vec<usize>, Vec<usize>) {
    let mut order = shuffled(rows, SEED.wrapping_add(1));
    let held_out = order.split_off(rows - (rows / 5).min(most));
    (order, held_out)
}

/// Returns the mean over `queries` of the best dot product with any of `rows` that is kept.
#[must_use]
pub fn coverage(queries: &Matrix, rows: &Matrix, kept: &[bool]) -> f64 {
    let best = |query: &[f32]| {
        let kept = (0..rows.len()).filter(|&row| kept[row]);
        let score = |row| dot(query, rows.row(row));
        kept.map(score).fold(f32::NEG_INFINITY, f32::max)
    };
    let sum: f64 = (0..queries.len())
        .into_par_iter()
        .map(|query| best(queries.row(query)))
        .collect::<Vec<f32>>()
        .into_iter()
        .map(f64::from)
        .sum();
    sum / queries.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty rows that are much alike, and two that are like no other.
    fn rows() -> Matrix {
        let mut rows = Matrix::empty(16);
        for at in 0..22 {
            let mut row = vec![0.0; 16];
            row[0] = 1.0;
            row[1 + at % 10] = 0.01 * at as f32;
            if at >= 20 {
                row[15] = 3.0;
            }
            rows.push(&row);
        }
        rows
    }

    #[test]
    fn what_is_like_no_other_is_kept_or_dropped_as_is_asked() {
        let rows = rows();
        let kept = |keep, drop| prune(&rows, 1, keep, drop).unwrap().kept;
        let near = kept(0.1, PruneEnd::Near);
        assert_eq!(near.iter().filter(|kept| **kept).count(), 2);
        assert!(near[20] && near[21]);
        let far = kept(0.9, PruneEnd::Far);
        assert!(!far[20] && !far[21] && far[..20].iter().all(|kept| *kept));
        assert!(kept(1.0, PruneEnd::Near).iter().all(|kept| *kept));
        assert_eq!(kept(0.0, PruneEnd::Near).iter().filter(|kept| **kept).count(), 1);
    }

    #[test]
    fn held_out_rows_are_not_pruned_and_coverage_is_that_of_the_kept() {
        let (pruned, held_out) = hold_out(22, 100);
        assert_eq!((pruned.len(), held_out.len()), (18, 4));
        assert!(held_out.iter().all(|row| !pruned.contains(row)));
        let mut rows = Matrix::empty(2);
        [[1.0, 0.0], [0.0, 1.0]].iter().for_each(|row| rows.push(row));
        let mut query = Matrix::empty(2);
        query.push(&[0.6, 0.8]);
        assert!((coverage(&query, &rows, &[true, false]) - 0.6).abs() < 1e-6);
        assert!((coverage(&query, &rows, &[true, true]) - 0.8).abs() < 1e-6);
        assert_eq!(kept_at_random(22, 0.5).iter().filter(|kept| **kept).count(), 11);
    }
}
