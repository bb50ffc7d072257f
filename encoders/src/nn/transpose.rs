//! From rows to columns.

/// Rows and columns of the square that is moved at once, so that what is read and what is written
/// both stay in the first-level cache.
const SQUARE: usize = 16;

/// Writes `to[column][row] = from[row][column]`; rows of `from` are `from_stride` apart, rows of
/// `to` are `to_stride` apart.
pub(crate) fn transpose(
    (from, from_stride): (&[f32], usize),
    (to, to_stride): (&mut [f32], usize),
    rows: usize,
    columns: usize,
) {
    for first_column in (0..columns).step_by(SQUARE) {
        let last_column = columns.min(first_column + SQUARE);
        for first_row in (0..rows).step_by(SQUARE) {
            let count = SQUARE.min(rows - first_row);
            for column in first_column..last_column {
                let to = &mut to[column * to_stride + first_row..][..count];
                for (at, to) in to.iter_mut().enumerate() {
                    *to = from[(first_row + at) * from_stride + column];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_changes_places_and_nothing_else_is_touched() {
        for (rows, columns) in [(1, 1), (16, 16), (17, 33), (40, 5), (0, 3)] {
            let (from_stride, to_stride) = (columns + 3, rows + 2);
            let from: Vec<f32> = (0..rows * from_stride).map(|i| i as f32).collect();
            let mut to = vec![-1.0; columns * to_stride];
            transpose((&from, from_stride), (&mut to, to_stride), rows, columns);
            for column in 0..columns {
                for row in 0..rows {
                    assert_eq!(to[column * to_stride + row], from[row * from_stride + column]);
                }
                assert_eq!(to[column * to_stride + rows..][..2], [-1.0; 2]);
            }
        }
    }
}
