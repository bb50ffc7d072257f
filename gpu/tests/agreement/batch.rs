//! Batches return the best of all codes.

use bigrain_gpu::{BatchQuery, BatchScan};
use bigrain_kernels::{BLOCK_ROWS, QueryPlanes, TopK, half_to_f32, scan};

use crate::support::{Codes, Numbers, devices};

fn check(codes: &Codes, dims: usize, queries: usize, limit: usize, mask: Option<&[u32]>) {
    let words = dims.div_ceil(64);
    let planes = Numbers(5).planes(queries * 6, dims);
    let query = |planes| BatchQuery {
        planes: QueryPlanes::new(planes, dims).unwrap(),
        constant: 0.5,
        scale: 1e-3,
    };
    let batch: Vec<BatchQuery<'_>> = planes.chunks(6 * words).map(query).collect();
    let mut expected = Vec::new();
    for query in &batch {
        let mut scores = vec![0; codes.rows];
        scan(&codes.slices(), query.planes, &mut scores);
        let mut best = TopK::new(limit);
        for (row, score) in scores.into_iter().enumerate() {
            let inside = |mask: &[u32]| mask[row / BLOCK_ROWS] >> (row % BLOCK_ROWS) & 1 == 1;
            if mask.is_none_or(inside) {
                let part = (half_to_f32(codes.rescale[row]) * query.scale) * score as f32;
                best.push((codes.add[row] + query.constant) + part, row as u32);
            }
        }
        expected.push(best.into_sorted());
    }
    for device in devices() {
        let codes = codes.load(&device);
        let found = BatchScan::new(&codes, &batch).unwrap().best(limit, mask).unwrap();
        assert_eq!(found, expected, "{}: {} codes, limit {limit}", device.name(), codes.rows());
    }
}

#[test]
fn the_best_are_those_of_the_cpu_with_ties_in_the_order_of_rows() {
    for levels in 1..=4 {
        check(&Codes::new(100, levels, 300, 3, 1), 100, 3, 20, None);
    }
    check(&Codes::new(64, 2, 700, 1, 2), 64, 1, 300, None);
}

#[test]
fn fewer_codes_than_wanted_are_all_returned() {
    for rows in [1, 31, 32, 33] {
        check(&Codes::new(64, 1, rows, usize::MAX, 3), 64, 2, 40, None);
    }
}

#[test]
fn codes_outside_the_mask_are_left_out() {
    let mut numbers = Numbers(7);
    let mask: Vec<u32> = (0..5).map(|_| numbers.word() as u32).collect();
    check(&Codes::new(128, 2, 150, usize::MAX, 4), 128, 2, 10, Some(&mask));
    check(&Codes::new(128, 2, 150, usize::MAX, 4), 128, 2, 10, Some(&[0; 5]));
}

#[test]
fn limits_out_of_range_are_refused() {
    let codes = Codes::new(64, 1, 3, usize::MAX, 5);
    let planes = [0; 8];
    let wide = QueryPlanes::new(&planes, 64).unwrap();
    let narrow = QueryPlanes::new(&planes[..2], 64).unwrap();
    for device in devices() {
        let codes = codes.load(&device);
        let query = |planes| [BatchQuery { planes, constant: 0.0, scale: 1.0 }];
        assert!(BatchScan::new(&codes, &query(wide)).unwrap_err().to_string().contains("8 planes"));
        let batch = BatchScan::new(&codes, &query(narrow)).unwrap();
        for limit in [0, 1025] {
            assert!(batch.best(limit, None).is_err());
        }
    }
}
