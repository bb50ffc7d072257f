//! Search, by vector and by text.

use bigrain_api::Settings;
use bigrain_api::proto::{
    CollectionConfig, CountRequest, EncodeRequest, Metric, Point, SearchOptions, SearchRequest,
    SearchTextRequest, UpsertRequest,
};
use bigrain_encoders::TextEncoder;
use bigrain_engine as engine;
use bigrain_engine::EmbeddingSpaceId;
use tonic::Code;

use crate::support::{TOY, TOY_DIMS, TestServer, assert_status, config, num, point, toy, upsert};

fn search(vector: &[f32], options: SearchOptions) -> SearchRequest {
    SearchRequest {
        collection: "docs".to_owned(),
        vector: vector.to_vec(),
        options: Some(options),
        ..SearchRequest::default()
    }
}

fn heat() -> SearchTextRequest {
    SearchTextRequest {
        collection: "docs".to_owned(),
        text: "heat in a slab".to_owned(),
        ..SearchTextRequest::default()
    }
}

async fn three_points() -> TestServer {
    let server = TestServer::with_docs(Settings::default()).await;
    let named = |id, vector: &[f32]| Point {
        payload_json: format!(r#"{{"name":"p{id}"}}"#),
        ..point(num(id), vector)
    };
    let points = vec![named(1, &[1.0, 0.0]), named(2, &[0.0, 1.0]), named(3, &[0.7, 0.7])];
    server.upsert(points).await.unwrap();
    server
}

/// A server that has encoded three texts, and their vectors.
async fn three_texts() -> (TestServer, Vec<Vec<f32>>) {
    let server = TestServer::start().await;
    let model = CollectionConfig { model: Some(TOY.to_owned()), ..config(0, Metric::Cosine) };
    server.create("docs", model).await.unwrap();
    let texts = ["flow over a wing", "heat in a slab", "a shock wave in air"];
    let request =
        EncodeRequest { texts: texts.map(str::to_owned).to_vec(), ..EncodeRequest::default() };
    let encoded = server.encoder().encode(request).await.unwrap().into_inner();
    let rows: Vec<Vec<f32>> = encoded.embeddings.into_iter().map(|row| row.values).collect();
    let points = (0_u64..).zip(&rows).map(|(id, row)| point(num(id), row));
    let space = Some(encoded.space);
    let request = UpsertRequest { space, ..upsert("docs", points.collect()) };
    server.points().upsert(request).await.unwrap();
    (server, rows)
}

#[tokio::test]
async fn a_search_returns_the_nearest_with_scores_payloads_and_statistics() {
    let server = three_points().await;
    let options = SearchOptions { limit: Some(2), explain: true, ..SearchOptions::default() };
    let reply = server.search().search(search(&[1.0, 0.1], options)).await.unwrap().into_inner();
    assert_eq!(reply.points.len(), 2);
    assert_eq!(reply.points[0].id, Some(num(1)));
    assert_eq!(reply.points[0].payload_json, r#"{"name":"p1"}"#);
    assert!((reply.points[0].score - 1.0).abs() < 1e-6);
    assert!((reply.points[1].score - 0.77).abs() < 1e-6);
    assert!(reply.stats.unwrap().rows_read > 0);
    let plan: serde_json::Value = serde_json::from_str(&reply.plan_json.unwrap()).unwrap();
    assert!(plan.is_object());

    let bare = SearchOptions { with_payload: Some(false), exact: true, ..SearchOptions::default() };
    let reply = server.search().search(search(&[0.0, 1.0], bare)).await.unwrap().into_inner();
    assert_eq!(reply.points.len(), 3);
    assert!(reply.plan_json.is_none());
    assert!(reply.points.iter().all(|point| point.payload_json.is_empty()));
}

#[tokio::test]
async fn a_search_takes_its_target_or_its_probes_and_answers_alike() {
    let server = three_points().await;
    for options in [
        SearchOptions { target_recall: Some(1.0), ..SearchOptions::default() },
        SearchOptions { probes: Some(5), ..SearchOptions::default() },
        SearchOptions { verify: Some(false), ..SearchOptions::default() },
    ] {
        let reply = server.search().search(search(&[1.0, 0.1], options)).await.unwrap();
        let points = reply.into_inner().points;
        assert_eq!(points.len(), 3);
        assert_eq!(points[0].id, Some(num(1)));
    }
}

#[tokio::test]
async fn bad_searches_are_refused_by_name() {
    let server = three_points().await;
    let limit = |limit| SearchOptions { limit: Some(limit), ..SearchOptions::default() };
    let target = SearchOptions { target_recall: Some(0.0), ..SearchOptions::default() };
    let probes = SearchOptions { probes: Some(0), ..SearchOptions::default() };
    let half = SearchOptions { oversampling: Some(0.5), ..SearchOptions::default() };
    let plain = SearchOptions::default;
    for (request, code, words) in [
        (search(&[1.0, 0.0], limit(0)), Code::InvalidArgument, ["limit", "got 0"]),
        (search(&[1.0, 0.0], limit(16_385)), Code::InvalidArgument, ["16384", "16385"]),
        (search(&[1.0, 0.0], half), Code::InvalidArgument, ["oversampling", "0.5"]),
        (search(&[1.0, 0.0], target), Code::InvalidArgument, ["target recall", "got 0"]),
        (search(&[1.0, 0.0], probes), Code::InvalidArgument, ["probes", "got 0"]),
        (search(&[1.0], plain()), Code::FailedPrecondition, ["has 2", "has 1"]),
        (search(&[], plain()), Code::FailedPrecondition, ["has 2", "has 0"]),
        (search(&[f32::NAN, 0.0], plain()), Code::InvalidArgument, ["component 0", "NaN"]),
    ] {
        let status = server.search().search(request).await.unwrap_err();
        assert_status(&status, code, &words);
    }
    let elsewhere =
        SearchRequest { collection: "nowhere".to_owned(), ..search(&[1.0, 0.0], plain()) };
    let status = server.search().search(elsewhere).await.unwrap_err();
    assert_status(&status, Code::NotFound, &["nowhere"]);
}

#[tokio::test]
async fn a_zero_query_under_cosine_is_refused() {
    let server = TestServer::start().await;
    server.create("docs", config(2, Metric::Cosine)).await.unwrap();
    let request = search(&[0.0, 0.0], SearchOptions::default());
    let status = server.search().search(request).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["zero vector"]);
}

#[tokio::test]
async fn text_finds_the_text_that_was_encoded() {
    let (server, _) = three_texts().await;

    let reply = server.search().search_text(heat()).await.unwrap().into_inner();
    assert_eq!(reply.points[0].id, Some(num(1)));
    assert!((reply.points[0].score - 1.0).abs() < 1e-5);

    let empty = SearchTextRequest { text: String::new(), ..heat() };
    let status = server.search().search_text(empty).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["empty"]);
}

