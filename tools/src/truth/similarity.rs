//! Similarities in f64: larger is nearer under every metric.

use bigrain_engine::Metric;

/// Returns the cosine, the dot product, or minus the squared Euclidean distance.
#[must_use]
pub fn similarity(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    match metric {
        Metric::Cosine => {
            let lengths = dot(a, a).sqrt() * dot(b, b).sqrt();
            if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
        }
        Metric::Dot => dot(a, b),
        // The engine's other metrics are distances of this form; there are none yet.
        Metric::L2 | _ => -squared_distance(a, b),
    }
}

/// Returns the dot product.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| a * b)
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

/// Adds up `term` over pairs of components in eight running sums, which the compiler keeps in
/// registers; the order of additions depends on the length alone.
fn sum(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    const LANES: usize = 8;
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += term(f64::from(a[lane]), f64::from(b[lane]));
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| term(f64::from(a), f64::from(b)));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_what_they_say() {
        let a: Vec<f32> = (0..11).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..11).map(|i| (i * 2) as f32).collect();
        assert_eq!(similarity(Metric::Dot, &a, &b), 770.0);
        assert_eq!(similarity(Metric::L2, &a, &b), -385.0);
        assert!((similarity(Metric::Cosine, &a, &b) - 1.0).abs() < 1e-15);
        assert_eq!(similarity(Metric::Cosine, &a, &[0.0; 11]), 0.0);
    }
}
