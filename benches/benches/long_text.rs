//! What does a long text cost?
//!
//! ```text
//! cargo bench -p bigrain-benches --bench long_text -- --tokens 2048 --threads 2 --texts 4
//! cargo bench -p bigrain-benches --bench long_text -- --tokens 32768 --layers 2 --rounds 1
//! ```
//!
//! A model of the shape of the published M2-BERT ones (12 layers of 768 channels) for texts of
//! `--tokens` tokens, with random weights, is written to a temporary folder, opened as any model,
//! and given texts. Time and memory do not depend on what the weights are, nor, since texts are padded
//! to what the model reads, on how long the texts are.
//!
//! Printed: the resident memory of this process after opening; of each round seconds a text by the
//! clock and as all threads computed them, and tokens a second (padding counts, it is computed); and
//! the peak of resident memory while encoding.

#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use bigrain_benches::{Fill, Tensor, write_tensors};
use bigrain_encoders::{EncodeOptions, OpenOptions, Runtime, SentenceEncoder, TextEncoder};

const CHANNELS: usize = 768;
const WIDE: usize = 3_072;
const BLOCKS: usize = 4;
const ORDER: usize = 128;
const INPUTS: usize = 5;
const VOCABULARY: usize = 30_528;

fn tensors(tokens: usize, layers: usize) -> Vec<Tensor> {
    let mut tensors: Vec<Tensor> = Vec::new();
    let mut put = |name: String, shape: &[usize], fill| tensors.push((name, shape.to_vec(), fill));
    let weight = Fill::Random(0.035);
    put("embeddings.word_embeddings.weight".into(), &[VOCABULARY, CHANNELS], weight);
    put("embeddings.position_embeddings.weight".into(), &[tokens, CHANNELS], weight);
    put("embeddings.token_type_embeddings.weight".into(), &[2, CHANNELS], weight);
    put("embeddings.LayerNorm.weight".into(), &[CHANNELS], Fill::Constant(1.0));
    put("embeddings.LayerNorm.bias".into(), &[CHANNELS], Fill::Constant(0.0));
    for layer in 0..layers {
        let layer = format!("encoder.layer.{layer}");
        let mut put =
            |name: &str, shape: &[usize], fill| put(format!("{layer}.{name}"), shape, fill);
        put("attention.in_linear.weight", &[3 * CHANNELS, CHANNELS], weight);
        put("attention.in_linear.bias", &[3 * CHANNELS], weight);
        put("attention.short_filter.weight", &[3 * CHANNELS, 1, 3], Fill::Random(0.5));
        put("attention.short_filter.bias", &[3 * CHANNELS], weight);
        put("attention.out_linear.weight", &[CHANNELS, CHANNELS], weight);
        put("attention.out_linear.bias", &[CHANNELS], weight);
        for filter in ["attention.filter_fn", "attention.filter_fn2"] {
            let mut put =
                |name: &str, shape: &[usize], fill| put(&format!("{filter}.{name}"), shape, fill);
            put("bias", &[CHANNELS], Fill::Random(1.0));
            put("pos_emb.z", &[1, tokens, INPUTS], Fill::Random(1.0));
            put("pos_emb.t", &[1, tokens, 1], Fill::Line(0.0, 1.0));
            put("modulation.deltas", &[1, 1, CHANNELS], Fill::Line(-3.07, -15.35));
            for net in ["implicit_filter", "implicit_filter_rev"] {
                let mut put =
                    |name: &str, shape: &[usize], fill| put(&format!("{net}.{name}"), shape, fill);
                for (at, inputs) in [(0, INPUTS), (2, ORDER), (4, ORDER)] {
                    put(&format!("{at}.weight"), &[ORDER, inputs], Fill::Random(0.05));
                    put(&format!("{at}.bias"), &[ORDER], Fill::Random(1.0));
                    put(&format!("{}.freq", at + 1), &[1, ORDER], Fill::Constant(10.0));
                }
                put("6.weight", &[CHANNELS, ORDER], Fill::Random(0.01));
            }
        }
        put("mlp.gated_layers.weight", &[BLOCKS, 2 * WIDE / BLOCKS, CHANNELS / BLOCKS], weight);
        put("mlp.wo.weight", &[BLOCKS, CHANNELS / BLOCKS, WIDE / BLOCKS], weight);
        put("mlp.wo.bias", &[CHANNELS], weight);
        put("mlp.layernorm.weight", &[CHANNELS], Fill::Constant(1.0));
        put("mlp.layernorm.bias", &[CHANNELS], Fill::Constant(0.0));
    }
    put("pooler.dense.weight".into(), &[CHANNELS, CHANNELS], weight);
    put("pooler.dense.bias".into(), &[CHANNELS], weight);
    tensors
}

