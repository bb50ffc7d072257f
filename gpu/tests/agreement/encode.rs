//! Rotation and rounding are those of the CPU.

use bigrain_binarize::Rotation;
use bigrain_gpu::{quantize_rows, rotate_rows};
use bigrain_kernels::quantize;
use bigrain_types::Levels;

use crate::support::{Numbers, devices};

const DIMS: [usize; 10] = [1, 7, 63, 64, 65, 100, 384, 768, 1000, 4096];

#[test]
fn rotated_rows_have_the_bits_of_the_cpu() {
    for dims in DIMS {
        let rotation = Rotation::new(dims, 3).unwrap();
        let rows = Numbers(dims as u64).floats(3 * dims);
        let mut expected = vec![0.0; 3 * rotation.rotated_dims()];
        for (row, rotated) in rows.chunks(dims).zip(expected.chunks_mut(rotation.rotated_dims())) {
            rotation.rotate(row, rotated);
        }
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for device in devices() {
            let rotated = rotate_rows(&*device, &rotation, &rows).unwrap();
            assert_eq!(bits(&rotated), bits(&expected), "{}: {dims}", device.name());
        }
    }
}

#[test]
fn planes_of_rounded_rows_are_those_of_the_cpu() {
    for dims in DIMS {
        for levels in 1..=4 {
            let levels = Levels::new(levels).unwrap();
            let mut rows = Numbers(dims as u64).floats(9 * dims);
            // Ties and zeros of either sign.
            rows[0] = 0.0;
            rows[dims] = -0.0;
            rows[2 * dims] = 0.5;
            let scales: Vec<f32> = (0..9).map(|row| 4.0 + row as f32).collect();
            let words = dims.div_ceil(64) * levels.count();
            let mut expected = vec![0; 9 * words];
            let cpu = rows.chunks(dims).zip(&scales).zip(expected.chunks_mut(words));
            let sums: Vec<_> = cpu
                .map(|((row, &scale), planes)| quantize(row, scale, levels.count(), planes))
                .collect();
            for device in devices() {
                let found = quantize_rows(&*device, &rows, &scales, levels).unwrap();
                assert_eq!(found.planes, expected, "{}: {dims} {levels:?}", device.name());
                for (found, sums) in found.sums.iter().zip(&sums) {
                    // Each is the sum of `dims` products, rounded at every step.
                    let bound = dims as f32 * f32::EPSILON * sums.norm_squared.max(1.0) * 16.0;
                    assert!((found.dot - sums.dot).abs() <= bound, "{found:?} {sums:?}");
                    assert!((found.norm_squared - sums.norm_squared).abs() <= bound);
                }
            }
        }
    }
}

#[test]
fn rows_that_are_not_whole_are_refused() {
    let rotation = Rotation::new(10, 1).unwrap();
    for device in devices() {
        assert!(rotate_rows(&*device, &rotation, &[0.0; 15]).is_err());
        assert!(rotate_rows(&*device, &rotation, &[]).unwrap().is_empty());
        assert!(quantize_rows(&*device, &[0.0; 15], &[1.0; 2], Levels::ONE).is_err());
    }
}
