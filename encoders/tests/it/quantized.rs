//! Models in int8.

use bigrain_encoders::{
    CALIBRATION_TEXTS, EncodeOptions, OpenOptions, QuantizeError, QuantizeReport, Runtime,
    SentenceEncoder, TextEncoder, quantize_model,
};
use safetensors::Dtype;

use crate::support::{ModelFolder, cosine, real_model};

fn quantize(folder: &ModelFolder, texts: &[&str]) -> Result<QuantizeReport, QuantizeError> {
    let runtime = Runtime::new(2).unwrap();
    quantize_model(&folder.path(""), &folder.path("int8"), texts, &runtime)
}

/// The quantised folder of a golden model.
fn quantized(golden: &str) -> (ModelFolder, QuantizeReport, ModelFolder) {
    let folder = ModelFolder::new(golden);
    let report = quantize(&folder, CALIBRATION_TEXTS).unwrap();
    let int8 = ModelFolder::new(golden);
    for name in ["config.json", "model.safetensors", "vocab.txt"] {
        int8.write(name, std::fs::read(folder.path("int8").join(name)).unwrap());
    }
    (folder, report, int8)
}

#[test]
fn a_quantized_folder_opens_as_any_other_and_is_a_space_of_its_own() {
    for golden in ["bert-tiny", "roberta-tiny"] {
        let (folder, report, int8) = quantized(golden);
        let options = OpenOptions::default();
        let (before, after) = (folder.open(&options).unwrap(), int8.open(&options).unwrap());
        assert_eq!((report.space_before, report.space_after), (before.space(), after.space()));
        assert_ne!(before.space(), after.space());
        assert!(report.bytes_after < report.bytes_before, "{report:?}");
        // Four layers with an input of their own, in each of two or three layers of the model.
        assert!([8, 12].contains(&report.layers.len()), "{report:?}");
        for text in ["a", "some letters and more", "zzz"] {
            let (a, b) = (before.encode_query(text).unwrap(), after.encode_query(text).unwrap());
            assert!(a != b && cosine(&a, &b) > 0.995, "{golden} {text}: {}", cosine(&a, &b));
        }
        assert!(report.min_cosine > 0.995 && report.mean_cosine >= report.min_cosine);
        assert!(report.layers.iter().all(|layer| layer.error > 0.0 && layer.error < 0.05));
    }
}

