//! Butterflies over pairs of slices, which the compiler vectorises from distance 4 up.

/// Runs the stages from distance `from` to the end.
pub(super) fn stages(values: &mut [f32], from: usize) {
    let mut distance = from;
    while distance < values.len() {
        for pair in values.chunks_exact_mut(2 * distance) {
            let (low, high) = pair.split_at_mut(distance);
            for (x, y) in low.iter_mut().zip(high) {
                (*x, *y) = (*x + *y, *x - *y);
            }
        }
        distance *= 2;
    }
}
