//! Exact similarities agree with sums in double precision.

use bigrain_gpu::{DenseRows, Shortlists, max_sim, verify_rows};
use bigrain_kernels::{half_to_f32, reference};
use bigrain_types::Metric;

use crate::support::{Numbers, devices};

/// What `dims` roundings of terms below 4 may do.
fn bound(dims: usize) -> f64 {
    4.0 * dims as f64 * f64::from(f32::EPSILON)
}

#[test]
fn shortlists_are_scored_as_the_definition_says() {
    for dims in [1, 31, 32, 33, 100, 768] {
        let mut numbers = Numbers(dims as u64);
        let (rows, queries) = (numbers.floats(40 * dims), numbers.floats(3 * dims));
        let halves: Vec<u16> = (0..40 * dims).map(|_| numbers.half()).collect();
        let widened: Vec<f32> = halves.iter().map(|&half| half_to_f32(half)).collect();
        let list: Vec<u32> = (0..3 * 9).map(|_| numbers.below(40) as u32).collect();
        for device in devices() {
            let whole = DenseRows::load(&*device, &rows, dims).unwrap();
            let short = DenseRows::load_halves(&*device, &halves, dims).unwrap();
            for (loaded, rows) in [(&whole, &rows), (&short, &widened)] {
                for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
                    let shortlists = Shortlists { queries: &queries, rows: &list };
                    let found = verify_rows(&*device, loaded, metric, shortlists).unwrap();
                    assert_eq!(found.len(), list.len());
                    for (at, (found, &row)) in found.iter().zip(&list).enumerate() {
                        let query = &queries[at / 9 * dims..][..dims];
                        let row = &rows[row as usize * dims..][..dims];
                        let exact = if metric == Metric::L2 {
                            -reference::l2_squared(query, row)
                        } else {
                            reference::dot(query, row)
                        };
                        let off = (f64::from(*found) - exact).abs();
                        assert!(
                            off <= 2.0 * bound(dims),
                            "{}: {dims} {metric} {off}",
                            device.name()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn rows_that_are_not_there_are_refused() {
    for device in devices() {
        let rows = DenseRows::load(&*device, &[0.0; 20], 10).unwrap();
        let queries = [0.0; 20];
        let verify = |list: &[u32]| {
            let shortlists = Shortlists { queries: &queries, rows: list };
            verify_rows(&*device, &rows, Metric::Dot, shortlists)
        };
        assert!(verify(&[0, 2]).unwrap_err().to_string().contains("row 2 of 2"));
        assert!(verify(&[0, 1, 1]).is_err());
        assert!(verify(&[]).unwrap().is_empty());
    }
}

#[test]
fn max_sim_is_the_sum_of_the_best_tokens() {
    for (dims, query_tokens) in [(1, 1), (32, 7), (33, 8), (128, 9)] {
        let mut numbers = Numbers(dims as u64);
        let starts = [0, 0, 1, 5, 12, 12];
        let tokens: Vec<u16> = (0..12 * dims).map(|_| numbers.half()).collect();
        let widened: Vec<f32> = tokens.iter().map(|&half| half_to_f32(half)).collect();
        let query = numbers.floats(query_tokens * dims);
        for device in devices() {
            let found = max_sim(&*device, &tokens, &starts, dims, &query).unwrap();
            assert_eq!(found.len(), 5);
            for (found, range) in found.iter().zip(starts.windows(2)) {
                let tokens = &widened[range[0] as usize * dims..range[1] as usize * dims];
                let best = |q: &[f32]| {
                    let products = tokens.chunks(dims).map(|token| reference::dot(q, token));
                    products.fold(f64::NEG_INFINITY, f64::max)
                };
                let exact: f64 = query.chunks(dims).map(best).sum();
                let close = (f64::from(*found) - exact).abs() <= bound(dims) * query_tokens as f64;
                let both = exact == f64::NEG_INFINITY && *found == f32::NEG_INFINITY;
                assert!(close || both, "{}: {dims}: {found} {exact}", device.name());
            }
        }
    }
}
