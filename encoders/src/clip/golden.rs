//! Forward passes against outputs of the reference implementations, on tiny random models.

use std::path::{Path, PathBuf};

use bigrain_types::normalize;
use proptest::prelude::*;
use safetensors::SafeTensors;

use super::config::ClipConfig;
use super::model::ClipModel;
use super::text::TextRows;
use super::vision::ImageRows;
use crate::batch::{PackedBatch, Sharing};
use crate::dual::TokenMatrix;
use crate::filip::late_score;
use crate::image::Pixels;
use crate::weights::Tensors;

/// Pixels of a side, tokens of a padded text.
const SIDE: usize = 64;
const PADDED: usize = 77;

fn folder(name: &str) -> PathBuf {
    Path::new("tests/data").join(name)
}

fn config(name: &str) -> ClipConfig {
    match name {
        "clip-tiny" => {
            ClipConfig::parse(&std::fs::read(folder(name).join("config.json")).unwrap()).unwrap()
        }
        _ => {
            let json = std::fs::read(folder(name).join("open_clip_config.json")).unwrap();
            ClipConfig::parse_open_clip(&json).unwrap()
        }
    }
}

fn model(name: &str) -> ClipModel {
    let path = folder(name).join(match name {
        "openclip-tiny" => "open_clip_model.safetensors",
        _ => "model.safetensors",
    });
    let bytes = std::fs::read(&path).unwrap();
    let tensors = Tensors::parse(&path, &bytes).unwrap();
    ClipModel::build(&config(name), &tensors).unwrap()
}

/// Inputs and outputs of the reference.
struct Reference(Vec<u8>);

impl Reference {
    fn read(name: &str) -> Self {
        Self(std::fs::read(folder(name).join("reference.safetensors")).unwrap())
    }

    fn words(&self, name: &str) -> Vec<[u8; 4]> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        tensors.tensor(name).unwrap().data().as_chunks::<4>().0.to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name).into_iter().map(f32::from_le_bytes).collect()
    }

    fn images(&self) -> Vec<Pixels> {
        let pixels = self.floats("pixel_values");
        let images = pixels.chunks(3 * SIDE * SIDE);
        images.map(|data| Pixels { data: data.to_vec(), height: SIDE, width: SIDE }).collect()
    }

    /// Padded, as the reference had them.
    fn padded(&self) -> Vec<Vec<u32>> {
        let ids: Vec<u32> =
            self.words("input_ids").into_iter().map(|id| i32::from_le_bytes(id) as u32).collect();
        ids.chunks(PADDED).map(<[u32]>::to_vec).collect()
    }

    /// To the end of each text.
    fn texts(&self) -> Vec<Vec<u32>> {
        let to_end = |ids: Vec<u32>| {
            let largest = *ids.iter().max().unwrap();
            let end = ids.iter().position(|&id| id == largest).unwrap();
            ids[..=end].to_vec()
        };
        self.padded().into_iter().map(to_end).collect()
    }
}

fn pack(texts: &[Vec<u32>]) -> PackedBatch {
    PackedBatch::new(texts.iter().map(Vec::as_slice))
}

/// Within 1e-4, and each row nearly parallel.
fn assert_close(name: &str, got: &[f32], expected: &[f32], dims: usize) {
    assert_eq!(got.len(), expected.len(), "{name}");
    for (index, (x, y)) in got.iter().zip(expected).enumerate() {
        assert!((x - y).abs() <= 1e-4, "{name}, value {index}: {x}, expected {y}");
    }
    for (x, y) in got.chunks(dims).zip(expected.chunks(dims)) {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        let cosine = dot(x, y) / (dot(x, x) * dot(y, y)).sqrt();
        assert!(cosine > 0.99999, "{name}: cosine {cosine}");
    }
}

fn normalized(mut rows: Vec<f32>, dims: usize) -> Vec<f32> {
    rows.chunks_exact_mut(dims).for_each(normalize);
    rows
}

#[test]
fn hugging_faces_names_give_the_references_rows_and_embeddings() {
    let (model, reference) = (model("clip-tiny"), Reference::read("clip-tiny"));
    let images = reference.images();
    let images: Vec<&Pixels> = images.iter().collect();
    let texts = reference.texts();
    let batch = pack(&texts);
    assert!(model.unused.is_empty(), "{:?}", model.unused);

    let hidden = reference.floats("vision_last_hidden");
    let rows =
        model.with_image_rows(&images, ImageRows::Patches, Sharing::OneThread, <[f32]>::to_vec);
    let patches: Vec<f32> = hidden.chunks(17 * 64).flat_map(|rows| rows[64..].to_vec()).collect();
    assert_close("patches", &rows, &patches, 64);
    let rows =
        model.with_image_rows(&images, ImageRows::Class, Sharing::OneThread, <[f32]>::to_vec);
    let class: Vec<f32> = hidden.chunks(17 * 64).flat_map(|rows| rows[..64].to_vec()).collect();
    assert_close("class", &rows, &class, 64);

    let image = normalized(model.images(&images, Sharing::OneThread), 32);
    let text = normalized(model.texts(&batch, Sharing::OneThread), 32);
    assert_close("image_embeds", &image, &reference.floats("image_embeds"), 32);
    assert_close("text_embeds", &text, &reference.floats("text_embeds"), 32);
    let mut logits = Vec::new();
    for image in image.chunks(32) {
        for text in text.chunks(32) {
            let cosine: f32 = image.iter().zip(text).map(|(a, b)| a * b).sum();
            logits.push(cosine * model.scale);
        }
    }
    for (x, y) in logits.iter().zip(&reference.floats("logits_per_image")) {
        assert!((x - y).abs() < 1e-3, "{x} {y}");
    }
}

