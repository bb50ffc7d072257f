//! The forward pass of M2-BERT agrees with its definition in double precision, within the rounding of halves.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use bigrain_emulation::Emulated;
use bigrain_gpu::{Backend, GpuError, GpuM2Bert, M2BertBatch, M2BertRows, M2BertShape};

use crate::reference::{add, dot, linear, norm, normal_share};
use crate::support::{Numbers, devices};

const SHAPE: M2BertShape = M2BertShape {
    vocabulary: 50,
    positions: 70,
    types: 2,
    hidden: 24,
    layers: 2,
    intermediate: 40,
    blocks: 4,
    eps: 1e-12,
};

/// A model of random weights, whose rows are about one in size everywhere.
struct Model {
    shape: M2BertShape,
    tensors: HashMap<String, Vec<f32>>,
    /// Of each layer and channel what both filters weigh the tokens before one, itself first, and those after it.
    filters: Vec<[Vec<[f32; 2]>; 2]>,
}

impl Model {
    fn new(shape: M2BertShape, seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let mut tensors = HashMap::new();
        let M2BertShape { positions, hidden, intermediate, blocks, .. } = shape;
        let mut add = |name: &str, count: usize, base: f32, spread: f32| {
            let values = numbers.floats(count).iter().map(|value| base + spread * value).collect();
            tensors.insert(name.to_owned(), values);
        };
        add("embeddings.word_embeddings.weight", shape.vocabulary * hidden, 0.0, 1.0);
        add("embeddings.position_embeddings.weight", positions * hidden, 0.0, 1.0);
        add("embeddings.token_type_embeddings.weight", shape.types * hidden, 0.0, 1.0);
        let spread = |inputs: usize| 2.5 / (inputs as f32).sqrt();
        let mut norms = vec!["embeddings.LayerNorm".to_owned()];
        for layer in 0..shape.layers {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let mixer = |part: &str| name(&format!("attention.{part}"));
            add(&mixer("in_linear.weight"), 3 * hidden * hidden, 0.0, spread(hidden));
            add(&mixer("in_linear.bias"), 3 * hidden, 0.0, 0.3);
            add(&mixer("short_filter.weight"), 9 * hidden, 0.0, 1.0);
            add(&mixer("short_filter.bias"), 3 * hidden, 0.0, 0.3);
            add(&mixer("out_linear.weight"), hidden * hidden, 0.0, spread(hidden));
            add(&mixer("out_linear.bias"), hidden, 0.0, 0.3);
            let (inner, wide) = (hidden / blocks, intermediate / blocks);
            add(&name("mlp.gated_layers.weight"), 2 * intermediate * inner, 0.0, spread(inner));
            add(&name("mlp.wo.weight"), hidden * wide, 0.0, spread(wide));
            add(&name("mlp.wo.bias"), hidden, 0.0, 0.3);
            norms.push(name("mlp.layernorm"));
        }
        for name in norms {
            add(&format!("{name}.weight"), hidden, 1.0, 0.2);
            add(&format!("{name}.bias"), hidden, 0.0, 0.2);
        }
        // What a whole text adds up to is about one in size.
        let scale = 1.5 / (positions as f32).sqrt();
        let mut filter = || {
            let mut value = || scale * numbers.float();
            (0..positions).map(|_| [value(), value()]).collect()
        };
        let filters = (0..shape.layers * hidden).map(|_| [filter(), filter()]).collect();
        Self { shape, tensors, filters }
    }

    fn load(&self, backend: Arc<dyn Backend>) -> Result<GpuM2Bert, GpuError> {
        GpuM2Bert::load(backend, self.shape, &|name| self.tensors.get(name).cloned())
    }

    fn prepared(&self, backend: Arc<dyn Backend>, length: usize) -> GpuM2Bert {
        let model = self.load(backend).unwrap();
        model.prepare(length, &|layer| self.circular(layer, length)).unwrap();
        model
    }

    /// What a token a distance before another weighs, by the distance; what one after it does, from the end on.
    fn circular(&self, layer: usize, length: usize) -> Vec<[f32; 2]> {
        let hidden = self.shape.hidden;
        let size = (2 * length).next_power_of_two();
        let mut circular = vec![[0.0; 2]; hidden * size];
        let filters = &self.filters[layer * hidden..][..hidden];
        for (out, [past, future]) in circular.chunks_exact_mut(size).zip(filters) {
            out[..length].copy_from_slice(&past[..length]);
            for (out, value) in out.iter_mut().rev().zip(&future[..length - 1]) {
                *out = *value;
            }
        }
        circular
    }

