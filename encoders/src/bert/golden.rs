//! Forward passes against outputs of the reference implementations, on tiny random models.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use safetensors::SafeTensors;

use super::BertConfig;
use super::model::{BertModel, BertScratch};
use crate::architecture::Head;
use crate::batch::{PackedBatch, Sharing};
use crate::nn::dense;
use crate::weights::Tensors;

fn folder(name: &str) -> PathBuf {
    Path::new("tests/data").join(name)
}

/// Weight and bias of the layer that gives a label.
type LabelLayer = (Vec<f32>, Vec<f32>);

/// A golden model, and its label layer if that is asked for.
fn model(name: &str, head: Head) -> (BertModel, Option<LabelLayer>) {
    let config = std::fs::read(folder(name).join("config.json")).unwrap();
    let config = BertConfig::parse(&config).unwrap();
    let path = folder(name).join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let tensors = Tensors::parse(&path, &bytes).unwrap();
    let model = BertModel::build(&config, &tensors, head).unwrap();
    let label = (head == Head::Classifier).then(|| {
        let part = |part| tensors.read(&format!("{}.{part}", config.label_layer())).unwrap();
        (part("weight"), part("bias"))
    });
    (model, label)
}

/// Inputs and outputs of the reference, without its padding.
struct Reference {
    ids: Vec<Vec<u32>>,
    types: Vec<Vec<u32>>,
    hidden: Option<Vec<f32>>,
    pooled: Option<Vec<f32>>,
    logits: Option<Vec<f32>>,
    /// `[texts, heads, 31, 31]`, texts padded to as much.
    attention: Option<Vec<f32>>,
}

impl Reference {
    fn batch(&self) -> PackedBatch {
        let texts = self.ids.iter().zip(&self.types);
        PackedBatch::with_types(texts.map(|(ids, types)| (&ids[..], &types[..])))
    }
}

