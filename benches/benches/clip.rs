//! How many images and captions a second?
//!
//! ```text
//! cargo bench -p bigrain-benches --bench clip -- --threads 2 --images 32 --rounds 3
//! cargo bench -p bigrain-benches --bench clip -- --against ~/.cache/bigrain/peers-encode/bin/python
//! cargo bench -p bigrain-benches --bench clip -- --patch 16 --images 8
//! ```
//!
//! A model of the shape of CLIP ViT-B with random weights, patches of `--patch` pixels and the real
//! vocabulary is written to a temporary folder and opened as any model, then quantised and opened in int8.
//! Time does not depend on what the weights are. `--against` names a Python with onnxruntime
//! (`scripts/peers.sh encode` installs one), which encodes the same images with the same weights; the
//! program stops unless the first image comes out the same.
//!
//! Printed: of each round, in which all take turns, images a second of each, and captions a second as they
//! are (packed) and as the reference implementations compute them, 77 tokens each. The latter are
//! the same captions with words behind them until they are cut: padding would cost as much. Then the
//! medians of the rounds' ratios.

#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bigrain_benches::{Fill, Peer, Tensor, write_tensors};
use bigrain_encoders::{
    ClipEncoder, ClipOptions, DualEncoder, EncodeOptions, Pixels, Runtime, quantize_clip,
};
use serde_json::{Value, json};

const SIDE: usize = 224;
const DIMS: usize = 512;
const TOKENS: usize = 77;
const VOCABULARY: usize = 49_408;
const MERGES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../encoders/tests/data/clip-bpe/bpe_simple_vocab_16e6.txt.gz"
);

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/clip_onnx.py");

const CAPTIONS: [&str; 12] = [
    "a man riding a wave on top of a surfboard",
    "two dogs playing with a frisbee in the snow",
    "a red double decker bus driving down a city street",
    "a kitchen with a stove, a refrigerator and a wooden table",
    "a group of people standing around a table with a birthday cake",
    "a close up of a plate of food with broccoli",
    "an old steam engine stands in front of a museum",
    "a cat sleeping on a laptop keyboard",
    "people flying kites on a beach on a cloudy day, seen from far away",
    "stamp with a portrait of a queen, blue, 1890",
    "the tower of a church behind trees",
    "a bowl of oranges",
];

fn tensors(patch: usize) -> Vec<Tensor> {
    let mut tensors: Vec<Tensor> = Vec::new();
    let mut put = |name: String, shape: &[usize], fill| tensors.push((name, shape.to_vec(), fill));
    let weight = Fill::Random(0.035);
    put("logit_scale".into(), &[], Fill::Constant(4.6));
    put("visual_projection.weight".into(), &[DIMS, 768], weight);
    put("text_projection.weight".into(), &[DIMS, 512], weight);
    let embeddings = "vision_model.embeddings";
    put(format!("{embeddings}.class_embedding"), &[768], weight);
    put(format!("{embeddings}.patch_embedding.weight"), &[768, 3, patch, patch], weight);
    let rows = 1 + (SIDE / patch) * (SIDE / patch);
    put(format!("{embeddings}.position_embedding.weight"), &[rows, 768], weight);
    put("text_model.embeddings.token_embedding.weight".into(), &[VOCABULARY, 512], weight);
    put("text_model.embeddings.position_embedding.weight".into(), &[TOKENS, 512], weight);
    let mut norm = |name: String, width: usize| {
        put(format!("{name}.weight"), &[width], Fill::Constant(1.0));
        put(format!("{name}.bias"), &[width], Fill::Constant(0.0));
    };
    norm("vision_model.pre_layrnorm".into(), 768);
    norm("vision_model.post_layernorm".into(), 768);
    norm("text_model.final_layer_norm".into(), 512);
    for (model, width) in [("vision_model", 768), ("text_model", 512)] {
        for layer in 0..12 {
            let name = |part: &str| format!("{model}.encoder.layers.{layer}.{part}");
            norm(name("layer_norm1"), width);
            norm(name("layer_norm2"), width);
        }
    }
    for (model, width) in [("vision_model", 768), ("text_model", 512)] {
        for layer in 0..12 {
            let mut linear = |part: &str, inputs: usize, outputs: usize| {
                let name = format!("{model}.encoder.layers.{layer}.{part}");
                tensors.push((format!("{name}.weight"), vec![outputs, inputs], weight));
                tensors.push((format!("{name}.bias"), vec![outputs], weight));
            };
            for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                linear(&format!("self_attn.{part}"), width, width);
            }
            linear("mlp.fc1", width, 4 * width);
            linear("mlp.fc2", 4 * width, width);
        }
    }
    tensors
}

