//! From a target recall to how hard to look, measured when the segment was built.
//!
//! Two things lose neighbours: lists that are not probed, and bounds that are too narrow for a code
//! that happens to be far off. Both are measured on rows of the segment taken as queries: the share
//! of true neighbours in the nearest `p` lists for a rising `p`, and the share found in a scan with
//! bounds of `epsilon` deviations. Of the pairs whose product reaches a target, the one that costs
//! least is kept.

use bigrain_types::DEFAULT_TARGET_RECALL;

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// The recall that was measured.
    pub recall: f32,
    /// Of how many results.
    pub limit: u32,
    /// Lists to probe.
    pub probes: u32,
    /// Deviations that bounds cover.
    pub epsilon: f32,
}

impl Effort {
    /// The size in a file.
    pub const BYTES: usize = 16;

    /// Returns the effort of a segment that was never calibrated: every list, usual bounds.
    #[must_use]
    pub fn uncalibrated(lists: u32) -> Self {
        Self { recall: DEFAULT_TARGET_RECALL, limit: 10, probes: lists, epsilon: 1.9 }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.recall.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.limit.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.probes.to_le_bytes());
        bytes[12..].copy_from_slice(&self.epsilon.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let word = |at: usize| [0, 1, 2, 3].map(|i| bytes[at + i]);
        Self {
            recall: f32::from_le_bytes(word(0)),
            limit: u32::from_le_bytes(word(4)),
            probes: u32::from_le_bytes(word(8)),
            epsilon: f32::from_le_bytes(word(12)),
        }
    }
}

/// The efforts of rising recall, for one or more limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// By limit, then by recall.
    entries: Vec<Effort>,
}

impl Calibration {
    /// Takes efforts in any order.
    ///
    /// # Errors
    ///
    /// What is wrong with one, in words.
    pub fn new(mut entries: Vec<Effort>) -> Result<Self, String> {
        for Effort { recall, limit, probes, epsilon } in &entries {
            let sound = (0.0..=1.0).contains(recall) && (0.0..100.0).contains(epsilon);
            if !sound || *limit == 0 || *probes == 0 {
                return Err(format!(
                    "calibration of recall {recall}: limit {limit}, {probes} probes, epsilon {epsilon}"
                ));
            }
        }
        entries.sort_by(|a, b| a.limit.cmp(&b.limit).then(a.recall.total_cmp(&b.recall)));
        Ok(Self { entries })
    }

    /// Returns all efforts, by limit and then by recall.
    #[must_use]
    pub fn entries(&self) -> &[Effort] {
        &self.entries
    }

    /// Returns the efforts for a target recall in a segment of `lists` lists. A target above all that was
    /// reached gets every list.
    #[must_use]
    pub fn at(&self, target: f32, lists: u32) -> TargetEfforts {
        let of_limit = |entries: &[Effort]| {
            let reached = entries.iter().find(|entry| entry.recall >= target).copied();
            let all = |best: &Effort| {
                let epsilon = best.epsilon.max(WIDEST);
                Effort { probes: lists, epsilon, ..*best }
            };
            reached.or_else(|| entries.last().map(all))
        };
        let by_limit = self.entries.chunk_by(|a, b| a.limit == b.limit);
        TargetEfforts { efforts: by_limit.filter_map(of_limit).collect(), lists }
    }

    /// Returns the effort for a target recall of `limit` results in a segment of `lists` lists.
    #[must_use]
    pub fn effort(&self, target: f32, limit: usize, lists: u32) -> Effort {
        self.at(target, lists).effort(limit)
    }
}

/// The efforts for one target recall.
#[derive(Clone, Debug)]
pub struct TargetEfforts {
    /// One for each limit that was measured, by limit.
    efforts: Vec<Effort>,
    /// Lists of the segment.
    lists: u32,
}

impl TargetEfforts {
    /// Returns the effort for `limit` results. Between two limits that were measured, probes grow with a
    /// power of the limit; past the largest with its root.
    #[must_use]
    pub fn effort(&self, limit: usize) -> Effort {
        let below = self.efforts.iter().rfind(|effort| effort.limit as usize <= limit);
        let above = self.efforts.iter().find(|effort| effort.limit as usize >= limit);
        match (below, above) {
            (None, None) => Effort::uncalibrated(self.lists),
            (None, Some(only)) => *only,
            (Some(only), None) => {
                let growth = (limit as f32 / only.limit as f32).sqrt();
                let probes = (only.probes as f32 * growth).ceil() as u32;
                Effort { probes: probes.min(self.lists), ..*only }
            }
            (Some(low), Some(high)) if low.limit == high.limit => *low,
            (Some(low), Some(high)) => between(*low, *high, limit),
        }
    }
}

/// Bounds for a target that no calibration reached.
const WIDEST: f32 = 3.3;

fn between(low: Effort, high: Effort, limit: usize) -> Effort {
    let span = (high.limit as f32 / low.limit as f32).ln();
    let part = (limit as f32 / low.limit as f32).ln() / span;
    let mix = |a: f32, b: f32| a + part * (b - a);
    let probes = mix((low.probes as f32).ln(), (high.probes as f32).ln()).exp();
    Effort { probes: probes.ceil() as u32, epsilon: mix(low.epsilon, high.epsilon), ..low }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration() -> Calibration {
        let effort = |recall, limit, probes, epsilon| Effort { recall, limit, probes, epsilon };
        Calibration::new(vec![
            effort(0.99, 10, 32, 1.6),
            effort(0.9, 10, 4, 1.0),
            effort(0.9, 100, 16, 1.2),
            effort(0.99, 100, 64, 1.8),
        ])
        .unwrap()
    }

    #[test]
    fn a_target_takes_the_first_effort_that_reaches_it() {
        let calibration = calibration();
        assert_eq!(calibration.effort(0.8, 10, 100).probes, 4);
        assert_eq!(calibration.effort(0.95, 10, 100).probes, 32);
        assert_eq!(calibration.effort(0.999, 10, 100).probes, 100);
        assert_eq!(calibration.effort(0.95, 1, 100).probes, 32);
    }

    #[test]
    fn limits_between_and_beyond_are_filled_in() {
        let calibration = calibration();
        let middle = calibration.effort(0.9, 32, 100);
        assert!((4..16).contains(&middle.probes) && middle.epsilon > 1.0, "{middle:?}");
        assert_eq!(calibration.effort(0.9, 100, 100).probes, 16);
        assert_eq!(calibration.effort(0.9, 400, 100).probes, 32);
        assert_eq!(calibration.effort(0.99, 1600, 100).probes, 100);
    }

    #[test]
    fn without_entries_every_list_is_probed() {
        assert_eq!(Calibration::default().effort(0.9, 10, 7).probes, 7);
    }

    #[test]
    fn efforts_survive_a_file() {
        for effort in calibration().entries() {
            assert_eq!(Effort::from_bytes(effort.to_bytes()), *effort);
        }
        let bad = Effort { recall: f32::NAN, limit: 10, probes: 1, epsilon: 1.0 };
        assert!(Calibration::new(vec![bad]).is_err());
    }
}
