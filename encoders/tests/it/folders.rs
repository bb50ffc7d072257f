//! What a folder may and may not hold.

use bigrain_encoders::{EncodeError, EncodeOptions, OpenOptions, Pooling, TextEncoder, TextKind};
use bigrain_types::Cancel;
use safetensors::Dtype;

use crate::support::ModelFolder;

#[test]
fn a_missing_tensor_is_named() {
    let folder = ModelFolder::new("bert-tiny");
    folder.rewrite(|name, dtype, shape, data| {
        let keep = !name.ends_with("encoder.layer.1.output.dense.bias");
        keep.then(|| (name.to_owned(), dtype, shape.to_vec(), data.to_vec()))
    });
    assert_eq!(
        folder.refusal(),
        "model.safetensors lacks 1 tensors the model needs: encoder.layer.1.output.dense.bias; it \
         has 3 tensors the model does not use: embeddings.position_ids, pooler.dense.bias, \
         pooler.dense.weight"
    );
}

#[test]
fn a_mis_shaped_tensor_is_named_with_both_shapes() {
    let folder = ModelFolder::new("bert-tiny");
    folder.rewrite(|name, dtype, shape, data| {
        let mut shape = shape.to_vec();
        if name.ends_with("layer.0.intermediate.dense.weight") {
            shape.reverse();
        }
        Some((name.to_owned(), dtype, shape, data.to_vec()))
    });
    assert_eq!(
        folder.refusal(),
        "model.safetensors has 1 tensors in other shapes than its configuration says: \
         encoder.layer.0.intermediate.dense.weight: expected [96, 48], got [48, 96]; it has 3 \
         tensors the model does not use: embeddings.position_ids, pooler.dense.bias, \
         pooler.dense.weight"
    );
}

#[test]
fn a_weight_that_is_not_finite_is_named() {
    let folder = ModelFolder::new("roberta-tiny");
    folder.rewrite(|name, dtype, shape, data| {
        let mut data = data.to_vec();
        if name.ends_with("layer.2.attention.self.key.bias") {
            data[4..8].copy_from_slice(&f32::INFINITY.to_le_bytes());
        }
        Some((name.to_owned(), dtype, shape.to_vec(), data))
    });
    assert_eq!(
        folder.refusal(),
        "tensor encoder.layer.2.attention.self.key.bias: value 1 is inf, every weight must be finite"
    );
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let folder = ModelFolder::new("bert-tiny");
    let whole = std::fs::read(folder.path("model.safetensors")).unwrap();
    for len in [0, 4, 8, 1_000, whole.len() / 2, whole.len() - 1] {
        folder.write("model.safetensors", &whole[..len]);
        let error = folder.refusal();
        assert!(error.contains("model.safetensors"), "{len}: {error}");
    }
}

#[test]
fn missing_files_are_named() {
    for (name, message) in [
        ("config.json", "read config.json"),
        ("vocab.txt", "has no tokenizer.json, vocab.txt, or vocab.json with merges.txt"),
        (
            "model.safetensors",
            "or a single file that ends in .safetensors, .pt, .pth, .tar or .bin",
        ),
    ] {
        let folder = ModelFolder::new("bert-tiny");
        std::fs::remove_file(folder.path(name)).unwrap();
        let error = folder.refusal();
        assert!(error.ends_with(message), "{error}");
    }
}

#[test]
fn weights_in_half_precision_give_nearly_the_same_embeddings() {
    let folder = ModelFolder::new("bert-tiny");
    let full = folder.open(&OpenOptions::default()).unwrap();
    folder.rewrite(|name, dtype, shape, data| {
        if dtype != Dtype::F32 {
            return Some((name.to_owned(), dtype, shape.to_vec(), data.to_vec()));
        }
        let halves = data.as_chunks::<4>().0.iter();
        let halves = halves.flat_map(|&b| half::f16::from_f32(f32::from_le_bytes(b)).to_le_bytes());
        Some((format!("model.bert.{name}"), Dtype::F16, shape.to_vec(), halves.collect()))
    });
    let half = folder.open(&OpenOptions::default()).unwrap();
    assert_ne!(full.space(), half.space());
    let (a, b) = (full.encode_query("abc").unwrap(), half.encode_query("abc").unwrap());
    assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 0.01), "{a:?} {b:?}");
}

#[test]
fn every_choice_gives_its_own_space() {
    let folder = ModelFolder::new("bert-tiny");
    let choices = [
        OpenOptions::default(),
        OpenOptions { pooling: Some(Pooling::Cls), ..OpenOptions::default() },
        OpenOptions { pooling: Some(Pooling::Pooler), ..OpenOptions::default() },
        OpenOptions { normalize: Some(true), ..OpenOptions::default() },
        OpenOptions { max_tokens: Some(8), ..OpenOptions::default() },
    ];
    let mut spaces: Vec<_> =
        choices.iter().map(|choice| folder.open(choice).unwrap().space()).collect();
    assert_eq!(spaces[0], folder.open(&choices[0]).unwrap().space());
    folder.write("config_sentence_transformers.json", r#"{"prompts": {"query": "q "}}"#);
    spaces.push(folder.open(&choices[0]).unwrap().space());
    spaces.sort();
    spaces.dedup();
    assert_eq!(spaces.len(), 6);
}

#[test]
fn prompts_go_before_texts_of_their_kind() {
    let folder = ModelFolder::new("bert-tiny");
    let plain = folder.open(&OpenOptions::default()).unwrap();
    folder.write("config_sentence_transformers.json", r#"{"prompts": {"query": "q: "}}"#);
    let prompted = folder.open(&OpenOptions::default()).unwrap();
    assert_eq!(prompted.encode_query("ab").unwrap(), plain.encode_query("q: ab").unwrap());
    let documents = EncodeOptions { kind: TextKind::Document, ..EncodeOptions::default() };
    let document = prompted.encode(&["ab"], &documents).unwrap();
    assert_eq!(document.as_slice(), plain.encode_query("ab").unwrap());
}

#[test]
fn texts_keep_their_order_and_long_ones_are_counted() {
    let folder = ModelFolder::new("roberta-tiny");
    let encoder = folder.open(&OpenOptions::default()).unwrap();
    let long = "word ".repeat(10_000);
    let texts = ["b", &long, "🦀 🦀", "a longer text than the others", "b"];
    let together = encoder.encode(&texts, &EncodeOptions::default()).unwrap();
    assert_eq!((together.rows(), together.dims()), (5, 48));
    assert_eq!(together.stats().truncated, 1);
    assert_eq!(together.row(0), together.row(4));
    for (text, row) in texts.iter().zip(together.iter()) {
        assert_eq!(encoder.encode_query(text).unwrap(), row);
    }
    let none = encoder.encode(&[], &EncodeOptions::default()).unwrap();
    assert_eq!((none.rows(), none.row(0)), (0, None));
}

#[test]
fn bad_texts_and_cancelled_calls_return_nothing() {
    let encoder = ModelFolder::new("bert-tiny").open(&OpenOptions::default()).unwrap();
    let empty = encoder.encode(&["a", " \n"], &EncodeOptions::default());
    assert!(matches!(empty, Err(EncodeError::EmptyText { position: 1 })));
    let cancel = Cancel::new();
    cancel.cancel();
    let options = EncodeOptions { cancel, ..EncodeOptions::default() };
    assert!(matches!(encoder.encode(&["a"], &options), Err(EncodeError::Cancelled(_))));
}
