//! The forward pass of BERT's family agrees with its definition in double precision, within the rounding of halves.

use std::collections::HashMap;
use std::sync::Arc;

use bigrain_emulation::Emulated;
use bigrain_gpu::{Backend, BertActivation, BertBatch, BertShape, GpuBert, GpuError};

use crate::reference::{add, dot, linear, norm, normal_share};
use crate::support::{Numbers, devices};

const SHAPE: BertShape = BertShape {
    vocabulary: 50,
    first_position: 0,
    positions: 120,
    types: 2,
    embedding: 24,
    hidden: 24,
    layers: 2,
    heads: 3,
    intermediate: 40,
    eps: 1e-5,
    activation: BertActivation::Gelu,
};

/// A model of random weights, whose rows are about one in size everywhere.
struct Model {
    shape: BertShape,
    tensors: HashMap<String, Vec<f32>>,
    /// For each head and distance.
    distances: Option<Vec<f32>>,
}

impl Model {
    fn new(shape: BertShape, seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let mut tensors = HashMap::new();
        let BertShape { embedding, hidden, intermediate, .. } = shape;
        let mut add = |name: &str, count: usize, base: f32, spread: f32| {
            let values = numbers.floats(count).iter().map(|value| base + spread * value).collect();
            tensors.insert(name.to_owned(), values);
        };
        let positions = shape.first_position + shape.positions;
        add("embeddings.word_embeddings.weight", shape.vocabulary * embedding, 0.0, 1.0);
        add("embeddings.position_embeddings.weight", positions * embedding, 0.0, 1.0);
        if shape.types > 0 {
            add("embeddings.token_type_embeddings.weight", shape.types * embedding, 0.0, 1.0);
        }
        let mut norms = vec![("embeddings.LayerNorm".to_owned(), embedding)];
        let mut layers = vec![];
        if embedding != hidden {
            layers.push(("embeddings_project".to_owned(), embedding, hidden));
        }
        for layer in 0..shape.layers {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            for part in ["self.query", "self.key", "self.value", "output.dense"] {
                layers.push((name(&format!("attention.{part}")), hidden, hidden));
            }
            layers.push((name("intermediate.dense"), hidden, intermediate));
            layers.push((name("output.dense"), intermediate, hidden));
            norms.push((name("attention.output.LayerNorm"), hidden));
            norms.push((name("output.LayerNorm"), hidden));
        }
        for (name, inputs, outputs) in layers {
            let spread = 2.5 / (inputs as f32).sqrt();
            add(&format!("{name}.weight"), inputs * outputs, 0.0, spread);
            add(&format!("{name}.bias"), outputs, 0.0, 0.3);
        }
        for (name, width) in norms {
            add(&format!("{name}.weight"), width, 1.0, 0.2);
            add(&format!("{name}.bias"), width, 0.0, 0.2);
        }
        Self { shape, tensors, distances: None }
    }

    fn with_distances(mut self, seed: u64, size: f32) -> Self {
        let count = self.shape.heads * (2 * self.shape.positions - 1);
        self.distances = Some(Numbers(seed).floats(count).iter().map(|d| size * d).collect());
        self
    }

    fn load(&self, backend: Arc<dyn Backend>) -> Result<GpuBert, GpuError> {
        let read = |name: &str| self.tensors.get(name).cloned();
        GpuBert::load(backend, self.shape, self.distances.as_deref(), &read)
    }

    fn tensor(&self, name: &str) -> Vec<f64> {
        self.tensors[name].iter().map(|&value| f64::from(value)).collect()
    }

    fn linear(&self, name: &str, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (weight, bias) =
            (self.tensor(&format!("{name}.weight")), self.tensor(&format!("{name}.bias")));
        linear(&weight, &bias, rows)
    }

    fn norm(&self, name: &str, rows: &mut [Vec<f64>]) {
        let (weight, bias) =
            (self.tensor(&format!("{name}.weight")), self.tensor(&format!("{name}.bias")));
        norm((&weight, &bias), f64::from(self.shape.eps), rows);
    }

