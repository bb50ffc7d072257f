//! The rows of a batch in blocks.

use rayon::prelude::*;

use super::plan::Sharing;
use crate::nn::TILE_ROWS;

/// Rows of a block: a multiple of the kernel's tile. Enough that a panel of weights, once in the
/// first-level cache, is used for many rows; few enough that the activations between two
/// multiplications stay near.
const BLOCK_ROWS: usize = 32 * TILE_ROWS;

/// How the rows of a batch are divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowBlocks {
    sharing: Sharing,
    rows: usize,
    count: usize,
    tokens: usize,
}

impl RowBlocks {
    /// Divides `tokens` rows.
    pub(crate) fn new(tokens: usize, sharing: Sharing) -> Self {
        let rows = match sharing {
            Sharing::OneThread => BLOCK_ROWS,
            Sharing::Pool => {
                let share = tokens.div_ceil(rayon::current_num_threads());
                share.next_multiple_of(TILE_ROWS).clamp(TILE_ROWS, BLOCK_ROWS)
            }
        };
        Self { sharing, rows, count: tokens.div_ceil(rows), tokens }
    }

    /// How many blocks there are: as many scratches are needed.
    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// The same rows in one block, if one thread does them all.
    pub(crate) fn undivided(self) -> Self {
        match self.sharing {
            Sharing::OneThread => Self { rows: self.tokens.max(1), count: 1, ..self },
            Sharing::Pool => self,
        }
    }

    /// Calls `work(first row, rows of a, rows of b, scratch)` for each block; `a` and `b` come with
    /// their columns.
    pub(crate) fn for_each<S: Send>(
        self,
        (a, a_cols): (&mut [f32], usize),
        (b, b_cols): (&mut [f32], usize),
        scratch: &mut [S],
        work: impl Fn(usize, &mut [f32], &mut [f32], &mut S) + Sync,
    ) {
        let rows = self.rows;
        match self.sharing {
            Sharing::OneThread => {
                // One scratch for all: it stays in the cache.
                let Some(scratch) = scratch.first_mut() else { return };
                let blocks = a.chunks_mut(rows * a_cols).zip(b.chunks_mut(rows * b_cols));
                for (index, (a, b)) in blocks.enumerate() {
                    work(index * rows, a, b, scratch);
                }
            }
            Sharing::Pool => {
                a.par_chunks_mut(rows * a_cols)
                    .zip(b.par_chunks_mut(rows * b_cols))
                    .zip(scratch)
                    .enumerate()
                    .for_each(|(index, ((a, b), scratch))| work(index * rows, a, b, scratch));
            }
        }
    }
}
