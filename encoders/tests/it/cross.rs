//! Cross-encoders opened from folders.

use bigrain_encoders::{
    CrossEncoder, CrossOptions, CrossScorer, ModelKind, ModelReport, PropReranker, Runtime,
    ScoreActivation, ScoreError,
};
use bigrain_types::Cancel;

use crate::support::ModelFolder;

fn open(folder: &ModelFolder, options: &CrossOptions) -> CrossEncoder {
    CrossEncoder::open(folder.root(), options, Runtime::new(2).unwrap()).unwrap()
}

fn score(scorer: &CrossEncoder, query: &str, passages: &[&str]) -> Vec<f32> {
    scorer.score(query, passages, &Cancel::new()).unwrap()
}

#[test]
fn a_score_depends_on_its_own_pair_alone() {
    for name in [
        "bert-cross-tiny",
        "roberta-cross-tiny",
        "electra-cross-tiny",
        "mpnet-cross-tiny",
        "distilbert-cross-tiny",
    ] {
        let scorer = open(&ModelFolder::new(name), &CrossOptions::default());
        let long = "words and more ".repeat(300);
        let passages = ["abc", "a longer passage", &long, "abc", "z"];
        let scores = score(&scorer, "a query", &passages);
        assert_eq!(scores.len(), 5);
        assert_eq!(scores[0], scores[3]);
        assert_ne!(scores[0], scores[4], "{name}");
        for (passage, together) in passages.iter().zip(&scores) {
            assert_eq!(score(&scorer, "a query", &[passage]), [*together], "{name}");
        }
        assert_ne!(score(&scorer, "another", &["abc"]), [scores[0]], "{name}");
    }
}

#[test]
fn only_what_the_query_leaves_of_a_passage_counts() {
    let folder = ModelFolder::new("bert-cross-tiny");
    let scorer = open(&folder, &CrossOptions { max_tokens: Some(12), ..CrossOptions::default() });
    assert_eq!(scorer.max_tokens(), 12);
    // Twelve tokens: three special ones, two of the query, seven of the passage.
    let scores = score(&scorer, "ab", &["cdefghi", "cdefghijk", "cdefgh"]);
    assert_eq!(scores[0], scores[1]);
    assert_ne!(scores[0], scores[2]);
}

#[test]
fn the_folder_says_whether_scores_are_between_zero_and_one() {
    let folder = ModelFolder::new("bert-cross-tiny");
    let raw = open(&folder, &CrossOptions::default());
    assert_eq!(raw.activation(), ScoreActivation::Raw);
    let config = std::fs::read_to_string(folder.path("config.json")).unwrap();
    let said = r#"{"sentence_transformers": {"activation_fn":
        "torch.nn.modules.activation.Sigmoid"},"#;
    folder.write("config.json", config.replacen('{', said, 1));
    let sigmoid = open(&folder, &CrossOptions::default());
    let (x, y) = (score(&raw, "a", &["b"])[0], score(&sigmoid, "a", &["b"])[0]);
    assert!((y - 1.0 / (1.0 + (-x).exp())).abs() < 1e-6, "{x} {y}");
    let options =
        CrossOptions { activation: Some(ScoreActivation::Raw), ..CrossOptions::default() };
    assert_eq!(score(&open(&folder, &options), "a", &["b"]), [x]);
}

#[test]
fn texts_that_are_refused_are_named() {
    let scorer = open(&ModelFolder::new("bert-cross-tiny"), &CrossOptions::default());
    let cancel = Cancel::new();
    let refuse = |query: &str, passages: &[&str]| {
        scorer.score(query, passages, &cancel).unwrap_err().to_string()
    };
    assert_eq!(refuse(" ", &["a"]), "the query is empty or longer than 1048576 bytes");
    assert_eq!(refuse("a", &["b", ""]), "passages: text 1 is empty");
    assert_eq!(scorer.score("a", &[], &cancel).unwrap(), [0.0; 0]);
    cancel.cancel();
    assert!(matches!(scorer.score("a", &["b"], &cancel), Err(ScoreError::Cancelled(_))));
}

#[test]
fn a_sentence_encoder_is_no_cross_encoder() {
    let folder = ModelFolder::new("bert-tiny");
    let error =
        CrossEncoder::open(folder.root(), &CrossOptions::default(), Runtime::new(1).unwrap());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("lacks 2 tensors the model needs: classifier.weight, classifier.bias"),
        "{error}"
    );
}

/// The golden cross-encoder as PROP's training code writes one: no family in its configuration, its scorer
/// called `cls` beside the head of masked words, norms with the names of their time. `keep` says which
/// tensors stay, by these names.
fn prop_folder(keep: impl Fn(&str) -> bool) -> ModelFolder {
    let folder = ModelFolder::new("bert-cross-tiny");
    let config = std::fs::read(folder.path("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    config.as_object_mut().unwrap().retain(|field, _| field != "model_type");
    folder.write("config.json", config.to_string());
    folder.rewrite(|name, dtype, shape, data| {
        let name = match name {
            "bert.embeddings.position_ids" => "cls.predictions.bias".to_owned(),
            name => name
                .replace("classifier.", "cls.")
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta"),
        };
        keep(&name).then(|| (name, dtype, shape.to_vec(), data.to_vec()))
    });
    folder
}

#[test]
fn a_prop_checkpoint_scores_as_the_model_it_is() {
    let plain = open(&ModelFolder::new("bert-cross-tiny"), &CrossOptions::default());
    let folder = prop_folder(|_| true);
    let prop: PropReranker = open(&folder, &CrossOptions::default());
    let passages = ["abc", "a longer passage", "z"];
    let scores = score(&prop, "a query", &passages);
    assert_eq!(scores, score(&plain, "a query", &passages));
    assert!(scores[0] != scores[2]);
    let report = ModelReport::read(folder.root()).unwrap();
    assert_eq!(report.kind, ModelKind::CrossEncoder);
    assert_eq!(report.unused, ["cls.predictions.bias"]);
}

#[test]
fn what_a_prop_checkpoint_lacks_is_named_with_what_it_has_instead() {
    let folder = prop_folder(|name| name != "cls.weight" && !name.ends_with("1.output.dense.bias"));
    let opened =
        PropReranker::open(folder.root(), &CrossOptions::default(), Runtime::new(1).unwrap());
    let error = opened.unwrap_err().to_string();
    assert!(
        error.ends_with(
            "lacks 2 tensors the model needs: encoder.layer.1.output.dense.bias, \
             classifier.weight; it has 1 tensors the model does not use: cls.predictions.bias"
        ),
        "{error}"
    );
}