#[test]
fn open_ai_names_give_the_references_features() {
    let (model, reference) = (model("openclip-tiny"), Reference::read("openclip-tiny"));
    let images = reference.images();
    let images: Vec<&Pixels> = images.iter().collect();
    let features = model.images(&images, Sharing::OneThread);
    assert_close("image_features", &features, &reference.floats("image_features"), 32);
    let features = model.texts(&pack(&reference.texts()), Sharing::OneThread);
    assert_close("text_features", &features, &reference.floats("text_features"), 32);
    assert!((model.scale - reference.floats("logit_scale")[0]).abs() < 1e-4);
    assert!(model.unused.is_empty(), "{:?}", model.unused);
}

#[test]
fn padding_behind_a_text_changes_nothing() {
    for name in ["clip-tiny", "openclip-tiny"] {
        let (model, reference) = (model(name), Reference::read(name));
        let packed = model.texts(&pack(&reference.texts()), Sharing::OneThread);
        let padded = model.texts(&pack(&reference.padded()), Sharing::OneThread);
        assert_eq!(packed, padded);
    }
}

/// The matrices of rows of several texts or images.
fn matrices(rows: &[f32], dims: usize, counts: &[usize]) -> Vec<TokenMatrix> {
    let mut rest = rows;
    let mut take = |count: usize| {
        let (rows, others) = rest.split_at(count * dims);
        rest = others;
        TokenMatrix::new(dims, rows.to_vec()).unwrap()
    };
    counts.iter().map(|&count| take(count)).collect()
}

fn scores(queries: &[TokenMatrix], others: &[TokenMatrix]) -> Vec<f32> {
    let of = |query: &TokenMatrix| -> Vec<f32> {
        others.iter().map(|other| late_score(query, other).unwrap()).collect()
    };
    queries.iter().flat_map(of).collect()
}

#[test]
fn filips_tokens_and_all_four_scores_equal_the_reference() {
    let (model, reference) = (model("filip-tiny"), Reference::read("filip-tiny"));
    let images = reference.images();
    let images: Vec<&Pixels> = images.iter().collect();
    let patches = normalized(model.image_tokens(&images, Sharing::OneThread), 32);
    assert_close("image_tokens", &patches, &reference.floats("image_tokens"), 32);
    let padded = normalized(model.text_tokens(&pack(&reference.padded()), Sharing::OneThread), 32);
    assert_close("text_tokens", &padded, &reference.floats("text_tokens"), 32);
    let texts = reference.texts();
    let packed = normalized(model.text_tokens(&pack(&texts), Sharing::OneThread), 32);

    let image = model.images(&images, Sharing::OneThread);
    assert_close("image_global", &image, &reference.floats("image_global"), 64);
    let text = model.texts(&pack(&texts), Sharing::OneThread);
    assert_close("text_global", &text, &reference.floats("text_global"), 64);

    let patches = matrices(&patches, 32, &[16; 3]);
    let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
    let packed = matrices(&packed, 32, &lengths);
    let padded = matrices(&padded, 32, &[PADDED; 5]);
    for (name, queries, others) in [
        ("paper_i2t", &patches, &packed),
        ("paper_t2i", &packed, &patches),
        ("declip_i2t", &patches, &padded),
        ("declip_t2i", &padded, &patches),
    ] {
        assert_close(name, &scores(queries, others), &reference.floats(name), others.len());
    }
    assert!((model.token_scale - 2.65920_f32.exp()).abs() < 1e-3);
    assert!(model.unused.is_empty(), "{:?}", model.unused);
}

#[test]
fn what_is_missing_and_what_is_of_no_use_are_listed() {
    let path = folder("openclip-tiny").join("open_clip_model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let tensors = Tensors::parse(&path, &bytes).unwrap();
    let mut config = config("openclip-tiny");
    config.vision.tower.layers = 3;
    config.text.tower.layers = 1;
    config.dims = 33;
    let error = ClipModel::build(&config, &tensors).unwrap_err().to_string();
    for part in [
        "lacks 12 tensors the model needs: visual.transformer.resblocks.2.ln_1.weight",
        "visual.proj: expected [64, 33], got [64, 32]",
        "transformer.resblocks.1.attn.in_proj.bias",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn nothing_depends_on_its_batch_or_on_threads(
        texts in prop::collection::vec(prop::collection::vec(0u32..1_714, 1..40), 1..9),
        threads in 1usize..4,
    ) {
        let (model, reference) = (model("clip-tiny"), Reference::read("clip-tiny"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let batch = pack(&texts);
        let images = reference.images();
        let images: Vec<&Pixels> = images.iter().collect();
        let shared = pool.install(|| {
            (model.texts(&batch, Sharing::Pool), model.images(&images, Sharing::Pool))
        });
        let serial =
            (model.texts(&batch, Sharing::OneThread), model.images(&images, Sharing::OneThread));
        prop_assert_eq!(&shared, &serial);
        let alone: Vec<f32> = texts
            .iter()
            .flat_map(|text| model.texts(&pack(std::slice::from_ref(text)), Sharing::OneThread))
            .collect();
        prop_assert_eq!(&alone, &serial.0);
        let alone: Vec<f32> = images
            .iter()
            .flat_map(|&image| model.images(&[image], Sharing::OneThread))
            .collect();
        prop_assert_eq!(&alone, &serial.1);
        let rows = model.with_text_rows(&batch, TextRows::All, Sharing::OneThread, <[f32]>::to_vec);
        prop_assert_eq!(rows.len(), batch.tokens() * 48);
    }
}
