//! How well a caption fits its picture.

/// Returns the score that a share of `scores` stays below; everything reaches that of a share of zero.
#[must_use]
pub fn quantile(scores: &[f32], share: f64) -> Option<f32> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    let below = (share * sorted.len() as f64).round() as usize;
    sorted.get(below.min(sorted.len().saturating_sub(1))).copied()
}

/// Returns for each item another one whose caption is another text, or itself where all are the same: what
/// comes half of them further on, or after that.
#[must_use]
pub fn strangers(captions: &[&str]) -> Vec<usize> {
    let count = captions.len();
    let stranger = |at: usize| {
        let further = (0..count).map(|step| (at + count / 2 + step) % count);
        further.into_iter().find(|&other| captions[other] != captions[at]).unwrap_or(at)
    };
    (0..count).map(stranger).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_scores_is_below_their_quantile() {
        let scores = [0.4, 0.1, 0.3, 0.2, 0.5];
        let below = |share| {
            let threshold = quantile(&scores, share).unwrap();
            scores.iter().filter(|&&score| score < threshold).count()
        };
        assert_eq!([0.0, 0.2, 0.4, 0.99].map(below), [0, 1, 2, 4]);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn strangers_have_other_captions() {
        assert_eq!(strangers(&["a", "b", "a", "c"]), [3, 3, 1, 1]);
        assert_eq!(strangers(&["a", "a"]), [0, 1]);
    }
}
