//! Which setting to use for which recall.

use serde::Serialize;

use crate::curve::{CurvePoint, Setting};

/// The recalls people ask for.
const WANTED: [f64; 3] = [0.9, 0.95, 0.99];

/// The cheapest setting that was measured to reach a recall.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// The recall wanted.
    pub wanted: f64,
    /// What to set; nothing where no setting reached it.
    pub setting: Option<Setting>,
    /// The recall measured with it, or else the best there was.
    pub measured: f64,
    /// Queries a second with it, on one thread.
    pub qps_1: f64,
}

/// Finds the cheapest setting for each recall people ask for.
pub(super) fn advise(points: &[CurvePoint]) -> Vec<Advice> {
    WANTED.iter().filter_map(|&wanted| advise_for(points, wanted)).collect()
}

fn advise_for(points: &[CurvePoint], wanted: f64) -> Option<Advice> {
    let reached = |point: &&CurvePoint| point.recall.at_limit >= wanted;
    let cost = |point: &&CurvePoint| setting_size(point.value);
    // What asks for least is what costs least; times are noisy, settings are not.
    let cheapest = points.iter().filter(reached).min_by(|a, b| cost(a).total_cmp(&cost(b)));
    if let Some(point) = cheapest {
        return Some(Advice {
            wanted,
            setting: Some(point.value),
            measured: point.recall.at_limit,
            qps_1: point.qps_1,
        });
    }
    let recall = |point: &&CurvePoint| point.recall.at_limit;
    let best = points.iter().max_by(|a, b| recall(a).total_cmp(&recall(b)))?;
    Some(Advice { wanted, setting: None, measured: best.recall.at_limit, qps_1: best.qps_1 })
}

fn setting_size(setting: Setting) -> f64 {
    match setting {
        Setting::Target(target) => f64::from(target),
        Setting::Probes(probes) => probes as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Work;
    use crate::truth::Recall;

    fn point(target: f32, recall: f64) -> CurvePoint {
        CurvePoint {
            knob: "target",
            value: Setting::Target(target),
            target_recall: Some(target),
            recall: Recall { at_limit: recall, ..Recall::default() },
            qps_1: 100.0,
            qps_all: None,
            p50_us: 1.0,
            p99_us: 2.0,
            work: Work::default(),
        }
    }

    #[test]
    fn the_least_setting_that_reaches_a_recall_is_advised() {
        let points = [point(0.99, 0.97), point(0.8, 0.93), point(0.9, 0.96)];
        let advised = advise(&points);
        let settings: Vec<_> = advised.iter().map(|advice| advice.setting).collect();
        let target = |target| Some(Setting::Target(target));
        assert_eq!(settings, [target(0.8), target(0.9), None]);
        assert_eq!(advised[2].measured, 0.97);
        assert!(advise(&[]).is_empty());
    }
}
