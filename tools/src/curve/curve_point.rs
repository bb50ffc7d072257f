//! What was measured at one setting, and what it was worth.

use serde::Serialize;

use super::{Measurement, Setting, Work};
use crate::plot::{PlotPoint, Series};
use crate::truth::Recall;

/// What was measured at one setting.
#[derive(Clone, Debug, Serialize)]
pub struct CurvePoint {
    /// What was set: `target` or `probes`.
    pub knob: &'static str,
    /// To what.
    pub value: Setting,
    /// The target recall, where that is what was set.
    pub target_recall: Option<f32>,
    /// The recall that came of it.
    #[serde(flatten)]
    pub recall: Recall,
    /// Queries a second on one thread.
    pub qps_1: f64,
    /// Queries a second on all threads, where that was measured.
    pub qps_all: Option<f64>,
    /// The latency half of the queries stayed within, in microseconds.
    pub p50_us: f64,
    /// The latency 99 of 100 queries stayed within, in microseconds.
    pub p99_us: f64,
    /// What a query did.
    #[serde(flatten)]
    pub work: Work,
}

impl CurvePoint {
    /// Puts together what was measured and what it was worth.
    #[must_use]
    pub fn new(measured: &Measurement, recall: Recall, qps_all: Option<f64>) -> Self {
        Self {
            knob: measured.setting.knob(),
            value: measured.setting,
            target_recall: measured.setting.target_recall(),
            recall,
            qps_1: measured.queries_per_second,
            qps_all,
            p50_us: measured.p50_us,
            p99_us: measured.p99_us,
            work: measured.work,
        }
    }
}

/// Returns the points of a curve as a picture has them; `speed` picks which speed, and leaves out
/// points where it was not measured.
#[must_use]
pub fn series(
    name: &str,
    points: &[CurvePoint],
    speed: impl Fn(&CurvePoint) -> Option<f64>,
) -> Series {
    let plotted = |point: &CurvePoint| {
        Some(PlotPoint {
            recall: point.recall.at_limit,
            queries_per_second: speed(point)?,
            label: point.value.to_string(),
        })
    };
    Series { name: name.to_owned(), points: points.iter().filter_map(plotted).collect() }
}
