//! The optimiser: Adam (Kingma and Ba, 2015), algorithm 1.

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// The running means of each trained number's gradient.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Adam {
    pub first: Vec<Vec<f32>>,
    pub second: Vec<Vec<f32>>,
}

impl Adam {
    /// Returns means of zero for tensors of these lengths.
    pub fn new(lengths: impl Iterator<Item = usize>) -> Self {
        let first: Vec<Vec<f32>> = lengths.map(|length| vec![0.0; length]).collect();
        Self { second: first.clone(), first }
    }

    /// Moves one tensor against its gradient; `step` counts from 1.
    pub fn step(
        &mut self,
        tensor: usize,
        values: &mut [f32],
        gradient: &[f32],
        rate: f32,
        step: u32,
    ) {
        let correct_1 = 1.0 - BETA_1.powi(step as i32);
        let correct_2 = 1.0 - BETA_2.powi(step as i32);
        let means = self.first[tensor].iter_mut().zip(&mut self.second[tensor]);
        for ((value, g), (first, second)) in values.iter_mut().zip(gradient).zip(means) {
            *first = BETA_1 * *first + (1.0 - BETA_1) * g;
            *second = BETA_2 * *second + (1.0 - BETA_2) * g * g;
            *value -= rate * (*first / correct_1) / ((*second / correct_2).sqrt() + EPSILON);
        }
    }
}

/// Returns the rate of a step: it falls to a tenth along a half cosine.
pub(crate) fn falling(rate: f32, step: u32, steps: u32) -> f32 {
    let done = f64::from(step) / f64::from(steps);
    let fall = 0.1 + 0.9 * (0.5 + 0.5 * (std::f64::consts::PI * done).cos());
    rate * fall as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_has_the_length_of_the_rate_and_a_bowl_is_descended() {
        let mut adam = Adam::new([2].into_iter());
        let mut values = [3.0, -2.0];
        adam.step(0, &mut values, &[60.0, -0.4], 0.1, 1);
        assert!((values[0] - 2.9).abs() < 1e-5 && (values[1] + 1.9).abs() < 1e-5, "{values:?}");
        for step in 2..400 {
            let gradient = values.map(|value| 2.0 * value);
            adam.step(0, &mut values, &gradient, 0.05, step);
        }
        assert!(values.iter().all(|value| value.abs() < 0.05), "{values:?}");
    }
}
