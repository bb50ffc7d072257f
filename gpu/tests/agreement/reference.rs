//! Layers of models in double precision.

/// Rows through a layer.
pub fn linear(weight: &[f64], bias: &[f64], rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let one = |row: &Vec<f64>| {
        let lines = weight.chunks(row.len()).zip(bias);
        lines.map(|(line, bias)| dot(line, row) + bias).collect()
    };
    rows.iter().map(one).collect()
}

/// The layer norm of each row.
pub fn norm((weight, bias): (&[f64], &[f64]), eps: f64, rows: &mut [Vec<f64>]) {
    for row in rows {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let squares: f64 = row.iter().map(|x| (x - mean).powi(2)).sum();
        let scale = 1.0 / (squares / row.len() as f64 + eps).sqrt();
        for (x, (weight, bias)) in row.iter_mut().zip(weight.iter().zip(bias)) {
            *x = (*x - mean) * scale * weight + bias;
        }
    }
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

pub fn add(x: &mut [Vec<f64>], y: &[Vec<f64>]) {
    x.iter_mut().flatten().zip(y.iter().flatten()).for_each(|(x, y)| *x += y);
}

/// The share of a normal distribution below `x`, by Simpson's rule from 0.
pub fn normal_share(x: f64) -> f64 {
    const STEPS: usize = 200;
    let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let step = x / STEPS as f64;
    let weight = |i: usize| if i == 0 || i == STEPS { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
    let sum: f64 = (0..=STEPS).map(|i| weight(i) * density(i as f64 * step)).sum();
    0.5 + sum * step / 3.0
}
