//! Labels that a point's neighbours do not have.
//!
//! Each point is left out and asked of the others: its neighbours vote for their labels, each by how near it
//! is. Where most of the vote is for another label than the point has, the label may be wrong.

use std::collections::BTreeMap;

use super::Neighbour;
use crate::shuffle::shuffled;

/// Where planted errors begin.
const SEED: u64 = 0x706c_616e;

/// A point whose neighbours have another label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suspect {
    /// Its row.
    pub row: usize,
    /// The label that most of its neighbours have.
    pub suggested: usize,
    /// By how much of the vote that is ahead of its own: above 0, at most 1.
    pub margin: f32,
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Audit {
    /// Points with a label and a neighbour with one.
    pub asked: usize,
    /// Points whose neighbours agree with their label.
    pub agreed: usize,
    /// The others, those with the largest margin first.
    pub suspects: Vec<Suspect>,
}

/// Asks the neighbours of each point that has a label.
#[must_use]
pub fn audit(neighbours: &[Vec<Neighbour>], labels: &[Option<usize>]) -> Audit {
    let mut audit = Audit::default();
    for (row, others) in neighbours.iter().enumerate() {
        let Some(own) = labels[row] else { continue };
        let mut votes = BTreeMap::new();
        let mut all = 0.0;
        for other in others {
            let (Some(label), weight) = (labels[other.row], other.score.max(0.0)) else { continue };
            *votes.entry(label).or_insert(0.0) += weight;
            all += weight;
        }
        let first = |best: (usize, f32), (&label, &vote): (&usize, &f32)| {
            if vote > best.1 { (label, vote) } else { best }
        };
        let (suggested, most) = votes.iter().fold((own, 0.0), first);
        if all <= 0.0 {
            continue;
        }
        audit.asked += 1;
        let margin = (most - votes.get(&own).copied().unwrap_or(0.0)) / all;
        if suggested == own || margin <= 0.0 {
            audit.agreed += 1;
        } else {
            audit.suspects.push(Suspect { row, suggested, margin });
        }
    }
    audit.suspects.sort_by(|a, b| b.margin.total_cmp(&a.margin).then(a.row.cmp(&b.row)));
    audit
}

/// Gives a share of the labelled points the label of another point, and returns the rows it did that to.
/// None, where all have the same label.
pub fn plant(labels: &mut [Option<usize>], share: f64) -> Vec<usize> {
    let labelled: Vec<usize> = (0..labels.len()).filter(|&row| labels[row].is_some()).collect();
    let order = shuffled(labelled.len(), SEED);
    let count = (labelled.len() as f64 * share).round() as usize;
    let before = labels.to_vec();
    let mut planted = Vec::with_capacity(count);
    for (at, &place) in order.iter().enumerate().take(count) {
        let row = labelled[place];
        let others = (1..order.len()).map(|step| labelled[order[(at + step) % order.len()]]);
        let other = others.map(|other| before[other]).find(|other| *other != before[row]);
        if let Some(other) = other {
            labels[row] = other;
            planted.push(row);
        }
    }
    planted.sort_unstable();
    planted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two groups of five, in which everyone is everyone's neighbour.
    fn neighbours() -> Vec<Vec<Neighbour>> {
        let near = |row: usize| {
            let group = if row < 5 { 0..5 } else { 5..10 };
            group.filter(|&other| other != row).map(|row| Neighbour { row, score: 0.5 }).collect()
        };
        (0..10).map(near).collect()
    }

    #[test]
    fn a_label_that_no_neighbour_has_is_suspect() {
        let mut labels: Vec<_> = (0..10).map(|row| Some(row / 5)).collect();
        assert_eq!(audit(&neighbours(), &labels).agreed, 10);
        labels[7] = Some(0);
        labels[2] = None;
        let found = audit(&neighbours(), &labels);
        assert_eq!((found.asked, found.agreed), (9, 8));
        assert_eq!(found.suspects, [Suspect { row: 7, suggested: 1, margin: 1.0 }]);
    }

    #[test]
    fn planted_labels_are_other_ones() {
        let before: Vec<_> = (0..40).map(|row| (row != 3).then_some(row % 3)).collect();
        let mut labels = before.clone();
        let planted = plant(&mut labels, 0.2);
        assert_eq!(planted.len(), 8);
        let changed: Vec<usize> = (0..40).filter(|&row| labels[row] != before[row]).collect();
        assert_eq!(changed, planted);
        assert!(plant(&mut [Some(1); 9], 0.5).is_empty());
    }
}
