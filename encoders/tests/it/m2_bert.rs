//! M2-BERT folders: padding as part of the space, and the names public checkpoints use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bigrain_encoders::{
    EncodeOptions, EncodeProgress, OpenOptions, PadPolicy, Pooling, TextEncoder,
};

use crate::support::ModelFolder;

fn bucket() -> OpenOptions {
    OpenOptions { pad_policy: PadPolicy::Bucket, ..OpenOptions::default() }
}

#[test]
fn the_pooler_of_the_first_token_is_the_embedding() {
    let folder = ModelFolder::new("m2bert-tiny");
    let encoder = folder.open(&OpenOptions::default()).unwrap();
    assert_eq!((encoder.dims(), encoder.max_tokens()), (48, 64));
    assert_eq!(encoder.model_dir().pooling, Pooling::Pooler);
    let embedding = encoder.encode_query("abc").unwrap();
    assert!(embedding.iter().all(|value| value.abs() < 1.0));
    for pooling in [Pooling::Cls, Pooling::Mean] {
        let options = OpenOptions { pooling: Some(pooling), ..OpenOptions::default() };
        let other = folder.open(&options).unwrap();
        assert_ne!(other.space(), encoder.space());
        assert_ne!(other.encode_query("abc").unwrap(), embedding);
    }
}

#[test]
fn padding_changes_vectors_and_is_part_of_the_space() {
    let folder = ModelFolder::new("m2bert-tiny");
    let (full, bucket) =
        (folder.open(&OpenOptions::default()).unwrap(), folder.open(&bucket()).unwrap());
    assert_ne!(full.space(), bucket.space());
    let short = "a short text";
    assert_ne!(full.encode_query(short).unwrap(), bucket.encode_query(short).unwrap());
    // A text that fills the longest bucket is padded alike by both.
    let long = "word ".repeat(50);
    assert_eq!(full.encode_query(&long).unwrap(), bucket.encode_query(&long).unwrap());
}

#[test]
fn texts_of_all_buckets_keep_their_order() {
    let folder = ModelFolder::new("m2bert-tiny");
    let long = "word ".repeat(10_000);
    let texts = ["b", &long, "🦀 🦀", "one two three four five six seven eight nine ten", "b"];
    for options in [OpenOptions::default(), bucket()] {
        let encoder = folder.open(&options).unwrap();
        let together = encoder.encode(&texts, &EncodeOptions::default()).unwrap();
        assert_eq!(together.stats().truncated, 1);
        for (text, row) in texts.iter().zip(together.iter()) {
            assert_eq!(encoder.encode_query(text).unwrap(), row, "{text}");
        }
        assert_eq!(encoder.encode(&[], &EncodeOptions::default()).unwrap().rows(), 0);
    }
}

#[test]
fn wrappers_prefixes_and_foreign_tensors_make_no_difference() {
    let plain = ModelFolder::new("m2bert-tiny");
    let expected = plain.open(&OpenOptions::default()).unwrap().encode_query("abc").unwrap();
    for prefix in ["", "bert.", "model.bert.", "module.", "module.model.bert."] {
        let folder = ModelFolder::new("m2bert-tiny");
        folder.rewrite(|name, dtype, shape, data| {
            let bare = name.strip_prefix("bert.").unwrap_or(name);
            // What published files hold beside the model, under names close to the model's own.
            let bare = match bare {
                "embeddings.position_ids" => "encoder.layer.0.attention.filter_fn.flashfft.f_32",
                other => other,
            };
            Some((format!("{prefix}{bare}"), dtype, shape.to_vec(), data.to_vec()))
        });
        let got = folder.open(&OpenOptions::default()).unwrap().encode_query("abc").unwrap();
        assert_eq!(got, expected, "{prefix}");
    }
}

#[test]
fn older_files_that_say_bert_are_known_by_their_long_filters() {
    let folder = ModelFolder::new("m2bert-tiny");
    let expected = folder.open(&OpenOptions::default()).unwrap().encode_query("abc").unwrap();
    let config = std::fs::read_to_string(folder.path("config.json")).unwrap();
    folder.write("config.json", config.replace("m2_bert", "bert"));
    let got = folder.open(&OpenOptions::default()).unwrap().encode_query("abc").unwrap();
    assert_eq!(got, expected);
}

#[test]
fn missing_and_mis_shaped_filters_are_named() {
    let folder = ModelFolder::new("m2bert-tiny");
    folder.rewrite(|name, dtype, shape, data| {
        let keep = !name.ends_with("layer.1.attention.filter_fn2.implicit_filter_rev.6.weight");
        keep.then(|| (name.to_owned(), dtype, shape.to_vec(), data.to_vec()))
    });
    let error = folder.refusal();
    let name = "encoder.layer.1.attention.filter_fn2.implicit_filter_rev.6.weight";
    assert!(error.contains("lacks 1 tensors") && error.contains(name), "{error}");
    assert!(error.ends_with("tensors the model does not use: embeddings.position_ids"), "{error}");

    let folder = ModelFolder::new("m2bert-tiny");
    let config = std::fs::read_to_string(folder.path("config.json")).unwrap();
    folder
        .write("config.json", config.replace("\"long_conv_l_max\": 64", "\"long_conv_l_max\": 32"));
    let error = folder.refusal();
    assert!(error.contains("pos_emb.z: expected [1, 32, 5], got [1, 64, 5]"), "{error}");
}

#[test]
fn progress_is_told_layer_by_layer() {
    let encoder = ModelFolder::new("m2bert-tiny").open(&OpenOptions::default()).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let progress = EncodeProgress::new(move |share| {
        assert!((0.0..=1.0).contains(&share));
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let options = EncodeOptions { progress, ..EncodeOptions::default() };
    encoder.encode(&["a", "b"], &options).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[test]
fn torch_files_of_both_formats_give_the_same_embedding() {
    let folder = ModelFolder::new("m2bert-tiny");
    let expected = folder.open(&OpenOptions::default()).unwrap().encode_query("abc").unwrap();
    std::fs::remove_file(folder.path("model.safetensors")).unwrap();
    for format in ["zip", "legacy"] {
        let file = format!("tests/data/m2bert-tiny/pytorch_model.{format}-format.bin");
        folder.write("pytorch_model.bin", std::fs::read(file).unwrap());
        let got = folder.open(&OpenOptions::default()).unwrap().encode_query("abc").unwrap();
        assert_eq!(got, expected, "{format}");
    }
}
