//! The recurrent binarizer as it is trained: forward as `bigrain-binarize` has it, and backward.
//!
//! `sign` has no gradient worth the name. The straight-through estimator passes the gradient where
//! `|z| <= 1` and nothing elsewhere, which is the gradient of `clip(z, -1, 1)`: with
//! [`Activation::Clip`] the backward pass is exact, and that is how it is tested.

use bigrain_binarize::{Recurrent, RecurrentLoop, Rotation, rebuilt_length};
use bigrain_types::Levels;

use crate::map::{Map, MapGradient, Passed};
use crate::matrix::{As, Matrix};

/// What a level makes of its projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// 1 above zero, else -1.
    Sign,
    /// The number within -1..1.
    #[cfg_attr(not(test), expect(dead_code, reason = "checks the gradients that both share"))]
    Clip,
}

/// The maps `W, B_1, R_1, B_2, ..`.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub maps: Vec<Map>,
    pub levels: Levels,
    pub activation: Activation,
}

/// What the backward pass of queries needs of the forward pass.
#[derive(Debug)]
pub(crate) struct ProjectionPassed {
    passed: Passed,
    /// `W q`, of length one.
    pub projected: Matrix,
    lengths: Vec<f32>,
}

/// What the backward pass needs of the forward pass.
#[derive(Debug)]
pub(crate) struct NetworkPassed {
    first: (Passed, Matrix),
    loops: Vec<LoopPassed>,
    /// The codes of length one, and what their lengths were.
    pub codes: Matrix,
    lengths: Vec<f32>,
}

#[derive(Debug)]
struct LoopPassed {
    rebuild: Passed,
    rebuilt: Matrix,
    lengths: Vec<f32>,
    residual: Passed,
    projected: Matrix,
}

impl Network {
    /// Returns the network that gives the codes of a rotation's first `code_dims` dimensions.
    pub fn new(
        rotation: &Rotation,
        code_dims: usize,
        levels: Levels,
        units: usize,
        draw: &mut impl FnMut() -> f32,
    ) -> Self {
        let narrow = matrix_of(rotation, code_dims);
        let widen = transposed(&narrow);
        let mut maps = vec![Map::new(narrow.clone(), units, draw)];
        for _ in 1..levels.count() {
            maps.push(Map::new(widen.clone(), units, draw));
            maps.push(Map::new(narrow.clone(), units, draw));
        }
        Self { maps, levels, activation: Activation::Sign }
    }

    /// Goes on from a binarizer's weights, in place of the rotation.
    pub fn start_from(&mut self, parent: &Recurrent) {
        let (first, loops) = (&parent.parts().first, &parent.parts().loops);
        let loops = loops.iter().flat_map(|each| [&each.rebuild, &each.residual]);
        for (map, learned) in self.maps.iter_mut().zip(std::iter::once(first).chain(loops)) {
            map.learn(learned);
        }
    }

    /// Goes on from a network for the vectors of another encoder: `to_other` (`d' x d`) makes these of this one's, and
    /// `from_other` (`d x d'`) the other way round.
    pub fn start_across(&mut self, other: &Self, to_other: &Matrix, from_other: &Matrix) {
        for (at, (map, other)) in self.maps.iter_mut().zip(&other.maps).enumerate() {
            // The maps from a code to an embedding are the second, the fourth, ..
            let widens = at % 2 == 1;
            let linear = match widens {
                true => Matrix::product(from_other, As::Is, &other.linear, As::Is, 1.0),
                false => Matrix::product(&other.linear, As::Is, to_other, As::Is, 1.0),
            };
            map.linear = linear;
            if !widens {
                map.bias.clone_from(&other.bias);
            }
        }
    }

    /// Returns rows as queries are compared with codes: `W q`, of length one.
    pub fn project(&mut self, rows: &Matrix) -> ProjectionPassed {
        let Some(first) = self.maps.first_mut() else { unreachable!("a network has a first map") };
        let (mut projected, passed) = first.forward(rows.clone());
        let lengths = projected.normalize_rows();
        ProjectionPassed { passed, projected, lengths }
    }

    /// Adds the gradients of a projection; `projected` is the gradient of the rows of length one.
    pub fn project_backward(
        &self,
        passed: &ProjectionPassed,
        mut projected: Matrix,
        gradients: &mut [MapGradient],
    ) {
        projected.normalize_backward(&passed.projected, &passed.lengths);
        self.maps[0].backward(&passed.passed, &projected, &mut gradients[0]);
    }

    /// Returns the codes of rows as vectors of length one, and what the backward pass needs.
    pub fn forward(&mut self, rows: &Matrix) -> NetworkPassed {
        let Self { activation, levels, .. } = *self;
        let Some((first, loops)) = self.maps.split_first_mut() else {
            unreachable!("a network has a first map")
        };
        let (projected, passed) = first.forward(rows.clone());
        let mut code = Matrix::zeros(projected.rows, projected.cols);
        activation.add_to(&projected, 1.0, &mut code);
        let first = (passed, projected);
        let mut weight = 1.0;
        let mut passed = Vec::new();
        for (index, each) in loops.chunks_exact_mut(2).enumerate() {
            let (mut rebuilt, rebuild) = each[0].forward(code.clone());
            let lengths = rebuilt.normalize_rows();
            let mut left = rows.clone();
            left.add_scaled(&rebuilt, -rebuilt_length(levels, index));
            let (projected, residual) = each[1].forward(left);
            weight *= 0.5;
            activation.add_to(&projected, weight, &mut code);
            passed.push(LoopPassed { rebuild, rebuilt, lengths, residual, projected });
        }
        let lengths = code.normalize_rows();
        NetworkPassed { first, loops: passed, codes: code, lengths }
    }

