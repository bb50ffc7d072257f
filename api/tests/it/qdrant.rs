//! The Qdrant protocol, message by message: what clients of it do not show by themselves.

use bigrain_api::Settings;
use q::collections_client::CollectionsClient;
use q::points_client::PointsClient;
use q::qdrant_client::QdrantClient;
use q::snapshots_client::SnapshotsClient;
use qdrant_client::qdrant as q;
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::Channel;

use crate::support::{TestServer, assert_status, config, http, num, point, toy_models};

/// A server that speaks the protocol over gRPC and REST.
async fn server() -> TestServer {
    let qdrant_rest_listen = Some("127.0.0.1:0".parse().unwrap());
    let settings = Settings { qdrant_rest_listen, ..Settings::default() };
    TestServer::start_with(settings, toy_models()).await
}

fn points(server: &TestServer) -> PointsClient<Channel> {
    PointsClient::new(server.channel.clone())
}

async fn create(server: &TestServer, name: &str) {
    let params =
        q::VectorParams { size: 2, distance: q::Distance::Dot as i32, ..Default::default() };
    let config = Some(q::vectors_config::Config::Params(params));
    let vectors_config = Some(q::VectorsConfig { config });
    let collection_name = name.to_owned();
    let request = q::CreateCollection { collection_name, vectors_config, ..Default::default() };
    CollectionsClient::new(server.channel.clone()).create(request).await.unwrap();
}

fn dense(data: &[f32]) -> q::Vector {
    let vector = q::vector::Vector::Dense(q::DenseVector { data: data.to_vec() });
    q::Vector { vector: Some(vector), ..Default::default() }
}

fn written(id: impl Into<q::PointId>, data: &[f32]) -> q::PointStruct {
    let options = Some(q::vectors::VectorsOptions::Vector(dense(data)));
    let vectors = Some(q::Vectors { vectors_options: options });
    q::PointStruct { id: Some(id.into()), vectors, ..Default::default() }
}

fn upsert(points: Vec<q::PointStruct>) -> q::UpsertPoints {
    q::UpsertPoints { collection_name: "docs".to_owned(), points, ..Default::default() }
}

fn nearest(data: &[f32]) -> q::QueryPoints {
    let input = q::vector_input::Variant::Dense(q::DenseVector { data: data.to_vec() });
    let input = q::VectorInput { variant: Some(input) };
    let variant = Some(q::query::Variant::Nearest(input));
    let query = Some(q::Query { variant });
    q::QueryPoints { collection_name: "docs".to_owned(), query, ..Default::default() }
}

