//! `/rerank` by cross-encoders.

use std::fs;
use std::path::{Path, PathBuf};

use bigrain_api::{ModelRegistry, Settings};
use bigrain_encoders::{CrossEncoder, CrossOptions, CrossScorer, Runtime};
use bigrain_engine::Cancel;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{TOY, TestServer, toy_models};

const QUERY: &str = "wing";
const TEXTS: [&str; 4] = ["a wing", "wing of a bird", "zzz", "wing wing"];

/// Copies a golden model of the encoders' tests, with a vocabulary of letters.
fn golden(folder: &Path, name: &str) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../encoders/tests/data").join(name);
    let to = folder.join(name);
    fs::create_dir(&to).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::write(to.join(file), fs::read(from.join(file)).unwrap()).unwrap();
    }
    let mut vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from).to_vec();
    vocab.extend(('a'..='z').map(String::from));
    vocab.extend(('a'..='z').map(|letter| format!("##{letter}")));
    fs::write(to.join("vocab.txt"), vocab.join("\n")).unwrap();
    to
}

/// Returns the scores that the library gives.
fn expected(folder: &Path) -> Vec<f32> {
    let runtime = Runtime::new(1).unwrap();
    let scorer = CrossEncoder::open(folder, &CrossOptions::default(), runtime).unwrap();
    scorer.score(QUERY, &TEXTS, &Cancel::new()).unwrap()
}

async fn server(models: ModelRegistry) -> TestServer {
    TestServer::start_with(Settings::default(), models).await
}

async fn rerank(server: &TestServer, more: Value) -> (u16, Value) {
    let mut request = json!({"query": QUERY, "texts": TEXTS});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let headers = [("content-type", "application/json")];
    let reply = server.http("POST", "/rerank", &headers, &request.to_string()).await;
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

/// Checks that texts come in the order of scores, with these.
fn assert_ranked((status, ranks): &(u16, Value), scores: &[f32]) {
    assert_eq!(*status, 200, "{ranks}");
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&one, &other| scores[other].total_cmp(&scores[one]));
    for (rank, index) in ranks.as_array().unwrap().iter().zip(order) {
        assert_eq!(rank["index"], index, "{ranks}");
        assert_eq!(rank["score"].as_f64().unwrap() as f32, scores[index], "{ranks}");
    }
    assert_eq!(ranks.as_array().unwrap().len(), scores.len());
}

#[tokio::test]
async fn a_cross_encoder_orders_texts_by_its_scores() {
    let folder = TempDir::new().unwrap();
    let model = golden(folder.path(), "bert-cross-tiny");
    let server = server(ModelRegistry::open(std::slice::from_ref(&model), 1).unwrap()).await;
    let raw = expected(&model);
    assert_ranked(&rerank(&server, json!({"raw_scores": true})).await, &raw);
    let unit: Vec<f32> = raw.iter().map(|score| 1.0 / (1.0 + (-score).exp())).collect();
    for more in [json!({}), json!({"model": "models/bert-cross-tiny"}), json!({"method": "cross"})]
    {
        assert_ranked(&rerank(&server, more).await, &unit);
    }
    let (_, ranks) = rerank(&server, json!({"return_text": true})).await;
    let first = ranks[0]["index"].as_u64().unwrap() as usize;
    assert_eq!(ranks[0]["text"], TEXTS[first]);

    let info = server.http("GET", "/info", &[], "").await;
    let info: Value = serde_json::from_str(&info.body).unwrap();
    assert_eq!(info["model_id"], "bert-cross-tiny");
    assert!(info["model_type"]["reranker"].is_object(), "{info}");
    assert_eq!(info["reranker"]["model_id"], "bert-cross-tiny");
}

#[tokio::test]
async fn an_encoder_beside_a_cross_encoder_is_asked_by_its_method() {
    let folder = TempDir::new().unwrap();
    let model = golden(folder.path(), "bert-cross-tiny");
    let runtime = Runtime::new(1).unwrap();
    let mut models = toy_models();
    models.add_folder(&model, &runtime).unwrap();
    let server = server(models).await;
    let raw = expected(&model);
    assert_ranked(&rerank(&server, json!({"raw_scores": true})).await, &raw);
    let (status, by_embeddings) =
        rerank(&server, json!({"raw_scores": true, "method": "embeddings"})).await;
    assert_eq!(status, 200);
    let named = rerank(&server, json!({"raw_scores": true, "model": TOY})).await;
    assert_eq!(named, (200, by_embeddings));

    for (more, code, words) in [
        (json!({"model": TOY, "method": "cross"}), 400, "model \"toy\" is no cross-encoder"),
        (
            json!({"model": "bert-cross-tiny", "method": "embeddings"}),
            400,
            "\"bert-cross-tiny\" is a cross-encoder",
        ),
        (json!({"model": "absent"}), 404, "model \"absent\" is not loaded"),
        (json!({"texts": ["a", " "]}), 400, "text 1 is empty"),
        (json!({"query": ""}), 400, "the query is empty"),
        (json!({"texts": []}), 400, "no texts"),
    ] {
        let (status, reply) = rerank(&server, more).await;
        let message = reply["error"].as_str().unwrap();
        assert!(status == code && message.contains(words), "{status} {message}");
    }
    // Vectors are the encoder's, and need no name.
    let headers = [("content-type", "application/json")];
    assert_eq!(server.http("POST", "/embed", &headers, r#"{"inputs": "a"}"#).await.status, 200);
    let request = r#"{"inputs": "a", "model": "bert-cross-tiny"}"#;
    let reply = server.http("POST", "/embed", &headers, request).await;
    assert!(reply.status == 400 && reply.body.contains("gives no vectors"), "{}", reply.body);
    let info = server.http("GET", "/info", &[], "").await;
    let info: Value = serde_json::from_str(&info.body).unwrap();
    assert_eq!((&info["model_id"], &info["rerank_methods"][0]), (&json!(TOY), &json!("cross")));
}

#[tokio::test]
async fn of_several_cross_encoders_one_is_named() {
    let folder = TempDir::new().unwrap();
    let names = ["bert-cross-tiny", "distilbert-cross-tiny"];
    let folders = names.map(|name| golden(folder.path(), name));
    let server = server(ModelRegistry::open(&folders, 1).unwrap()).await;
    let (status, reply) = rerank(&server, json!({})).await;
    let message = reply["error"].as_str().unwrap();
    let words =
        "cross-encoder is not named: the server has loaded bert-cross-tiny, distilbert-cross-tiny";
    assert!(status == 400 && message == words, "{status} {message}");
    for (name, folder) in names.iter().zip(&folders) {
        let request = json!({"model": name, "raw_scores": true});
        assert_ranked(&rerank(&server, request).await, &expected(folder));
    }
}

#[test]
fn a_name_is_given_once_to_encoders_and_cross_encoders_together() {
    let folder = TempDir::new().unwrap();
    let model = golden(folder.path(), "bert-cross-tiny");
    let open = |options| CrossEncoder::open(&model, &options, Runtime::new(1).unwrap()).unwrap();
    let scorer = std::sync::Arc::new(open(CrossOptions::default()));
    let error = toy_models().with_reranker(TOY, scorer).unwrap_err();
    assert!(error.to_string().contains("\"toy\" is given twice"), "{error}");
}
