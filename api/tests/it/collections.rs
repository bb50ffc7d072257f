//! Collections: create, list, get, drop.

use bigrain_api::proto::collection_description::State;
use bigrain_api::proto::{
    CollectionConfig, DenseFormat, DropCollectionRequest, GetCollectionRequest,
    ListCollectionsRequest, Metric,
};
use tonic::Code;

use crate::support::{TOY, TOY_DIMS, TestServer, assert_status, config};

#[tokio::test]
async fn a_collection_is_created_described_and_dropped() {
    let server = TestServer::start().await;
    let shape =
        CollectionConfig { dense: DenseFormat::I8.into(), lists: Some(9), ..config(3, Metric::L2) };
    server.create("b", shape).await.unwrap();
    server.create("a", config(2, Metric::Cosine)).await.unwrap();
    let mut client = server.collections();

    let listed = client.list(ListCollectionsRequest {}).await.unwrap().into_inner().collections;
    let names: Vec<&str> = listed.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(listed.iter().all(|row| matches!(row.state, Some(State::Ready(_)))));

    let name = "b".to_owned();
    let reply = client.get(GetCollectionRequest { name: name.clone() }).await.unwrap();
    let info = reply.into_inner().collection.unwrap();
    let config = info.config.unwrap();
    assert_eq!((info.points, config.dims, config.levels), (0, 3, Some(2)));
    assert_eq!(config.metric(), Metric::L2);
    assert_eq!((config.dense(), config.lists), (DenseFormat::I8, Some(9)));

    client.drop(DropCollectionRequest { name: name.clone() }).await.unwrap();
    let status = client.get(GetCollectionRequest { name }).await.unwrap_err();
    assert_status(&status, Code::NotFound, &["\"b\""]);
}

#[tokio::test]
async fn a_taken_or_bad_name_and_a_bad_config_are_refused() {
    let server = TestServer::start().await;
    server.create("docs", config(2, Metric::Dot)).await.unwrap();
    let taken = server.create("docs", config(2, Metric::Dot)).await.unwrap_err();
    assert_status(&taken, Code::AlreadyExists, &["docs"]);

    let five_levels = CollectionConfig { levels: Some(5), ..config(2, Metric::Dot) };
    let no_lists = CollectionConfig { lists: Some(0), ..config(2, Metric::Dot) };
    let bad_space = CollectionConfig { space: Some("xyz".to_owned()), ..config(2, Metric::Dot) };
    let unknown_metric = CollectionConfig { metric: 9, ..config(2, Metric::Dot) };
    for (name, config, word) in [
        ("a/b", config(2, Metric::Dot), "a/b"),
        ("x", config(0, Metric::Dot), "dims"),
        ("x", config(2, Metric::Unspecified), "metric is missing"),
        ("x", unknown_metric, "unknown metric 9"),
        ("x", five_levels, "levels out of range: expected 1 to 4, got 5"),
        ("x", bad_space, "\"xyz\""),
        ("x", no_lists, "lists out of range"),
    ] {
        let status = server.create(name, config).await.unwrap_err();
        assert_status(&status, Code::InvalidArgument, &[word]);
    }
}

#[tokio::test]
async fn dims_and_space_of_a_new_collection_come_from_its_model() {
    let server = TestServer::start().await;
    let with_model =
        |dims| CollectionConfig { model: Some(TOY.to_owned()), ..config(dims, Metric::Cosine) };
    server.create("docs", with_model(0)).await.unwrap();
    let request = GetCollectionRequest { name: "docs".to_owned() };
    let reply = server.collections().get(request).await.unwrap().into_inner();
    let made = reply.collection.unwrap().config.unwrap();
    assert_eq!(made.dims, TOY_DIMS);
    assert_eq!(made.space.unwrap().len(), 32);

    let dims = server.create("x", with_model(TOY_DIMS + 1)).await.unwrap_err();
    assert_status(&dims, Code::InvalidArgument, &["dims mismatch", "32", "33"]);

    let other = "0123456789abcdef0123456789abcdef".to_owned();
    let config = CollectionConfig { space: Some(other.clone()), ..with_model(0) };
    let space = server.create("x", config).await.unwrap_err();
    assert_status(&space, Code::FailedPrecondition, &["space mismatch", &other]);

    let config = CollectionConfig { model: Some("bert".to_owned()), ..with_model(0) };
    let model = server.create("x", config).await.unwrap_err();
    assert_status(&model, Code::NotFound, &["\"bert\"", "has loaded toy"]);
}