/// Sends a request to REST, and returns the code and the JSON that came.
async fn rest(server: &TestServer, method: &str, path: &str, body: Value) -> (u16, Value) {
    let [address, _] = server.qdrant;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers = [("content-type", "application/json")];
    let reply = http(address.unwrap(), method, path, &headers, &body).await;
    (reply.status, serde_json::from_str(&reply.body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_may_be_any_string() {
    let server = server().await;
    create(&server, "docs").await;
    let ids = ["7", "doc/7", "936da01f-9abd-4d9d-80c7-02af85c822a8"];
    let all = ids.iter().map(|id| written(*id, &[1.0, 0.0])).chain([written(7_u64, &[0.0, 1.0])]);
    points(&server).upsert(upsert(all.collect())).await.unwrap();
    let found = points(&server).query(nearest(&[0.0, 1.0])).await.unwrap().into_inner().result;
    assert_eq!(found.len(), 4);
    assert_eq!(found[0].id, Some(7_u64.into()));
    assert_eq!(found[0].score, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_see_the_same_points() {
    let server = server().await;
    create(&server, "docs").await;
    points(&server).upsert(upsert(vec![written(1_u64, &[1.0, 0.0])])).await.unwrap();
    server.upsert(vec![point(num(2), &[0.0, 1.0])]).await.unwrap();
    assert_eq!(server.count().await, 2);
    let (code, answer) = rest(&server, "GET", "/collections/docs", Value::Null).await;
    assert_eq!((code, &answer["result"]["points_count"]), (200, &json!(2)));
    let unnamed = json!({"size": 2, "distance": "Dot"});
    assert_eq!(answer["result"]["config"]["params"]["vectors"], unnamed);
    server.create("theirs", config(2, bigrain_api::proto::Metric::Cosine)).await.unwrap();
    let (_, answer) = rest(&server, "GET", "/collections", Value::Null).await;
    assert_eq!(answer["result"]["collections"], json!([{"name": "docs"}, {"name": "theirs"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_codes_and_shapes_of_qdrant() {
    let server = server().await;
    create(&server, "docs").await;
    let error = points(&server).upsert(upsert(vec![written(1_u64, &[1.0])])).await.unwrap_err();
    assert_status(&error, Code::InvalidArgument, &["Wrong input: ", "2", "1"]);
    let absent = q::QueryPoints { collection_name: "absent".to_owned(), ..nearest(&[1.0, 0.0]) };
    let error = points(&server).query(absent).await.unwrap_err();
    assert_status(&error, Code::NotFound, &["Not found: ", "absent"]);

    let query = json!({"query": [1.0, 0.0]});
    let (code, answer) = rest(&server, "POST", "/collections/absent/points/query", query).await;
    assert_eq!(code, 404);
    assert!(answer["status"]["error"].as_str().unwrap().starts_with("Not found: "), "{answer}");
    assert!(answer["time"].is_number(), "{answer}");
    let create = json!({"vectors": {"size": 2, "distance": "Dot"}});
    let (code, answer) = rest(&server, "PUT", "/collections/docs", create).await;
    assert_eq!(code, 409, "{answer}");
    let unknown = json!({"query": [1.0, 0.0], "filter": {"must": [{"key": "a", "like": "b"}]}});
    let (code, answer) = rest(&server, "POST", "/collections/docs/points/query", unknown).await;
    assert_eq!(code, 400);
    assert!(answer["status"]["error"].as_str().unwrap().contains("`like`"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_named() {
    let server = server().await;
    create(&server, "docs").await;
    let formula = q::query::Variant::Formula(q::Formula::default());
    let query = Some(q::Query { variant: Some(formula) });
    let error = points(&server).query(q::QueryPoints { query, ..nearest(&[]) }).await.unwrap_err();
    assert_status(&error, Code::Unimplemented, &["query formula", "docs/qdrant.md"]);
    let shards = q::UpsertPoints {
        shard_key_selector: Some(q::ShardKeySelector::default()),
        ..upsert(vec![written(1_u64, &[1.0, 0.0])])
    };
    let error = points(&server).upsert(shards).await.unwrap_err();
    assert_status(&error, Code::Unimplemented, &["shard key"]);
    for (method, path, what) in [
        ("PUT", "/collections/docs/snapshots/recover", "restoring snapshots"),
        ("GET", "/cluster", "cluster"),
        ("POST", "/collections/docs/points/search", "points/query"),
    ] {
        let (code, answer) = rest(&server, method, path, Value::Null).await;
        assert_eq!(code, 501, "{path}");
        assert!(answer["status"]["error"].as_str().unwrap().contains(what), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_stand_for_their_collection() {
    let server = server().await;
    create(&server, "docs").await;
    points(&server).upsert(upsert(vec![written(1_u64, &[1.0, 0.0])])).await.unwrap();
    let alias = |collection: &str| json!({"actions": [{"create_alias": {"collection_name": collection, "alias_name": "now"}}]});
    let (code, _) = rest(&server, "POST", "/collections/aliases", alias("docs")).await;
    assert_eq!(code, 200);
    let count = q::CountPoints { collection_name: "now".to_owned(), ..Default::default() };
    let counted = points(&server).count(count).await.unwrap().into_inner().result.unwrap();
    assert_eq!(counted.count, 1);
    let (_, answer) = rest(&server, "GET", "/collections/docs/aliases", Value::Null).await;
    let expected = json!([{"alias_name": "now", "collection_name": "docs"}]);
    assert_eq!(answer["result"]["aliases"], expected);
    let (code, _) = rest(&server, "POST", "/collections/aliases", alias("absent")).await;
    assert_eq!(code, 404);
    let taken = json!({"vectors": {"size": 2, "distance": "Dot"}});
    let (code, _) = rest(&server, "PUT", "/collections/now", taken).await;
    assert_eq!(code, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_a_backup_of_its_collection() {
    let server = server().await;
    for name in ["docs", "docs-2"] {
        create(&server, name).await;
    }
    points(&server).upsert(upsert(vec![written(1_u64, &[1.0, 0.0])])).await.unwrap();
    let of = "/collections/docs/snapshots";
    let (code, made) = rest(&server, "POST", of, Value::Null).await;
    assert_eq!(code, 200, "{made}");
    let name = made["result"]["name"].as_str().unwrap().to_owned();
    let backups = server.engine.data_dir().join("backups");
    let contents = bigrain_engine::verify(
        backups.join(format!("{name}.tar")),
        &mut bigrain_engine::Watch::new(),
    );
    let saved = contents.unwrap().collections;
    assert_eq!((saved.len(), &*saved[0].name, saved[0].points), (1, "docs", 1));
    // Over gRPC it is the same one.
    let mut snapshots = SnapshotsClient::new(server.channel.clone());
    let list = |name: &str| q::ListSnapshotsRequest { collection_name: name.to_owned() };
    let listed = snapshots.list(list("docs")).await.unwrap().into_inner().snapshot_descriptions;
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].name, Some(listed[0].size)), (&name, made["result"]["size"].as_i64()));
    assert!(
        snapshots.list(list("docs-2")).await.unwrap().into_inner().snapshot_descriptions.is_empty()
    );
    snapshots.create_full(q::CreateFullSnapshotRequest {}).await.unwrap();
    let (_, all) = rest(&server, "GET", "/snapshots", Value::Null).await;
    assert_eq!(all["result"].as_array().unwrap().len(), 2, "{all}");
    // Another collection's is not reached by its name.
    let other = format!("/collections/docs-2/snapshots/{name}");
    assert_eq!(rest(&server, "DELETE", &other, Value::Null).await.0, 404);
    let own = format!("{of}/{name}");
    assert_eq!(rest(&server, "GET", &own, Value::Null).await.0, 501);
    let (code, answer) = rest(&server, "DELETE", &own, Value::Null).await;
    assert_eq!((code, &answer["result"]), (200, &json!(true)));
    assert_eq!(rest(&server, "DELETE", &own, Value::Null).await.0, 404);
    let (_, left) = rest(&server, "GET", of, Value::Null).await;
    assert_eq!(left["result"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_says_what_answers() {
    let server = server().await;
    let mut root = QdrantClient::new(server.channel.clone());
    let reply = root.health_check(q::HealthCheckRequest {}).await.unwrap().into_inner();
    let (code, answer) = rest(&server, "GET", "/", Value::Null).await;
    assert_eq!(code, 200);
    assert_eq!(answer, json!({"title": reply.title, "version": reply.version}));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_points_with_one_id_the_last_counts() {
    let server = server().await;
    create(&server, "docs").await;
    let twice = vec![written(1_u64, &[1.0, 0.0]), written(1_u64, &[0.0, 1.0])];
    points(&server).upsert(upsert(twice)).await.unwrap();
    let found = points(&server).query(nearest(&[0.0, 1.0])).await.unwrap().into_inner().result;
    assert_eq!((found.len(), found[0].score), (1, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_counted_and_every_port_answers_everything() {
    let server = server().await;
    create(&server, "docs").await;
    points(&server).upsert(upsert(vec![written(1_u64, &[1.0, 0.0])])).await.unwrap();
    points(&server).query(nearest(&[0.0, 1.0])).await.unwrap();
    let query = json!({"query": [1.0, 0.0]}).to_string();
    let found = server.http("POST", "/collections/docs/points/query", &[], &query).await;
    assert_eq!(found.status, 200, "{}", found.body);
    let metrics = http(server.qdrant[0].unwrap(), "GET", "/metrics", &[], "").await.body;
    for line in [
        "bigrain_searches_total 2",
        "bigrain_requests_total{call=\"/qdrant.Points/Query\",code=\"Ok\"} 1",
        "bigrain_requests_total{call=\"/collections/{collection}/points/query\",code=\"200\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in {metrics}");
    }
}
