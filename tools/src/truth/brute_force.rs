//! The true neighbours, by comparing every query with every row.
//!
//! A block of rows at a time, a task for each tile of queries: one matrix product in f32 gives the
//! dot products of the tile with the block, and from them a *key* that orders rows as the metric
//! does. Rows whose key could be among the best, given what f32 may be off, are computed again in
//! f64, and only that decides: the result is exact to f64, ties in the order of rows.
//!
//! ```text
//!              block: 2048 rows, read in order
//!             ┌──────────────────────────────┐
//! tile: 128   │ keys in f32, a row a query   │ ─► above the k-th best less the margin?
//! queries     └──────────────────────────────┘    then its similarity in f64 ─► best k
//! ```
//!
//! Keys: the dot product; under cosine divided by the row's length; under L2 less half the row's
//! squared length, since `-|q-x|² = 2 (q·x - |x|²/2) - |q|²`.

use anyhow::Context;
use bigrain_engine::{Cancel, Metric};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::Neighbors;
use super::similarity::{dot, similarity};
use crate::input::InputError;
use crate::matrix::Matrix;
use crate::progress::Progress;

/// Rows compared at a time.
const BLOCK_ROWS: usize = 2048;
/// Queries of one task: its keys for a block, 1 MiB, stay in cache.
const TILE_QUERIES: usize = 128;
/// Keys looked at together; most groups have none that matters.
const GROUP: usize = 32;

/// Finds the true neighbours of queries.
#[derive(Clone, Copy, Debug)]
pub struct BruteForce<'a> {
    /// What "near" means.
    pub metric: Metric,
    /// What is looked for.
    pub queries: &'a Matrix,
    /// Neighbours wanted for each query; all rows, where there are fewer.
    pub width: usize,
    /// The threads that compare.
    pub threads: &'a ThreadPool,
    /// Raised to stop after the block in hand.
    pub cancel: &'a Cancel,
}

impl BruteForce<'_> {
    /// Compares every query with every row.
    ///
    /// # Errors
    ///
    /// When a row cannot be read, or the caller stops it.
    pub fn run(
        &self,
        rows: impl Iterator<Item = Result<Vec<f32>, InputError>>,
        progress: &mut Progress,
    ) -> anyhow::Result<Neighbors> {
        let mut tiles = self.tiles();
        let mut block = Block::new(self.metric, self.queries.dims());
        let mut read = 0_u64;
        for row in rows {
            block.push(&row?);
            if block.rows.len() == BLOCK_ROWS {
                self.compare(&mut tiles, &block)?;
                read += block.rows.len() as u64;
                progress.advance(block.rows.len() as u64, read);
                block = block.next();
            }
        }
        self.compare(&mut tiles, &block)?;
        read += block.rows.len() as u64;
        progress.advance(block.rows.len() as u64, read);
        let rows = usize::try_from(read).context("count the rows")?;
        let mut neighbors = Neighbors::empty(self.width.min(rows));
        for tile in &tiles {
            tile.best.iter().for_each(|best| neighbors.push(&best.ids()));
        }
        Ok(neighbors)
    }

    fn tiles(&self) -> Vec<Tile> {
        let tile = |start: usize| {
            let end = self.queries.len().min(start + TILE_QUERIES);
            let lengths = (start..end).map(|query| {
                let query = self.queries.row(query);
                dot(query, query).sqrt()
            });
            let best = vec![Best::new(self.width); end - start];
            Tile { start, lengths: lengths.collect(), best, keys: Vec::new() }
        };
        (0..self.queries.len()).step_by(TILE_QUERIES).map(tile).collect()
    }

    fn compare(&self, tiles: &mut [Tile], block: &Block) -> anyhow::Result<()> {
        self.cancel.check()?;
        if !block.rows.is_empty() {
            self.threads.install(|| tiles.par_iter_mut().for_each(|tile| self.score(tile, block)));
        }
        Ok(())
    }

    fn score(&self, tile: &mut Tile, block: &Block) {
        let (dims, rows, queries) = (block.rows.dims(), block.rows.len(), tile.best.len());
        let values = &self.queries.values()[tile.start * dims..(tile.start + queries) * dims];
        tile.keys.resize(queries * rows, 0.0);
        matmul(
            MatMut::from_row_major_slice_mut(&mut tile.keys, queries, rows),
            Accum::Replace,
            MatRef::from_row_major_slice(values, queries, dims),
            MatRef::from_row_major_slice(block.rows.values(), rows, dims).transpose(),
            1.0,
            Par::Seq,
        );
        for (index, keys) in tile.keys.chunks_exact_mut(rows).enumerate() {
            block.to_keys(keys);
            let vector = self.queries.row(tile.start + index);
            let query = Asked { vector, length: tile.lengths[index] };
            block.offer(&query, keys, &mut tile.best[index]);
        }
    }
}

