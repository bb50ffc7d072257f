//! Model folders: what they hold, and cross-encoders.

use std::fs;
use std::path::Path;

use bigrain_encoders::{CrossEncoder, CrossOptions, CrossScorer, Runtime};
use bigrain_engine::Cancel;

use crate::desk::Desk;

/// Copies a golden model of the encoders' tests, with a vocabulary of letters.
pub fn model(desk: &Desk, golden: &str) {
    let from = Path::new("../encoders/tests/data").join(golden);
    fs::create_dir(desk.path(golden)).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::write(desk.path(golden).join(name), fs::read(from.join(name)).unwrap()).unwrap();
    }
    let mut vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from).to_vec();
    vocab.extend(('a'..='z').map(String::from));
    vocab.extend(('a'..='z').map(|letter| format!("##{letter}")));
    fs::write(desk.path(golden).join("vocab.txt"), vocab.join("\n")).unwrap();
}

#[test]
fn a_model_folder_is_shown_and_what_it_lacks_is_a_failure() {
    let desk = Desk::new();
    model(&desk, "bert-tiny");
    let shown = desk.succeed("model inspect bert-tiny");
    for line in ["sentence encoder", "bert", "mean", "f32", "embeddings.position_ids"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let json = desk.json("model inspect bert-tiny --json");
    assert_eq!((&json["dims"], &json["complete"]), (&48.into(), &true.into()));

    model(&desk, "bert-cross-tiny");
    let json = desk.json("model inspect bert-cross-tiny --json");
    assert_eq!(json["opens_as"], "cross-encoder");
    fs::remove_file(desk.path("bert-cross-tiny/vocab.txt")).unwrap();
    let error = desk.fail("model inspect bert-cross-tiny", 1);
    assert_eq!(error, "error: bert-cross-tiny does not open as a cross-encoder");
    let error = desk.fail("model inspect absent", 1);
    assert!(error.contains("absent"), "{error}");
}

#[test]
fn results_come_in_the_order_of_the_cross_encoder() {
    let desk = Desk::new();
    model(&desk, "bert-cross-tiny");
    let texts = ["wing", "wing a b", "wing of a bird", "a wing", "wing wing wing"];
    let lines: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(row, text)| {
            format!(r#"{{"id": {}, "vector": [1, {row}], "text": "{text}"}}"#, row + 1)
        })
        .collect();
    desk.write("in.jsonl", lines.join("\n"));
    desk.succeed("build in.jsonl --collection c --bm25 text");

    let folder = desk.path("bert-cross-tiny");
    let scorer =
        CrossEncoder::open(&folder, &CrossOptions::default(), Runtime::new(1).unwrap()).unwrap();
    let scores = scorer.score("wing", &texts, &Cancel::new()).unwrap();
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));

    let line = "search wing --words-only --limit 3 --rerank bert-cross-tiny";
    let found = desk.json(&format!("{line} --json"));
    let points = found["points"].as_array().unwrap();
    let texts_found: Vec<&str> =
        points.iter().map(|point| point["payload"]["text"].as_str().unwrap()).collect();
    let expected: Vec<&str> = order[..3].iter().map(|&row| texts[row]).collect();
    assert_eq!(texts_found, expected);
    assert!(found["rerank_seconds"].as_f64().unwrap() > 0.0);
    assert!((points[0]["score"].as_f64().unwrap() as f32 - scores[order[0]]).abs() < 1e-6);
    assert!(desk.succeed(line).contains("reranked in "));
}

#[test]
fn a_point_without_a_text_cannot_be_reranked() {
    let desk = Desk::new();
    model(&desk, "bert-cross-tiny");
    desk.write("in.jsonl", r#"{"id": 7, "vector": [1, 2], "name": "wing"}"#);
    desk.succeed("build in.jsonl --collection c --bm25 name");
    let error = desk.fail("search wing --words-only --rerank bert-cross-tiny", 1);
    assert!(error.starts_with("error: point 7 has no text to rerank"), "{error}");
    desk.fail("search wing --words-only --rerank-depth 5", 2);
}
