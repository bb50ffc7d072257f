//! Models on a GPU give the vectors of the CPU, within the rounding of 16 bits.
//!
//! The GPU is its kernels on the host (`gpu/emulation`), with plain products in the place of cuBLASLt's.

use std::path::Path;
use std::sync::Arc;

use bigrain_emulation::Emulated;
use bigrain_encoders::{
    CrossEncoder, CrossOptions, CrossScorer, EncodeOptions, OpenOptions, PadPolicy, Pooling,
    Runtime, SentenceEncoder, TextEncoder,
};
use bigrain_engine::Cancel;
use bigrain_tools::gpu_encoder::GpuEncoder;

use crate::desk::{Desk, model_folder};
use crate::models::model;

/// What cosines of vectors of halves and of floats are at least.
const LEAST_COSINE: f64 = 0.9999;

fn runtime(device: Emulated) -> Runtime {
    Runtime::new(1).unwrap().with_device(Arc::new(GpuEncoder::new(Arc::new(device))))
}

fn on_cpu() -> Runtime {
    Runtime::new(1).unwrap()
}

fn open(folder: &Path, runtime: Runtime) -> SentenceEncoder {
    SentenceEncoder::open(folder, &OpenOptions::default(), runtime).unwrap()
}

fn on_device(folder: &Path, options: &OpenOptions) -> SentenceEncoder {
    SentenceEncoder::open(folder, options, runtime(Emulated::open().unwrap())).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Encodes texts on both; returns the smallest cosine.
fn compare(folder: &Path, options: &OpenOptions, texts: &[&str]) -> f64 {
    let device = on_device(folder, options);
    let cpu = SentenceEncoder::open(folder, options, on_cpu()).unwrap();
    assert_eq!(device.space(), cpu.space());
    let encode =
        |encoder: &SentenceEncoder| encoder.encode(texts, &EncodeOptions::default()).unwrap();
    let (found, expected) = (encode(&device), encode(&cpu));
    let report = device.device().unwrap();
    assert_eq!(report.why_cpu, None);
    assert_eq!((report.device.as_str(), report.cpu_batches), ("emulated", 0));
    assert!(report.device_batches > 0);
    let cosines = found.iter().zip(expected.iter()).map(|(a, b)| cosine(a, b));
    cosines.fold(1.0, f64::min)
}

#[test]
fn vectors_of_every_family_are_those_of_the_cpu() {
    let desk = Desk::new();
    let long = "many letters of a long text ".repeat(4);
    let texts = ["a", "abc", "a text of some letters", &long, "zz y x"];
    for name in [
        "bert-tiny",
        "roberta-tiny",
        "mpnet-tiny",
        "electra-cross-tiny",
        "distilbert-cross-tiny",
        "roberta-cross-tiny",
    ] {
        model(&desk, name);
        let least = compare(&desk.path(name), &OpenOptions::default(), &texts);
        assert!(least >= LEAST_COSINE, "{name}: {least}");
    }
}

#[test]
fn vectors_of_m2_bert_are_those_of_the_cpu() {
    let desk = Desk::new();
    model(&desk, "m2bert-tiny");
    let long = "many letters of a long text ".repeat(4);
    let texts = ["a", "abc", "a text of some letters", &long, "zz y x"];
    for pad_policy in [PadPolicy::ModelMax, PadPolicy::Bucket] {
        for pooling in [Pooling::Pooler, Pooling::Cls, Pooling::Mean] {
            let options =
                OpenOptions { pad_policy, pooling: Some(pooling), ..OpenOptions::default() };
            let least = compare(&desk.path("m2bert-tiny"), &options, &texts);
            println!("{pad_policy}, {pooling:?}: the smallest cosine is {least}");
            assert!(least >= LEAST_COSINE, "{pad_policy}, {pooling:?}: {least}");
        }
    }
}

#[test]
fn filters_that_do_not_fit_leave_m2_bert_to_the_cpu() {
    let desk = Desk::new();
    model(&desk, "m2bert-tiny");
    let folder = desk.path("m2bert-tiny");
    // The weights take 120 kB, the filters 150 kB.
    let encoder = open(&folder, runtime(Emulated::open().unwrap().with_memory(250_000)));
    let why = encoder.device().unwrap().why_cpu.unwrap();
    assert!(why.starts_with("149760 bytes do not fit into the device's memory"), "{why}");
    let encode = |encoder: &SentenceEncoder| encoder.encode_query("abc").unwrap();
    assert_eq!(encode(&encoder), encode(&open(&folder, on_cpu())));
}

#[test]
fn scores_of_a_cross_encoder_are_those_of_the_cpu() {
    let desk = Desk::new();
    model(&desk, "bert-cross-tiny");
    let score = |runtime| {
        let folder = desk.path("bert-cross-tiny");
        let scorer = CrossEncoder::open(&folder, &CrossOptions::default(), runtime).unwrap();
        scorer.score("wing", &["wing of a bird", "a", "letters"], &Cancel::new()).unwrap()
    };
    let (found, expected) = (score(runtime(Emulated::open().unwrap())), score(on_cpu()));
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 5e-3, "{found}, expected {expected}");
    }
    assert_ne!(found, expected, "the device did nothing");
}

#[test]
fn a_model_that_does_not_fit_runs_on_the_cpu() {
    let desk = Desk::new();
    model(&desk, "bert-tiny");
    let folder = desk.path("bert-tiny");
    let encoder = open(&folder, runtime(Emulated::open().unwrap().with_memory(1000)));
    let why = encoder.device().unwrap().why_cpu.unwrap();
    assert!(why.contains("do not fit into the device's memory, of which"), "{why}");
    let encode = |encoder: &SentenceEncoder| encoder.encode_query("abc").unwrap();
    assert_eq!(encode(&encoder), encode(&open(&folder, on_cpu())));
}

#[test]
fn a_gpu_that_is_named_and_missing_is_an_error_and_any_gpu_is_not() {
    let desk = Desk::new();
    model(&desk, "bert-tiny");
    // Number 10,000 is missing on every machine, with a driver or without.
    let error = desk.fail("--device cuda:10000 encode abc --model bert-tiny", 1);
    assert!(error.starts_with("error: no GPU can be used: "), "{error}");
    let by =
        |device: &str| desk.succeed(&format!("--device {device} encode abc --model bert-tiny"));
    assert_eq!(by("cpu"), desk.succeed("encode abc --model bert-tiny"));
    assert_eq!(by("auto").split(' ').count(), 48);
}

#[test]
fn vectors_of_the_real_model_are_those_of_the_cpu() {
    let Some(folder) = model_folder() else { return };
    let texts = [
        "one",
        "How do I sort a list in place?",
        "The weather in Lisbon is mild in winter.",
        "Binary codes are scanned first, and what may be among the best is verified with vectors on disk.",
    ];
    let least = compare(&folder, &OpenOptions::default(), &texts);
    println!("the smallest cosine of {} texts is {least}", texts.len());
    assert!(least >= LEAST_COSINE, "{least}");
}
