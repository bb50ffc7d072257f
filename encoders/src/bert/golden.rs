//! The forward pass against outputs of the reference implementation, on tiny random models.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use safetensors::SafeTensors;

use super::BertConfig;
use super::model::{BertModel, BertScratch};
use crate::architecture::Head;
use crate::batch::{PackedBatch, Sharing};
use crate::weights::Tensors;

/// The reference pads texts to this length.
const LENGTH: usize = 31;

fn folder(name: &str) -> PathBuf {
    Path::new("tests/data").join(name)
}

fn model(name: &str) -> BertModel {
    let config = std::fs::read(folder(name).join("config.json")).unwrap();
    let path = folder(name).join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let tensors = Tensors::parse(&path, &bytes).unwrap();
    BertModel::build(&BertConfig::parse(&config).unwrap(), &tensors, Head::Pooler).unwrap()
}

/// Inputs and outputs of the reference, without its padding.
struct Reference {
    ids: Vec<Vec<u32>>,
    types: Vec<Vec<u32>>,
    hidden: Vec<f32>,
    pooled: Vec<f32>,
    /// `[texts, heads, LENGTH, LENGTH]`.
    attention: Vec<f32>,
}

fn reference(name: &str) -> Reference {
    let bytes = std::fs::read(folder(name).join("reference.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name: &str| -> Vec<u32> {
        let data = tensors.tensor(name).unwrap().data();
        data.as_chunks::<8>().0.iter().map(|&b| i64::from_le_bytes(b) as u32).collect()
    };
    let floats = |name: &str| -> Vec<f32> {
        let data = tensors.tensor(name).unwrap().data();
        data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    };
    let mask = integers("attention_mask");
    let real = |values: Vec<u32>| -> Vec<Vec<u32>> {
        let rows = values.chunks(LENGTH).zip(mask.chunks(LENGTH));
        rows.map(|(row, mask)| row[..mask.iter().sum::<u32>() as usize].to_vec()).collect()
    };
    let hidden = floats("last_hidden_state");
    let dims = hidden.len() / mask.len();
    Reference {
        ids: real(integers("input_ids")),
        types: real(integers("token_type_ids")),
        hidden: hidden
            .chunks(dims)
            .zip(&mask)
            .filter(|(_, mask)| **mask == 1)
            .flat_map(|(row, _)| row.to_vec())
            .collect(),
        pooled: floats("pooler_output"),
        attention: floats("last_attentions"),
    }
}

fn assert_close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    for (index, (x, y)) in got.iter().zip(expected).enumerate() {
        assert!((x - y).abs() <= 2e-5 * largest.max(1.0), "value {index}: {x}, expected {y}");
    }
}

#[test]
fn hidden_rows_and_pooler_equal_the_reference() {
    for name in ["bert-tiny", "roberta-tiny"] {
        let (model, reference) = (model(name), reference(name));
        let batch = PackedBatch::new(reference.ids.iter().map(Vec::as_slice))
            .with_types(reference.types.concat());
        let mut scratch = BertScratch::default();
        let hidden = model.forward(&batch, Sharing::OneThread, &mut scratch);
        assert_close(hidden, &reference.hidden);
        let dims = hidden.len() / batch.tokens();
        let starts = &batch.bounds()[..reference.ids.len()];
        let first_rows = starts.iter().flat_map(|at| &hidden[at * dims..][..dims]).copied();
        assert_close(&model.pool(first_rows.collect()), &reference.pooled);
    }
}

#[test]
fn attention_of_the_first_token_equals_the_reference() {
    for name in ["bert-tiny", "roberta-tiny"] {
        let (model, reference) = (model(name), reference(name));
        let batch = PackedBatch::new(reference.ids.iter().map(Vec::as_slice))
            .with_types(reference.types.concat());
        let got =
            model.first_token_attention(&batch, Sharing::OneThread, &mut BertScratch::default());
        let of_texts = reference.attention.chunks(reference.attention.len() / reference.ids.len());
        let mut expected = Vec::new();
        for (heads, ids) in of_texts.zip(&reference.ids) {
            let heads: Vec<&[f32]> = heads.chunks(LENGTH * LENGTH).collect();
            for token in 0..ids.len() {
                let sum: f32 = heads.iter().map(|head| head[token]).sum();
                expected.push(sum / heads.len() as f32);
            }
        }
        assert_close(&got, &expected);
        assert!((got[..reference.ids[0].len()].iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_text_does_not_depend_on_its_batch_or_on_threads(
        texts in prop::collection::vec(prop::collection::vec(0u32..120, 1..40), 1..9),
        threads in 1usize..4,
    ) {
        let model = model("roberta-tiny");
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
