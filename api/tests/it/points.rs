//! Points: upsert, delete, get, count, scroll, and what they refuse.

use bigrain_api::Settings;
use bigrain_api::proto::conditions::Existence;
use bigrain_api::proto::update_payload_request::Change;
use bigrain_api::proto::{
    ClearPayload, CompactCollectionRequest, Conditions, CountRequest, DeleteRequest, GetRequest,
    PayloadKeys, Point, PointId, PointVersion, ScrollRequest, UpdatePayloadRequest,
    UpdateVectorsRequest, UpsertRequest,
};
use tonic::Code;

use crate::support::{TestServer, assert_status, num, point, text, upsert};

#[tokio::test]
async fn points_are_stored_replaced_read_and_deleted() {
    let server = TestServer::with_docs(Settings::default()).await;
    let mut client = server.points();
    let first = vec![point(num(1), &[1.0, 0.0]), point(text("1"), &[0.0, 1.0])];
    let stored = client.upsert(upsert("docs", first)).await.unwrap().into_inner();
    assert_eq!((stored.inserted, stored.updated), (2, 0));
    let again = Point { payload_json: r#"{"a":1}"#.to_owned(), ..point(num(1), &[2.0, 3.0]) };
    let replaced = client.upsert(upsert("docs", vec![again])).await.unwrap().into_inner();
    assert_eq!((replaced.inserted, replaced.updated), (0, 1));
    assert!(replaced.seq > stored.seq);

    let request = GetRequest {
        collection: "docs".to_owned(),
        ids: vec![text("absent"), num(1), text("1")],
        with_vectors: true,
        with_payload: None,
    };
    let read = client.get(request).await.unwrap().into_inner();
    assert_eq!(read.missing, [text("absent")]);
    assert_eq!(read.points[0].vector, [2.0, 3.0]);
    assert_eq!(read.points[0].payload_json, r#"{"a":1}"#);
    assert_eq!(read.points[1].id, Some(text("1")));

    let request = DeleteRequest {
        collection: "docs".to_owned(),
        ids: vec![num(1), text("absent")],
        ..Default::default()
    };
    assert_eq!(client.delete(request).await.unwrap().into_inner().deleted, 1);
    assert_eq!(server.count().await, 1);
}

#[tokio::test]
async fn integers_of_64_bits_in_a_payload_come_back_as_they_went() {
    let server = TestServer::with_docs(Settings::default()).await;
    let payload = r#"{"n":9007199254740993,"u":18446744073709551615,"i":-9223372036854775808}"#;
    let point = Point { payload_json: payload.to_owned(), ..point(num(1), &[1.0, 0.0]) };
    server.upsert(vec![point]).await.unwrap();
    let request =
        GetRequest { collection: "docs".to_owned(), ids: vec![num(1)], ..GetRequest::default() };
    let read = server.points().get(request).await.unwrap().into_inner();
    let number = |json: &str, key: &str| {
        serde_json::from_str::<serde_json::Value>(json).unwrap()[key].to_string()
    };
    for (key, value) in
        [("n", "9007199254740993"), ("u", "18446744073709551615"), ("i", "-9223372036854775808")]
    {
        assert_eq!(number(&read.points[0].payload_json, key), value);
    }
}

#[tokio::test]
async fn a_uuid_is_one_id_however_it_is_spelled() {
    let server = TestServer::with_docs(Settings::default()).await;
    let upper = "936DA01F9ABD4D9D80C702AF85C822A8";
    let lower = "936da01f-9abd-4d9d-80c7-02af85c822a8";
    server.upsert(vec![point(text(upper), &[1.0, 0.0])]).await.unwrap();
    let request = GetRequest {
        collection: "docs".to_owned(),
        ids: vec![text(lower)],
        ..GetRequest::default()
    };
    let read = server.points().get(request).await.unwrap().into_inner();
    assert_eq!(read.points[0].id, Some(text(lower)));
}

#[tokio::test]
async fn bad_points_are_refused_by_position_and_nothing_is_stored() {
    let server = TestServer::with_docs(Settings::default()).await;
    let good = || point(num(1), &[1.0, 0.0]);
    let no_id = Point { id: None, ..good() };
    let empty_id = Point { id: Some(PointId { id: None }), ..good() };
    let list = Point { payload_json: "[1]".to_owned(), ..good() };
    for (bad, code, words) in [
        (no_id, Code::InvalidArgument, ["points[1]", "id is missing"]),
        (empty_id, Code::InvalidArgument, ["points[1]", "id is missing"]),
        (point(text(""), &[1.0, 0.0]), Code::InvalidArgument, ["points[1]", "empty"]),
        (list, Code::InvalidArgument, ["points[1]", "not a JSON object"]),
        (point(num(2), &[1.0]), Code::FailedPrecondition, ["has 2", "has 1"]),
        (point(num(2), &[1.0, f32::NAN]), Code::InvalidArgument, ["component 1", "NaN"]),
        (point(num(2), &[f32::INFINITY, 0.0]), Code::InvalidArgument, ["component 0", "inf"]),
        (point(num(1), &[0.0, 1.0]), Code::InvalidArgument, ["duplicate", "1"]),
    ] {
        let status = server.upsert(vec![good(), bad]).await.unwrap_err();
        assert_status(&status, code, &words);
    }
    assert_eq!(server.count().await, 0);
}

#[tokio::test]
async fn an_unknown_collection_is_not_found_by_every_request() {
    let server = TestServer::start().await;
    let mut client = server.points();
    let collection = "nowhere".to_owned();
    let statuses = [
        client.upsert(upsert("nowhere", vec![point(num(1), &[1.0])])).await.unwrap_err(),
        client
            .delete(DeleteRequest {
                collection: collection.clone(),
                ids: vec![num(1)],
                ..Default::default()
            })
            .await
            .unwrap_err(),
        client
            .get(GetRequest { collection: collection.clone(), ..GetRequest::default() })
            .await
            .unwrap_err(),
        client
            .count(CountRequest { collection: collection.clone(), filter_json: None })
            .await
            .unwrap_err(),
        client.scroll(ScrollRequest { collection, ..ScrollRequest::default() }).await.unwrap_err(),
    ];
    for status in statuses {
        assert_status(&status, Code::NotFound, &["\"nowhere\""]);
    }
}

#[tokio::test]
async fn vectors_of_another_space_are_refused() {
    let server = TestServer::start().await;
    let own = "0123456789abcdef0123456789abcdef".to_owned();
    let other = "ffffffffffffffffffffffffffffffff".to_owned();
    let mut config = crate::support::config(2, bigrain_api::proto::Metric::Dot);
    config.space = Some(own.clone());
    server.create("docs", config).await.unwrap();
    let from = |space: &str| UpsertRequest {
        space: Some(space.to_owned()),
        ..upsert("docs", vec![point(num(1), &[1.0, 0.0])])
    };
    let status = server.points().upsert(from(&other)).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &[&own, &other]);
    server.points().upsert(from(&own)).await.unwrap();
}

#[tokio::test]
async fn scrolling_visits_every_point_once_in_the_order_of_ids() {
    let server = TestServer::with_docs(Settings::default()).await;
    let mut ids: Vec<PointId> = (0..23).map(num).collect();
    ids.extend(["a", "b", "c"].map(text));
    let points = ids.iter().rev().map(|id| point(id.clone(), &[1.0, 0.0])).collect();
    server.upsert(points).await.unwrap();

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let request = ScrollRequest {
            collection: "docs".to_owned(),
            after,
            limit: Some(5),
            ..ScrollRequest::default()
        };
        let page = server.points().scroll(request).await.unwrap().into_inner();
        seen.extend(page.points.into_iter().map(|point| point.id.unwrap()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn a_write_happens_only_if_its_conditions_hold() {
    let server = TestServer::with_docs(Settings::default()).await;
    let mut client = server.points();
    let upsert_if = |values: [f32; 2], conditions: Conditions| UpsertRequest {
        conditions: Some(conditions),
        ..upsert("docs", vec![point(num(1), &values)])
    };
    let absent = Conditions { all: Existence::Absent.into(), ..Conditions::default() };
    let stored = client.upsert(upsert_if([1.0, 0.0], absent.clone())).await.unwrap().into_inner();
    let refused = client.upsert(upsert_if([2.0, 0.0], absent)).await.unwrap_err();
    let expected = format!("point 1: expected no point, found version {}", stored.seq);
    assert_eq!(refused.code(), Code::Aborted);
    assert!(refused.message().ends_with(&expected), "{refused:?}");
    let version = |seq| Conditions {
        versions: vec![PointVersion { id: Some(num(1)), seq }],
        ..Conditions::default()
    };
    let replaced =
        client.upsert(upsert_if([3.0, 0.0], version(stored.seq))).await.unwrap().into_inner();
    let delete = |seq| DeleteRequest {
        collection: "docs".to_owned(),
        ids: vec![num(1)],
        conditions: Some(version(seq)),
        filter_json: None,
    };
    assert_eq!(client.delete(delete(stored.seq)).await.unwrap_err().code(), Code::Aborted);
    assert_eq!(client.delete(delete(replaced.seq)).await.unwrap().into_inner().deleted, 1);
    let gone = client.upsert(upsert_if([1.0, 0.0], version(0))).await.unwrap().into_inner();
    assert_eq!(gone.inserted, 1);
    let unknown = Conditions { all: 9, ..Conditions::default() };
    let refused = client.upsert(upsert_if([1.0, 0.0], unknown)).await.unwrap_err();
    assert_status(&refused, Code::InvalidArgument, &["unknown existence 9"]);
}

#[tokio::test]
async fn parts_of_points_are_updated() {
    let server = TestServer::with_docs(Settings::default()).await;
    let mut client = server.points();
    let first = Point { payload_json: r#"{"a":1,"b":2}"#.to_owned(), ..point(num(1), &[1.0, 0.0]) };
    server.upsert(vec![first]).await.unwrap();
    let payload = |change: Option<Change>| UpdatePayloadRequest {
        collection: "docs".to_owned(),
        ids: vec![num(1), num(2)],
        change,
        ..UpdatePayloadRequest::default()
    };
    let changes = [
        (Change::MergeJson(r#"{"b":3,"c":4}"#.to_owned()), r#"{"a":1,"b":3,"c":4}"#),
        (Change::Remove(PayloadKeys { keys: vec!["a".to_owned()] }), r#"{"b":3,"c":4}"#),
        (Change::OverwriteJson(r#"{"d":5}"#.to_owned()), r#"{"d":5}"#),
        (Change::Clear(ClearPayload {}), "{}"),
    ];
    let read = || GetRequest {
        collection: "docs".to_owned(),
        ids: vec![num(1)],
        with_vectors: true,
        with_payload: None,
    };
    for (change, expected) in changes {
        let output = client.update_payload(payload(Some(change))).await.unwrap().into_inner();
        assert_eq!((output.updated, output.missing), (1, 1));
        let point = client.get(read()).await.unwrap().into_inner().points.remove(0);
        assert_eq!(point.payload_json, expected);
        assert_eq!(point.vector, [1.0, 0.0]);
    }
    let refused = client.update_payload(payload(None)).await.unwrap_err();
    assert_status(&refused, Code::InvalidArgument, &["change is missing"]);

    let request = UpdateVectorsRequest {
        collection: "docs".to_owned(),
        points: vec![point(num(1), &[0.0, 5.0])],
        ..UpdateVectorsRequest::default()
    };
    assert_eq!(client.update_vectors(request).await.unwrap().into_inner().updated, 1);
    let point = client.get(read()).await.unwrap().into_inner().points.remove(0);
    assert_eq!(point.vector, [0.0, 5.0]);
    let request = CompactCollectionRequest { name: "docs".to_owned() };
    server.collections().compact(request).await.unwrap();
    assert_eq!(server.count().await, 1);
}

#[tokio::test]
async fn what_matches_a_filter_is_updated_and_deleted() {
    let server = TestServer::with_docs(Settings::default()).await;
    let mut client = server.points();
    let points = (0..10).map(|id| Point {
        payload_json: format!(r#"{{"n":{id}}}"#),
        ..point(num(id), &[id as f32, 1.0])
    });
    server.upsert(points.collect()).await.unwrap();
    let low = Some(r#"{"field": "n", "lt": 4}"#.to_owned());
    let request = UpdatePayloadRequest {
        collection: "docs".to_owned(),
        change: Some(Change::OverwriteJson(r#"{"n":100}"#.to_owned())),
        filter_json: low.clone(),
        ..UpdatePayloadRequest::default()
    };
    assert_eq!(client.update_payload(request).await.unwrap().into_inner().updated, 4);
    let delete = |filter: &str, ids: Vec<PointId>| DeleteRequest {
        collection: "docs".to_owned(),
        ids,
        filter_json: Some(filter.to_owned()),
        ..DeleteRequest::default()
    };
    let hundred = r#"{"field": "n", "eq": 100}"#;
    let refused = client.delete(delete(hundred, vec![num(1)])).await.unwrap_err();
    assert_status(&refused, Code::InvalidArgument, &["found both"]);
    let deleted = client.delete(delete(hundred, Vec::new())).await.unwrap().into_inner().deleted;
    assert_eq!((deleted, server.count().await), (4, 6));
}
