//! How much a key may do: requests and points a second, and points in all.

use std::sync::Arc;

use bigrain_api::proto::points_client::PointsClient;
use bigrain_api::proto::{CountRequest, DeleteRequest, Metric, Point};
use bigrain_api::{KeyAccess, KeySettings, Secret, Settings};
use tokio::sync::Barrier;
use tonic::{Code, Status};

use crate::access::shown;
use crate::support::{TestServer, assert_status, config, connect, num, point, toy_models, upsert};

const SECRET: &str = "secret-of-the-measured";
const OTHER: &str = "secret-of-the-others";

/// A server with a collection `docs`, one key with what `limit` sets, and one without limits.
async fn server(limit: impl FnOnce(&mut KeySettings)) -> TestServer {
    let key = |name: &str, secret| KeySettings {
        name: name.to_owned(),
        secret: Secret::new(secret),
        access: KeyAccess::Write,
        ..KeySettings::default()
    };
    let mut measured = key("measured", SECRET);
    limit(&mut measured);
    let keys = Some(vec![measured, key("other", OTHER)]);
    let settings = Settings { keys, ..Settings::default() };
    let server = TestServer::start_with(settings, toy_models()).await;
    let config = Some(config(2, Metric::Dot));
    for name in ["docs", "more"] {
        let request = bigrain_api::proto::CreateCollectionRequest {
            name: name.to_owned(),
            config: config.clone(),
        };
        server.collections().create(shown(OTHER, request)).await.unwrap();
    }
    server
}

async fn store(server: &TestServer, secret: &str, ids: std::ops::Range<u64>) -> Result<(), Status> {
    let points: Vec<Point> = ids.map(|id| point(num(id), &[1.0, 0.0])).collect();
    let mut client = PointsClient::new(server.channel.clone());
    client.upsert(shown(secret, upsert("docs", points))).await.map(|_| ())
}

#[tokio::test]
async fn requests_beyond_the_rate_of_a_key_are_told_when_to_come_again() {
    // One in a thousand seconds, so that the second one is beyond it, however slow this machine is.
    let server = server(|key| key.requests_per_second = Some(0.001)).await;
    store(&server, SECRET, 0..1).await.unwrap();
    let status = store(&server, SECRET, 0..1).await.unwrap_err();
    let words = ["\"measured\"", "0.001 requests a second", "requests_per_second", "try again in"];
    assert_status(&status, Code::ResourceExhausted, &words);
    let wait: u64 =
        status.metadata().get("retry-after-ms").unwrap().to_str().unwrap().parse().unwrap();
    assert!((1..=1_000_001).contains(&wait), "{wait}");

    let reply = server.http("GET", "/collections", &[("api-key", SECRET)], "").await;
    assert_eq!(reply.status, 429);
    assert!(reply.head.contains("\r\nretry-after: "), "{}", reply.head);
    assert!(reply.body.contains("requests_per_second"), "{}", reply.body);
    store(&server, OTHER, 0..1).await.unwrap();
}

/// Checks that a point over the Qdrant protocol is refused by a setting, and that points may be deleted.
async fn refuses_a_point_and_lets_one_go(server: &TestServer, setting: &str) {
    let headers = [("api-key", SECRET), ("content-type", "application/json")];
    let body = r#"{"points": [{"id": 9, "vector": [1, 0]}]}"#;
    let reply = server.http("PUT", "/collections/docs/points", &headers, body).await;
    assert_eq!(reply.status, 429);
    assert!(reply.body.contains(setting), "{}", reply.body);

    let request =
        DeleteRequest { collection: "docs".to_owned(), ids: vec![num(0)], ..Default::default() };
    server.points().delete(shown(SECRET, request)).await.unwrap();
}

#[tokio::test]
async fn points_beyond_the_rate_of_a_key_are_refused_in_both_protocols() {
    let server = server(|key| key.points_per_second = Some(0.01)).await;
    // A batch is taken as a whole, and paid for afterwards.
    store(&server, SECRET, 0..3).await.unwrap();
    let status = store(&server, SECRET, 3..4).await.unwrap_err();
    assert_status(&status, Code::ResourceExhausted, &["0.01 points a second", "points_per_second"]);
    assert!(status.metadata().contains_key("retry-after-ms"), "{status:?}");
    refuses_a_point_and_lets_one_go(&server, "points_per_second").await;
}

#[tokio::test]
async fn points_beyond_the_quota_of_a_key_are_refused_and_those_that_are_there_may_be_written_again()
 {
    let server = server(|key| {
        key.max_points = Some(5);
        key.collections = Some(vec!["docs".to_owned()]);
    })
    .await;
    store(&server, SECRET, 0..5).await.unwrap();
    let status = store(&server, SECRET, 4..7).await.unwrap_err();
    let words = ["\"measured\" may have 5 points", "max_points", "there are 5, and 2 new"];
    assert_status(&status, Code::ResourceExhausted, &words);
    store(&server, SECRET, 0..5).await.unwrap();

    refuses_a_point_and_lets_one_go(&server, "max_points").await;
    store(&server, SECRET, 7..8).await.unwrap();
    // The quota is one key's.
    store(&server, OTHER, 100..110).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_one_moment_do_not_pass_the_quota_together() {
    let server = server(|key| {
        key.max_points = Some(10);
        key.collections = Some(vec!["docs".to_owned()]);
    })
    .await;
    for _ in 0..100 {
        let begun = Arc::new(Barrier::new(2));
        let send = |ids: std::ops::Range<u64>| {
            let (begun, channel) = (Arc::clone(&begun), connect(server.address));
            async move {
                let mut client = PointsClient::new(channel.await);
                let points: Vec<Point> = ids.map(|id| point(num(id), &[1.0, 0.0])).collect();
                let request = shown(SECRET, upsert("docs", points));
                begun.wait().await;
                client.upsert(request).await.map(|_| ())
            }
        };
        // Either fits, both do not.
        let (one, other) = (tokio::spawn(send(0..7)), tokio::spawn(send(7..14)));
        let outcomes = [one.await.unwrap(), other.await.unwrap()];
        let refused: Vec<&Status> =
            outcomes.iter().filter_map(|sent| sent.as_ref().err()).collect();
        let [refused] = refused[..] else { panic!("{outcomes:?}") };
        assert_status(refused, Code::ResourceExhausted, &["may have 10 points", "max_points"]);
        assert_eq!(held(&server).await, 7);

        // Both fit, as neither is refused for what the other has reserved.
        clear(&server).await;
        let (one, other) = (tokio::spawn(send(0..5)), tokio::spawn(send(5..10)));
        one.await.unwrap().unwrap();
        other.await.unwrap().unwrap();
        // The same points twice are so many, not twice as many.
        let (one, other) = (tokio::spawn(send(0..10)), tokio::spawn(send(0..10)));
        one.await.unwrap().unwrap();
        other.await.unwrap().unwrap();
        clear(&server).await;
    }
}

async fn held(server: &TestServer) -> u64 {
    let request = CountRequest { collection: "docs".to_owned(), ..CountRequest::default() };
    server.points().count(shown(SECRET, request)).await.unwrap().into_inner().count
}

async fn clear(server: &TestServer) {
    let ids = (0..14).map(num).collect();
    let request = DeleteRequest { collection: "docs".to_owned(), ids, ..Default::default() };
    server.points().delete(shown(SECRET, request)).await.unwrap();
}
