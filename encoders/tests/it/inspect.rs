//! What is told of a folder without opening it.

use bigrain_encoders::{ModelKind, ModelReport, Pooling};

use crate::support::ModelFolder;

#[test]
fn a_whole_folder_is_complete() {
    let report = ModelReport::read(ModelFolder::new("mpnet-tiny").root()).unwrap();
    assert!(report.is_complete());
    assert_eq!(report.kind, ModelKind::SentenceEncoder);
    assert_eq!(report.pooling(), Some(Pooling::Mean));
    assert_eq!((report.dir.architecture.family(), report.dir.dims()), ("mpnet", 32));
    assert_eq!(report.dtypes.into_iter().collect::<Vec<_>>(), [("f32".to_owned(), 37)]);
    // Two tables, the bias by distance, three norms of the embeddings, two layers.
    let layer = 4 * (32 * 32 + 32) + 2 * (2 * 32) + (64 * 32 + 64) + (32 * 64 + 32);
    assert_eq!(report.parameters, 120 * 32 + 160 * 32 + 32 * 4 + 2 * 32 + 2 * layer);
    assert!(report.unused.contains(&"pooler.dense.weight".to_owned()));
}

#[test]
fn a_head_with_a_label_makes_a_cross_encoder() {
    let report = ModelReport::read(ModelFolder::new("electra-cross-tiny").root()).unwrap();
    assert_eq!((report.kind, report.pooling()), (ModelKind::CrossEncoder, None));
    assert!(report.is_complete());
}

#[test]
fn what_is_missing_is_told() {
    let folder = ModelFolder::new("bert-tiny");
    std::fs::remove_file(folder.path("vocab.txt")).unwrap();
    let config = std::fs::read_to_string(folder.path("config.json")).unwrap();
    folder.write("config.json", config.replace("\"vocab_size\": 120", "\"vocab_size\": 121"));
    let report = ModelReport::read(folder.root()).unwrap();
    assert!(!report.is_complete());
    let mismatch = report.mismatch.unwrap();
    assert_eq!(mismatch.wrong_shape[0].name, "embeddings.word_embeddings.weight");
    assert!(report.tokenizer.unwrap().contains("has no tokenizer.json"));
}
