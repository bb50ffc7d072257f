//! Keys on the ports where clients of Qdrant look: the same that hold everywhere else.

use std::net::SocketAddr;

use bigrain_api::Settings;
use q::collections_client::CollectionsClient;
use q::points_client::PointsClient;
use q::snapshots_client::SnapshotsClient;
use qdrant_client::qdrant as q;
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::Channel;

use crate::access::{READER, TEAM, WRITER, call_on, settings, shown};
use crate::support::{TestServer, connect, http, toy_models};

/// Calls over gRPC that read.
const READS: [&str; 25] = [
    "Collections/Get",
    "Collections/List",
    "Collections/ListCollectionAliases",
    "Collections/ListAliases",
    "Collections/CollectionExists",
    "Collections/CollectionClusterInfo",
    "Collections/ListShardKeys",
    "Points/Get",
    "Points/Search",
    "Points/SearchBatch",
    "Points/SearchGroups",
    "Points/Scroll",
    "Points/Recommend",
    "Points/RecommendBatch",
    "Points/RecommendGroups",
    "Points/Discover",
    "Points/DiscoverBatch",
    "Points/Count",
    "Points/Query",
    "Points/QueryBatch",
    "Points/QueryGroups",
    "Points/Facet",
    "Points/SearchMatrixPairs",
    "Points/SearchMatrixOffsets",
    "Snapshots/List",
];

/// Calls over gRPC that write, or are of the server as a whole.
const WRITES: [&str; 25] = [
    "Collections/Create",
    "Collections/Update",
    "Collections/Delete",
    "Collections/UpdateAliases",
    "Collections/UpdateCollectionClusterSetup",
    "Collections/CreateShardKey",
    "Collections/DeleteShardKey",
    "Points/Upsert",
    "Points/Delete",
    "Points/UpdateVectors",
    "Points/DeleteVectors",
    "Points/SetPayload",
    "Points/OverwritePayload",
    "Points/DeletePayload",
    "Points/ClearPayload",
    "Points/CreateFieldIndex",
    "Points/DeleteFieldIndex",
    "Points/CreateVectorName",
    "Points/DeleteVectorName",
    "Points/UpdateBatch",
    "Snapshots/Create",
    "Snapshots/Delete",
    "Snapshots/CreateFull",
    "Snapshots/ListFull",
    "Snapshots/DeleteFull",
];

/// Calls over REST that read.
const REST_READS: [(&str, &str); 17] = [
    ("GET", "/collections"),
    ("GET", "/aliases"),
    ("GET", "/collections/docs"),
    ("GET", "/collections/docs/exists"),
    ("GET", "/collections/docs/aliases"),
    ("GET", "/collections/docs/points/1"),
    ("GET", "/collections/docs/snapshots"),
    ("POST", "/collections/docs/points"),
    ("POST", "/collections/docs/points/scroll"),
    ("POST", "/collections/docs/points/count"),
    ("POST", "/collections/docs/facet"),
    ("POST", "/collections/docs/points/query"),
    ("POST", "/collections/docs/points/query/batch"),
    ("POST", "/collections/docs/points/query/groups"),
    ("POST", "/collections/docs/points/search/matrix/pairs"),
    ("POST", "/collections/docs/points/search/matrix/offsets"),
    ("POST", "/collections/docs/points/search"),
];

/// Calls over REST that write, or are of the server as a whole; and some that are not there.
const REST_WRITES: [(&str, &str); 29] = [
    ("PUT", "/collections/docs"),
    ("PATCH", "/collections/docs"),
    ("DELETE", "/collections/docs"),
    ("POST", "/collections/aliases"),
    ("PUT", "/collections/docs/index"),
    ("DELETE", "/collections/docs/index/a"),
    ("PUT", "/collections/docs/vectors/a"),
    ("DELETE", "/collections/docs/vectors/vector"),
    ("PUT", "/collections/docs/points"),
    ("POST", "/collections/docs/points/delete"),
    ("POST", "/collections/docs/points/batch"),
    ("POST", "/collections/docs/points/payload"),
    ("PUT", "/collections/docs/points/payload"),
    ("POST", "/collections/docs/points/payload/delete"),
    ("POST", "/collections/docs/points/payload/clear"),
    ("PUT", "/collections/docs/points/vectors"),
    ("POST", "/collections/docs/points/vectors/delete"),
    ("POST", "/collections/docs/snapshots"),
    ("DELETE", "/collections/docs/snapshots/docs-1"),
    ("PUT", "/collections/docs/snapshots/recover"),
    ("POST", "/collections/docs/snapshots/upload"),
    ("GET", "/snapshots"),
    ("POST", "/snapshots"),
    ("DELETE", "/snapshots/full.1"),
    ("POST", "/locks"),
    ("PUT", "/collections/docs/shards"),
    ("POST", "/collections/docs/cluster"),
    ("DELETE", "/collections"),
    ("POST", "/collections/docs/points/1"),
];