#[tokio::test]
async fn points_of_two_encoders_are_found_by_a_text_and_by_two_vectors() {
    let (server, rows) = three_texts().await;
    // The later encoder is the same one under the same name, which is nothing to the engine.
    let collection = server.engine.collection("docs").unwrap();
    let later = collection.config().first().unwrap().clone();
    collection.upgrade_encoder(None, later).unwrap();
    server.upsert(vec![point(num(2), &rows[2])]).await.unwrap();
    assert_eq!(collection.info().fields[0].upgrade.unwrap().vectors_left, 2);

    let reply = server.search().search_text(heat()).await.unwrap().into_inner();
    assert_eq!((reply.points.len(), &reply.points[0].id), (3, &Some(num(1))));
    let one = search(&rows[0], SearchOptions::default());
    let both = SearchRequest { former_vector: rows[0].clone(), ..one.clone() };
    let reply = server.search().search(both).await.unwrap().into_inner();
    assert_eq!((reply.points.len(), &reply.points[0].id), (3, &Some(num(0))));
    let status = server.search().search(one).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["former_vector", "-former\""]);
}

#[tokio::test]
async fn text_needs_a_model() {
    let server = three_points().await;
    let status = server.search().search_text(heat()).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["\"docs\" has no model"]);
}

#[tokio::test]
async fn text_is_not_compared_with_another_space() {
    let server = TestServer::start().await;
    let other = EmbeddingSpaceId::from_bytes(*b"another space...");
    let config = engine::CollectionConfig::new(TOY_DIMS as usize, engine::Metric::Dot)
        .with_space(other)
        .with_model(format!("/models/{TOY}"));
    server.engine.create_collection("docs", config).unwrap();
    let status = server.search().search_text(heat()).await.unwrap_err();
    let own = toy().space().to_string();
    let words = ["embedding space mismatch", &own, &other.to_string()];
    assert_status(&status, Code::FailedPrecondition, &words);
}

#[tokio::test]
async fn a_model_that_is_not_loaded_is_named() {
    let server = TestServer::start().await;
    let config = engine::CollectionConfig::new(2, engine::Metric::Dot).with_model("models/bert");
    server.engine.create_collection("docs", config).unwrap();
    let status = server.search().search_text(heat()).await.unwrap_err();
    assert_status(&status, Code::NotFound, &["\"models/bert\" is not loaded", "has loaded toy"]);
}

#[tokio::test]
async fn a_filter_narrows_searches_and_counts() {
    let server = three_points().await;
    let filtered = |filter: &str| SearchRequest {
        filter_json: Some(filter.to_owned()),
        ..search(&[1.0, 0.1], SearchOptions { explain: true, ..SearchOptions::default() })
    };
    let filter = r#"{"field": "name", "in": ["p2", "p3"]}"#;
    let reply = server.search().search(filtered(filter)).await.unwrap().into_inner();
    let ids: Vec<_> = reply.points.into_iter().map(|point| point.id.unwrap()).collect();
    assert_eq!(ids, [num(3), num(2)]);
    assert!(reply.plan_json.unwrap().contains("2 match"));

    let count = |filter: Option<&str>| CountRequest {
        collection: "docs".to_owned(),
        filter_json: filter.map(str::to_owned),
    };
    for (filter, expected) in [(None, 3), (Some(filter), 2), (Some(r#"{"ids": [9]}"#), 0)] {
        let reply = server.points().count(count(filter)).await.unwrap().into_inner();
        assert_eq!(reply.count, expected, "{filter:?}");
    }

    let bad = r#"{"must": [{"field": "name", "gte": "x"}]}"#;
    for status in [
        server.search().search(filtered(bad)).await.unwrap_err(),
        server.points().count(count(Some(bad))).await.unwrap_err(),
    ] {
        assert_status(&status, Code::InvalidArgument, &["must[0].gte", "expected a number"]);
    }
}