    fn tensor(&self, name: &str) -> Vec<f64> {
        self.tensors[name].iter().map(|&value| f64::from(value)).collect()
    }

    fn linear(&self, name: &str, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        linear(&self.tensor(&format!("{name}.weight")), &self.tensor(&format!("{name}.bias")), rows)
    }

    fn norm(&self, name: &str, rows: &mut [Vec<f64>]) {
        let (weight, bias) =
            (self.tensor(&format!("{name}.weight")), self.tensor(&format!("{name}.bias")));
        norm((&weight, &bias), f64::from(self.shape.eps), rows);
    }

    /// A block-diagonal product.
    fn blocks(&self, name: &str, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let weight = self.tensor(name);
        let inner = rows[0].len() / self.shape.blocks;
        let outputs = weight.len() / inner / self.shape.blocks;
        let line = |row: &[f64], (at, line): (usize, &[f64])| {
            dot(line, &row[at / outputs * inner..][..inner])
        };
        let one =
            |row: &Vec<f64>| weight.chunks(inner).enumerate().map(|of| line(row, of)).collect();
        rows.iter().map(one).collect()
    }

    /// Filter `which` of every channel over a text.
    fn convolved(&self, layer: usize, which: usize, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let value = |i: usize, channel: usize| -> f64 {
            let [past, future] = &self.filters[layer * self.shape.hidden + channel];
            let weight =
                |j: usize| if j <= i { past[i - j][which] } else { future[j - i - 1][which] };
            rows.iter().enumerate().map(|(j, row)| f64::from(weight(j)) * row[channel]).sum()
        };
        let row = |i| (0..self.shape.hidden).map(|channel| value(i, channel)).collect();
        (0..rows.len()).map(row).collect()
    }

    /// The last rows of one text.
    fn forward(&self, ids: &[u32]) -> Vec<Vec<f64>> {
        let M2BertShape { hidden, intermediate, .. } = self.shape;
        let table = |name: &str| self.tensor(&format!("embeddings.{name}_embeddings.weight"));
        let (words, positions, types) = (table("word"), table("position"), table("token_type"));
        let embed = |(at, &id): (usize, &u32)| {
            let of = |i| words[id as usize * hidden + i] + positions[at * hidden + i] + types[i];
            (0..hidden).map(of).collect()
        };
        let mut x: Vec<Vec<f64>> = ids.iter().enumerate().map(embed).collect();
        self.norm("embeddings.LayerNorm", &mut x);
        for layer in 0..self.shape.layers {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let projected = self.linear(&name("attention.in_linear"), &x);
            let taps = self.tensor(&name("attention.short_filter.weight"));
            let bias = self.tensor(&name("attention.short_filter.bias"));
            let filtered = |at: usize, column: usize| {
                let back = (0..3.min(at + 1))
                    .map(|back| taps[3 * column + 2 - back] * projected[at - back][column]);
                bias[column] + back.sum::<f64>()
            };
            let part = |part: usize| -> Vec<Vec<f64>> {
                let row =
                    |at| (part * hidden..(part + 1) * hidden).map(|c| filtered(at, c)).collect();
                (0..ids.len()).map(row).collect()
            };
            let times = |a: &[Vec<f64>], b: &[Vec<f64>]| -> Vec<Vec<f64>> {
                let row =
                    |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a * b).collect();
                a.iter().zip(b).map(row).collect()
            };
            let gated = times(&part(2), &part(0));
            let mut mixed = times(&self.convolved(layer, 0, &gated), &part(1));
            add(&mut mixed, &self.convolved(layer, 1, &x));
            let h = self.linear(&name("attention.out_linear"), &mixed);
            let wide = self.blocks(&name("mlp.gated_layers.weight"), &h);
            let gate = |row: &Vec<f64>| -> Vec<f64> {
                let (passing, factors) = row.split_at(intermediate);
                passing.iter().zip(factors).map(|(a, b)| a * normal_share(*a) * b).collect()
            };
            let gated: Vec<Vec<f64>> = wide.iter().map(gate).collect();
            x = self.blocks(&name("mlp.wo.weight"), &gated);
            let bias = self.tensor(&name("mlp.wo.bias"));
            add(&mut x, &vec![bias; ids.len()]);
            add(&mut x, &h);
            self.norm(&name("mlp.layernorm"), &mut x);
        }
        x
    }
}

fn ids(shape: &M2BertShape, count: usize, seed: u64) -> Vec<u32> {
    let mut numbers = Numbers(seed);
    (0..count).map(|_| numbers.below(shape.vocabulary as u64) as u32).collect()
}

