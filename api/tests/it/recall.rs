//! Searches that are answered a second time, exactly.

use bigrain_api::proto::{Point, SearchBatchRequest, SearchOptions, SearchRequest};
use bigrain_api::{KeySettings, Secret, Settings};

use crate::support::{TestServer, num, point, toy_models};

/// A server with a collection `docs` of some points in memory, where searches find every neighbour.
async fn server(share: Option<f32>) -> TestServer {
    let settings = Settings { recall_sample: share, ..Settings::default() };
    let server = TestServer::with_docs(settings).await;
    let points: Vec<Point> = (0..50).map(|id| point(num(id), &[1.0, id as f32])).collect();
    server.upsert(points).await.unwrap();
    server
}

fn search(vector: &[f32]) -> SearchRequest {
    SearchRequest {
        collection: "docs".to_owned(),
        vector: vector.to_vec(),
        options: Some(SearchOptions { limit: Some(7), ..SearchOptions::default() }),
        ..SearchRequest::default()
    }
}

/// Completes when one more sample was measured or passed over; returns whether it was measured.
async fn looked_at(server: &TestServer, before: (u64, u64)) -> bool {
    loop {
        let now = counts(server).await;
        if now != before {
            assert_eq!(now.0 + now.1, before.0 + before.1 + 1);
            return now.0 > before.0;
        }
    }
}

async fn counts(server: &TestServer) -> (u64, u64) {
    let text = server.http("GET", "/metrics", &[], "").await.body;
    let count = |name: &str| {
        let name = format!("bigrain_{name}_total{{collection=\"docs\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse().unwrap())
    };
    (count("recall_samples"), count("recall_samples_skipped"))
}

#[tokio::test]
async fn searches_that_find_all_have_a_recall_of_one() {
    let server = server(Some(1.0)).await;
    let mut measured = 0;
    for number in 0..10_u8 {
        let before = counts(&server).await;
        server.search().search(search(&[f32::from(number), 1.0])).await.unwrap();
        measured += u64::from(looked_at(&server, before).await);
    }
    // The first has the server to itself; another may come before the one before is quite over.
    assert!(measured > 0);
    let found = server.metric("bigrain_recall_found_total{collection=\"docs\"} ").await;
    let expected = server.metric("bigrain_recall_expected_total{collection=\"docs\"} ").await;
    assert_eq!((found, expected), (7 * measured, 7 * measured));
    // What checks is no search of a caller.
    assert_eq!(server.metric("bigrain_searches_total ").await, 10);

    let before = counts(&server).await;
    let batch =
        SearchBatchRequest { collection: "docs".to_owned(), searches: vec![search(&[1.0, 1.0])] };
    server.search().search_batch(batch).await.unwrap();
    looked_at(&server, before).await;
    let before = counts(&server).await;
    let (path, body) = ("/collections/docs/points/query", r#"{"query": [1, 0], "limit": 3}"#);
    let headers = [("content-type", "application/json")];
    assert_eq!(server.http("POST", path, &headers, body).await.status, 200);
    looked_at(&server, before).await;
}

#[tokio::test]
async fn nothing_is_checked_unless_it_is_asked_for() {
    let server = server(None).await;
    for _ in 0..20 {
        server.search().search(search(&[1.0, 1.0])).await.unwrap();
    }
    server.at_rest().await;
    let text = server.http("GET", "/metrics", &[], "").await.body;
    assert!(text.contains("bigrain_searches_total 20"), "{text}");
    assert!(!text.contains("bigrain_recall_samples_total{"), "{text}");
}

#[tokio::test]
async fn a_key_for_other_collections_is_not_shown_what_was_measured() {
    const SECRET: &str = "secret-of-some-reader";
    let key = |name: &str, secret, collections| KeySettings {
        name: name.to_owned(),
        secret: Secret::new(secret),
        access: bigrain_api::KeyAccess::Write,
        collections,
        ..KeySettings::default()
    };
    let keys = vec![
        key("all", "secret-of-everything", None),
        key("other", SECRET, Some(vec!["other".to_owned()])),
    ];
    let settings = Settings { recall_sample: Some(1.0), keys: Some(keys), ..Settings::default() };
    let server = TestServer::start_with(settings, toy_models()).await;
    let shown = |secret: &'static str| [("api-key", secret), ("content-type", "application/json")];
    let all = shown("secret-of-everything");
    let create = r#"{"vectors": {"size": 2, "distance": "Dot"}}"#;
    assert_eq!(server.http("PUT", "/collections/docs", &all, create).await.status, 200);
    let points = r#"{"points": [{"id": 1, "vector": [1, 0]}]}"#;
    assert_eq!(server.http("PUT", "/collections/docs/points", &all, points).await.status, 200);
    let query = r#"{"query": [1, 0]}"#;
    let path = "/collections/docs/points/query";
    assert_eq!(server.http("POST", path, &all, query).await.status, 200);
    let measured = "bigrain_recall_samples_total{collection=\"docs\"} 1";
    while !server.http("GET", "/metrics", &all, "").await.body.contains(measured) {}
    let other = server.http("GET", "/metrics", &shown(SECRET), "").await;
    assert!(other.status == 200 && !other.body.contains("docs"), "{}", other.body);
}