/// Some queries and what was found for them.
struct Tile {
    /// The first query.
    start: usize,
    lengths: Vec<f64>,
    best: Vec<Best>,
    keys: Vec<f32>,
}

/// A query and its length.
struct Asked<'a> {
    vector: &'a [f32],
    length: f64,
}

/// Some rows in order, and what turns their dot products into keys.
struct Block {
    metric: Metric,
    /// The number of the first row.
    start: usize,
    rows: Matrix,
    scale: Vec<f32>,
    bias: Vec<f32>,
    longest: f64,
}

impl Block {
    fn new(metric: Metric, dims: usize) -> Self {
        let rows = Matrix::empty(dims);
        Self { metric, start: 0, rows, scale: Vec::new(), bias: Vec::new(), longest: 0.0 }
    }

    /// Empties the block for the rows that follow.
    fn next(mut self) -> Self {
        self.start += self.rows.len();
        self.rows.clear();
        self.scale.clear();
        self.bias.clear();
        self.longest = 0.0;
        self
    }

    fn push(&mut self, row: &[f32]) {
        let length = dot(row, row).sqrt();
        let (scale, bias) = match self.metric {
            // A row of zeros keeps its key of 0, as its cosine is.
            Metric::Cosine if length > 0.0 => (length.recip(), 0.0),
            Metric::Cosine | Metric::Dot => (1.0, 0.0),
            Metric::L2 | _ => (1.0, -length * length / 2.0),
        };
        self.rows.push(row);
        self.scale.push(scale as f32);
        self.bias.push(bias as f32);
        self.longest = self.longest.max(length);
    }

    /// Turns dot products into keys.
    fn to_keys(&self, products: &mut [f32]) {
        for ((key, &scale), &bias) in products.iter_mut().zip(&self.scale).zip(&self.bias) {
            *key = *key * scale + bias;
        }
    }

    /// Returns the least key in f32 that a row as similar as `similarity` may have.
    ///
    /// A sum of `d` products in f32 is off by at most `d 2⁻²⁴ |q||x|` or a little more, whatever
    /// the order; this allows twice that, and some units for scale, bias and rounding.
    fn least_key(&self, query: &Asked<'_>, similarity: f64) -> f32 {
        let unit = f64::from(f32::EPSILON);
        let terms = (self.rows.dims() + 16) as f64;
        let (key, margin) = match self.metric {
            Metric::Cosine => (similarity * query.length, terms * unit * query.length),
            Metric::Dot => (similarity, terms * unit * query.length * self.longest),
            Metric::L2 | _ => (
                (similarity + query.length * query.length) / 2.0,
                terms * unit * query.length * self.longest
                    + 4.0 * unit * (self.longest * self.longest + query.length * query.length),
            ),
        };
        // `max` also turns what is not a number into "any key".
        ((key - margin) as f32).max(f32::NEG_INFINITY)
    }

    /// Computes the similarity of every row whose key could be among the best.
    fn offer(&self, query: &Asked<'_>, keys: &[f32], best: &mut Best) {
        let mut least = self.least_key(query, best.bound());
        for (group, keys) in keys.chunks(GROUP).enumerate() {
            // Keys that are not numbers come of overflows in f32, and decide nothing.
            if !keys.iter().any(|&key| key >= least || key.is_nan()) {
                continue;
            }
            for (index, &key) in keys.iter().enumerate() {
                if key >= least || key.is_nan() {
                    let row = group * GROUP + index;
                    let similarity = similarity(self.metric, query.vector, self.rows.row(row));
                    if best.offer(similarity, (self.start + row) as u32) {
                        least = self.least_key(query, best.bound());
                    }
                }
            }
        }
    }
}