    /// Adds the gradients of a pass; `codes` is the gradient of the codes of length one.
    pub fn backward(
        &self,
        passed: &NetworkPassed,
        mut codes: Matrix,
        gradients: &mut [MapGradient],
    ) {
        codes.normalize_backward(&passed.codes, &passed.lengths);
        let mut code = codes;
        let mut weight = 0.5_f32.powi(passed.loops.len() as i32);
        for (index, each) in passed.loops.iter().enumerate().rev() {
            let (rebuild, residual) = (1 + 2 * index, 2 + 2 * index);
            let projected = straight_through(&code, &each.projected, weight);
            let left =
                self.maps[residual].backward(&each.residual, &projected, &mut gradients[residual]);
            let mut rebuilt = Matrix::zeros(left.rows, left.cols);
            rebuilt.add_scaled(&left, -rebuilt_length(self.levels, index));
            rebuilt.normalize_backward(&each.rebuilt, &each.lengths);
            let before =
                self.maps[rebuild].backward(&each.rebuild, &rebuilt, &mut gradients[rebuild]);
            code.add_scaled(&before, 1.0);
            weight *= 2.0;
        }
        let projected = straight_through(&code, &passed.first.1, 1.0);
        self.maps[0].backward(&passed.first.0, &projected, &mut gradients[0]);
    }

    /// Returns what was learned of the first map and of each loop.
    pub fn export(&self) -> (bigrain_binarize::ResidualMap, Vec<RecurrentLoop>) {
        let loops = self.maps[1..].chunks_exact(2);
        let loops = loops
            .map(|each| RecurrentLoop { rebuild: each[0].export(), residual: each[1].export() });
        (self.maps[0].export(), loops.collect())
    }
}

impl Activation {
    fn add_to(self, projected: &Matrix, weight: f32, code: &mut Matrix) {
        for (b, &z) in code.values.iter_mut().zip(&projected.values) {
            *b += match self {
                Self::Sign if z > 0.0 => weight,
                Self::Sign => -weight,
                Self::Clip => weight * z.clamp(-1.0, 1.0),
            };
        }
    }
}

/// Returns `weight` times the gradient where the projection lies within -1..1, else 0.
fn straight_through(gradient: &Matrix, projected: &Matrix, weight: f32) -> Matrix {
    let pairs = gradient.values.iter().zip(&projected.values);
    let values = pairs.map(|(g, z)| if z.abs() <= 1.0 { weight * g } else { 0.0 }).collect();
    Matrix { values, ..*gradient }
}

/// Returns the first rows of a rotation as a matrix.
fn matrix_of(rotation: &Rotation, code_dims: usize) -> Matrix {
    let dims = rotation.dims();
    let mut matrix = Matrix::zeros(code_dims, dims);
    let mut rotated = vec![0.0; rotation.rotated_dims()];
    let mut axis = vec![0.0; dims];
    for col in 0..dims {
        axis[col] = 1.0;
        rotation.rotate(&axis, &mut rotated);
        axis[col] = 0.0;
        for (row, &value) in rotated.iter().enumerate().take(code_dims) {
            matrix.values[row * dims + col] = value;
        }
    }
    matrix
}

fn transposed(matrix: &Matrix) -> Matrix {
    let mut to = Matrix::zeros(matrix.cols, matrix.rows);
    for row in 0..matrix.rows {
        for col in 0..matrix.cols {
            to.values[col * matrix.rows + row] = matrix.values[row * matrix.cols + col];
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{check_gradient, random};

    #[test]
    fn gradients_of_every_map_at_every_level_are_those_of_finite_differences() {
        for (levels, units) in [(1, 0), (2, 0), (3, 0), (2, 6)] {
            let rotation = Rotation::new(10, 3).unwrap();
            let levels = Levels::new(levels).unwrap();
            let mut numbers = random(1, 9000, 8).values.into_iter().cycle();
            let mut draw = || numbers.next().unwrap();
            let mut network = Network::new(&rotation, 64, levels, units, &mut draw);
            network.activation = Activation::Clip;
            for map in &mut network.maps {
                for tensor in map.tensors_mut() {
                    tensor.iter_mut().for_each(|x| *x += 0.2 * draw());
                }
            }
            let (rows, weights) = (random(6, 10, 1), random(6, 64, 2));
            let (queries, query_weights) = (random(8, 10, 5), random(8, 64, 6));
            let loss = |network: &Network| -> f64 {
                let weighed = |rows: &Matrix, weights: &Matrix| -> f64 {
                    rows.values.iter().zip(&weights.values).map(|(y, w)| f64::from(y * w)).sum()
                };
                let projected = network.clone().project(&queries).projected;
                weighed(&network.clone().forward(&rows).codes, &weights)
                    + weighed(&projected, &query_weights)
            };
            let projected = network.project(&queries);
            let passed = network.forward(&rows);
            let mut gradients: Vec<MapGradient> =
                network.maps.iter().map(MapGradient::zeros).collect();
            network.backward(&passed, weights.clone(), &mut gradients);
            network.project_backward(&projected, query_weights.clone(), &mut gradients);
            for (map, gradient) in gradients.iter().enumerate() {
                for (tensor, stated) in gradient.0.iter().enumerate() {
                    let values = network.maps[map].tensors()[tensor].to_vec();
                    check_gradient(&values, stated, |values| {
                        let mut moved = network.clone();
                        values.clone_into(moved.maps[map].tensors_mut()[tensor]);
                        loss(&moved)
                    });
                }
            }
        }
    }
}