fn write_model(folder: &Path, patch: usize) -> std::io::Result<()> {
    let config = format!(r#"{{"model_type": "clip", "vision_config": {{"patch_size": {patch}}}}}"#);
    fs::write(folder.join("config.json"), config)?;
    fs::copy(MERGES, folder.join("bpe_simple_vocab_16e6.txt.gz"))?;
    write_tensors(&folder.join("model.safetensors"), &tensors(patch))
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn number(name: &str, default: usize) -> Result<usize, Box<dyn Error>> {
    argument(name).map_or(Ok(default), |value| Ok(value.parse()?))
}

/// The median of ratios, which noise that hits one round moves least.
fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Encodes images and returns how many a second.
fn images_per_second(encoder: &ClipEncoder, images: &[Pixels]) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let encoded = encoder.encode_images(images, &EncodeOptions::default())?;
    let seconds = start.elapsed().as_secs_f64();
    assert!(encoded.as_slice().iter().all(|value| value.is_finite()));
    Ok(images.len() as f64 / seconds)
}

/// Encodes captions and returns how many a second, with the tokens of all.
fn captions_per_second(
    encoder: &ClipEncoder,
    captions: &[&str],
) -> Result<(f64, u64), Box<dyn Error>> {
    let start = Instant::now();
    let encoded = encoder.encode_texts(captions, &EncodeOptions::default())?;
    Ok((captions.len() as f64 / start.elapsed().as_secs_f64(), encoded.stats().tokens))
}

/// Starts the peer and compares its vector of the first image with ours.
fn start_peer(
    folder: &Path,
    threads: usize,
    encoder: &ClipEncoder,
    images: &[Pixels],
) -> Result<Option<Peer>, Box<dyn Error>> {
    let Some(python) = argument("--against").map(PathBuf::from) else { return Ok(None) };
    let file = folder.join("images.f32");
    let bytes: Vec<u8> =
        images.iter().flat_map(|image| &image.data).flat_map(|value| value.to_le_bytes()).collect();
    fs::write(&file, bytes)?;
    let (folder, file) = (folder.display().to_string(), file.display().to_string());
    let (side, threads) = (SIDE.to_string(), threads.to_string());
    let arguments =
        ["--model", &folder, "--images", &file, "--side", &side, "--threads", &threads, "--int8"];
    let mut peer = Peer::start(&python, Path::new(SCRIPT), &arguments)?;
    let vector = peer.description.as_object_mut().and_then(|said| said.remove("vector"));
    let theirs: Vec<f32> = serde_json::from_value(vector.unwrap_or_default())?;
    let ours = encoder.encode_images(&images[..1], &EncodeOptions::default())?;
    let product: f32 = ours.as_slice().iter().zip(&theirs).map(|(x, y)| x * y).sum();
    let cosine = product / theirs.iter().map(|value| value * value).sum::<f32>().sqrt();
    println!("peer: {}; cosine of the first image to ours {cosine:.6}", peer.description);
    if cosine < 0.9999 {
        return Err("the peer computes something else".into());
    }
    Ok(Some(peer))
}

fn peer_images_per_second(peer: &mut Peer, weights: &str) -> Result<f64, Box<dyn Error>> {
    let answer = peer.ask(&json!({ "weights": weights }))?;
    let value = |name: &str| answer[name].as_f64().ok_or(format!("the peer wrote {answer}"));
    Ok(value("images")? / value("seconds")?)
}

/// What the rounds came to: ratios by what they say.
#[derive(Default)]
struct Ratios(Vec<(&'static str, Vec<f64>)>);

impl Ratios {
    fn add(&mut self, name: &'static str, ratio: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, ratios)) => ratios.push(ratio),
            None => self.0.push((name, vec![ratio])),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let patch = number("--patch", 32)?;
    let threads = number("--threads", 2)?;
    let captions = number("--captions", 96)?;
    let rounds = number("--rounds", 3)?;

    let folder = tempfile::tempdir()?;
    let (model, int8) = (folder.path().join("f32"), folder.path().join("int8"));
    fs::create_dir(&model)?;
    write_model(&model, patch)?;
    let image = |seed: usize| Pixels {
        data: (0..3 * SIDE * SIDE).map(|at| ((at * (seed + 7)) as f32 * 0.01).sin()).collect(),
        height: SIDE,
        width: SIDE,
    };
    let images: Vec<Pixels> = (0..number("--images", 32)?).map(image).collect();
    let short: Vec<&str> = CAPTIONS.into_iter().cycle().take(captions).collect();
    let long: Vec<String> =
        short.iter().map(|text| format!("{text}{}", " and".repeat(77))).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();

    let runtime = Runtime::new(threads)?;
    let observed = (&CAPTIONS[..], &images[..images.len().min(8)]);
    let report = quantize_clip(&model, &int8, observed, &runtime)?;
    let cosine = report.images.mean_cosine;
    println!("ViT-B/{patch}, {threads} threads; cosine of images in int8 to f32 {cosine:.4}");
    let open = |path: &Path| ClipEncoder::open(path, &ClipOptions::default(), runtime.clone());
    let (encoder, int8) = (open(&model)?, open(&int8)?);
    let mut peer = start_peer(&model, threads, &encoder, &images)?;

    let mut ratios = Ratios::default();
    for round in 1..=rounds {
        let ours = [images_per_second(&encoder, &images)?, images_per_second(&int8, &images)?];
        ratios.add("int8 to f32, images", ours[1] / ours[0]);
        let mut theirs = Value::Null;
        if let Some(peer) = &mut peer {
            let rates =
                [peer_images_per_second(peer, "f32")?, peer_images_per_second(peer, "int8")?];
            ratios.add("f32 to the peer's f32, images", ours[0] / rates[0]);
            ratios.add("int8 to the peer's f32, images", ours[1] / rates[0]);
            ratios.add("int8 to the peer's int8, images", ours[1] / rates[1]);
            theirs = json!({ "f32": rates[0], "int8": rates[1] });
        }
        let (packed, tokens) = captions_per_second(&encoder, &short)?;
        let (padded, padded_tokens) = captions_per_second(&encoder, &long)?;
        assert_eq!(padded_tokens, (captions * TOKENS) as u64);
        ratios.add("captions packed to 77 tokens", packed / padded);
        println!(
            "round {round}: images/s {:.2} in f32, {:.2} in int8; peer {theirs}; captions/s {packed:.1} \
             packed ({:.1} tokens each), {padded:.1} at 77 tokens",
            ours[0],
            ours[1],
            tokens as f64 / captions as f64,
        );
    }
    for (name, ratios) in ratios.0 {
        println!("{name}: {:.2} in the median of {rounds} rounds", median(ratios));
    }
    Ok(())
}