/// Runs `texts` texts of `length` tokens on every device, together, and compares the rows of those from `checked` on with
/// the definition.
fn check(model: &Model, texts: usize, length: usize, checked: usize) {
    let hidden = model.shape.hidden;
    let ids = ids(&model.shape, texts * length, 7);
    let expected: Vec<f64> =
        ids.chunks(length).skip(checked).flat_map(|ids| model.forward(ids)).flatten().collect();
    for device in devices() {
        let name = format!("{}: {texts} texts of {length}", device.name());
        let on_device = model.prepared(device, length);
        let run = |wanted| on_device.forward(&M2BertBatch { ids: &ids, length, wanted }).unwrap();
        let rows = run(M2BertRows::All);
        assert_eq!(rows.len(), ids.len() * hidden);
        let off: Vec<f64> = rows[checked * length * hidden..]
            .iter()
            .zip(&expected)
            .map(|(x, y)| (f64::from(*x) - y).abs())
            .collect();
        let mean_square = off.iter().map(|off| off * off).sum::<f64>() / off.len() as f64;
        let (usual, most) = (mean_square.sqrt(), off.iter().copied().fold(0.0, f64::max));
        // Rows are one in size; a token more or less moves them by that. Where the values of a row are nearly equal, the norm
        // makes more of rounding.
        assert!(usual <= 0.006 && most <= 0.15, "{name}: {usual}, {most} at most");
        assert_eq!(rows, run(M2BertRows::All), "{name}: memory is used again");
        let first = run(M2BertRows::First);
        assert_eq!(first.len(), texts * hidden);
        let of_all = rows.chunks(length * hidden).flat_map(|rows| &rows[..hidden]);
        let most = first.iter().zip(of_all).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(most <= 0.01, "{name}: {most} between the first rows and all");
    }
}

#[test]
fn texts_of_any_length_go_through_all_layers() {
    let model = Model::new(SHAPE, 1);
    for (texts, length) in [(1, 1), (3, 2), (2, 3), (1, 33), (5, 20), (2, 70)] {
        check(&model, texts, length, 0);
    }
}

#[test]
fn sizes_may_be_any() {
    // One block, whose halves are the gate; an odd number of blocks; channels of more than a tile.
    for (hidden, intermediate, blocks) in [(10, 18, 1), (9, 12, 3), (36, 30, 6), (5, 2, 1)] {
        let shape = M2BertShape { hidden, intermediate, blocks, layers: 1, types: 1, ..SHAPE };
        check(&Model::new(shape, hidden as u64), 3, 18, 0);
    }
}

#[test]
fn long_texts_take_three_passes() {
    let small = M2BertShape { hidden: 8, intermediate: 16, blocks: 2, layers: 1, ..SHAPE };
    check(&Model::new(M2BertShape { positions: 2_100, ..small }, 3), 2, 2_100, 1);
}

#[test]
fn wide_rows_are_made_of_some_tokens_at_a_time() {
    let shape = M2BertShape { hidden: 16, intermediate: 16, blocks: 2, layers: 1, ..SHAPE };
    check(&Model::new(shape, 4), 129, 64, 126);
}

#[test]
fn one_model_takes_texts_of_several_lengths() {
    let model = Model::new(SHAPE, 5);
    for device in devices() {
        let on_device = model.prepared(Arc::clone(&device), 30);
        let asked = Cell::new(0);
        for _ in 0..2 {
            let filters = |layer: usize| {
                asked.set(asked.get() + 1);
                model.circular(layer, 9)
            };
            on_device.prepare(9, &filters).unwrap();
        }
        assert_eq!(asked.get(), SHAPE.layers, "filters are computed once");
        for length in [30, 9, 30] {
            let ids = ids(&SHAPE, 2 * length, 8);
            let batch = M2BertBatch { ids: &ids, length, wanted: M2BertRows::All };
            let alone = model.prepared(Arc::clone(&device), length);
            assert_eq!(on_device.forward(&batch).unwrap(), alone.forward(&batch).unwrap());
        }
    }
}

