//! EfficientNet-Lite0 paired with MiniLM: the published weights, which `scripts/setup.sh images` fetches.

use std::fs;
use std::path::{Path, PathBuf};

use bigrain_encoders::{
    ClassNameEncoder, DecodeOptions, EncodeOptions, ImageModel, OpenOptions, PreprocessConfig,
    Runtime, SentenceEncoder, TextEncoder, decode_image_file,
};
use serde_json::Value;

/// The folder of the pair; without it a test says that it did nothing, unless `REQUIRE_MODEL=1`
/// forbids that.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("BIGRAIN_IMAGE_MODEL").map(PathBuf::from);
    let found = folder.filter(|folder| folder.is_dir());
    if found.is_none() {
        let required = std::env::var_os("REQUIRE_MODEL").is_some_and(|value| value == "1");
        assert!(!required, "REQUIRE_MODEL=1, but BIGRAIN_IMAGE_MODEL names no model folder");
        println!("skipped: BIGRAIN_IMAGE_MODEL names no model folder");
    }
    found
}

#[test]
fn probabilities_are_those_of_another_implementation() {
    let Some(folder) = folder() else { return };
    let encoder = ClassNameEncoder::open(&folder, Runtime::new(2).unwrap()).unwrap();
    let config = PreprocessConfig::efficientnet_lite0();
    let json = fs::read("tests/data/lite0-probabilities.json").unwrap();
    let cases: Value = serde_json::from_slice(&json).unwrap();
    let cases = cases.as_object().unwrap();
    assert_eq!(cases.len(), 3);
    for (picture, expected) in cases {
        let path = Path::new("tests/data/preprocess-small").join(picture);
        let pixels = config.apply(&decode_image_file(&path, &DecodeOptions::default()).unwrap());
        let rows = encoder.classify(&[pixels], &EncodeOptions::default()).unwrap();
        let expected: Vec<f32> = serde_json::from_value(expected.clone()).unwrap();
        assert_eq!(rows[0].len(), 1000);
        for (class, (actual, expected)) in rows[0].iter().zip(expected).enumerate() {
            assert!((actual - expected).abs() < 2e-5, "{class}: {actual} {expected}");
        }
    }
}

#[test]
fn the_space_is_the_sentence_encoders_and_threads_change_nothing() {
    let Some(folder) = folder() else { return };
    let alone = ImageModel::open(&folder, Runtime::new(1).unwrap()).unwrap();
    let shared = ImageModel::open(&folder, Runtime::new(3).unwrap()).unwrap();
    let texts = folder.join("../all-MiniLM-L6-v2");
    let text = SentenceEncoder::open(&texts, &OpenOptions::default(), Runtime::new(1).unwrap());
    let text = text.unwrap();
    assert_eq!(alone.encoder().space(), text.space());
    let caption = ["a red fox in the snow"];
    let options = EncodeOptions::default();
    let expected = text.encode(&caption, &options).unwrap();
    let actual = alone.encoder().encode_texts(&caption, &options).unwrap();
    assert_eq!(actual.as_slice(), expected.as_slice());

    // A text's only row is its embedding, and an image has a row for each place.
    let tokens = alone.tokens().unwrap();
    let rows = tokens.encode_text_tokens(&caption, &options).unwrap();
    assert_eq!((rows[0].rows(), rows[0].row(0)), (1, Some(expected.as_slice())));

    let files = ["1_64x97.png", "7_81x61.png", "8_33x50.png", "6_64x64.png"];
    let files = files.map(|name| Path::new("tests/data/preprocess-small").join(name));
    let pixels: Vec<_> =
        alone.read_files(&files).into_iter().map(|read| read.unwrap().pixels).collect();
    let together = shared.encoder().encode_images(&pixels, &options).unwrap();
    for (image, row) in pixels.iter().zip(together.iter()) {
        let length: f32 = row.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5);
        let image = std::slice::from_ref(image);
        // Three threads on one image, one thread on one image, one thread on an image each.
        for model in [&alone, &shared] {
            let one = model.encoder().encode_images(image, &options).unwrap();
            assert_eq!(one.as_slice(), row);
        }
        let places = tokens.encode_image_tokens(image, &options).unwrap();
        assert_eq!((places[0].rows(), places[0].grid().unwrap().width), (49, 7));
        assert_eq!(places[0].dims(), row.len());
    }
}