    /// The last rows of one text.
    fn forward(&self, ids: &[u32], types: &[u32]) -> Vec<Vec<f64>> {
        let BertShape { embedding, hidden, heads, .. } = self.shape;
        let table = |name: &str| self.tensor(&format!("embeddings.{name}_embeddings.weight"));
        let (words, positions) = (table("word"), table("position"));
        let kinds = if self.shape.types > 0 { table("token_type") } else { vec![0.0; embedding] };
        let row = |table: &[f64], at: usize, i: usize| table[at * embedding + i];
        let embed = |(at, (&id, &kind)): (usize, (&u32, &u32))| {
            let of = |i| {
                row(&words, id as usize, i)
                    + row(&kinds, kind as usize, i)
                    + row(&positions, self.shape.first_position + at, i)
            };
            (0..embedding).map(of).collect()
        };
        let mut x: Vec<Vec<f64>> = ids.iter().zip(types).enumerate().map(embed).collect();
        self.norm("embeddings.LayerNorm", &mut x);
        if embedding != hidden {
            x = self.linear("embeddings_project", &x);
        }
        for layer in 0..self.shape.layers {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let [query, key, value] = ["query", "key", "value"]
                .map(|part| self.linear(&name(&format!("attention.self.{part}")), &x));
            let mut context = vec![Vec::with_capacity(hidden); x.len()];
            for head in 0..heads {
                let dims = hidden / heads;
                let part = |row: &[f64]| row[head * dims..][..dims].to_vec();
                for (at, context) in context.iter_mut().enumerate() {
                    let score = |(other, key): (usize, &Vec<f64>)| {
                        let bias = self.distances.as_ref().map_or(0.0, |distances| {
                            let reach = self.shape.positions - 1;
                            let of_head = &distances[head * (2 * reach + 1)..];
                            f64::from(of_head[reach + other - at])
                        });
                        ((dot(&part(&query[at]), &part(key)) + bias) / (dims as f64).sqrt()).exp()
                    };
                    let weights: Vec<f64> = key.iter().enumerate().map(score).collect();
                    let total: f64 = weights.iter().sum();
                    context.extend((0..dims).map(|dim| {
                        let values = value.iter().map(|value| value[head * dims + dim]);
                        weights.iter().zip(values).map(|(w, v)| w * v).sum::<f64>() / total
                    }));
                }
            }
            add(&mut x, &self.linear(&name("attention.output.dense"), &context));
            self.norm(&name("attention.output.LayerNorm"), &mut x);
            let mut wide = self.linear(&name("intermediate.dense"), &x);
            wide.iter_mut().flatten().for_each(|value| *value = self.activated(*value));
            add(&mut x, &self.linear(&name("output.dense"), &wide));
            self.norm(&name("output.LayerNorm"), &mut x);
        }
        x
    }

    fn activated(&self, x: f64) -> f64 {
        match self.shape.activation {
            BertActivation::Gelu => x * normal_share(x),
            BertActivation::GeluTanh => {
                0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x.powi(3))).tanh())
            }
            BertActivation::Relu => x.max(0.0),
        }
    }
}

/// Texts of random tokens, of these lengths.
fn texts(shape: &BertShape, lengths: &[usize], seed: u64) -> (Vec<u32>, Vec<u32>, Vec<usize>) {
    let mut numbers = Numbers(seed);
    let tokens: usize = lengths.iter().sum();
    let mut below = |end: usize| -> Vec<u32> {
        (0..tokens).map(|_| numbers.below(end.max(1) as u64) as u32).collect()
    };
    let (ids, types) = (below(shape.vocabulary), below(shape.types));
    let ends = lengths.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    (ids, types, std::iter::once(0).chain(ends).collect())
}

/// Runs texts of these lengths on every device, together, and compares every row with the definition.
fn check(model: &Model, lengths: &[usize], what: &str) {
    let shape = &model.shape;
    let (ids, types, bounds) = texts(shape, lengths, 7);
    let of_text = |text: &[usize]| model.forward(&ids[text[0]..text[1]], &types[text[0]..text[1]]);
    let expected: Vec<f64> = bounds.windows(2).flat_map(of_text).flatten().collect();
    for device in devices() {
        let on_device = model.load(Arc::clone(&device)).unwrap();
        let batch = BertBatch { ids: &ids, types: &types, bounds: &bounds };
        let rows = on_device.forward(&batch).unwrap();
        assert_eq!(rows.len(), expected.len());
        let off = |(x, y): (&f32, &f64)| (f64::from(*x) - y).abs();
        let most = rows.iter().zip(&expected).map(off).fold(0.0, f64::max);
        // Rows are a few in size; a token more or less moves them by far more.
        assert!(most <= 0.02, "{}: {what}: {most}", device.name());
        let again = on_device.forward(&batch).unwrap();
        assert_eq!(rows, again, "{}: {what}: memory is used again", device.name());
    }
}

#[test]
fn texts_of_any_length_lie_one_after_the_other() {
    let model = Model::new(SHAPE, 1);
    check(&model, &[1], "one token");
    check(&model, &[17], "one text");
    check(&model, &[3, 1, 16, 15, 33, 2], "several texts");
    check(&model, &[120], "the longest text");
}

#[test]
fn long_texts_attend_to_all_of_their_tokens() {
    let shape = BertShape {
        positions: 512,
        embedding: 16,
        hidden: 16,
        heads: 2,
        intermediate: 16,
        layers: 1,
        ..SHAPE
    };
    // With biases of that size a few tokens have most of the weight, near or far: without them rows are other ones.
    let model = Model::new(shape, 21).with_distances(22, 40.0);
    check(&model, &[1, 16, 17, 255, 512], "as many tokens as most models take");
}

#[test]
fn heads_may_have_any_dimensions() {
    for (dims, heads) in [(1, 3), (3, 2), (8, 2), (12, 1), (20, 2), (32, 2), (64, 1), (128, 1)] {
        let hidden = dims * heads;
        let shape = BertShape { embedding: hidden, hidden, heads, layers: 1, ..SHAPE };
        check(&Model::new(shape, dims as u64), &[5, 18], &format!("{heads} heads of {dims}"));
    }
}

