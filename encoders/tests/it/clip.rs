//! CLIP and FILIP folders.

use std::fs;
use std::path::Path;

use bigrain_encoders::{
    ClipEncoder, ClipOptions, DualEncoder, EncodeError, EncodeOptions, Grid, ImageSize, Label,
    LabelSet, MultiVectorEncoder, Pixels, PreprocessConfig, Runtime, ScoreMap, TextCleaning,
    TokenLabelSet, TokenReducer, late_score, quantize_clip,
};
use safetensors::SafeTensors;

use crate::support::cosine;

const SIDE: usize = 64;

/// A golden model as a folder would hold it: the goldens of OpenAI's dialect come without a vocabulary.
fn folder(golden: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new("tests/data");
    for entry in fs::read_dir(data.join(golden)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    if !folder.path().join("tokenizer.json").try_exists().unwrap() {
        let name = "bpe_simple_vocab_16e6.txt.gz";
        fs::copy(data.join("clip-bpe").join(name), folder.path().join(name)).unwrap();
        // Outputs are not part of a model, and would make two files of weights.
        fs::remove_file(folder.path().join("reference.safetensors")).unwrap();
    }
    folder
}

fn open(golden: &str, cleaning: TextCleaning) -> ClipEncoder {
    let options = ClipOptions { cleaning };
    ClipEncoder::open(folder(golden).path(), &options, Runtime::new(2).unwrap()).unwrap()
}

fn reference(golden: &str, name: &str) -> Vec<f32> {
    let bytes =
        fs::read(Path::new("tests/data").join(golden).join("reference.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = tensors.tensor(name).unwrap().data();
    data.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn images(golden: &str) -> Vec<Pixels> {
    let pixels = reference(golden, "pixel_values");
    let images = pixels.chunks(3 * SIDE * SIDE);
    images.map(|data| Pixels { data: data.to_vec(), height: SIDE, width: SIDE }).collect()
}

/// The texts of the goldens, and which of the reference's they are: not the empty one.
fn texts() -> (Vec<String>, [usize; 4]) {
    let texts = fs::read("tests/data/clip-tiny/texts.json").unwrap();
    let texts: Vec<String> = serde_json::from_slice(&texts).unwrap();
    let kept = [0, 1, 3, 4];
    (kept.iter().map(|&at| texts[at].clone()).collect(), kept)
}

#[test]
fn every_dialect_opens_and_gives_the_references_embeddings() {
    for (golden, image_name, text_name, dims) in [
        ("clip-tiny", "image_embeds", "text_embeds", 32),
        ("openclip-tiny", "image_features", "text_features", 32),
        ("filip-tiny", "image_global", "text_global", 64),
    ] {
        let encoder = open(golden, TextCleaning::Plain);
        let options = EncodeOptions::default();
        assert_eq!((encoder.dims(), encoder.max_tokens()), (dims, 77));
        assert!(encoder.unused_tensors().is_empty());
        let got = encoder.encode_images(&images(golden), &options).unwrap();
        let expected = reference(golden, image_name);
        for (x, y) in got.iter().zip(expected.chunks(dims)) {
            assert!(cosine(x, y) > 0.99999, "{golden}: {}", cosine(x, y));
            assert!((x.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        let (texts, kept) = texts();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let got = encoder.encode_texts(&texts, &options).unwrap();
        let expected = reference(golden, text_name);
        for (x, at) in got.iter().zip(kept) {
            let y = &expected[at * dims..][..dims];
            assert!(cosine(x, y) > 0.99999, "{golden} {at}: {}", cosine(x, y));
        }
        // The last text is longer than the model reads.
        assert_eq!((got.rows(), got.stats().truncated), (4, 1));
    }
}

#[test]
fn filip_counts_padding_as_its_checkpoint_was_trained_and_clip_has_none() {
    let (filip, options) = (open("filip-tiny", TextCleaning::OpenAi), EncodeOptions::default());
    let (texts, kept) = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokens = filip.encode_text_tokens(&texts, &options).unwrap();
    let patches = filip.encode_image_tokens(&images("filip-tiny"), &options).unwrap();
    assert!(tokens.iter().all(|text| (text.rows(), text.dims()) == (77, 32)));
    let expected = reference("filip-tiny", "declip_t2i");
    for (text, at) in tokens.iter().zip(kept) {
        for (image, patches) in patches.iter().enumerate() {
            let score = late_score(text, patches).unwrap();
            assert!((score - expected[at * 3 + image]).abs() < 1e-4);
        }
    }
    assert_ne!(filip.space(), filip.token_space());
    assert!((filip.token_scale() - 14.285).abs() < 1e-2);

    let clip = open("clip-tiny", TextCleaning::Plain);
    let tokens = clip.encode_text_tokens(&["a photo of a cat"], &options).unwrap();
    assert_eq!((tokens[0].rows(), tokens[0].grid()), (8, None));
    let image = &clip.encode_image_tokens(&images("clip-tiny"), &options).unwrap()[1];
    assert_eq!((image.rows(), image.grid()), (16, Some(Grid { height: 4, width: 4 })));
    assert_eq!(TokenReducer::Merge { rows: 12 }.reduce(image).unwrap().rows(), 12);
    // The row at the end of a text is its embedding.
    let whole = clip.encode_texts(&["a photo of a cat"], &options).unwrap();
    assert!(cosine(tokens[0].row(7).unwrap(), whole.row(0).unwrap()) > 0.999_999);
}

#[test]
fn an_image_is_labelled_and_shows_where_a_text_is() {
    let (encoder, options) = (open("clip-tiny", TextCleaning::Plain), EncodeOptions::default());
    let labels = ["cat", "dog"]
        .map(|name| Label::from_templates(name, &["a photo of a {label}", "{label} in the snow"]));
    let images = images("clip-tiny");
    let embeddings = encoder.encode_images(&images, &options).unwrap();
    let set = LabelSet::encode(&encoder, &labels, &options).unwrap();
    let ranked = set.classify(embeddings.row(0).unwrap());
    assert_eq!(ranked.len(), 2);
    assert!((ranked[0].probability + ranked[1].probability - 1.0).abs() < 1e-5);
    assert!(ranked[0].score >= ranked[1].score);

    let patches = encoder.encode_image_tokens(&images, &options).unwrap();
    let set = TokenLabelSet::encode(&encoder, &labels, &options).unwrap();
    let ranked = set.classify(&patches[0]);
    let descriptions: Vec<&str> =
        labels[ranked[0].label].descriptions.iter().map(|d| &d[..]).collect();
    let tokens = encoder.encode_text_tokens(&descriptions, &options).unwrap();
    let scores: Vec<f32> =
        tokens.iter().map(|text| late_score(&patches[0], text).unwrap()).collect();
    assert!((ranked[0].score - (scores[0] + scores[1]) / 2.0).abs() < 1e-6);

    let map = ScoreMap::new(&patches[0], &tokens[0]).unwrap();
    let png = map.to_png(ImageSize { height: SIDE, width: SIDE }, None).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
}

#[test]
fn spaces_differ_by_what_is_done_to_texts() {
    let plain = open("clip-tiny", TextCleaning::Plain);
    assert_eq!(plain.space(), open("clip-tiny", TextCleaning::Plain).space());
    assert_ne!(plain.space(), open("clip-tiny", TextCleaning::OpenAi).space());
    assert_ne!(plain.space(), open("openclip-tiny", TextCleaning::Plain).space());
}

#[test]
fn spaces_differ_by_what_the_towers_see_of_a_picture() {
    let folder = folder("clip-tiny");
    let open = || {
        let runtime = Runtime::new(1).unwrap();
        ClipEncoder::open(folder.path(), &ClipOptions::default(), runtime).unwrap()
    };
    let silent = open();
    assert_eq!(silent.preprocess(), &PreprocessConfig::clip(SIDE));
    let config = r#"{"size": {"shortest_edge": EDGE}, "crop_size": {"height": 64, "width": 64},
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 3}"#;
    let with = |edge: &str| {
        let path = folder.path().join("preprocessor_config.json");
        fs::write(path, config.replace("EDGE", edge)).unwrap();
        open().space()
    };
    let whole = with("64");
    assert_ne!(whole, silent.space());
    assert_ne!(whole, with("80"));
    assert_eq!(whole, with("64"));
}

#[test]
fn what_cannot_be_encoded_is_named_and_nothing_is_returned() {
    let (encoder, options) = (open("clip-tiny", TextCleaning::Plain), EncodeOptions::default());
    let good = images("clip-tiny").remove(0);
    let wide = Pixels { data: vec![0.0; 3 * 64 * 65], height: 64, width: 65 };
    let error = encoder.encode_images(&[good.clone(), wide], &options).unwrap_err();
    assert_eq!(error.to_string(), "image 1 has 65 x 64 pixels, the model reads 64 x 64");
    let short = Pixels { data: vec![0.0; 7], ..good };
    let error = encoder.encode_image_tokens(&[short], &options).unwrap_err();
    assert!(matches!(error, EncodeError::ImageValues { position: 0, values: 7, .. }));
    let error = encoder.encode_texts(&["a", " "], &options).unwrap_err();
    assert_eq!(error.to_string(), "text 1 is empty");
    options.cancel.cancel();
    assert!(matches!(encoder.encode_texts(&["a"], &options), Err(EncodeError::Cancelled(_))));
    assert_eq!(encoder.encode_images(&[], &EncodeOptions::default()).unwrap().rows(), 0);
}

#[test]
fn a_folder_of_another_model_is_refused_by_what_it_lacks() {
    let refuse = |folder: &Path| {
        let runtime = Runtime::new(1).unwrap();
        ClipEncoder::open(folder, &ClipOptions::default(), runtime).unwrap_err().to_string()
    };
    let error = refuse(Path::new("tests/data/bert-tiny"));
    assert!(error.contains("model_type \"bert\" is not supported: expected clip"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    assert!(refuse(empty.path()).ends_with("has no config.json or open_clip_config.json"));

    // The weights of one dialect under the configuration of another model.
    let other = folder("openclip-tiny");
    let config = fs::read("tests/data/clip-tiny/config.json").unwrap();
    fs::write(other.path().join("config.json"), config).unwrap();
    let error = refuse(other.path());
    assert!(error.contains("visual.transformer.resblocks.0.mlp.c_fc.weight: expected"), "{error}");
    fs::write(other.path().join("open_clip_model.safetensors"), b"{}").unwrap();
    assert!(refuse(other.path()).contains("is not a valid safetensors file"));
    fs::remove_file(other.path().join("bpe_simple_vocab_16e6.txt.gz")).unwrap();
    assert!(refuse(other.path()).contains("has no tokenizer.json, vocab.json with merges.txt"));
}

#[test]
fn a_quantized_folder_opens_as_any_other_and_is_a_space_of_its_own() {
    for golden in ["clip-tiny", "openclip-tiny", "filip-tiny"] {
        let (from, to) = (folder(golden), tempfile::tempdir().unwrap());
        let (texts, _) = texts();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let images = images(golden);
        let runtime = Runtime::new(2).unwrap();
        let report = quantize_clip(from.path(), to.path(), (&texts, &images), &runtime).unwrap();
        // Four layers with an input of their own, in each of two layers of each tower.
        assert_eq!(report.layers.len(), 16, "{golden}");
        assert!(report.bytes_after < report.bytes_before);
        assert_eq!((report.texts.count, report.images.count), (4, 3));
        for compared in [report.texts, report.images] {
            assert!(compared.min_cosine > 0.995 && compared.mean_cosine < 1.0, "{compared:?}");
        }
        let encoder = ClipEncoder::open(to.path(), &ClipOptions::default(), runtime).unwrap();
        assert_eq!(encoder.space(), report.space_after);
        assert_ne!(report.space_before, report.space_after);
        assert!(encoder.unused_tensors().is_empty(), "{:?}", encoder.unused_tensors());
        let options = EncodeOptions::default();
        let alone = encoder.encode_images(&images[1..2], &options).unwrap();
        let together = encoder.encode_images(&images, &options).unwrap();
        assert_eq!(alone.row(0), together.row(1));
    }
}