/// The best rows of one query so far, best first.
#[derive(Clone)]
struct Best {
    width: usize,
    rows: Vec<(f64, u32)>,
}

impl Best {
    fn new(width: usize) -> Self {
        Self { width, rows: Vec::with_capacity(width + 1) }
    }

    /// Returns the similarity that a further row must pass.
    fn bound(&self) -> f64 {
        match self.rows.last() {
            Some(&(similarity, _)) if self.rows.len() == self.width => similarity,
            Some(_) | None => f64::NEG_INFINITY,
        }
    }

    /// Takes a row in, if it is among the best; rows come in order, so that the first of equals
    /// stays.
    fn offer(&mut self, similarity: f64, row: u32) -> bool {
        if self.rows.len() == self.width && similarity <= self.bound() {
            return false;
        }
        let at = self.rows.partition_point(|&(other, _)| other >= similarity);
        self.rows.insert(at, (similarity, row));
        self.rows.truncate(self.width);
        true
    }

    fn ids(&self) -> Vec<u32> {
        self.rows.iter().map(|&(_, row)| row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, dims: usize, seed: u32, value: impl Fn(u32) -> f32) -> Matrix {
        let mut state = seed;
        let mut matrix = Matrix::empty(dims);
        for _ in 0..rows {
            let row: Vec<f32> = (0..dims)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    value(state >> 8)
                })
                .collect();
            matrix.push(&row);
        }
        matrix
    }

    /// Every similarity in f64, sorted.
    fn plainly(metric: Metric, queries: &Matrix, base: &Matrix, width: usize) -> Neighbors {
        let mut neighbors = Neighbors::empty(width.min(base.len()));
        for query in queries.rows() {
            let score = |(row, vector)| (similarity(metric, query, vector), row as u32);
            let mut all: Vec<(f64, u32)> = base.rows().enumerate().map(score).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            all.truncate(width);
            neighbors.push(&all.iter().map(|&(_, row)| row).collect::<Vec<_>>());
        }
        neighbors
    }

    fn found(metric: Metric, queries: &Matrix, base: &Matrix, width: usize) -> Neighbors {
        let threads = &rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let cancel = &Cancel::new();
        let search = BruteForce { metric, queries, width, threads, cancel };
        let rows = base.rows().map(|row| Ok(row.to_vec()));
        search.run(rows, &mut Progress::hidden("test", 0)).unwrap()
    }

    #[test]
    fn every_metric_agrees_with_comparing_plainly() {
        let signed = |bits: u32| bits as f32 / (1 << 23) as f32 - 1.0;
        let base = matrix(BLOCK_ROWS + 77, 9, 1, signed);
        let queries = matrix(TILE_QUERIES + 3, 9, 2, signed);
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let expected = plainly(metric, &queries, &base, 10);
            assert_eq!(found(metric, &queries, &base, 10), expected, "{metric}");
        }
    }

    #[test]
    fn rows_far_from_the_origin_are_told_apart() {
        // In f32 the products are off by more than what these rows differ in.
        let near = |bits: u32| 10_000.0 + (bits % 7) as f32;
        let base = matrix(700, 33, 3, near);
        let queries = matrix(5, 33, 4, near);
        for metric in [Metric::L2, Metric::Dot, Metric::Cosine] {
            assert_eq!(found(metric, &queries, &base, 7), plainly(metric, &queries, &base, 7));
        }
    }

    #[test]
    fn overflow_in_f32_decides_nothing() {
        let huge = |bits: u32| (bits % 5) as f32 * 1e20;
        let base = matrix(90, 3, 5, huge);
        let queries = matrix(2, 3, 6, huge);
        for metric in [Metric::L2, Metric::Dot] {
            assert_eq!(found(metric, &queries, &base, 4), plainly(metric, &queries, &base, 4));
        }
    }

    #[test]
    fn equal_rows_come_in_order_and_few_rows_are_all() {
        let base = matrix(5, 2, 1, |_| 1.0);
        let queries = matrix(1, 2, 1, |_| 2.0);
        assert_eq!(found(Metric::L2, &queries, &base, 3).of(0), [0, 1, 2]);
        assert_eq!(found(Metric::L2, &queries, &base, 9).of(0), [0, 1, 2, 3, 4]);
    }
}
