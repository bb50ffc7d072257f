//! From one row a token to one vector a text.

use std::fmt;

/// How the rows of a text become its embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The mean of all rows, special tokens included.
    Mean,
    /// The row of the first token.
    Cls,
    /// `tanh` of a dense layer on the row of the first token: BERT's own pooler.
    Pooler,
}

impl Pooling {
    /// Writes the pooled rows of one text to `out`; `rows` is `[tokens, dims]`, at least one token.
    ///
    /// [`Pooling::Pooler`] gives the first row, which is what its dense layer reads.
    pub(crate) fn pool(self, rows: &[f32], out: &mut [f32]) {
        let dims = out.len();
        out.copy_from_slice(&rows[..dims]);
        if self != Self::Mean {
            return;
        }
        for row in rows.chunks_exact(dims).skip(1) {
            for (sum, value) in out.iter_mut().zip(row) {
                *sum += value;
            }
        }
        let scale = 1.0 / (rows.len() / dims) as f32;
        for sum in out {
            *sum *= scale;
        }
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Pooler => "pooler",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_counts_every_row_and_cls_only_the_first() {
        let rows = [1.0, 2.0, 3.0, 6.0, 5.0, 1.0];
        let mut out = [f32::NAN; 2];
        Pooling::Mean.pool(&rows, &mut out);
        assert_eq!(out, [3.0, 3.0]);
        Pooling::Cls.pool(&rows, &mut out);
        assert_eq!(out, [1.0, 2.0]);
    }
}