/// A server with keys, and its ports for clients of Qdrant: an address of REST, a connection of gRPC.
struct Ports {
    _server: TestServer,
    rest: SocketAddr,
    grpc: Channel,
}

impl Ports {
    /// Starts a server that has the collections `docs` and `team-a`, a point in each.
    async fn start() -> Self {
        let free = Some("127.0.0.1:0".parse().unwrap());
        let settings =
            Settings { qdrant_rest_listen: free, qdrant_grpc_listen: free, ..settings() };
        let server = TestServer::start_with(settings, toy_models()).await;
        let [rest, grpc] = server.qdrant.map(Option::unwrap);
        let ports = Self { _server: server, rest, grpc: connect(grpc).await };
        for name in ["docs", "team-a"] {
            let path = format!("/collections/{name}");
            let vectors = json!({"vectors": {"size": 2, "distance": "Dot"}});
            assert_eq!(ports.ask(WRITER, "PUT", &path, vectors).await.0, 200);
            let points = json!({"points": [{"id": 1, "vector": [1.0, 0.0], "payload": {"a": 1}}]});
            let path = format!("{path}/points");
            assert_eq!(ports.ask(WRITER, "PUT", &path, points).await.0, 200);
        }
        ports
    }

    /// Asks over REST on behalf of a key, and returns the code and the JSON that came.
    async fn ask(&self, secret: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let reply = http(self.rest, method, path, &[("api-key", secret)], &body.to_string()).await;
        (reply.status, serde_json::from_str(&reply.body).unwrap_or_default())
    }

    /// What a key is answered to over REST.
    async fn code(&self, secret: &str, method: &str, path: &str, body: Value) -> u16 {
        self.ask(secret, method, path, body).await.0
    }

    async fn result(&self, secret: &str, path: &str) -> Value {
        let (code, answer) = self.ask(secret, "GET", path, json!({})).await;
        assert_eq!(code, 200, "{path}: {answer}");
        answer["result"].clone()
    }
}

fn denied(outcome: Result<(), tonic::Status>) -> bool {
    outcome.is_err_and(|status| status.code() == Code::PermissionDenied)
}

