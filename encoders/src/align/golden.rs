//! ALIGN against `tests/data/align-tiny`, which Hugging Face's implementation wrote.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::config::AlignConfig;
use super::encoder::{AlignEncoder, AlignModel};
use crate::batch::Sharing;
use crate::dual::DualEncoder;
use crate::encoder::EncodeOptions;
use crate::image::Pixels;
use crate::runtime::Runtime;
use crate::weights::Checkpoint;

const FOLDER: &str = "tests/data/align-tiny";

fn model() -> AlignModel {
    let folder = Path::new(FOLDER);
    let config = AlignConfig::parse(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let checkpoint = Checkpoint::open(&[folder.join("model.safetensors")]).unwrap();
    AlignModel::build(config, &checkpoint.tensors().unwrap()).unwrap()
}

/// The values of a tensor of the reference, and its shape.
fn reference(name: &str) -> (Vec<f32>, Vec<usize>) {
    let bytes = std::fs::read(Path::new(FOLDER).join("reference.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(name).unwrap();
    let whole = tensor.dtype() == Dtype::I32;
    let value = |bytes: &[u8; 4]| {
        if whole { i32::from_le_bytes(*bytes) as f32 } else { f32::from_le_bytes(*bytes) }
    };
    let values = tensor.data().as_chunks::<4>().0.iter().map(value).collect();
    (values, tensor.shape().to_vec())
}

fn images(name: &str) -> Vec<Pixels> {
    let (values, shape) = reference(name);
    let [_, _, height, width] = shape[..] else { panic!("{shape:?}") };
    let image = |data: &[f32]| Pixels { data: data.to_vec(), height, width };
    values.chunks_exact(3 * height * width).map(image).collect()
}

fn assert_close(actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len());
    let worst = actual.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 1e-4, "{worst}");
}

#[test]
fn images_become_the_references_features_at_any_size_on_any_number_of_threads() {
    let model = model();
    let pool = Runtime::new(3).unwrap();
    let (pooled, _) = reference("vision_pooled");
    for (image, expected) in images("pixel_values").iter().zip(pooled.chunks_exact(32)) {
        let alone = model.pooled(image, Sharing::OneThread);
        assert_close(&alone, expected);
        let shared = pool.pool().install(|| model.pooled(image, Sharing::Pool));
        assert_eq!(alone, shared);
    }
    // An odd number of pixels whose halves are odd again: one pixel is left.
    let [odd] = &images("pixel_values_53")[..] else { panic!("one image") };
    assert_close(&model.pooled(odd, Sharing::OneThread), &reference("vision_last_hidden_53").0);
}

#[test]
fn texts_become_the_references_embeddings_without_its_padding() {
    let model = model();
    let (ids, shape) = reference("input_ids");
    let (mask, _) = reference("attention_mask");
    let texts: Vec<Vec<u32>> = ids
        .chunks_exact(shape[1])
        .zip(mask.chunks_exact(shape[1]))
        .map(|(ids, mask)| {
            let real = ids.iter().zip(mask).filter(|(_, mask)| **mask == 1.0);
            real.map(|(id, _)| *id as u32).collect()
        })
        .collect();
    let ids: Vec<&[u32]> = texts.iter().map(|ids| &ids[..]).collect();
    let runtime = Runtime::new(1).unwrap();
    let embeddings = model.texts(&ids, &runtime, &EncodeOptions::default()).unwrap();
    assert_close(&embeddings, &reference("text_embeds").0);
}

#[test]
fn a_folder_opens_as_an_encoder_of_both() {
    let encoder = AlignEncoder::open(Path::new(FOLDER), Runtime::new(2).unwrap()).unwrap();
    assert_eq!(encoder.image_size().to_string(), "97 x 97");
    let options = EncodeOptions::default();
    let images = encoder.encode_images(&images("pixel_values"), &options).unwrap();
    assert_close(images.as_slice(), &reference("image_embeds").0);
    let json = std::fs::read(Path::new(FOLDER).join("texts.json")).unwrap();
    let texts: Vec<String> = serde_json::from_slice(&json).unwrap();
    // The third of the reference's texts is empty, which an encoder refuses.
    let texts = [&texts[0], &texts[1], &texts[3]].map(|text| text.as_str());
    let embeddings = encoder.encode_texts(&texts, &options).unwrap();
    let (expected, _) = reference("text_embeds");
    assert_close(&embeddings.as_slice()[..64], &expected[..64]);
    assert_close(&embeddings.as_slice()[64..], &expected[96..]);
    assert_eq!((embeddings.stats().texts, embeddings.stats().truncated), (3, 1));

    let (logits, _) = reference("logits_per_image");
    for (image, logits) in images.iter().zip(logits.chunks_exact(4)) {
        for (text, column) in embeddings.iter().zip([0, 1, 3]) {
            let score: f32 = image.iter().zip(text).map(|(a, b)| a * b).sum();
            let (actual, expected) = (score * encoder.scale(), logits[column]);
            assert!((actual - expected).abs() < 1e-3, "{actual} {expected}");
        }
    }
    let other = encoder.encode_images(&self::images("pixel_values_53"), &options).unwrap_err();
    assert_eq!(other.to_string(), "image 0 has 53 x 53 pixels, the model reads 97 x 97");
}
