//! Learned codes are those of the CPU.

use std::sync::Arc;

use bigrain_binarize::{
    Binarizer, EncodeScratch, HiddenLayer, Provenance, Recurrent, RecurrentLoop, RecurrentParts,
    ResidualMap, Scoring,
};
use bigrain_gpu::GpuRecurrent;
use bigrain_types::Levels;

use crate::support::{Numbers, devices};

/// What maps are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Nothing,
    Bias,
    Linear,
    Hidden(usize),
}

/// Rows, dimensions of vectors and codes, maps, and levels. 66 rows, 70 units, 100 and 128 dimensions fill a tile and
/// begin another.
const BINARIZERS: [(usize, usize, usize, Size, u8); 6] = [
    (9, 64, 64, Size::Nothing, 4),
    (9, 64, 64, Size::Linear, 3),
    (9, 100, 128, Size::Bias, 2),
    (66, 100, 128, Size::Linear, 2),
    (9, 100, 64, Size::Hidden(70), 2),
    (9, 192, 192, Size::Linear, 1),
];

fn map(size: Size, inputs: usize, outputs: usize, numbers: &mut Numbers) -> ResidualMap {
    let mut small = |count: usize, scale: f32| -> Vec<f32> {
        numbers.floats(count).iter().map(|x| x * scale).collect()
    };
    let mut map = ResidualMap::default();
    if size == Size::Nothing {
        return map;
    }
    map.bias = small(outputs, 0.02);
    if size == Size::Bias {
        return map;
    }
    map.delta = small(inputs * outputs, 0.05);
    if let Size::Hidden(units) = size {
        map.hidden = Some(HiddenLayer {
            into: small(units * inputs, 0.2),
            bias: small(units, 0.02),
            out: small(outputs * units, 0.1),
        });
    }
    map
}

fn recurrent(size: Size, dims: usize, code_dims: usize, levels: Levels) -> Recurrent {
    let mut numbers = Numbers(dims as u64 + 31 * code_dims as u64);
    let first = map(size, dims, code_dims, &mut numbers);
    let mut each = || RecurrentLoop {
        rebuild: map(size, code_dims, dims, &mut numbers),
        residual: map(size, dims, code_dims, &mut numbers),
    };
    let loops = (1..levels.count()).map(|_| each()).collect();
    Recurrent::new(RecurrentParts {
        dims,
        code_dims,
        levels,
        seed: 5,
        first,
        loops,
        scoring: Scoring::default(),
        provenance: Provenance::default(),
    })
    .unwrap()
}

/// Rows of length one; the last is all zeros.
fn rows(dims: usize, count: usize) -> Vec<f32> {
    let mut rows = Numbers(dims as u64).floats(dims * count);
    for row in rows.chunks_mut(dims) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    rows[dims * (count - 1)..].fill(0.0);
    rows
}

#[test]
fn learned_codes_are_those_of_the_cpu() {
    for (count, dims, code_dims, size, levels) in BINARIZERS {
        let levels = Levels::new(levels).unwrap();
        let recurrent = recurrent(size, dims, code_dims, levels);
        let rows = rows(dims, count);
        let binarizer = Binarizer::new_recurrent(Arc::new(recurrent.clone()));
        let words = recurrent.layout().words();
        let mut planes = vec![0; count * words];
        let mut projected = vec![0.0; count * code_dims];
        let mut scratch = EncodeScratch::default();
        for (at, row) in rows.chunks(dims).enumerate() {
            binarizer.encode(row, &mut scratch, &mut planes[at * words..(at + 1) * words]);
            let projected = &mut projected[at * code_dims..(at + 1) * code_dims];
            recurrent.project(row, projected);
        }
        for device in devices() {
            let what = format!("{} {size:?} {dims} {code_dims} {levels:?}", device.name());
            let loaded = GpuRecurrent::load(Arc::clone(&device), &recurrent).unwrap();
            let codes = loaded.code(&rows).unwrap();
            let furthest = codes.projected.iter().zip(&projected).map(|(a, b)| (a - b).abs());
            let furthest = furthest.fold(0.0, f32::max);
            assert!(furthest < 1e-6, "{what}: {furthest}");
            assert_eq!(codes.planes, planes, "{what}");
        }
    }
}

#[test]
fn rows_that_are_not_whole_are_refused() {
    let recurrent = recurrent(Size::Linear, 100, 128, Levels::TWO);
    for device in devices() {
        let loaded = GpuRecurrent::load(device, &recurrent).unwrap();
        assert!(loaded.code(&[0.0; 150]).is_err());
        assert!(loaded.code(&[]).unwrap().planes.is_empty());
    }
}
