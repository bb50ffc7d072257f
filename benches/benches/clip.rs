//! How many images and captions a second?
//!
//! ```text
//! cargo bench -p bigrain-benches --bench clip -- --threads 2 --images 32 --rounds 3
//! cargo bench -p bigrain-benches --bench clip -- --patch 16 --images 8
//! ```
//!
//! A model of the shape of CLIP ViT-B with random weights, patches of `--patch` pixels and the real
//! vocabulary is written to a temporary folder and opened as any model. Time does not depend on what
//! the weights are.
//!
//! Printed, of each round: images a second; captions a second as they are (packed), and as the
//! reference implementations compute them, 77 tokens each. The latter are the same captions with
//! words behind them until they are cut: padding would cost as much. Then the ratio of the sums.

#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use bigrain_benches::{Fill, Tensor, write_tensors};
use bigrain_encoders::{ClipEncoder, ClipOptions, DualEncoder, EncodeOptions, Pixels, Runtime};

const SIDE: usize = 224;
const DIMS: usize = 512;
const TOKENS: usize = 77;
const VOCABULARY: usize = 49_408;
const MERGES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../encoders/tests/data/clip-bpe/bpe_simple_vocab_16e6.txt.gz"
);

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

fn argument(name: &str, default: usize) -> Result<usize, Box<dyn Error>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(Ok(default), |value| Ok(value.parse()?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let patch = argument("--patch", 32)?;
    let threads = argument("--threads", 2)?;
    let images = argument("--images", 32)?;
    let captions = argument("--captions", 96)?;
    let rounds = argument("--rounds", 3)?;

    let folder = tempfile::tempdir()?;
    write_model(folder.path(), patch)?;
    let start = Instant::now();
    let encoder =
        ClipEncoder::open(folder.path(), &ClipOptions::default(), Runtime::new(threads)?)?;
    println!("ViT-B/{patch}, {threads} threads: opened in {:.1} s", start.elapsed().as_secs_f64());
    let image = |seed: usize| Pixels {
        data: (0..3 * SIDE * SIDE).map(|at| ((at * (seed + 7)) as f32 * 0.01).sin()).collect(),
        height: SIDE,
        width: SIDE,
    };
    let images: Vec<Pixels> = (0..images).map(image).collect();
    let short: Vec<&str> = CAPTIONS.into_iter().cycle().take(captions).collect();
    let long: Vec<String> =
        short.iter().map(|text| format!("{text}{}", " and".repeat(77))).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let options = EncodeOptions::default();
    let (mut packed_seconds, mut padded_seconds) = (0.0, 0.0);
    for round in 1..=rounds {
        let start = Instant::now();
        let encoded = encoder.encode_images(&images, &options)?;
        let image_seconds = start.elapsed().as_secs_f64();
        assert!(encoded.as_slice().iter().all(|value| value.is_finite()));
        let start = Instant::now();
        let packed = encoder.encode_texts(&short, &options)?;
        let short_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let padded = encoder.encode_texts(&long, &options)?;
        let long_seconds = start.elapsed().as_secs_f64();
        assert_eq!(padded.stats().tokens, (captions * TOKENS) as u64);
        packed_seconds += short_seconds;
        padded_seconds += long_seconds;
        println!(
            "round {round}: {:.2} images/s; {:.1} captions/s packed ({:.1} tokens each), {:.1} at 77 \
             tokens: {:.2}x",
            images.len() as f64 / image_seconds,
            captions as f64 / short_seconds,
            packed.stats().tokens as f64 / captions as f64,
            captions as f64 / long_seconds,
            long_seconds / short_seconds,
        );
    }
    println!("captions packed against 77 tokens: {:.2}x", padded_seconds / packed_seconds);
    Ok(())
}