#[tokio::test]
async fn without_a_key_nothing_is_answered_but_what_the_server_is() {
    let ports = Ports::start().await;
    for (method, path) in REST_READS.into_iter().chain(REST_WRITES) {
        let reply = http(ports.rest, method, path, &[], "{}").await;
        assert_eq!(reply.status, 401, "{method} {path}");
        assert!(reply.body.starts_with(r#"{"status":{"error":"no key: "#), "{}", reply.body);
    }
    assert_eq!(http(ports.rest, "GET", "/", &[], "").await.status, 200);
    for call in READS.into_iter().chain(WRITES) {
        let status = call_on(&ports.grpc, &format!("/qdrant.{call}"), None).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{call}");
    }
    call_on(&ports.grpc, "/qdrant.Qdrant/HealthCheck", None).await.unwrap();
}

#[tokio::test]
async fn a_key_that_reads_is_refused_by_every_write_over_rest() {
    let ports = Ports::start().await;
    for (method, path) in REST_WRITES {
        let (code, answer) = ports.ask(READER, method, path, json!({})).await;
        assert_eq!(code, 403, "{method} {path}: {answer}");
        assert_eq!(answer["status"]["error"], "key \"reader\" only reads", "{method} {path}");
    }
    for (method, path) in REST_READS {
        // What it is refused for otherwise is the empty body.
        let (code, answer) = ports.ask(READER, method, path, json!({})).await;
        assert!(matches!(code, 200 | 400 | 501), "{method} {path}: {code} {answer}");
    }
    let query = json!({"query": [1.0, 0.0]});
    let (code, answer) = ports.ask(READER, "POST", "/collections/docs/points/query", query).await;
    assert_eq!((code, &answer["result"]["points"][0]["id"]), (200, &json!(1)), "{answer}");
    assert_eq!(
        ports.result(READER, "/collections/docs/points/1").await["payload"],
        json!({"a": 1})
    );
    assert_eq!(ports.result(READER, "/collections/docs/snapshots").await, json!([]));
}

#[tokio::test]
async fn a_key_that_reads_is_refused_by_every_write_over_grpc() {
    let ports = Ports::start().await;
    for (calls, writes) in [(READS, false), (WRITES, true)] {
        for call in calls {
            // What it is refused for otherwise is the empty message.
            let outcome = call_on(&ports.grpc, &format!("/qdrant.{call}"), Some(READER)).await;
            assert_eq!(denied(outcome), writes, "{call}");
        }
    }
    let count = q::CountPoints { collection_name: "docs".to_owned(), ..Default::default() };
    let mut points = PointsClient::new(ports.grpc.clone());
    let counted = points.count(shown(READER, count)).await.unwrap().into_inner();
    assert_eq!(counted.result.unwrap().count, 1);
}

#[tokio::test]
async fn every_call_is_there_for_a_key_that_writes() {
    let ports = Ports::start().await;
    // Those at the end of the list are not.
    for (method, path) in REST_READS.into_iter().chain(REST_WRITES.into_iter().take(24)) {
        let path = path.replace("docs", "absent");
        let (code, answer) = ports.ask(WRITER, method, &path, json!({})).await;
        let error = answer["status"]["error"].as_str().unwrap_or_default();
        assert!(
            !matches!(code, 401 | 403 | 405) && !error.starts_with("no call "),
            "{path} {code}"
        );
    }
    for call in READS.into_iter().chain(WRITES) {
        let outcome = call_on(&ports.grpc, &format!("/qdrant.{call}"), Some(WRITER)).await;
        let refused = outcome.err().map(|status| (status.code(), status.message().to_owned()));
        if let Some((code, message)) = refused {
            assert!(code != Code::PermissionDenied && !message.starts_with("no call "), "{call}");
        }
    }
}

#[tokio::test]
async fn a_key_of_some_collections_sees_and_changes_no_others_over_rest() {
    let ports = Ports::start().await;
    let listed = ports.result(TEAM, "/collections").await;
    assert_eq!(listed, json!({"collections": [{"name": "team-a"}]}));
    for (method, path) in REST_READS.into_iter().chain(REST_WRITES) {
        if let Some(rest) = path.strip_prefix("/collections/docs") {
            // Some are refused for their empty body before a collection is looked up, and some are not there.
            let code = ports.code(TEAM, method, path, json!({})).await;
            assert!(matches!(code, 400 | 403 | 405 | 501), "{method} {path}: {code}");
            let absent = format!("/collections/absent{rest}");
            assert_eq!(ports.code(TEAM, method, &absent, json!({})).await, code, "{method} {path}");
        }
    }
    let on = |name: &str, rest: &str| format!("/collections/{name}{rest}");
    let point = json!({"points": [{"id": 2, "vector": [0.0, 1.0]}]});
    let upsert = json!({"operations": [{"upsert": point}]});
    let vectors = json!({"vectors": {"size": 2, "distance": "Dot"}});
    let one = json!({"points": [1]});
    let payload = json!({"payload": {"a": 2}, "points": [1]});
    for (method, rest, body, own) in [
        ("PUT", "", &vectors, 409),
        ("PATCH", "", &json!({}), 200),
        ("PUT", "/points", &point, 200),
        ("POST", "/points/batch", &upsert, 200),
        ("POST", "/points/payload", &payload, 200),
        ("POST", "/points/query", &json!({"query": [1.0, 0.0]}), 200),
        ("POST", "/points/scroll", &json!({}), 200),
        ("POST", "/points/count", &json!({}), 200),
        ("GET", "/points/1", &json!({}), 200),
        ("GET", "/exists", &json!({}), 200),
        ("GET", "/snapshots", &json!({}), 200),
        ("POST", "/snapshots", &json!({}), 200),
        ("POST", "/points/delete", &one, 200),
        ("DELETE", "", &json!({}), 200),
    ] {
        for (name, expected) in [("docs", 403), ("team-a", own)] {
            let (code, answer) = ports.ask(TEAM, method, &on(name, rest), body.clone()).await;
            assert_eq!(code, expected, "{method} {name}{rest}: {answer}");
        }
    }
    for (method, path) in
        [("GET", "/snapshots"), ("POST", "/snapshots"), ("DELETE", "/snapshots/full.1")]
    {
        assert_eq!(ports.code(TEAM, method, path, json!({})).await, 403, "{method} {path}");
    }
    let left = ports.result(WRITER, "/collections/docs/points/1").await;
    assert_eq!((&left["vector"], &left["payload"]), (&json!([1.0, 0.0]), &json!({"a": 1})));
    assert_eq!(ports.result(WRITER, "/collections/docs/snapshots").await, json!([]));
}

#[tokio::test]
async fn a_key_of_some_collections_sees_and_changes_no_others_over_grpc() {
    let ports = Ports::start().await;
    let mut collections = CollectionsClient::new(ports.grpc.clone());
    let listed = collections.list(shown(TEAM, q::ListCollectionsRequest {})).await.unwrap();
    let listed = listed.into_inner().collections;
    assert_eq!(listed.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["team-a"]);
    let name = |name: &str| name.to_owned();
    let mut points = PointsClient::new(ports.grpc.clone());
    for (collection_name, covered) in [(name("team-a"), true), (name("docs"), false)] {
        let count = q::CountPoints { collection_name, ..Default::default() };
        assert_eq!(denied(points.count(shown(TEAM, count)).await.map(drop)), !covered);
    }
    let delete = q::DeleteCollection { collection_name: name("docs"), timeout: None };
    assert!(denied(collections.delete(shown(TEAM, delete)).await.map(drop)));
    let mut snapshots = SnapshotsClient::new(ports.grpc.clone());
    let create = q::CreateSnapshotRequest { collection_name: name("docs") };
    assert!(denied(snapshots.create(shown(TEAM, create)).await.map(drop)));
    let all = q::CreateFullSnapshotRequest {};
    assert!(denied(snapshots.create_full(shown(TEAM, all)).await.map(drop)));
    let remove = q::DeleteFullSnapshotRequest { snapshot_name: name("docs-1") };
    assert!(denied(snapshots.delete_full(shown(TEAM, remove)).await.map(drop)));
    let exists = q::CollectionExistsRequest { collection_name: name("docs") };
    let exists = collections.collection_exists(shown(WRITER, exists)).await.unwrap();
    assert!(exists.into_inner().result.unwrap().exists);
}

#[tokio::test]
async fn a_query_looks_nothing_up_in_collections_that_its_key_is_not_for() {
    let ports = Ports::start().await;
    for (path, mut query, from) in [
        ("/collections/team-a/points/query", json!({"query": 1}), "lookup_from"),
        (
            "/collections/team-a/points/query/groups",
            json!({"query": [1.0, 0.0], "group_by": "a"}),
            "with_lookup",
        ),
    ] {
        for (collection, code) in [("team-a", 200), ("docs", 403)] {
            query[from] = json!({"collection": collection});
            let answered = ports.ask(TEAM, "POST", path, query.clone()).await;
            assert_eq!(answered.0, code, "{from} {collection}: {}", answered.1);
        }
    }
}

#[tokio::test]
async fn an_alias_opens_no_collection_that_the_key_is_not_for() {
    let ports = Ports::start().await;
    let create = |alias: &str, of: &str| json!({"create_alias": {"alias_name": alias, "collection_name": of}});
    let rename = |from: &str, to: &str| json!({"rename_alias": {"old_alias_name": from, "new_alias_name": to}});
    let delete = |alias: &str| json!({"delete_alias": {"alias_name": alias}});
    let ports = &ports;
    let change = |secret: &'static str, actions: Vec<Value>| async move {
        ports.code(secret, "POST", "/collections/aliases", json!({"actions": actions})).await
    };
    let all = vec![
        create("now", "docs"),
        create("team-docs", "docs"),
        create("theirs", "team-a"),
        create("team-now", "team-a"),
    ];
    assert_eq!(change(WRITER, all).await, 200);
    for (alias, code) in [("now", 403), ("team-docs", 403), ("theirs", 403), ("team-now", 200)] {
        let path = format!("/collections/{alias}/points/count");
        assert_eq!(ports.code(TEAM, "POST", &path, json!({})).await, code, "{alias}");
    }
    let own = json!([{"alias_name": "team-now", "collection_name": "team-a"}]);
    for path in ["/aliases", "/collections/team-a/aliases"] {
        assert_eq!(ports.result(TEAM, path).await["aliases"], own, "{path}");
    }
    for actions in [
        vec![create("team-x", "docs")],
        vec![create("x", "team-a")],
        vec![create("team-docs", "team-a")],
        vec![rename("team-now", "x")],
        vec![rename("theirs", "team-x")],
        vec![rename("team-docs", "team-x")],
        vec![rename("team-now", "team-docs")],
        vec![delete("team-docs")],
        vec![delete("now")],
        vec![create("team-x", "team-a"), delete("now")],
    ] {
        assert_eq!(change(TEAM, actions.clone()).await, 403, "{actions:?}");
    }
    assert_eq!(ports.result(WRITER, "/aliases").await["aliases"].as_array().unwrap().len(), 4);
    let own = vec![create("team-x", "team-a"), rename("team-x", "team-y"), delete("team-now")];
    assert_eq!(change(TEAM, own).await, 200);
    let left = json!([{"alias_name": "team-y", "collection_name": "team-a"}]);
    assert_eq!(ports.result(TEAM, "/aliases").await["aliases"], left);
}
