//! paraphrase-MiniLM-L3-v2 in 4 bits, as the package `pocket-encoder` holds it.

use bigrain_encoders::{OpenOptions, Runtime, SentenceEncoder, TextEncoder};

use crate::support::{cosine, q4_model};

#[test]
fn four_bit_weights_give_the_embeddings_of_their_values() {
    let Some(folder) = q4_model() else { return };
    let options =
        OpenOptions { normalize: Some(true), max_tokens: Some(128), ..OpenOptions::default() };
    let encoder = SentenceEncoder::open(&folder, &options, Runtime::new(2).unwrap()).unwrap();
    assert_eq!(
        encoder.unused_tensors(),
        ["pooler.dense.bias", "pooler.dense.weight.q4", "pooler.dense.weight.scales"]
    );

    // What torch 1.13 gives with the same weights multiplied out.
    let embedding = encoder.encode_query("This is an example sentence").unwrap();
    let expected: [f64; 5] =
        [0.072_570_137_7, 0.012_807_654_2, 0.022_934_408_9, -0.016_708_506_3, -0.104_419_075];
    for (x, y) in embedding.iter().zip(expected) {
        assert!((f64::from(*x) - y).abs() < 2e-6, "{x}, expected {y}");
    }

    // What the model gives with its weights of 32 bits, kept in the package.
    let reference = std::fs::read(folder.join("reference.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_slice(&reference).unwrap();
    let texts = reference["texts"].as_array().unwrap();
    assert_eq!(texts.len(), 2);
    for (text, expected) in texts.iter().zip(reference["embeddings"].as_array().unwrap()) {
        let text = text.as_str().unwrap();
        let expected: Vec<f32> = serde_json::from_value(expected.clone()).unwrap();
        let near = cosine(&encoder.encode_query(text).unwrap(), &expected);
        println!("cosine to the weights of 32 bits: {near:.4}, {text:?}");
        assert!(near > 0.96, "{near}");
    }
}
