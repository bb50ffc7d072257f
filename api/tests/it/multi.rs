//! Multi-vector fields over gRPC.

use bigrain_api::proto::hybrid_part::Search;
use bigrain_api::proto::{
    AddFieldRequest, CollectionConfig, GetRequest, HybridMulti, HybridPart, Metric,
    MultiFieldConfig, MultiVector, NamedVector, PatchGrid, Point, PointId, SearchHybridRequest,
    SearchOptions, SearchReply, SearchRequest,
};
use tonic::Code;

use crate::support::{TestServer, assert_status, num};

fn multi(tokens: &[[f32; 2]]) -> MultiVector {
    MultiVector { dims: 2, values: tokens.concat(), grid: None }
}

fn named(vector: MultiVector) -> NamedVector {
    NamedVector { field: "m".to_owned(), multi: Some(vector), ..NamedVector::default() }
}

fn point(id: u64, vector: MultiVector) -> Point {
    Point { id: Some(num(id)), vectors: vec![named(vector)], ..Point::default() }
}

fn field() -> MultiFieldConfig {
    let metric = Metric::Dot.into();
    MultiFieldConfig { name: "m".to_owned(), dims: 2, metric, ..MultiFieldConfig::default() }
}

fn search(vector: MultiVector) -> SearchRequest {
    let collection = "docs".to_owned();
    SearchRequest { collection, multi: Some(vector), ..SearchRequest::default() }
}

fn scored(reply: &SearchReply) -> Vec<(PointId, f32)> {
    reply.points.iter().map(|point| (point.id.clone().unwrap(), point.score)).collect()
}

async fn three() -> TestServer {
    let server = TestServer::start().await;
    let config = CollectionConfig { multi_fields: vec![field()], ..CollectionConfig::default() };
    server.create("docs", config).await.unwrap();
    let patches = MultiVector {
        grid: Some(PatchGrid { height: 1, width: 2 }),
        ..multi(&[[1.0, 0.0], [0.0, 2.0]])
    };
    let points =
        [point(1, patches), point(2, multi(&[[3.0, 0.0]])), point(3, multi(&[[-1.0, 0.5]]))];
    server.upsert(points.into()).await.unwrap();
    server
}

#[tokio::test]
async fn multi_vectors_are_written_read_and_searched() {
    let server = three().await;
    let request = GetRequest {
        collection: "docs".to_owned(),
        ids: vec![num(1)],
        with_vectors: true,
        with_payload: None,
    };
    let read = server.points().get(request).await.unwrap().into_inner().points;
    let stored = read[0].vectors[0].multi.clone().unwrap();
    assert_eq!((stored.dims, &stored.values[..]), (2, &[1.0, 0.0, 0.0, 2.0][..]));
    assert_eq!(stored.grid, Some(PatchGrid { height: 1, width: 2 }));

    // The mean of the best dot products of both tokens.
    let query = multi(&[[1.0, 0.0], [0.0, 1.0]]);
    let reply = server.search().search(search(query.clone())).await.unwrap().into_inner();
    assert_eq!(scored(&reply), [(num(1), 1.5), (num(2), 1.5), (num(3), -0.25)]);
    let part = HybridMulti { vector: Some(query.clone()), ..HybridMulti::default() };
    let request = SearchHybridRequest {
        collection: "docs".to_owned(),
        parts: vec![HybridPart { search: Some(Search::Multi(part)), weight: Some(1.0) }],
        fusion: "minmax".to_owned(),
        options: Some(SearchOptions { limit: Some(1), ..SearchOptions::default() }),
        ..SearchHybridRequest::default()
    };
    let fused = server.search().search_hybrid(request).await.unwrap().into_inner();
    assert_eq!(scored(&fused)[0].0, num(1));
}

#[tokio::test]
async fn what_is_no_multi_vector_is_refused_by_name() {
    let server = three().await;
    let ragged = MultiVector { dims: 2, values: vec![1.0; 3], grid: None };
    let refused = server.upsert(vec![point(4, ragged.clone())]).await;
    assert_status(
        &refused.unwrap_err(),
        Code::InvalidArgument,
        &["field \"m\": token 1 has 1 components"],
    );
    let huge = PatchGrid { height: 300, width: 1 };
    let huge = MultiVector { grid: Some(huge), ..multi(&[[1.0, 0.0]]) };
    let refused = server.upsert(vec![point(4, huge)]).await;
    assert_status(&refused.unwrap_err(), Code::InvalidArgument, &["a grid of 300 by 1 patches"]);
    let both = NamedVector { values: vec![1.0], ..named(multi(&[[1.0, 0.0]])) };
    let both = Point { id: Some(num(4)), vectors: vec![both], ..Point::default() };
    let refused = server.upsert(vec![both]).await;
    assert_status(
        &refused.unwrap_err(),
        Code::InvalidArgument,
        &["found a multi-vector beside another"],
    );

    let refused = server.search().search(search(ragged)).await;
    assert_status(&refused.unwrap_err(), Code::InvalidArgument, &["token 1 has 1 components"]);
    let both = SearchRequest { vector: vec![1.0], ..search(multi(&[[1.0, 0.0]])) };
    let refused = server.search().search(both).await;
    assert_status(
        &refused.unwrap_err(),
        Code::InvalidArgument,
        &["a vector or a multi-vector: found both"],
    );
    let l2 = MultiFieldConfig { name: "l".to_owned(), metric: Metric::L2.into(), ..field() };
    let request = AddFieldRequest {
        collection: "docs".to_owned(),
        multi_field: Some(l2),
        ..AddFieldRequest::default()
    };
    let refused = server.collections().add_field(request).await;
    assert_status(&refused.unwrap_err(), Code::InvalidArgument, &["cosine or dot product"]);
}
