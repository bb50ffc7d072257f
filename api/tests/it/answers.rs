//! Facets, groups, pages in order, recommendations, batches, thresholds and diversity.

use bigrain_api::Settings;
use bigrain_api::proto::search_groups_request::Query;
use bigrain_api::proto::search_outcome::Outcome;
use bigrain_api::proto::{
    Diversity, Example, FacetRequest, OrderBy, Point, RecommendRequest, RecommendStrategy,
    ScrollRequest, SearchBatchRequest, SearchGroupsRequest, SearchOptions, SearchRequest, example,
};
use tonic::Code;

use crate::support::{TestServer, assert_status, num, point, text};

fn search(vector: &[f32]) -> SearchRequest {
    SearchRequest {
        collection: "docs".to_owned(),
        vector: vector.to_vec(),
        ..SearchRequest::default()
    }
}

/// Points 1 to 6 on a line, blue and red in turn, their prices falling, with payloads of 20 kB.
async fn six_points(settings: Settings) -> TestServer {
    let server = TestServer::with_docs(settings).await;
    let colored = |id: u64| Point {
        payload_json: format!(
            r#"{{"color": "{}", "price": {}, "text": "{}"}}"#,
            ["red", "blue"][id as usize % 2],
            10 - id,
            "long ".repeat(4000)
        ),
        ..point(num(id), &[id as f32, 1.0])
    };
    for id in 1..=6 {
        server.upsert(vec![colored(id)]).await.unwrap();
    }
    server
}

#[tokio::test]
async fn values_are_counted_among_what_matches() {
    let server = six_points(Settings::default()).await;
    let request = FacetRequest {
        collection: "docs".to_owned(),
        field: "color".to_owned(),
        filter_json: Some(r#"{"field": "price", "lte": 8}"#.to_owned()),
        limit: None,
    };
    let reply = server.points().facet(request.clone()).await.unwrap().into_inner();
    let values = reply.values.iter().map(|value| (&*value.value_json, value.count));
    assert_eq!(values.collect::<Vec<_>>(), [("\"red\"", 3), ("\"blue\"", 2)]);
    assert_eq!((reply.distinct, reply.points), (2, 5));
    let bad = FacetRequest { field: "a[".to_owned(), ..request };
    let status = server.points().facet(bad).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["bad path"]);
}

#[tokio::test]
async fn pages_go_in_the_order_of_a_field() {
    for max_message_bytes in [1 << 20, 64 << 10] {
        let limits = Settings { max_message_bytes: Some(max_message_bytes), ..Settings::default() };
        let server = six_points(limits).await;
        let mut request = ScrollRequest {
            collection: "docs".to_owned(),
            limit: Some(4),
            order_by: Some(OrderBy { field: "price".to_owned(), descending: false }),
            filter_json: Some(r#"{"must_not": {"ids": [3]}}"#.to_owned()),
            ..ScrollRequest::default()
        };
        let mut ids = Vec::new();
        loop {
            let reply = server.points().scroll(request.clone()).await.unwrap().into_inner();
            assert!(reply.next.is_none());
            ids.extend(reply.points.into_iter().map(|point| point.id.unwrap()));
            request.cursor = reply.cursor;
            if request.cursor.is_none() {
                break;
            }
        }
        assert_eq!(ids, [6, 5, 4, 2, 1].map(num));
        let both = ScrollRequest { after: Some(num(1)), cursor: Some("01".into()), ..request };
        let status = server.points().scroll(both).await.unwrap_err();
        assert_status(&status, Code::InvalidArgument, &["either after or cursor"]);
    }
}

#[tokio::test]
async fn the_best_of_each_group_come_back() {
    let server = six_points(Settings::default()).await;
    let request = SearchGroupsRequest {
        query: Some(Query::Search(search(&[1.0, 0.0]))),
        group_by: "color".to_owned(),
        per_group: Some(2),
    };
    let reply = server.search().search_groups(request.clone()).await.unwrap().into_inner();
    let groups: Vec<_> = reply
        .groups
        .into_iter()
        .map(|group| {
            let ids: Vec<_> = group.points.into_iter().map(|point| point.id.unwrap()).collect();
            (group.value_json, ids)
        })
        .collect();
    let expected = [("\"red\"", [6, 4]), ("\"blue\"", [5, 3])];
    assert_eq!(groups, expected.map(|(value, ids)| (value.to_owned(), ids.map(num).to_vec())));
    let none = SearchGroupsRequest { per_group: Some(0), ..request.clone() };
    let status = server.search().search_groups(none).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["limit out of range"]);
    let nothing = SearchGroupsRequest { query: None, ..request };
    let status = server.search().search_groups(nothing).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["query is missing"]);
}

