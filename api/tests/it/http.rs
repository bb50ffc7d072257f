//! Health, metrics and embeddings over HTTP, on the port of gRPC.

use bigrain_api::proto::{Metric, SearchRequest};
use bigrain_api::{ModelRegistry, Settings};
use bigrain_encoders::TextEncoder;
use serde_json::{Value, json};

use crate::gated_encoder::{Event, encode_request, gated_server};
use crate::support::{TOY, TestServer, config, num, point, toy, toy_models};

async fn post(server: &TestServer, path: &str, body: &Value) -> (u16, Value) {
    let headers = [("content-type", "application/json")];
    let reply = server.http("POST", path, &headers, &body.to_string()).await;
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

fn expected(text: &str) -> Vec<f32> {
    toy().encode_query(text).unwrap()
}

fn numbers(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

#[tokio::test]
async fn openai_clients_get_embeddings_as_numbers_and_as_base64() {
    let server = TestServer::start().await;
    let (status, reply) =
        post(&server, "/v1/embeddings", &json!({"input": "a cat", "model": TOY})).await;
    assert_eq!((status, &reply["object"], &reply["model"]), (200, &json!("list"), &json!(TOY)));
    assert_eq!(numbers(&reply["data"][0]["embedding"]), expected("a cat"));
    assert_eq!(reply["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));

    let request = json!({"input": ["a cat", "dogs"], "model": TOY, "encoding_format": "base64"});
    let (status, reply) = post(&server, "/v1/embeddings", &request).await;
    assert_eq!((status, reply["data"].as_array().unwrap().len()), (200, 2));
    assert_eq!(reply["data"][1]["index"], 1);
    let text = reply["data"][1]["embedding"].as_str().unwrap();
    // Four bytes a number, four characters for three bytes, padded.
    assert_eq!(text.len(), (32_usize * 4).div_ceil(3) * 4);
}

#[tokio::test]
async fn refusals_have_the_shape_of_their_api_and_name_what_was_wrong() {
    let server = TestServer::start().await;
    for (request, code, words) in [
        (json!({"input": "a", "model": "gpt"}), 404, "model \"gpt\" is not loaded"),
        (json!({"input": [1, 2], "model": TOY}), 400, "check_embedding_ctx_length"),
        (json!({"input": "a", "model": TOY, "dimensions": 7}), 400, "dimensions"),
        (json!({"input": [], "model": TOY}), 400, "no texts"),
        (json!({"input": " ", "model": TOY}), 400, "text 0 is empty"),
        (json!({"model": TOY}), 400, "missing field `input`"),
    ] {
        let (status, reply) = post(&server, "/v1/embeddings", &request).await;
        let message = reply["error"]["message"].as_str().unwrap();
        assert_eq!(status, code, "{request}");
        assert!(message.contains(words), "{message}");
        assert_eq!(reply["error"]["type"], "invalid_request_error");
    }
    let (status, reply) = post(&server, "/embed", &json!({"inputs": ["a", ""]})).await;
    assert_eq!((status, &reply["error_type"]), (400, &json!("Validation")));
    assert_eq!(reply["error"], "text 1 is empty");
}

#[tokio::test]
async fn tei_clients_get_rows_and_what_the_model_is_like() {
    let server = TestServer::start().await;
    let (status, rows) = post(&server, "/embed", &json!({"inputs": ["a cat", "dogs"]})).await;
    assert_eq!(status, 200);
    assert_eq!(numbers(&rows[0]), expected("a cat"));
    assert_eq!(numbers(&rows[1]), expected("dogs"));
    let info = server.http("GET", "/info", &[], "").await;
    let info: Value = serde_json::from_str(&info.body).unwrap();
    assert_eq!((&info["model_id"], &info["max_client_batch_size"]), (&json!(TOY), &json!(1024)));
}

#[tokio::test]
async fn texts_are_reranked_by_how_near_they_are_to_a_query() {
    let server = TestServer::start().await;
    let texts = ["dogs bark", "a cat sat", "the cat"];
    let request =
        json!({"query": "a cat", "texts": texts, "raw_scores": true, "return_text": true});
    let (status, ranks) = post(&server, "/rerank", &request).await;
    let order: Vec<_> = ranks.as_array().unwrap().iter().map(|rank| &rank["index"]).collect();
    assert_eq!((status, order), (200, vec![&json!(1), &json!(2), &json!(0)]));
    let (query, text) = (expected("a cat"), expected("a cat sat"));
    let cosine: f32 = query.iter().zip(&text).map(|(x, y)| x * y).sum();
    assert!((ranks[0]["score"].as_f64().unwrap() as f32 - cosine).abs() < 1e-6);
    assert_eq!(ranks[0]["text"], "a cat sat");

    let request = json!({"query": "a cat", "texts": texts});
    let (_, ranks) = post(&server, "/rerank", &request).await;
    let score = ranks[0]["score"].as_f64().unwrap() as f32;
    assert!((score - f32::midpoint(1.0, cosine)).abs() < 1e-6);
    assert_eq!(ranks[0].get("text"), None);

    let request = json!({"query": "a cat", "texts": texts, "method": "tokens"});
    let (status, reply) = post(&server, "/rerank", &request).await;
    let message = reply["error"].as_str().unwrap();
    assert!(status == 400 && message.contains("gives no vectors of tokens"), "{message}");
    let (status, _) = post(&server, "/rerank", &json!({"query": "a", "texts": []})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_model_that_gives_tokens_reranks_by_them() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../encoders/tests/data/clip-tiny");
    let models = ModelRegistry::open(&[folder.into()], 1).unwrap();
    let server = TestServer::start_with(Settings::default(), models).await;
    let info = server.http("GET", "/info", &[], "").await;
    assert!(info.body.contains(r#""rerank_methods":["embeddings","tokens"]"#), "{}", info.body);
    let request = json!({
        "query": "a photo of a cat", "texts": ["two dogs", "a photo of a cat"],
        "method": "tokens", "raw_scores": true,
    });
    let (status, ranks) = post(&server, "/rerank", &request).await;
    assert_eq!((status, &ranks[0]["index"]), (200, &json!(1)), "{ranks}");
    assert!((ranks[0]["score"].as_f64().unwrap() - 1.0).abs() < 1e-5, "{ranks}");
    assert!(ranks[1]["score"].as_f64().unwrap() < 0.9999, "{ranks}");
}

#[tokio::test]
async fn tokens_are_shown_with_where_they_stand() {
    let server = TestServer::start().await;
    let (status, texts) = post(&server, "/tokenize", &json!({"inputs": ["é cat", ""]})).await;
    assert_eq!((status, &texts[1]), (200, &json!([])));
    let cat = &texts[0][1];
    assert_eq!((&cat["text"], &cat["start"], &cat["stop"]), (&json!("cat"), &json!(2), &json!(5)));
    assert_eq!(cat["special"], false);
    let (_, one) = post(&server, "/tokenize", &json!({"inputs": "cat"})).await;
    assert_eq!(one[0][0]["id"], cat["id"]);
}

#[tokio::test]
async fn more_tokens_than_a_reply_may_have_are_refused() {
    let settings = Settings { max_message_bytes: Some(64 << 10), ..Settings::default() };
    let server = TestServer::start_with(settings, toy_models()).await;
    // Six kilobytes of text, and a token for every two.
    let request = json!({"inputs": "a ".repeat(3000)});
    let (status, reply) = post(&server, "/tokenize", &request).await;
    let message = reply["error"].as_str().unwrap();
    assert!(status == 429 && message.contains("65536 (max_message_bytes)"), "{status} {message}");
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_by_the_name_of_its_setting() {
    let settings = Settings { max_message_bytes: Some(64 << 10), ..Settings::default() };
    let server = TestServer::start_with(settings, toy_models()).await;
    // Its length is enough to refuse it: the body is not waited for.
    let reply = server.http("POST", "/v1/embeddings", &[("content-length", "65537")], "").await;
    assert_eq!(reply.status, 413);
    assert!(reply.body.contains("65536 bytes (max_message_bytes)"), "{}", reply.body);
}

#[tokio::test]
async fn a_deadline_over_http_is_answered_in_the_shape_of_the_api() {
    let (server, mut gate) = gated_server(Settings::default()).await;
    let body = json!({"input": "a", "model": TOY}).to_string();
    let reply = server.http("POST", "/v1/embeddings", &[("grpc-timeout", "50m")], &body).await;
    assert_eq!(reply.status, 504);
    assert!(reply.body.contains("deadline exceeded"), "{}", reply.body);
    assert_eq!(gate.event().await, Event::Started);
    assert_eq!(gate.event().await, Event::Cancelled);
}

#[tokio::test]
async fn metrics_say_what_was_asked_and_what_is_held() {
    let server = TestServer::start().await;
    server.create("docs", config(2, Metric::Dot)).await.unwrap();
    server.upsert(vec![point(num(1), &[1.0, 0.0]), point(num(2), &[0.0, 1.0])]).await.unwrap();
    let request = SearchRequest {
        collection: "docs".to_owned(),
        vector: vec![1.0, 0.0],
        ..SearchRequest::default()
    };
    server.search().search(request).await.unwrap();
    server.encoder().encode(encode_request()).await.unwrap();
    let reply = server.http("GET", "/metrics", &[], "").await;
    for line in [
        "bigrain_points{collection=\"docs\"} 2",
        "bigrain_searches_total 1",
        "bigrain_search_stage_seconds_count{stage=\"candidates\"} 1",
        "bigrain_search_stage_seconds_count{stage=\"encode\"} 1",
        "bigrain_requests_total{call=\"/bigrain.v1.Points/Upsert\",code=\"Ok\"} 1",
        "bigrain_request_seconds_count{call=\"/bigrain.v1.Search/Search\"} 1",
    ] {
        assert!(reply.body.lines().any(|found| found == line), "{line} is not in {}", reply.body);
    }
    let memtables = reply.body.lines().find(|line| line.contains("owner=\"memtables\""));
    assert!(!memtables.unwrap().ends_with(" 0"), "{memtables:?}");
}

#[tokio::test]
async fn a_path_that_is_not_there_is_said_not_to_be() {
    let server = TestServer::start().await;
    let reply = server.http("GET", "/nothing", &[], "").await;
    assert_eq!(reply.status, 404);
}
