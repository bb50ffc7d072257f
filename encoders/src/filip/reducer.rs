//! Fewer rows a matrix.

use bigrain_types::normalize;
use thiserror::Error;

use super::late_score::{best_rows, dot};
use crate::dual::TokenMatrix;

/// How a token matrix becomes a smaller one.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum TokenReducer {
    /// Not at all.
    #[default]
    None,
    /// The two rows (or groups of them) that are most alike become one, until at most this many are
    /// left. A row that stands for others is their mean, of length one.
    Merge {
        /// The most rows.
        rows: usize,
    },
    /// Only those rows stay that have the largest product with any row of `against`, as FILIP does
    /// it within a batch (section 3.2): patches that no text is about go. They keep their order.
    TopShare {
        /// The share that stays, above 0 to 1; the paper's is 0.25. At least one row stays.
        share: f32,
        /// What the rows are to be about: tokens of typical texts, or the prompts of all labels.
        against: TokenMatrix,
    },
}

/// A matrix that cannot be reduced as asked.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ReduceError {
    /// Merging to no rows.
    #[error("merging to 0 rows: expected at least 1")]
    NoRows,
    /// A share that is none.
    #[error("share out of range: expected above 0 to 1, got {0}")]
    Share(f32),
    /// Rows of another length than those they are compared with, or none to compare with.
    #[error("rows of {actual} values are compared with {rows} rows of {expected}")]
    Dims {
        /// Values of a row.
        actual: usize,
        /// Values of a row they are compared with.
        expected: usize,
        /// How many there are.
        rows: usize,
    },
}

impl TokenReducer {
    /// Returns the smaller matrix. Its rows no longer lie in a grid, unless all of them are left.
    ///
    /// # Errors
    ///
    /// [`ReduceError`] for a share or number of rows out of range, and for matrices of different widths.
    pub fn reduce(&self, matrix: &TokenMatrix) -> Result<TokenMatrix, ReduceError> {
        match self {
            Self::None => Ok(matrix.clone()),
            Self::Merge { rows: 0 } => Err(ReduceError::NoRows),
            Self::Merge { rows } if *rows >= matrix.rows() => Ok(matrix.clone()),
            Self::Merge { rows } => Ok(merge(matrix, *rows)),
            Self::TopShare { share, against } => top_share(matrix, *share, against),
        }
    }
}

fn top_share(
    matrix: &TokenMatrix,
    share: f32,
    against: &TokenMatrix,
) -> Result<TokenMatrix, ReduceError> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(ReduceError::Share(share));
    }
    let kept = ((matrix.rows() as f64 * f64::from(share)) as usize).max(1);
    if kept >= matrix.rows() {
        return Ok(matrix.clone());
    }
    let best = best_rows(matrix, against).ok_or(ReduceError::Dims {
        actual: matrix.dims(),
        expected: against.dims(),
        rows: against.rows(),
    })?;
    let mut order: Vec<usize> = (0..matrix.rows()).collect();
    order.sort_by(|&a, &b| best[b].1.total_cmp(&best[a].1).then(a.cmp(&b)));
    order.truncate(kept);
    order.sort_unstable();
    let rows = order.iter().filter_map(|&row| matrix.row(row)).flatten().copied().collect();
    Ok(TokenMatrix::from_rows(matrix.dims(), rows, None))
}

/// A row, or the sum of several.
struct Group {
    sum: Vec<f32>,
    /// The sum at length one.
    row: Vec<f32>,
    /// The group behind it that is most alike, and how much.
    nearest: Option<(usize, f32)>,
}

/// Merges the most alike groups until `rows` are left (agglomerative, by the cosine of means).
fn merge(matrix: &TokenMatrix, rows: usize) -> TokenMatrix {
    let group = |row: &[f32]| {
        let mut unit = row.to_vec();
        normalize(&mut unit);
        Group { sum: row.to_vec(), row: unit, nearest: None }
    };
    let mut groups: Vec<Option<Group>> = matrix.iter().map(|row| Some(group(row))).collect();
    for at in 0..groups.len() {
        find_nearest(&mut groups, at);
    }
    for _ in rows..matrix.rows() {
        let pairs = groups.iter().enumerate().filter_map(|(at, group)| {
            let (other, alike) = group.as_ref()?.nearest?;
            Some((at, other, alike))
        });
        let best = pairs.fold(None, |best: Option<(usize, usize, f32)>, next| match best {
            Some(best) if best.2 >= next.2 => Some(best),
            _ => Some(next),
        });
        let Some((at, other, _)) = best else { break };
        join(&mut groups, at, other);
    }
    let rows = groups.into_iter().flatten().flat_map(|group| group.row).collect();
    TokenMatrix::from_rows(matrix.dims(), rows, None)
}

