//! Bringing the scores of a list to the range from 0 to 1.

/// Standard deviations to either side of the mean that span the range.
const DEVIATIONS: f64 = 3.0;

/// Scores that all mean the same get this: neither good nor bad.
const MIDDLE: f32 = 0.5;

/// Returns scores with the least at 0 and the greatest at 1.
pub(super) fn by_range(scores: &[f32]) -> Vec<f32> {
    let low = scores.iter().copied().fold(f32::INFINITY, f32::min);
    let high = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // A list of equal scores says that all its points are found, so they get what the best gets.
    if low == high {
        return vec![1.0; scores.len()];
    }
    let span = f64::from(high) - f64::from(low);
    let scale = |&score: &f32| ((f64::from(score) - f64::from(low)) / span) as f32;
    scores.iter().map(scale).collect()
}

/// Returns scores with three standard deviations below the mean at 0 and three above it at 1.
pub(super) fn by_distribution(scores: &[f32]) -> Vec<f32> {
    let count = scores.len() as f64;
    let mean = scores.iter().copied().map(f64::from).sum::<f64>() / count;
    let squares = scores.iter().map(|&score| (f64::from(score) - mean).powi(2)).sum::<f64>();
    // Of a sample: what is listed stands for what could have been.
    let deviation = (squares / (count - 1.0)).sqrt();
    // Of one score there is no deviation.
    if deviation.is_nan() || deviation == 0.0 {
        return vec![MIDDLE; scores.len()];
    }
    let (low, span) = (mean - DEVIATIONS * deviation, 2.0 * DEVIATIONS * deviation);
    let scale = |&score: &f32| ((f64::from(score) - low) / span).clamp(0.0, 1.0) as f32;
    scores.iter().map(scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_spanned() {
        assert_eq!(by_range(&[3.0, 1.0, 2.0]), [1.0, 0.0, 0.5]);
        assert_eq!(by_range(&[2.0, 2.0]), [1.0, 1.0]);
        assert_eq!(by_range(&[f32::MAX, -f32::MAX]), [1.0, 0.0]);
        assert!(by_range(&[]).is_empty());
    }

    #[test]
    fn distributions_are_centred_and_cut_off() {
        assert_eq!(by_distribution(&[5.0, 5.0]), [0.5, 0.5]);
        assert_eq!(by_distribution(&[5.0]), [0.5]);
        assert!(by_distribution(&[]).is_empty());
        let scaled = by_distribution(&[1.0, 2.0, 3.0]);
        for (scaled, expected) in scaled.iter().zip([1.0 / 3.0, 0.5, 2.0 / 3.0]) {
            assert!((scaled - expected).abs() < 1e-6, "{scaled}");
        }
        let mut outlier = vec![0.0; 100];
        outlier.push(1e6);
        assert_eq!(by_distribution(&outlier).last(), Some(&1.0));
    }
}