fn reference(name: &str) -> Reference {
    let bytes = std::fs::read(folder(name).join("reference.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name: &str| -> Vec<u32> {
        let data = tensors.tensor(name).unwrap().data();
        data.as_chunks::<8>().0.iter().map(|&b| i64::from_le_bytes(b) as u32).collect()
    };
    let floats = |name: &str| -> Option<Vec<f32>> {
        let data = tensors.tensor(name).ok()?.data();
        Some(data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
    };
    let mask = integers("attention_mask");
    let padded = tensors.tensor("attention_mask").unwrap().shape()[1];
    let real = |values: Vec<u32>| -> Vec<Vec<u32>> {
        let rows = values.chunks(padded).zip(mask.chunks(padded));
        rows.map(|(row, mask)| row[..mask.iter().sum::<u32>() as usize].to_vec()).collect()
    };
    let has_types = tensors.tensor("token_type_ids").is_ok();
    let types = if has_types { integers("token_type_ids") } else { vec![0; mask.len()] };
    let padded_rows = floats("last_hidden_state").map(|hidden| {
        let dims = hidden.len() / mask.len();
        let rows = hidden.chunks(dims).zip(&mask).filter(|(_, mask)| **mask == 1);
        rows.flat_map(|(row, _)| row.to_vec()).collect()
    });
    Reference {
        ids: real(integers("input_ids")),
        types: real(types),
        hidden: padded_rows.or_else(|| floats("real_rows")),
        pooled: floats("pooler_output"),
        logits: floats("logits"),
        attention: floats("last_attentions"),
    }
}

/// Within 2e-5 of the largest value.
fn assert_close(name: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    for (index, (x, y)) in got.iter().zip(expected).enumerate() {
        let most = 2e-5 * largest.max(1.0);
        assert!((x - y).abs() <= most, "{name}, value {index}: {x}, expected {y}");
    }
}

/// Runs a golden model; returns its rows, and its first rows with the head applied.
fn run(model: &BertModel, batch: &PackedBatch) -> (Vec<f32>, Vec<f32>) {
    let mut scratch = BertScratch::default();
    let hidden = model.forward(batch, Sharing::OneThread, &mut scratch).to_vec();
    let dims = hidden.len() / batch.tokens();
    let starts = &batch.bounds()[..batch.bounds().len() - 1];
    let first_rows = starts.iter().flat_map(|at| &hidden[at * dims..][..dims]).copied();
    let pooled = model.pool(first_rows.collect());
    (hidden, pooled)
}

#[test]
fn hidden_rows_and_pooler_equal_the_reference() {
    for name in ["bert-tiny", "roberta-tiny", "mpnet-tiny"] {
        let reference = reference(name);
        let (hidden, pooled) = run(&model(name, Head::Pooler).0, &reference.batch());
        assert_close(name, &hidden, &reference.hidden.unwrap());
        assert_close(name, &pooled, &reference.pooled.unwrap());
    }
}

#[test]
fn labels_of_every_family_equal_the_reference() {
    for (name, has_rows) in [
        ("bert-cross-tiny", false),
        ("roberta-cross-tiny", true),
        ("electra-cross-tiny", true),
        ("mpnet-cross-tiny", true),
        ("distilbert-cross-tiny", true),
    ] {
        let reference = reference(name);
        let (model, label) = model(name, Head::Classifier);
        let (hidden, pooled) = run(&model, &reference.batch());
        let (weight, bias) = label.unwrap();
        assert_close(name, &dense(&pooled, &weight, &bias), &reference.logits.unwrap());
        assert_eq!(reference.hidden.is_some(), has_rows, "{name}");
        if let Some(expected) = reference.hidden {
            assert_close(name, &hidden, &expected);
        }
    }
}

#[test]
fn attention_of_the_first_token_equals_the_reference() {
    for name in ["bert-tiny", "roberta-tiny", "bert-cross-tiny"] {
        let reference = reference(name);
        let Some(attention) = &reference.attention else { panic!("{name} has no attention") };
        let (model, _) = model(name, Head::None);
        let batch = reference.batch();
        let mut scratch = BertScratch::default();
        let got = model.first_token_attention(&batch, Sharing::OneThread, &mut scratch);
        let of_texts = attention.chunks(attention.len() / reference.ids.len());
        let mut expected = Vec::new();
        for (heads, ids) in of_texts.zip(&reference.ids) {
            let heads: Vec<&[f32]> = heads.chunks(31 * 31).collect();
            for token in 0..ids.len() {
                let sum: f32 = heads.iter().map(|head| head[token]).sum();
                expected.push(sum / heads.len() as f32);
            }
        }
        assert_close(name, &got, &expected);
        assert!((got[..reference.ids[0].len()].iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn a_pooler_that_a_family_has_not_is_refused() {
    let config = std::fs::read(folder("electra-cross-tiny").join("config.json")).unwrap();
    let config = BertConfig::parse(&config).unwrap();
    let error = config.check_head(Head::Pooler).unwrap_err().to_string();
    assert!(error.starts_with("pooling \"pooler\" is not supported"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_text_does_not_depend_on_its_batch_or_on_threads(
        texts in prop::collection::vec(prop::collection::vec(0u32..120, 1..40), 1..9),
        threads in 1usize..4,
        name in prop::sample::select(vec!["roberta-tiny", "mpnet-tiny", "electra-cross-tiny"]),
    ) {
        let (model, _) = model(name, Head::None);
        let batch = PackedBatch::new(texts.iter().map(Vec::as_slice));
        let mut scratch = BertScratch::default();
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let shared = pool.install(|| model.forward(&batch, Sharing::Pool, &mut scratch).to_vec());
        let serial = model.forward(&batch, Sharing::OneThread, &mut scratch).to_vec();
        prop_assert_eq!(&shared, &serial);
        let mut alone = Vec::new();
        for text in &texts {
            let batch = PackedBatch::new([&text[..]]);
            alone.extend_from_slice(model.forward(&batch, Sharing::OneThread, &mut scratch));
        }
        prop_assert_eq!(&alone, &serial);
    }
}