/// Writes a model folder.
fn write_model(folder: &Path, tokens: usize, layers: usize) -> std::io::Result<()> {
    let config = format!(
        r#"{{"model_type": "m2_bert", "vocab_size": {VOCABULARY}, "hidden_size": {CHANNELS},
            "num_hidden_layers": {layers}, "intermediate_size": {WIDE}, "hidden_act": "gelu",
            "max_position_embeddings": {tokens}, "long_conv_l_max": {tokens},
            "hyena_filter_order": {ORDER}, "hyena_emb_dim": {INPUTS},
            "monarch_mlp_nblocks": {BLOCKS}}}"#
    );
    fs::write(folder.join("config.json"), config)?;
    let mut vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]".to_owned();
    for letter in 'a'..='z' {
        vocabulary += &format!("\n{letter}\n##{letter}");
    }
    fs::write(folder.join("vocab.txt"), vocabulary)?;

    write_tensors(&folder.join("model.safetensors"), &tensors(tokens, layers))
}

/// Bytes of one line of this process's status, or 0 where the system does not say.
fn resident(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kilobytes = value.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Seconds all threads of this process have computed, or 0 where the system does not say; on a busy
/// machine they say more than the clock.
fn computed() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the program's name, in parentheses, user and system time are the 12th and 13th fields, in
    // hundredths of a second.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}

fn argument(name: &str, default: usize) -> Result<usize, Box<dyn Error>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(Ok(default), |value| Ok(value.parse()?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let tokens = argument("--tokens", 2_048)?;
    let layers = argument("--layers", 12)?;
    let threads = argument("--threads", 2)?;
    let texts = argument("--texts", 1)?;
    let rounds = argument("--rounds", 3)?;

    let folder = tempfile::tempdir()?;
    write_model(folder.path(), tokens, layers)?;
    let start = Instant::now();
    let encoder =
        SentenceEncoder::open(folder.path(), &OpenOptions::default(), Runtime::new(threads)?)?;
    println!(
        "{layers} layers of {CHANNELS} channels, {tokens} tokens, {threads} threads: opened in \
         {:.1} s, {} MB resident (peak {} MB)",
        start.elapsed().as_secs_f64(),
        megabytes(resident("VmRSS")),
        megabytes(resident("VmHWM")),
    );
    // From here on the peak is that of encoding; where this cannot be asked for, it is of both.
    let _ = fs::write("/proc/self/clear_refs", "5");

    let text = "a b c d e f g h ".repeat(tokens / 8);
    let texts = vec![text.as_str(); texts];
    for round in 1..=rounds {
        let (start, before) = (Instant::now(), computed());
        let embeddings = encoder.encode(&texts, &EncodeOptions::default())?;
        let seconds = start.elapsed().as_secs_f64();
        assert!(embeddings.as_slice().iter().all(|value| value.is_finite()));
        println!(
            "round {round}: {:.2} s a text, {:.2} s computed, {:.0} tokens/s, peak {} MB resident",
            seconds / texts.len() as f64,
            (computed() - before) / texts.len() as f64,
            (texts.len() * tokens) as f64 / seconds,
            megabytes(resident("VmHWM")),
        );
    }
    Ok(())
}
