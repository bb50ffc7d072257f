//! Every family, opened from a folder and encoding texts.

use bigrain_encoders::{EncodeOptions, OpenOptions, Pooling, TextEncoder};

use crate::support::{ModelFolder, cosine};

const FAMILIES: [(&str, usize); 6] = [
    ("bert-tiny", 48),
    ("roberta-tiny", 48),
    ("mpnet-tiny", 32),
    ("electra-cross-tiny", 32),
    ("distilbert-cross-tiny", 32),
    ("roberta-cross-tiny", 32),
];

#[test]
fn every_family_opens_under_its_wrappers_names() {
    for (name, dims) in FAMILIES {
        let encoder = ModelFolder::new(name).open(&OpenOptions::default()).unwrap();
        let texts = ["abc", "a much longer text than the first one"];
        let embeddings = encoder.encode(&texts, &EncodeOptions::default()).unwrap();
        assert_eq!((embeddings.rows(), embeddings.dims()), (2, dims), "{name}");
        assert!(embeddings.as_slice().iter().all(|value| value.is_finite()), "{name}");
        assert_ne!(embeddings.row(0), embeddings.row(1), "{name}");
    }
}

#[test]
fn tensors_the_model_does_not_use_are_told() {
    let unused = |name: &str| {
        ModelFolder::new(name).open(&OpenOptions::default()).unwrap().unused_tensors().to_vec()
    };
    assert_eq!(
        unused("bert-tiny"),
        ["embeddings.position_ids", "pooler.dense.bias", "pooler.dense.weight"]
    );
    assert_eq!(
        unused("distilbert-cross-tiny"),
        ["classifier.bias", "classifier.weight", "pre_classifier.bias", "pre_classifier.weight"]
    );
}

#[test]
fn a_family_without_a_pooler_refuses_it() {
    let options = OpenOptions { pooling: Some(Pooling::Pooler), ..OpenOptions::default() };
    let error = ModelFolder::new("distilbert-cross-tiny").open(&options).unwrap_err();
    assert!(error.to_string().starts_with("pooling \"pooler\" is not supported"), "{error}");
}

#[test]
fn a_dense_layer_comes_after_the_pooling_and_is_part_of_the_space() {
    let folder = ModelFolder::new("bert-tiny");
    let plain = folder.open(&OpenOptions::default()).unwrap();
    folder.write(
        "modules.json",
        r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]"#,
    );
    folder.write("1_Pooling/config.json", r#"{"pooling_mode_mean_tokens": true}"#);
    folder.write(
        "2_Dense/config.json",
        r#"{"in_features": 48, "out_features": 2, "bias": true,
            "activation_function": "torch.nn.modules.activation.Tanh"}"#,
    );
    // One output is the third value, the other the sum of the first two and 0.5.
    let mut weight = [0.0f32; 96];
    (weight[2], weight[48], weight[49]) = (1.0, 1.0, 1.0);
    let write = |bias: [f32; 2]| {
        let bytes = |values: &[f32]| -> Vec<u8> {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        let (weight, bias) = (bytes(&weight), bytes(&bias));
        let view = |shape: &[usize], data| {
            let dtype = safetensors::Dtype::F32;
            safetensors::tensor::TensorView::new(dtype, shape.to_vec(), data).unwrap()
        };
        let views =
            [("linear.weight", view(&[2, 48], &weight)), ("linear.bias", view(&[2], &bias))];
        folder.write("2_Dense/model.safetensors", safetensors::serialize(views, None).unwrap());
        folder.open(&OpenOptions::default()).unwrap()
    };
    let encoder = write([0.0, 0.5]);
    let (pooled, dense) =
        (plain.encode_query("abc").unwrap(), encoder.encode_query("abc").unwrap());
    assert_eq!((encoder.dims(), dense.len()), (2, 2));
    let expected = [pooled[2].tanh(), (pooled[0] + pooled[1] + 0.5).tanh()];
    for (x, y) in dense.iter().zip(expected) {
        assert!((x - y).abs() < 1e-6, "{x} {y}");
    }
    assert_ne!(encoder.space(), plain.space());
    assert_ne!(encoder.space(), write([0.0, 0.25]).space());
}

#[test]
fn stated_prompts_replace_those_of_the_folder() {
    let folder = ModelFolder::new("bert-tiny");
    let plain = folder.open(&OpenOptions::default()).unwrap();
    let prompts =
        bigrain_encoders::Prompts { query: "query: ".to_owned(), document: "passage: ".to_owned() };
    let options = OpenOptions { prompts: Some(prompts), ..OpenOptions::default() };
    let prompted = folder.open(&options).unwrap();
    assert_eq!(prompted.encode_query("ab").unwrap(), plain.encode_query("query: ab").unwrap());
    assert_ne!(prompted.space(), plain.space());
}

#[test]
fn tokens_have_the_rows_of_the_model_and_their_dense_layer() {
    let folder = ModelFolder::new("bert-tiny");
    let encoder = folder.open(&OpenOptions::default()).unwrap();
    let shape = encoder.token_shape().unwrap();
    assert_eq!(shape.dims, 48);
    assert_ne!(shape.space, encoder.space());
    // [CLS], the word's three pieces, [SEP]; and what is encoded with a text does not change it.
    let options = EncodeOptions::default();
    let together = encoder.encode_tokens(&["abc", "zz zz zz zz"], &options).unwrap();
    let alone = encoder.encode_tokens(&["abc"], &options).unwrap();
    assert_eq!((together[0].rows(), together[1].rows(), together[0].dims()), (5, 10, 48));
    for (x, y) in together[0].iter().zip(alone[0].iter()) {
        assert!((x.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(cosine(x, y) > 0.999_999);
    }
    // Their first row is what pooling by the first token gives.
    let options = OpenOptions { pooling: Some(Pooling::Cls), ..OpenOptions::default() };
    let first = folder.open(&options).unwrap().encode_query("abc").unwrap();
    assert!(cosine(&first, alone[0].row(0).unwrap()) > 0.999_999);
}

#[test]
fn tokens_of_a_model_whose_padding_goes_through_them_are_refused() {
    let folder = ModelFolder::new("m2bert-tiny");
    let encoder = folder.open(&OpenOptions::default()).unwrap();
    assert_eq!(encoder.token_shape(), None);
    let error = encoder.encode_tokens(&["abc"], &EncodeOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("the encoder gives no vectors of tokens"), "{error}");
}
