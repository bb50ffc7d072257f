//! What a measurement came to.

use std::time::Duration;

use serde::Serialize;

use crate::curve::median;
use crate::human;

/// What one workload came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// `scan`, `batch`, `encode` or `assign`.
    pub workload: &'static str,
    /// Levels of the codes, where there are any.
    pub levels: Option<u8>,
    /// What is counted: codes, pairs of a query and a code, or rows.
    pub unit: &'static str,
    /// Bytes of codes and factors that are read for each, where that is what takes the time.
    pub bytes_each: Option<u64>,
    /// Multiplications and additions of whole numbers for each, where that is what takes the time.
    pub operations_each: Option<u64>,
    /// The CPU's passes.
    pub cpu: Rates,
    /// The device's passes.
    pub device: Option<Rates>,
    /// The median over the repeats of the device's rate divided by the CPU's.
    pub ratio: Option<f64>,
    /// The share of its memory's bandwidth that the device read with, where that is known.
    pub bandwidth_share: Option<f64>,
    /// The share of rows for which the CPU, which compares the centroids that codes promise, found the list that comparing all finds.
    pub cpu_finds_nearest: Option<f64>,
}

/// The passes of one side.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// What is counted, in each pass.
    pub count: u64,
    /// Of it a second, pass by pass.
    pub per_second: Vec<f64>,
    /// The median of that.
    pub median: f64,
}

impl Rates {
    pub(super) fn add(&mut self, count: u64, elapsed: Duration) {
        self.count = count;
        self.per_second.push(human::rate(count, elapsed));
        self.median = median(self.per_second.clone());
    }

    pub(super) fn ratio(&self, other: &Self) -> f64 {
        let ratios = self.per_second.iter().zip(&other.per_second).map(|(a, b)| a / b);
        median(ratios.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_medians_and_ratios_are_taken_within_repeats() {
        let rates = |times: [u64; 3]| {
            let mut rates = Rates::default();
            times.iter().for_each(|&time| rates.add(12, Duration::from_secs(time)));
            rates
        };
        let (device, cpu) = (rates([1, 2, 3]), rates([4, 12, 6]));
        assert_eq!((device.median, cpu.median, device.count), (6.0, 2.0, 12));
        assert_eq!(device.ratio(&cpu), 4.0);
    }
}