#[tokio::test]
async fn examples_recommend_others() {
    let server = six_points(Settings::default()).await;
    let example = |id| Example { example: Some(example::Example::Id(id)) };
    let request = |strategy: RecommendStrategy| RecommendRequest {
        collection: "docs".to_owned(),
        positive: vec![example(num(5))],
        negative: vec![example(num(1))],
        strategy: strategy.into(),
        options: Some(SearchOptions { limit: Some(2), ..SearchOptions::default() }),
        ..RecommendRequest::default()
    };
    for strategy in [RecommendStrategy::Unspecified, RecommendStrategy::BestScore] {
        let reply = server.search().recommend(request(strategy)).await.unwrap().into_inner();
        let ids: Vec<_> = reply.points.into_iter().map(|point| point.id.unwrap()).collect();
        assert_eq!(ids, [num(6), num(4)]);
    }
    let unknown = RecommendRequest {
        positive: vec![example(text("nobody"))],
        ..request(RecommendStrategy::AverageVector)
    };
    let status = server.search().recommend(unknown).await.unwrap_err();
    assert_status(&status, Code::NotFound, &["example nobody does not exist"]);
    let empty = RecommendRequest { positive: Vec::new(), ..request(RecommendStrategy::BestScore) };
    let status = server.search().recommend(empty).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["positive is empty"]);
}

#[tokio::test]
async fn a_batch_says_which_search_failed() {
    let server = six_points(Settings::default()).await;
    let searches = vec![search(&[1.0, 0.0]), search(&[1.0]), search(&[-1.0, 0.0])];
    let request = SearchBatchRequest { collection: "docs".to_owned(), searches };
    let reply = server.search().search_batch(request).await.unwrap().into_inner();
    let first = |at: usize| match reply.outcomes[at].outcome.clone().unwrap() {
        Outcome::Found(reply) => Ok(reply.points[0].id.clone().unwrap()),
        Outcome::Failed(error) => Err(error),
    };
    assert_eq!([first(0), first(2)], [Ok(num(6)), Ok(num(1))]);
    let error = first(1).unwrap_err();
    assert_eq!(error.code, Code::FailedPrecondition as i32);
    assert!(error.message.contains("dimension mismatch"), "{error:?}");
}

#[tokio::test]
async fn thresholds_and_diversity_shape_the_results() {
    let server = six_points(Settings::default()).await;
    let with =
        |options: SearchOptions| SearchRequest { options: Some(options), ..search(&[1.0, 0.0]) };
    let options = SearchOptions { score_threshold: Some(4.0), ..SearchOptions::default() };
    let reply = server.search().search(with(options)).await.unwrap().into_inner();
    assert_eq!(reply.points.len(), 3);
    // With weight 1 the second result is the one least like the first.
    let diversity = Some(Diversity { weight: 1.0, depth: Some(6) });
    let options = SearchOptions { limit: Some(2), diversity, ..SearchOptions::default() };
    let reply = server.search().search(with(options)).await.unwrap().into_inner();
    let ids: Vec<_> = reply.points.into_iter().map(|point| point.id.unwrap()).collect();
    assert_eq!(ids, [num(6), num(1)]);
    let diversity = Some(Diversity { weight: 1.5, depth: None });
    let options = SearchOptions { diversity, ..SearchOptions::default() };
    let status = server.search().search(with(options)).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["diversity out of range"]);
}
