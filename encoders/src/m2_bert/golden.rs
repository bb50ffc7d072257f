//! The forward pass against outputs of the reference implementation, on a tiny random model.

use std::path::{Path, PathBuf};

use bigrain_types::Cancel;
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use safetensors::SafeTensors;

use super::config::M2BertConfig;
use super::model::{M2BertModel, M2BertScratch, PaddedTexts, WantedRows, Watch};
use crate::architecture::Head;
use crate::weights::Tensors;

fn file(name: &str) -> (PathBuf, Vec<u8>) {
    let path = Path::new("tests/data/m2bert-tiny").join(name);
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

fn model() -> M2BertModel {
    let config = M2BertConfig::parse(&file("config.json").1).unwrap();
    let (path, bytes) = file("model.safetensors");
    M2BertModel::build(&config, &Tensors::parse(&path, &bytes).unwrap(), Head::Pooler).unwrap()
}

/// What the reference was given and gave.
struct Reference {
    ids: Vec<u32>,
    hidden: Vec<f32>,
    embedding: Vec<f32>,
}

fn reference(case: &str) -> Reference {
    let bytes = file("reference.safetensors").1;
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = |name: &str| tensors.tensor(&format!("{case}.{name}")).unwrap().data();
    let floats = |name: &str| -> Vec<f32> {
        data(name).as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    };
    let ids = data("input_ids").as_chunks::<8>().0;
    Reference {
        ids: ids.iter().map(|&b| i64::from_le_bytes(b) as u32).collect(),
        hidden: floats("last_hidden_state"),
        embedding: floats("embedding"),
    }
}

fn forward(model: &M2BertModel, ids: &[u32], length: usize, wanted: WantedRows) -> Vec<f32> {
    let texts = PaddedTexts { ids, length };
    let cancel = Cancel::new();
    let watch = Watch { cancel: &cancel, layer_done: &|| {} };
    model.forward(texts, wanted, watch, &mut M2BertScratch::default()).unwrap()
}

fn assert_close(case: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let error = got.iter().zip(expected).fold(0.0f32, |most, (x, y)| most.max((x - y).abs()));
    println!("{case}: {error} of {largest}");
    assert!(error <= 2e-5 * largest.max(1.0), "{case}: {error}, values up to {largest}");
}

#[test]
fn hidden_rows_and_embedding_equal_the_reference() {
    let model = model();
    for case in ["full", "short", "one"] {
        let Reference { ids, hidden, embedding } = reference(case);
        let all = forward(&model, &ids, ids.len(), WantedRows::All);
        assert_close(case, &all, &hidden);
        let first = forward(&model, &ids, ids.len(), WantedRows::First);
        assert_close(case, &first, &all[..first.len()]);
        assert_close(case, &model.pool(first), &embedding);
    }
}

#[test]
fn padding_is_part_of_what_is_computed() {
    let model = model();
    let ids = reference("short").ids;
    let mut padded = ids.clone();
    padded.resize(64, 0);
    let embed = |ids: &[u32]| model.pool(forward(&model, ids, ids.len(), WantedRows::First));
    let (short, long) = (embed(&ids), embed(&padded));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let cosine = dot(&short, &long) / (dot(&short, &short) * dot(&long, &long)).sqrt();
    assert!(cosine < 0.999, "{cosine}");
}

#[test]
fn kept_filters_are_the_ones_computed_for_a_batch() {
    let (once, again) = (model(), model());
    again.forget_to_keep();
    let ids: Vec<u32> = (0..3 * 50).map(|i| i * 7 % 100).collect();
    for wanted in [WantedRows::All, WantedRows::First] {
        let kept = forward(&once, &ids, 50, wanted);
        assert_eq!(kept, forward(&once, &ids, 50, wanted));
        assert_eq!(kept, forward(&again, &ids, 50, wanted));
    }
    assert!(once.keeps(50) && !again.keeps(50));
}

#[test]
fn a_cancelled_pass_stops_after_the_layer() {
    let model = model();
    let cancel = Cancel::new();
    let watch = Watch { cancel: &cancel, layer_done: &|| cancel.cancel() };
    let texts = PaddedTexts { ids: &[1; 64], length: 64 };
    let result = model.forward(texts, WantedRows::All, watch, &mut M2BertScratch::default());
    assert!(result.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_text_does_not_depend_on_its_batch_or_on_threads(
        ids in prop::collection::vec(0u32..100, 64 * 4),
        length in 1usize..65,
        texts in 1usize..4,
        threads in 1usize..4,
    ) {
        let model = model();
        let ids = &ids[..texts * length];
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for wanted in [WantedRows::All, WantedRows::First] {
            let together = pool.install(|| forward(&model, ids, length, wanted));
            let alone: Vec<f32> =
                ids.chunks(length).flat_map(|ids| forward(&model, ids, length, wanted)).collect();
            prop_assert_eq!(&together, &alone);
        }
    }
}