#[test]
fn every_activation_is_its_own() {
    for activation in [BertActivation::Gelu, BertActivation::GeluTanh, BertActivation::Relu] {
        // An odd number of values in all.
        let shape = BertShape { activation, intermediate: 37, ..SHAPE };
        check(&Model::new(shape, 3), &[4, 3], &format!("{activation:?}"));
    }
}

#[test]
fn relatives_of_bert_differ_as_their_shape_says() {
    let narrow = BertShape { embedding: 10, ..SHAPE };
    check(&Model::new(narrow, 5), &[6, 9], "a narrower table");
    let roberta = BertShape { first_position: 2, types: 1, ..SHAPE };
    check(&Model::new(roberta, 6), &[6, 9], "positions from 2 on");
    let mpnet = BertShape { first_position: 2, types: 0, positions: 40, ..SHAPE };
    check(&Model::new(mpnet, 7).with_distances(8, 4.0), &[6, 40, 19], "a bias by distance");
}

#[test]
fn a_text_does_not_depend_on_those_beside_it() {
    let model = Model::new(SHAPE, 9);
    let (ids, types, bounds) = texts(&SHAPE, &[7, 20, 33], 10);
    for device in devices() {
        let on_device = model.load(device).unwrap();
        let batch = BertBatch { ids: &ids, types: &types, bounds: &bounds };
        let together = on_device.forward(&batch).unwrap();
        let mut alone = Vec::new();
        for text in bounds.windows(2) {
            let range = text[0]..text[1];
            let (ids, types) = (&ids[range.clone()], &types[range.clone()]);
            let batch = BertBatch { ids, types, bounds: &[0, range.len()] };
            alone.extend(on_device.forward(&batch).unwrap());
        }
        assert_eq!(together, alone);
    }
}

#[test]
fn tokens_outside_the_tables_are_refused_by_name() {
    let device: Arc<dyn Backend> = Arc::new(Emulated::open().unwrap());
    let model = Model::new(SHAPE, 11).load(device).unwrap();
    let refuse = |ids: &[u32], types: &[u32], bounds: &[usize]| {
        let error = model.forward(&BertBatch { ids, types, bounds }).unwrap_err();
        assert!(matches!(error, GpuError::Shape(_)), "{error}");
        error.to_string()
    };
    assert!(refuse(&[1, 50], &[0, 0], &[0, 2]).contains("token 50 of type 0"));
    assert!(refuse(&[1, 4], &[0, 2], &[0, 2]).contains("token 4 of type 2"));
    assert!(refuse(&[1; 121], &[0; 121], &[0, 121]).contains("a text of 121 tokens"));
    assert!(refuse(&[1; 3], &[0; 3], &[0, 2, 2, 3]).contains("a text of 0 tokens"));
    assert!(refuse(&[1; 3], &[0; 3], &[0, 2]).contains("3 ids"));
    assert!(refuse(&[1; 3], &[0; 2], &[0, 3]).contains("2 types"));
    let nothing = BertBatch { ids: &[], types: &[], bounds: &[0] };
    assert!(model.forward(&nothing).unwrap().is_empty());
}

#[test]
fn models_that_no_kernel_takes_are_refused_by_name() {
    let load = |model: &Model| {
        let error = model.load(Arc::new(Emulated::open().unwrap())).unwrap_err();
        assert!(matches!(error, GpuError::Shape(_)), "{error}");
        error.to_string()
    };
    let wide = BertShape { hidden: 258, embedding: 258, heads: 2, ..SHAPE };
    assert!(load(&Model::new(wide, 1)).contains("heads of 129 dimensions"));
    let mut model = Model::new(SHAPE, 1);
    let name = "encoder.layer.1.output.dense.weight";
    let tensor = model.tensors.remove(name).unwrap();
    assert_eq!(load(&model), format!("there is no tensor {name}"));
    model.tensors.insert(name.to_owned(), tensor[1..].to_vec());
    assert_eq!(load(&model), format!("{name}: 959 numbers, expected 960"));
    let mut large = tensor;
    large[3] = 1e6;
    model.tensors.insert(name.to_owned(), large);
    assert_eq!(load(&model), format!("{name}: 1000000 is beyond 16 bits"));
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

    let bytes = model.load(small(1 << 20)).unwrap().memory_bytes();
    let device = small(bytes as usize + 200_000);
    let on_device = model.load(Arc::clone(&device)).unwrap();
    let run = |lengths: &[usize]| {
        let (ids, types, bounds) = texts(&SHAPE, lengths, 1);
        on_device.forward(&BertBatch { ids: &ids, types: &types, bounds: &bounds })
    };
    let few = run(&[100]).unwrap();
    let error = run(&[100; 20]).unwrap_err();
    assert!(matches!(error, GpuError::OutOfMemory { .. }), "{error}");
    assert_eq!(run(&[100]).unwrap(), few);
}
