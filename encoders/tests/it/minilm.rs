//! all-MiniLM-L6-v2 itself, unmodified.

use bigrain_encoders::{EncodeOptions, OpenOptions, Runtime, SentenceEncoder, TextEncoder};

use crate::support::{cosine, real_model};

fn open() -> Option<SentenceEncoder> {
    let folder = real_model()?;
    let runtime = Runtime::new(2).unwrap();
    Some(SentenceEncoder::open(&folder, &OpenOptions::default(), runtime).unwrap())
}

#[test]
fn the_published_embedding_is_reproduced() {
    let Some(encoder) = open() else { return };
    assert_eq!((encoder.dims(), encoder.max_tokens()), (384, 256));
    // Collections on disk name the space of their vectors.
    assert_eq!(encoder.space().to_string(), "6bfd41373dccafdd5de70f16ee945f88");
    let embedding = encoder.encode_query("This is an example sentence").unwrap();
    let published: [f64; 5] =
        [6.765_692_68e-2, 6.349_597_13e-2, 4.871_310_29e-2, 7.930_498_57e-2, 3.744_804_11e-2];
    for (x, y) in embedding.iter().zip(published) {
        assert!((f64::from(*x) - y).abs() < 1e-6, "{x}, expected {y}");
    }
    let length: f32 = embedding.iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5);
}

#[test]
fn paraphrases_are_near_and_other_topics_far() {
    let Some(encoder) = open() else { return };
    let encode = |text: &str| encoder.encode_query(text).unwrap();
    let query = encode("How do I sort a list in place?");
    let near = encode("sorts the slice without allocating memory");
    let far = encode("The weather in Lisbon is mild in winter.");
    assert!(cosine(&query, &near) > 0.35, "{}", cosine(&query, &near));
    assert!(cosine(&query, &far) < 0.15, "{}", cosine(&query, &far));
    let (a, b) = (encode("A man is eating food."), encode("A man eats something."));
    assert!(cosine(&a, &b) > 0.75, "{}", cosine(&a, &b));
}

#[test]
fn truncation_is_the_models_and_nothing_is_padded() {
    let Some(encoder) = open() else { return };
    // The folder's tokenizer.json says: cut at 128, pad to 128.
    let words = |count: usize| "house ".repeat(count);
    let texts = [words(2), words(200), words(254), words(255), words(10_000)];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embeddings = encoder.encode(&texts, &EncodeOptions::default()).unwrap();
    assert_eq!(embeddings.stats().tokens, 4 + 202 + 256 * 3);
    assert_eq!(embeddings.stats().truncated, 2);
    assert_eq!(embeddings.row(2), embeddings.row(4));
}

#[test]
fn batches_and_threads_do_not_change_an_embedding() {
    let Some(encoder) = open() else { return };
    let texts: Vec<String> =
        (1..60).map(|i| format!("item {i} {}", "of many things ".repeat(i % 23))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = encoder.encode(&texts, &EncodeOptions::default()).unwrap();
    for (text, row) in texts.iter().zip(together.iter()).step_by(7) {
        assert_eq!(encoder.encode_query(text).unwrap(), row, "{text}");
    }
}