/// Puts the group `other` into the group `at`, before it.
fn join(groups: &mut [Option<Group>], at: usize, other: usize) {
    let Some(gone) = groups[other].take() else { return };
    if let Some(group) = &mut groups[at] {
        for (sum, value) in group.sum.iter_mut().zip(&gone.sum) {
            *sum += value;
        }
        group.row.clone_from(&group.sum);
        normalize(&mut group.row);
    }
    for index in 0..groups.len() {
        let nearest = groups[index].as_ref().and_then(|group| group.nearest);
        let lost = nearest.is_some_and(|(near, _)| near == at || near == other);
        if index == at || lost {
            find_nearest(groups, index);
        } else if index < at {
            offer(groups, index, at);
        }
    }
}

/// Finds the group behind `at` that is most alike.
fn find_nearest(groups: &mut [Option<Group>], at: usize) {
    if let Some(group) = &mut groups[at] {
        group.nearest = None;
    }
    for other in at + 1..groups.len() {
        offer(groups, at, other);
    }
}

/// Makes `other` the nearest of `at`, if it is nearer than the one before.
fn offer(groups: &mut [Option<Group>], at: usize, other: usize) {
    let (Some(group), Some(candidate)) = (&groups[at], &groups[other]) else { return };
    let alike = dot(&group.row, &candidate.row);
    if group.nearest.is_none_or(|(_, best)| alike > best)
        && let Some(group) = &mut groups[at]
    {
        group.nearest = Some((other, alike));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wave(rows: usize, dims: usize, step: f32) -> TokenMatrix {
        let mut data: Vec<f32> = (0..rows * dims).map(|i| (i as f32 * step).sin()).collect();
        data.chunks_exact_mut(dims).for_each(normalize);
        TokenMatrix::new(dims, data).unwrap()
    }

    #[test]
    fn the_most_alike_rows_become_their_mean() {
        let matrix = TokenMatrix::new(2, vec![1.0, 0.0, 0.0, 1.0, 0.8, 0.6]).unwrap();
        let merged = TokenReducer::Merge { rows: 2 }.reduce(&matrix).unwrap();
        let length = (1.8f32 * 1.8 + 0.6 * 0.6).sqrt();
        let expected = [1.8 / length, 0.6 / length, 0.0, 1.0];
        for (x, y) in merged.as_slice().iter().zip(expected) {
            assert!((x - y).abs() < 1e-6, "{merged:?}");
        }
    }

    #[test]
    fn rows_that_nothing_is_about_go() {
        let matrix = wave(8, 4, 0.7);
        let chosen = [matrix.row(6).unwrap(), matrix.row(2).unwrap()].concat();
        let against = TokenMatrix::new(4, chosen).unwrap();
        let reduce = |share| TokenReducer::TopShare { share, against: against.clone() };
        let kept = reduce(0.25).reduce(&matrix).unwrap();
        assert_eq!(kept.as_slice(), [matrix.row(2).unwrap(), matrix.row(6).unwrap()].concat());
        assert_eq!(reduce(1.0).reduce(&matrix).unwrap(), matrix);
        assert_eq!(reduce(0.01).reduce(&matrix).unwrap().rows(), 1);
        assert_eq!(reduce(0.0).reduce(&matrix), Err(ReduceError::Share(0.0)));
        let error = reduce(0.5).reduce(&wave(8, 3, 0.7)).unwrap_err().to_string();
        assert_eq!(error, "rows of 3 values are compared with 2 rows of 4");
        assert_eq!(TokenReducer::Merge { rows: 0 }.reduce(&matrix), Err(ReduceError::NoRows));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_merge_joins_the_pair_that_is_most_alike(
            rows in 1usize..20, to in 1usize..20, step in 0.1f32..3.0,
        ) {
            let matrix = wave(rows, 5, step);
            let merged = TokenReducer::Merge { rows: to }.reduce(&matrix).unwrap();
            // The same by trying every pair each time.
            let mut sums: Vec<Vec<f32>> = matrix.iter().map(<[f32]>::to_vec).collect();
            let unit = |sum: &[f32]| { let mut row = sum.to_vec(); normalize(&mut row); row };
            while sums.len() > to {
                let mut best = (0, 1, f32::NEG_INFINITY);
                for a in 0..sums.len() {
                    for b in a + 1..sums.len() {
                        let alike = dot(&unit(&sums[a]), &unit(&sums[b]));
                        if alike > best.2 {
                            best = (a, b, alike);
                        }
                    }
                }
                let gone = sums.remove(best.1);
                sums[best.0].iter_mut().zip(gone).for_each(|(sum, value)| *sum += value);
            }
            prop_assert_eq!(merged.rows(), rows.min(to));
            if rows > to {
                let expected: Vec<f32> = sums.iter().flat_map(|sum| unit(sum)).collect();
                prop_assert_eq!(merged.as_slice(), &expected[..]);
            }
        }
    }
}