#[test]
fn batches_that_the_model_does_not_take_are_refused_by_name() {
    let device: Arc<dyn Backend> = Arc::new(Emulated::open().unwrap());
    let model = Model::new(SHAPE, 11);
    let on_device = model.prepared(device, 4);
    let refuse = |ids: &[u32], length: usize| {
        let batch = M2BertBatch { ids, length, wanted: M2BertRows::First };
        let error = on_device.forward(&batch).unwrap_err();
        assert!(matches!(error, GpuError::Shape(_)), "{error}");
        error.to_string()
    };
    assert_eq!(refuse(&[1, 2, 3, 50], 4), "token 50: the model has 50 words");
    assert!(refuse(&[1; 6], 4).starts_with("6 ids in texts of 4 tokens"));
    assert_eq!(refuse(&[1; 71], 71), "texts of 71 tokens: the model takes 1 to 70");
    assert_eq!(refuse(&[], 0), "texts of 0 tokens: the model takes 1 to 70");
    assert_eq!(refuse(&[1; 6], 3), "no filters for texts of 3 tokens");
    let nothing = M2BertBatch { ids: &[], length: 4, wanted: M2BertRows::All };
    assert!(on_device.forward(&nothing).unwrap().is_empty());
    let prepare = |length: usize, size: usize| {
        let filters = |_: usize| vec![[0.0; 2]; SHAPE.hidden * size];
        on_device.prepare(length, &filters).unwrap_err().to_string()
    };
    assert_eq!(prepare(71, 256), "texts of 71 tokens: the model takes 1 to 70");
    assert_eq!(prepare(3, 4), "filters of layer 0: 96 numbers, expected 192");
    assert_eq!(refuse(&[1; 6], 3), "no filters for texts of 3 tokens");
}

#[test]
fn models_that_no_kernel_takes_are_refused_by_name() {
    let load = |model: &Model| {
        let error = model.load(Arc::new(Emulated::open().unwrap())).unwrap_err();
        assert!(matches!(error, GpuError::Shape(_)), "{error}");
        error.to_string()
    };
    let mut model = Model::new(SHAPE, 1);
    let refused = |shape| load(&Model { shape, tensors: HashMap::new(), filters: Vec::new() });
    let odd = M2BertShape { intermediate: 7, blocks: 1, ..SHAPE };
    assert_eq!(refused(odd), "intermediate 7: expected even");
    assert_eq!(refused(M2BertShape { blocks: 5, ..SHAPE }), "5 blocks of 24 and 40 values");
    assert!(refused(M2BertShape { layers: 0, ..SHAPE }).starts_with("layers 0: expected 1 to"));
    let name = "encoder.layer.1.mlp.wo.weight";
    let tensor = model.tensors.remove(name).unwrap();
    assert_eq!(load(&model), format!("there is no tensor {name}"));
    model.tensors.insert(name.to_owned(), tensor[1..].to_vec());
    assert_eq!(load(&model), format!("{name}: 239 numbers, expected 240"));
    let mut large = tensor;
    large[3] = -1e6;
    model.tensors.insert(name.to_owned(), large);
    assert_eq!(load(&model), format!("{name}: -1000000 is beyond 16 bits"));
}

#[test]
fn what_does_not_fit_says_so_and_leaves_room_for_less() {
    let small =
        |bytes| -> Arc<dyn Backend> { Arc::new(Emulated::open().unwrap().with_memory(bytes)) };
    let model = Model::new(SHAPE, 13);
    let device = small(10_000);
    let error = model.load(Arc::clone(&device)).unwrap_err();
    assert!(matches!(error, GpuError::OutOfMemory { .. }), "{error}");
    assert_eq!(device.free_bytes().unwrap(), 10_000);

    let loaded = model.load(small(1 << 20)).unwrap();
    let (weights, filters) = (loaded.memory_bytes(), loaded.filter_bytes(70).unwrap());
    assert_eq!(filters, 2 * 24 * 258 * 8);
    let device = small(weights as usize + filters as usize + 1000);
    let on_device = model.load(Arc::clone(&device)).unwrap();
    let never = |_: usize| -> Vec<[f32; 2]> { panic!("filters were computed for nothing") };
    let taken = device.allocate("what others have", 10_000).unwrap();
    let error = on_device.prepare(70, &never).unwrap_err();
    assert!(matches!(error, GpuError::OutOfMemory { needed, .. } if needed == filters), "{error}");
    drop(taken);

    let device = small(weights as usize + 250_000);
    let on_device = model.prepared(Arc::clone(&device), 10);
    let run = |texts: usize| {
        let ids = ids(&SHAPE, 10 * texts, 1);
        on_device.forward(&M2BertBatch { ids: &ids, length: 10, wanted: M2BertRows::First })
    };
    let few = run(3).unwrap();
    let error = run(300).unwrap_err();
    assert!(matches!(error, GpuError::OutOfMemory { .. }), "{error}");
    assert_eq!(run(3).unwrap(), few);
}
