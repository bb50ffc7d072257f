//! Points that a query is about.

use serde::Serialize;

/// How well scores tell the relevant from the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// Of those that reach the threshold, the share that is relevant.
    pub precision: f64,
    /// Of the relevant, the share that reaches it.
    pub recall: f64,
}

/// Returns the threshold at which precision and recall are best together (F1), the highest if there are
/// several; `None` if nothing is relevant. Each item has a score, and is relevant or not.
#[must_use]
pub fn best_threshold(items: &[(f32, bool)]) -> Option<f32> {
    let relevant = items.iter().filter(|(_, relevant)| *relevant).count();
    if relevant == 0 {
        return None;
    }
    let mut sorted = items.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut hits, mut best, mut threshold) = (0, 0.0, None);
    for (at, &(score, is_relevant)) in sorted.iter().enumerate() {
        hits += usize::from(is_relevant);
        // Equal scores reach a threshold together.
        if sorted.get(at + 1).is_some_and(|next| next.0 == score) {
            continue;
        }
        let f1 = 2.0 * hits as f64 / (at + 1 + relevant) as f64;
        if f1 > best {
            (best, threshold) = (f1, Some(score));
        }
    }
    threshold
}

/// Judges a threshold on items; nothing found is a precision of zero.
#[must_use]
pub fn judge(items: &[(f32, bool)], threshold: f32) -> Judgement {
    let relevant = items.iter().filter(|(_, relevant)| *relevant).count();
    let found: Vec<bool> =
        items.iter().filter(|(score, _)| *score >= threshold).map(|(_, is)| *is).collect();
    let hits = found.iter().filter(|is| **is).count();
    let share = |of: usize| if of == 0 { 0.0 } else { hits as f64 / of as f64 };
    Judgement { precision: share(found.len()), recall: share(relevant) }
}

/// Returns how probable it is that a relevant item has a higher score than another one; half of equal ones
/// count. `None` if all or none are relevant.
#[must_use]
pub fn area_under_curve(items: &[(f32, bool)]) -> Option<f64> {
    let mut sorted = items.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins, mut at) = (0, 0.0, 0);
    while at < sorted.len() {
        let equal = sorted[at..].iter().take_while(|item| item.0 == sorted[at].0).count();
        let others = sorted[at..at + equal].iter().filter(|(_, relevant)| !relevant).count();
        wins += (equal - others) as f64 * (below as f64 + others as f64 / 2.0);
        below += others;
        at += equal;
    }
    let pairs = below * (items.len() - below);
    (pairs > 0).then(|| wins / pairs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEMS: [(f32, bool); 6] =
        [(0.9, true), (0.8, false), (0.7, true), (0.7, true), (0.4, false), (0.1, true)];

    #[test]
    fn the_threshold_is_where_precision_and_recall_are_best() {
        // At 0.7 three of four found are relevant, of three or of four that there are; at 0.1 four of six found.
        assert_eq!(best_threshold(&ITEMS[..5]), Some(0.7));
        assert_eq!(best_threshold(&ITEMS), Some(0.1));
        assert_eq!(judge(&ITEMS, 0.7), Judgement { precision: 0.75, recall: 0.75 });
        assert_eq!(judge(&ITEMS, 0.95), Judgement { precision: 0.0, recall: 0.0 });
        assert_eq!(best_threshold(&[(0.5, false)]), None);
    }

    #[test]
    fn the_area_counts_pairs_and_half_of_equal_ones() {
        // 0.9 beats both others, the two 0.7 beat 0.4, 0.1 beats none: 4 of 8.
        assert_eq!(area_under_curve(&ITEMS), Some(0.5));
        assert_eq!(area_under_curve(&[(0.3, true), (0.3, false)]), Some(0.5));
        assert_eq!(area_under_curve(&[(0.3, true)]), None);
    }
}