#[test]
fn the_same_texts_give_the_same_bytes_and_batches_do_not_matter() {
    let (_, _, one) = quantized("bert-tiny");
    let (_, _, two) = quantized("bert-tiny");
    let bytes = |folder: &ModelFolder| std::fs::read(folder.path("model.safetensors")).unwrap();
    assert!(bytes(&one) == bytes(&two));
    let encoder = one.open(&OpenOptions::default()).unwrap();
    let texts: Vec<String> = (1..40).map(|i| "ab c ".repeat(i % 13 + 1)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = encoder.encode(&texts, &EncodeOptions::default()).unwrap();
    for (text, row) in texts.iter().zip(together.iter()) {
        assert_eq!(encoder.encode_query(text).unwrap(), row, "{text}");
    }
}

#[test]
fn what_cannot_be_quantized_is_refused() {
    let (folder, _, int8) = quantized("bert-tiny");
    assert!(matches!(quantize(&folder, &["a"]), Err(QuantizeError::Exists { .. })));
    assert!(matches!(quantize(&int8, &["a"]), Err(QuantizeError::NoLayers { .. })));
    let fresh = ModelFolder::new("bert-tiny");
    assert!(matches!(quantize(&fresh, &[]), Err(QuantizeError::NoTexts)));
    assert!(matches!(quantize(&fresh, &[" "]), Err(QuantizeError::Encode(_))));
    assert!(!fresh.path("int8").try_exists().unwrap());
}

#[test]
fn what_would_not_be_written_back_whole_is_refused_and_heads_left_out_are_named() {
    for (golden, kind) in [
        ("m2bert-tiny", "an M2-BERT"),
        ("bert-cross-tiny", "a cross-encoder"),
        ("electra-cross-tiny", "a cross-encoder"),
    ] {
        let folder = ModelFolder::new(golden);
        let error = quantize(&folder, CALIBRATION_TEXTS).unwrap_err().to_string();
        assert!(error.contains(&format!("is {kind}, which is not quantized")), "{error}");
        assert!(!folder.path("int8").try_exists().unwrap());
    }
    let (_, report, _) = quantized("bert-tiny");
    assert_eq!(report.left_out, ["embeddings.position_ids"]);
}

/// What is done to a tensor's type, shape and bytes.
type Damage<'a> = &'a dyn Fn(&mut Dtype, &mut Vec<usize>, &mut Vec<u8>);

#[test]
fn damaged_int8_layers_are_refused_by_name() {
    let layer = "encoder.layer.1.attention.self.key";
    let cases: [(&str, Damage<'_>, &str); 5] = [
        (
            "weight_scale",
            &|_, _, data| data[..4].copy_from_slice(&f32::NAN.to_le_bytes()),
            "value 0 is NaN",
        ),
        (
            "weight_scale",
            &|_, shape, data| {
                shape[0] -= 1;
                data.truncate(4 * shape[0]);
            },
            "expected [48], got [47]",
        ),
        ("exact_inputs", &|dtype, _, _| *dtype = Dtype::F32, "expected I32, got F32"),
        (
            "exact_inputs",
            &|_, shape, data| {
                *shape = vec![2];
                *data = [7_i32, 7].map(i32::to_le_bytes).concat();
            },
            "7 is out of order or not one of 48 inputs",
        ),
        (
            "exact_inputs",
            &|_, shape, data| {
                *shape = vec![1];
                *data = 48_i32.to_le_bytes().to_vec();
            },
            "48 is out of order or not one of 48 inputs",
        ),
    ];
    let (_, _, whole) = quantized("bert-tiny");
    let bytes = std::fs::read(whole.path("model.safetensors")).unwrap();
    for (tensor, damage, message) in cases {
        let folder = ModelFolder::new("bert-tiny");
        folder.write("model.safetensors", &bytes);
        folder.rewrite(|name, mut dtype, shape, data| {
            let (mut shape, mut data) = (shape.to_vec(), data.to_vec());
            if name == format!("{layer}.{tensor}") {
                damage(&mut dtype, &mut shape, &mut data);
            }
            Some((name.to_owned(), dtype, shape, data))
        });
        let error = folder.refusal();
        assert!(error.contains(tensor) && error.contains(message), "{error}");
    }
    let folder = ModelFolder::new("bert-tiny");
    folder.write("model.safetensors", &bytes);
    folder.rewrite(|name, dtype, shape, data| {
        let lost = name == format!("{layer}.weight_scale");
        (!lost).then(|| (name.to_owned(), dtype, shape.to_vec(), data.to_vec()))
    });
    assert!(folder.refusal().ends_with(&format!("{layer}.weight_scale")), "{}", folder.refusal());
}

#[test]
fn the_real_model_stays_what_it_was() {
    let Some(model) = real_model() else { return };
    let out = tempfile::tempdir().unwrap();
    let (out, runtime) = (out.path().join("int8"), Runtime::new(2).unwrap());
    let report = quantize_model(&model, &out, CALIBRATION_TEXTS, &runtime).unwrap();
    assert!(report.min_cosine > 0.998, "{report:?}");
    assert!(report.bytes_after * 5 < report.bytes_before * 2, "{report:?}");
    let encoder = SentenceEncoder::open(&out, &OpenOptions::default(), runtime).unwrap();
    let encode = |text: &str| encoder.encode_query(text).unwrap();
    let query = encode("How do I sort a list in place?");
    let near = encode("sorts the slice without allocating memory");
    let far = encode("The weather in Lisbon is mild in winter.");
    assert!(cosine(&query, &near) > cosine(&query, &far) + 0.2);
}
