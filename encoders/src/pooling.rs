//! From one row a token to one vector a text.

use std::fmt;

/// How the rows of a text become its embedding. Special tokens count as any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The mean of all rows.
    Mean,
    /// The row of the first token.
    Cls,
    /// The largest of each value over all rows.
    Max,
    /// The row of the last token.
    Last,
    /// The mean of all rows, the first counted once, the second twice, and so on.
    WeightedMean,
    /// The sum of all rows over the square root of how many there are.
    MeanSqrtLen,
    /// The model's own layer on the row of the first token: in BERT a dense one with `tanh`.
    Pooler,
}

impl Pooling {
    /// Writes the pooled rows of one text to `out`; `rows` is `[tokens, dims]`, at least one token.
    ///
    /// [`Pooling::Pooler`] gives the first row, which is what its layer reads.
    pub(crate) fn pool(self, rows: &[f32], out: &mut [f32]) {
        let dims = out.len();
        let count = rows.len() / dims;
        out.copy_from_slice(&rows[..dims]);
        match self {
            Self::Cls | Self::Pooler => {}
            Self::Last => out.copy_from_slice(&rows[rows.len() - dims..]),
            Self::Max => fold(rows, out, |most, value, _| most.max(value)),
            Self::Mean => {
                fold(rows, out, |sum, value, _| sum + value);
                scale(out, 1.0 / count as f32);
            }
            Self::MeanSqrtLen => {
                fold(rows, out, |sum, value, _| sum + value);
                scale(out, 1.0 / (count as f32).sqrt());
            }
            Self::WeightedMean => {
                fold(rows, out, |sum, value, position| sum + value * position);
                scale(out, 2.0 / (count * (count + 1)) as f32);
            }
        }
    }
}

/// Joins each row from the second on into `out`; `join` is also told the row's number, from 1.
fn fold(rows: &[f32], out: &mut [f32], join: impl Fn(f32, f32, f32) -> f32) {
    for (index, row) in rows.chunks_exact(out.len()).enumerate().skip(1) {
        for (kept, &value) in out.iter_mut().zip(row) {
            *kept = join(*kept, value, (index + 1) as f32);
        }
    }
}

fn scale(out: &mut [f32], factor: f32) {
    for value in out {
        *value *= factor;
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Max => "max",
            Self::Last => "last",
            Self::WeightedMean => "weightedmean",
            Self::MeanSqrtLen => "mean_sqrt_len",
            Self::Pooler => "pooler",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pooling_counts_the_rows_it_says() {
        let rows = [1.0, 2.0, 3.0, 6.0, 5.0, -2.0, 4.0, 1.0];
        for (pooling, expected) in [
            (Pooling::Mean, [3.25, 1.75]),
            (Pooling::Cls, [1.0, 2.0]),
            (Pooling::Pooler, [1.0, 2.0]),
            (Pooling::Max, [5.0, 6.0]),
            (Pooling::Last, [4.0, 1.0]),
            (Pooling::WeightedMean, [3.8, 1.2]),
            (Pooling::MeanSqrtLen, [6.5, 3.5]),
        ] {
            let mut out = [f32::NAN; 2];
            pooling.pool(&rows, &mut out);
            assert_eq!(out, expected, "{pooling}");
        }
    }
}
