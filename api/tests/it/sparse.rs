//! Sparse vector fields over gRPC.

use bigrain_api::proto::hybrid_part::Search;
use bigrain_api::proto::search_groups_request::Query;
use bigrain_api::proto::search_outcome::Outcome;
use bigrain_api::proto::{
    AddFieldRequest, CollectionConfig, DropFieldRequest, GetCollectionRequest, GetRequest,
    HybridPart, HybridSparse, HybridVector, Metric, NamedVector, Point, PointId,
    SearchBatchRequest, SearchGroupsRequest, SearchHybridRequest, SearchOptions, SearchReply,
    SearchRequest, SparseFieldConfig, SparseModifier, SparseVector, UpdateVectorsRequest,
};
use tonic::Code;

use crate::support::{TestServer, assert_status, config, num, point};

fn sparse(components: &[(u32, f32)]) -> SparseVector {
    let (indices, values) = components.iter().copied().unzip();
    SparseVector { indices, values }
}

fn named(vector: SparseVector) -> NamedVector {
    NamedVector { field: "splade".to_owned(), sparse: Some(vector), ..NamedVector::default() }
}

fn only(id: u64, vector: SparseVector) -> Point {
    let payload_json = format!(r#"{{"even": {}}}"#, id.is_multiple_of(2));
    Point { id: Some(num(id)), vectors: vec![named(vector)], payload_json, ..Point::default() }
}

fn splade() -> SparseFieldConfig {
    SparseFieldConfig { name: "splade".to_owned(), ..Default::default() }
}

fn search(vector: SparseVector) -> SearchRequest {
    SearchRequest {
        collection: "docs".to_owned(),
        sparse: Some(vector),
        ..SearchRequest::default()
    }
}

fn scored(reply: &SearchReply) -> Vec<(PointId, f32)> {
    reply.points.iter().map(|point| (point.id.clone().unwrap(), point.score)).collect()
}

/// A server with three points of which no two have the same sparse vector.
async fn three(config: CollectionConfig) -> TestServer {
    let server = TestServer::start().await;
    server.create("docs", config).await.unwrap();
    let points = [
        only(1, sparse(&[(7, 1.0), (9, 2.0)])),
        only(2, sparse(&[(7, 3.0)])),
        only(3, sparse(&[(9, -1.0), (30_000, 4.0)])),
    ];
    server.upsert(points.into()).await.unwrap();
    server
}

fn only_sparse() -> CollectionConfig {
    CollectionConfig { sparse_fields: vec![splade()], ..CollectionConfig::default() }
}

#[tokio::test]
async fn rare_dimensions_count_more_where_the_field_says_so() {
    let idf = SparseFieldConfig { modifier: SparseModifier::Idf.into(), ..splade() };
    let config = CollectionConfig { sparse_fields: vec![idf.clone()], ..only_sparse() };
    let server = three(config).await;
    let get = GetCollectionRequest { name: "docs".to_owned() };
    let info = server.collections().get(get).await.unwrap().into_inner().collection.unwrap();
    assert_eq!(info.config.unwrap().sparse_fields, [idf]);
    let query = search(sparse(&[(9, 1.0), (30_000, 1.0)]));
    let reply = server.search().search(query).await.unwrap().into_inner();
    let idf = |with: f32| (1.0 + (3.0 - with + 0.5) / (with + 0.5)).ln();
    let expected = [(num(3), 4.0 * idf(1.0) - idf(2.0)), (num(1), 2.0 * idf(2.0))];
    for ((id, score), (expected_id, expected)) in scored(&reply).into_iter().zip(expected) {
        assert!(id == expected_id && (score - expected).abs() < 1e-5, "{reply:?}");
    }
}

#[tokio::test]
async fn sparse_vectors_are_written_read_and_searched() {
    let server = three(only_sparse()).await;
    let request = GetRequest {
        collection: "docs".to_owned(),
        ids: vec![num(3)],
        with_vectors: true,
        with_payload: None,
    };
    let read = server.points().get(request).await.unwrap().into_inner().points;
    assert_eq!(read[0].vectors, [named(sparse(&[(9, -1.0), (30_000, 4.0)]))]);

    let mut client = server.search();
    let query = search(sparse(&[(9, 1.0), (7, 0.5)]));
    let reply = client.search(query.clone()).await.unwrap().into_inner();
    assert_eq!(scored(&reply), [(num(1), 2.5), (num(2), 1.5), (num(3), -1.0)]);
    assert_eq!(reply.stats.unwrap().components, 4);
    let options = SearchOptions { score_threshold: Some(0.0), ..SearchOptions::default() };
    let filter_json = Some(r#"{"field": "even", "eq": false}"#.to_owned());
    let odd = SearchRequest { options: Some(options), filter_json, ..query.clone() };
    let reply = client.search(odd).await.unwrap().into_inner();
    assert_eq!(scored(&reply), [(num(1), 2.5)]);

    let batch = SearchBatchRequest {
        collection: "docs".to_owned(),
        searches: vec![query.clone(), search(sparse(&[(30_000, 1.0)]))],
    };
    let outcomes = client.search_batch(batch).await.unwrap().into_inner().outcomes;
    let Some(Outcome::Found(second)) = &outcomes[1].outcome else { panic!("{outcomes:?}") };
    assert_eq!(scored(second), [(num(3), 4.0)]);
    let groups = SearchGroupsRequest {
        query: Some(Query::Search(query)),
        group_by: "even".to_owned(),
        per_group: None,
    };
    let groups = client.search_groups(groups).await.unwrap().into_inner().groups;
    let found: Vec<(&str, usize)> =
        groups.iter().map(|group| (&*group.value_json, group.points.len())).collect();
    assert_eq!(found, [("false", 2), ("true", 1)]);

    let empty = only(1, SparseVector::default());
    let update = UpdateVectorsRequest {
        collection: "docs".to_owned(),
        points: vec![Point { payload_json: String::new(), ..empty }],
        ..UpdateVectorsRequest::default()
    };
    assert_eq!(server.points().update_vectors(update).await.unwrap().into_inner().updated, 1);
    let reply = client.search(search(sparse(&[(7, 1.0)]))).await.unwrap().into_inner();
    assert_eq!(scored(&reply), [(num(2), 3.0)]);
}

#[tokio::test]
async fn a_sparse_vector_is_one_list_of_a_fusion() {
    let config = CollectionConfig { sparse_fields: vec![splade()], ..config(2, Metric::Dot) };
    let server = three(config).await;
    let both = Point { vectors: vec![named(sparse(&[(7, 9.0)]))], ..point(num(4), &[1.0, 0.0]) };
    server.upsert(vec![both]).await.unwrap();
    let part = |search, weight| HybridPart { search: Some(search), weight: Some(weight) };
    let vector = HybridVector { vector: vec![1.0, 0.0], ..HybridVector::default() };
    let sparse = HybridSparse { vector: Some(sparse(&[(7, 1.0)])), field: None };
    let request = SearchHybridRequest {
        collection: "docs".to_owned(),
        parts: vec![part(Search::Vector(vector), 0.25), part(Search::Sparse(sparse), 0.75)],
        fusion: "minmax".to_owned(),
        ..SearchHybridRequest::default()
    };
    let reply = server.search().search_hybrid(request).await.unwrap().into_inner();
    let ids: Vec<PointId> = reply.points.into_iter().map(|point| point.id.unwrap()).collect();
    assert_eq!(ids, [num(4), num(2), num(1)]);
}

#[tokio::test]
async fn sparse_fields_are_added_described_and_dropped() {
    let server = TestServer::with_docs(Default::default()).await;
    let add = |sparse_field| AddFieldRequest {
        collection: "docs".to_owned(),
        sparse_field,
        ..AddFieldRequest::default()
    };
    let mut client = server.collections();
    let reply = client.add_field(add(Some(splade()))).await.unwrap().into_inner();
    assert_eq!(reply.collection.unwrap().config.unwrap().sparse_fields, [splade()]);
    let again = client.add_field(add(Some(splade()))).await.unwrap_err();
    assert_status(&again, Code::AlreadyExists, &["\"splade\""]);
    let none = client.add_field(add(None)).await.unwrap_err();
    assert_status(&none, Code::InvalidArgument, &["field config is missing"]);

    server.upsert(vec![only(1, sparse(&[(7, 1.0), (9, 2.0)]))]).await.unwrap();
    let get = GetCollectionRequest { name: "docs".to_owned() };
    let info = client.get(get).await.unwrap().into_inner().collection.unwrap();
    let described = &info.sparse_fields[0];
    assert_eq!((&*described.name, described.vectors, described.components), ("splade", 1, 2));

    let drop = DropFieldRequest { collection: "docs".to_owned(), field: "splade".to_owned() };
    client.drop_field(drop).await.unwrap();
    let gone = server.search().search(search(sparse(&[(7, 1.0)]))).await.unwrap_err();
    assert_status(&gone, Code::FailedPrecondition, &["no sparse fields"]);
}

#[tokio::test]
async fn what_is_no_sparse_vector_is_refused_by_name() {
    let config = CollectionConfig { sparse_fields: vec![splade()], ..config(2, Metric::Dot) };
    let server = three(config).await;
    let twice = only(9, sparse(&[(7, 1.0), (7, 2.0)]));
    let error = server.upsert(vec![twice]).await.unwrap_err();
    assert_status(&error, Code::InvalidArgument, &["points[0]", "\"splade\"", "dimension 7 twice"]);
    let both = NamedVector { values: vec![1.0], ..named(sparse(&[(7, 1.0)])) };
    let error = server.upsert(vec![Point { vectors: vec![both], ..point(num(9), &[]) }]).await;
    assert_status(&error.unwrap_err(), Code::InvalidArgument, &["found both"]);
    let dense = NamedVector { values: vec![1.0], sparse: None, ..named(SparseVector::default()) };
    let error = server.upsert(vec![Point { vectors: vec![dense], ..point(num(9), &[]) }]).await;
    assert_status(&error.unwrap_err(), Code::FailedPrecondition, &["\"splade\" is sparse"]);
    let mut client = server.search();
    let two = SearchRequest { vector: vec![1.0, 0.0], ..search(sparse(&[(7, 1.0)])) };
    let error = client.search(two).await.unwrap_err();
    assert_status(&error, Code::InvalidArgument, &["found both"]);
    let dense = SearchRequest { field: Some("vector".to_owned()), ..search(sparse(&[(7, 1.0)])) };
    let error = client.search(dense).await.unwrap_err();
    assert_status(&error, Code::FailedPrecondition, &["\"vector\" is dense"]);
}
