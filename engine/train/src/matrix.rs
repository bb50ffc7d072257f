//! Matrices and the one product.

use bigrain_kernels::clear_upper_registers;
use faer::linalg::matmul::matmul;
use faer::linalg::solvers::Solve;
use faer::{Accum, MatMut, MatRef, Par, Side};

use crate::TrainError;

/// Rows of numbers, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Matrix {
    pub rows: usize,
    pub cols: usize,
    pub values: Vec<f32>,
}

/// Whether a factor of a product is taken as it lies or transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    Is,
    Transposed,
}

impl Matrix {
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { rows, cols, values: vec![0.0; rows * cols] }
    }

    /// Returns a matrix of some rows of `cols` numbers.
    pub fn of_rows<'a>(cols: usize, rows: impl Iterator<Item = &'a [f32]>) -> Self {
        let values: Vec<f32> = rows.flatten().copied().collect();
        Self { rows: values.len() / cols.max(1), cols, values }
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.cols..(row + 1) * self.cols]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.cols..(row + 1) * self.cols]
    }

    pub fn iter_rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.cols.max(1))
    }

    /// Returns the first `count` numbers of each row.
    pub fn first_columns(&self, count: usize) -> Self {
        let values = self.iter_rows().flat_map(|row| &row[..count]).copied().collect();
        Self { rows: self.rows, cols: count, values }
    }

    fn view(&self, side: As) -> MatRef<'_, f32> {
        let view = MatRef::from_row_major_slice(&self.values, self.rows, self.cols);
        if side == As::Transposed { view.transpose() } else { view }
    }

    /// Returns `factor * a b` on the current thread pool.
    pub fn product(a: &Self, a_as: As, b: &Self, b_as: As, factor: f32) -> Self {
        let (a_view, b_view) = (a.view(a_as), b.view(b_as));
        let mut product = Self::zeros(a_view.nrows(), b_view.ncols());
        let (rows, cols) = (product.rows, product.cols);
        let to = MatMut::from_row_major_slice_mut(&mut product.values, rows, cols);
        matmul(to, Accum::Replace, a_view, b_view, factor, Par::rayon(0));
        clear_upper_registers();
        product
    }

    /// Returns the map (`to.cols x from.cols`) whose products with rows of `from` come nearest to those of `to`: least
    /// squares, with a ridge of a thousandth of the mean square.
    pub fn least_squares(from: &Self, to: &Self) -> Result<Self, TrainError> {
        let mut square = Self::product(from, As::Transposed, from, As::Is, 1.0);
        let mixed = Self::product(from, As::Transposed, to, As::Is, 1.0);
        let size = square.rows;
        let ridge =
            1e-3 * (0..size).map(|at| square.values[at * size + at]).sum::<f32>() / size as f32;
        for at in 0..size {
            square.values[at * size + at] += ridge.max(f32::MIN_POSITIVE);
        }
        let factors = square.view(As::Is).llt(Side::Lower);
        let singular = || TrainError::Input("vectors leave a map between encoders open".to_owned());
        let solution = factors.map_err(|_| singular())?.solve(mixed.view(As::Is));
        let mut map = Self::zeros(to.cols, from.cols);
        for row in 0..map.rows {
            for col in 0..map.cols {
                map.values[row * map.cols + col] = solution[(col, row)];
            }
        }
        match map.values.iter().all(|value| value.is_finite()) {
            true => Ok(map),
            false => Err(singular()),
        }
    }

    /// Adds `factor * a b` to the matrix.
    pub fn add_product(&mut self, a: &Self, a_as: As, b: &Self, b_as: As) {
        let (rows, cols) = (self.rows, self.cols);
        let to = MatMut::from_row_major_slice_mut(&mut self.values, rows, cols);
        matmul(to, Accum::Add, a.view(a_as), b.view(b_as), 1.0, Par::rayon(0));
        clear_upper_registers();
    }

    /// Adds a row to each row.
    pub fn add_row(&mut self, row: &[f32]) {
        for values in self.values.chunks_exact_mut(self.cols) {
            values.iter_mut().zip(row).for_each(|(value, add)| *value += add);
        }
    }

    /// Adds the sum of all rows to `sums`.
    pub fn add_column_sums(&self, sums: &mut [f32]) {
        for row in self.iter_rows() {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Scales each row to length one; returns the lengths, for [`Matrix::normalize_backward`].
    pub fn normalize_rows(&mut self) -> Vec<f32> {
        let cols = self.cols;
        let normalize = |row: &mut [f32]| {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            row.iter_mut().for_each(|x| *x /= norm);
            norm
        };
        self.values.chunks_exact_mut(cols).map(normalize).collect()
    }

    /// Turns a gradient of normalised rows (`self`) into that of the rows before:
    /// `(g - y <y, g>) / ||x||` for `y = x / ||x||`.
    pub fn normalize_backward(&mut self, normalized: &Self, lengths: &[f32]) {
        let cols = self.cols;
        let rows = self.values.chunks_exact_mut(cols).zip(normalized.iter_rows());
        for ((gradient, row), length) in rows.zip(lengths) {
            let along: f32 = gradient.iter().zip(row).map(|(g, y)| g * y).sum();
            gradient.iter_mut().zip(row).for_each(|(g, y)| *g = (*g - along * y) / length);
        }
    }

    /// Adds `factor` times another matrix.
    pub fn add_scaled(&mut self, other: &Self, factor: f32) {
        self.values.iter_mut().zip(&other.values).for_each(|(x, y)| *x += factor * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::random;

    #[test]
    fn products_are_those_of_the_plain_sums() {
        let (a, b) = (random(5, 3, 1), random(4, 3, 2));
        let product = Matrix::product(&a, As::Is, &b, As::Transposed, 2.0);
        for row in 0..5 {
            for col in 0..4 {
                let sum: f32 = a.row(row).iter().zip(b.row(col)).map(|(x, y)| x * y).sum();
                assert!((product.row(row)[col] - 2.0 * sum).abs() < 1e-5);
            }
        }
        let transposed = Matrix::product(&b, As::Is, &a, As::Transposed, 2.0);
        let mut sum = Matrix::product(&product, As::Transposed, &product, As::Is, 0.0);
        sum.add_product(&product, As::Transposed, &product, As::Is);
        let same = Matrix::product(&transposed, As::Is, &product, As::Is, 1.0);
        assert!(sum.values.iter().zip(&same.values).all(|(x, y)| (x - y).abs() < 1e-4));
    }

    #[test]
    fn least_squares_find_the_map_that_made_the_rows() {
        let (from, map) = (random(200, 6, 1), random(4, 6, 2));
        let to = Matrix::product(&from, As::Is, &map, As::Transposed, 1.0);
        let found = Matrix::least_squares(&from, &to).unwrap();
        assert_eq!((found.rows, found.cols), (4, 6));
        for (found, value) in found.values.iter().zip(&map.values) {
            assert!((found - value).abs() < 0.02 * value.abs() + 0.005, "{found}, not {value}");
        }
        let nothing = Matrix::zeros(5, 3);
        assert!(
            Matrix::least_squares(&nothing, &nothing).unwrap().values.iter().all(|x| *x == 0.0)
        );
    }

    #[test]
    fn the_gradient_of_a_normalised_row_is_that_of_finite_differences() {
        let (x, weights) = (random(3, 6, 3), random(3, 6, 4));
        let loss = |x: &Matrix| {
            let mut y = x.clone();
            y.normalize_rows();
            y.values.iter().zip(&weights.values).map(|(y, w)| f64::from(y * w)).sum::<f64>()
        };
        let mut y = x.clone();
        let lengths = y.normalize_rows();
        let mut gradient = weights.clone();
        gradient.normalize_backward(&y, &lengths);
        crate::support::check_gradient(&x.values, &gradient.values, |values| {
            loss(&Matrix { values: values.to_vec(), ..x.clone() })
        });
    }
}
