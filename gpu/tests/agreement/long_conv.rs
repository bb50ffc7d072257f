//! Long convolutions agree with their definition in double precision, within the rounding of what they give to halves.

use bigrain_gpu::{GpuError, LongConvPlan, long_convolutions};
use half::f16;

use crate::support::{Numbers, devices};

/// Filters, signals and gates of some channels and texts.
struct Case {
    plan: LongConvPlan,
    texts: usize,
    filters: Vec<[f32; 2]>,
    signals: Vec<[f32; 2]>,
    gate: Vec<f32>,
}

impl Case {
    fn new(plan: LongConvPlan, channels: usize, texts: usize) -> Self {
        let mut numbers = Numbers(plan.size() as u64 + plan.length() as u64);
        // Results are about one in size.
        let scale = 1.5 / (plan.length() as f32).sqrt();
        let mut pairs = |count: usize, scale: f32| -> Vec<[f32; 2]> {
            (0..count)
                .map(|_| [numbers.float(), numbers.float()].map(|x| rounded(scale * x)))
                .collect()
        };
        let filters = pairs(channels * plan.size(), scale);
        let signals = pairs(channels * texts * plan.length(), 1.0);
        let gate = pairs(signals.len(), 1.0).into_iter().map(|[gate, _]| gate).collect();
        Self { plan, texts, filters, signals, gate }
    }

    /// The definition, for one token.
    fn expected(&self, at: usize) -> f64 {
        let (length, size) = (self.plan.length(), self.plan.size());
        let (signal, i) = (at / length, at % length);
        let filters = &self.filters[signal / self.texts * size..][..size];
        let mut sums = [0.0; 2];
        for (j, values) in self.signals[signal * length..][..length].iter().enumerate() {
            let filter = filters[(size + i - j) % size];
            for ((sum, value), weight) in sums.iter_mut().zip(values).zip(filter) {
                *sum += f64::from(*value) * f64::from(weight);
            }
        }
        sums[0] * f64::from(self.gate[at]) + sums[1]
    }

    /// Compares every `step`-th result on every device.
    fn check(&self, step: usize) {
        let expected: Vec<f64> =
            (0..self.gate.len()).step_by(step).map(|at| self.expected(at)).collect();
        for device in devices() {
            let found =
                long_convolutions(&*device, self.plan, &self.filters, &self.signals, &self.gate);
            let found = found.unwrap();
            assert_eq!(found.len(), self.gate.len());
            for (at, expected) in (0..).step_by(step).zip(&expected) {
                let error = (f64::from(found[at]) - expected).abs();
                let bound = expected.abs() / 2048.0 + 2e-5;
                let (device, plan) = (device.name(), self.plan);
                assert!(error <= bound, "{device}: {plan:?}: {at}: {error}, expected {expected}");
            }
        }
    }
}

/// What a half says of a number.
fn rounded(number: f32) -> f32 {
    f16::from_f32(number).to_f32()
}

#[test]
fn texts_in_one_block_equal_the_definition() {
    for length in [1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 64, 65, 100, 200, 257, 600, 1024] {
        let plan = LongConvPlan::new(length).unwrap();
        assert!(plan.is_in_block());
        Case::new(plan, 2, 3).check(1);
    }
    // What published models read.
    Case::new(LongConvPlan::new(2048).unwrap(), 2, 1).check(7);
}

#[test]
fn texts_in_three_passes_equal_the_definition() {
    for (length, rows) in [
        (1, 2),
        (3, 2),
        (16, 2),
        (40, 4),
        (40, 128),
        (64, 8),
        (64, 16),
        (100, 32),
        (100, 256),
        (500, 2),
        (512, 64),
        (700, 128),
        (1024, 256),
        (2048, 2),
    ] {
        Case::new(LongConvPlan::in_passes(length, rows).unwrap(), 2, 2).check(5);
    }
    let plan = LongConvPlan::new(2049).unwrap();
    assert!(!plan.is_in_block());
    Case::new(plan, 3, 2).check(11);
}

#[test]
fn the_longest_published_texts_equal_the_definition() {
    // More of them than go through the passes together, of more than one channel.
    Case::new(LongConvPlan::new(32_768).unwrap(), 5, 13).check(8_101);
}

#[test]
fn one_block_and_three_passes_give_the_same() {
    let block = Case::new(LongConvPlan::new(64).unwrap(), 2, 2);
    let passes = LongConvPlan::in_passes(64, 8).unwrap();
    for device in devices() {
        let run =
            |plan| long_convolutions(&*device, plan, &block.filters, &block.signals, &block.gate);
        let (block, passes) = (run(block.plan).unwrap(), run(passes).unwrap());
        for (x, y) in block.iter().zip(&passes) {
            assert!((x - y).abs() <= 2e-3 * x.abs().max(0.1), "{}: {x} {y}", device.name());
        }
    }
}

#[test]
fn what_is_not_whole_is_refused() {
    let plan = LongConvPlan::new(5).unwrap();
    let case = Case::new(plan, 2, 3);
    for device in devices() {
        let run = |filters: &[[f32; 2]], signals: &[[f32; 2]], gate: &[f32]| {
            let error = long_convolutions(&*device, plan, filters, signals, gate).unwrap_err();
            assert!(matches!(error, GpuError::Shape(_)), "{error}");
        };
        let Case { filters, signals, gate, .. } = &case;
        run(&filters[1..], signals, gate);
        run(filters, &signals[1..], gate);
        run(filters, signals, &gate[1..]);
        run(&[], signals, gate);
        run(filters, &[], &[]);
    }
}
