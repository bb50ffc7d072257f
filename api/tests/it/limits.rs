//! Limits that name themselves.

use bigrain_api::Settings;
use bigrain_api::proto::{DeleteRequest, EncodeRequest, GetRequest, Point, ScrollRequest};
use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::gated_encoder::{Event, encode_request, gated_server};
use crate::support::{TestServer, assert_status, num, point, upsert};

fn large(id: u64, bytes: usize) -> Point {
    Point {
        payload_json: format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes)),
        ..point(num(id), &[1.0, 0.0])
    }
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_with_what_to_do() {
    let settings = Settings { max_message_bytes: Some(64 << 10), ..Settings::default() };
    let server = TestServer::with_docs(settings).await;
    let status = server.upsert(vec![large(1, 100_000)]).await.unwrap_err();
    let words = ["65536 bytes", "max_message_bytes", "split"];
    assert_status(&status, Code::ResourceExhausted, &words);
    assert!(status.metadata().contains_key("x-request-id"));

    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = server.points().send_compressed(encoding);
        let request = upsert("docs", vec![large(1, 10_000_000)]);
        let status = client.upsert(request).await.unwrap_err();
        assert_status(&status, Code::ResourceExhausted, &words);
        client.upsert(upsert("docs", vec![large(1, 1000)])).await.unwrap();
    }
}

#[tokio::test]
async fn a_reply_above_the_limit_is_refused_and_a_page_is_cut() {
    let settings = Settings { max_message_bytes: Some(64 << 10), ..Settings::default() };
    let server = TestServer::with_docs(settings).await;
    for id in 0..4 {
        server.upsert(vec![large(id, 30_000)]).await.unwrap();
    }
    let collection = || "docs".to_owned();
    let ids = (0..4).map(num).collect();
    let request = GetRequest { collection: collection(), ids, ..GetRequest::default() };
    let status = server.points().get(request).await.unwrap_err();
    assert_status(&status, Code::ResourceExhausted, &["65536", "max_message_bytes", "fewer"]);

    let request = ScrollRequest { collection: collection(), ..ScrollRequest::default() };
    let page = server.points().scroll(request).await.unwrap().into_inner();
    assert_eq!((page.points.len(), page.next), (2, Some(num(1))));
}

#[tokio::test]
async fn too_many_points_ids_or_texts_are_refused_by_name() {
    let settings = Settings {
        max_points_per_batch: Some(2),
        max_texts_per_encode: Some(2),
        ..Settings::default()
    };
    let server = TestServer::with_docs(settings).await;
    let points = (0..3).map(|id| point(num(id), &[1.0, 0.0])).collect();
    let status = server.upsert(points).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["3 points", "2 (max_points_per_batch)"]);

    let ids = || (0..3).map(num).collect();
    let request = DeleteRequest { collection: "docs".to_owned(), ids: ids(), ..Default::default() };
    let status = server.points().delete(request).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["3 ids", "max_points_per_batch"]);

    for limit in [0, 3] {
        let request = ScrollRequest {
            collection: "docs".to_owned(),
            limit: Some(limit),
            ..ScrollRequest::default()
        };
        let status = server.points().scroll(request).await.unwrap_err();
        assert_status(&status, Code::InvalidArgument, &["limit", "expected 1 to 2"]);
    }

    let texts = vec!["a".to_owned(); 3];
    let request = EncodeRequest { texts, ..EncodeRequest::default() };
    let status = server.encoder().encode(request).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["3 texts", "2 (max_texts_per_encode)"]);
}

#[tokio::test]
async fn one_request_too_many_at_once_is_refused_and_the_next_is_served() {
    let settings = Settings { max_concurrent_encodes: Some(1), ..Settings::default() };
    let (server, mut gate) = gated_server(settings).await;
    let mut client = server.encoder();
    let first = tokio::spawn(async move { client.encode(encode_request()).await });
    assert_eq!(gate.event().await, Event::Started);

    let status = server.encoder().encode(encode_request()).await.unwrap_err();
    assert_status(&status, Code::ResourceExhausted, &["1", "max_concurrent_encodes"]);

    gate.open();
    first.await.unwrap().unwrap();
    server.encoder().encode(encode_request()).await.unwrap();
}
