//! The upsert stream: answers in order, a refused batch in the middle, limits and deadlines.

use std::time::Duration;

use bigrain_api::Settings;
use bigrain_api::proto::upsert_stream_reply::Outcome;
use bigrain_api::proto::{Point, UpsertStreamReply, UpsertStreamRequest};
use tokio_stream::StreamExt;
use tonic::{Code, Request, Status};

use crate::support::{TestServer, assert_status, num, point, upsert};

fn batch(number: u64, points: Vec<Point>) -> UpsertStreamRequest {
    UpsertStreamRequest { batch: number, upsert: Some(upsert("docs", points)) }
}

async fn send(
    server: &TestServer,
    batches: Vec<UpsertStreamRequest>,
) -> (Vec<UpsertStreamReply>, Option<Status>) {
    let stream = server.points().upsert_stream(tokio_stream::iter(batches)).await.unwrap();
    let mut replies = stream.into_inner();
    let mut read = Vec::new();
    while let Some(reply) = replies.next().await {
        match reply {
            Ok(reply) => read.push(reply),
            Err(status) => return (read, Some(status)),
        }
    }
    (read, None)
}

#[tokio::test]
async fn a_refused_batch_is_answered_and_the_stream_goes_on() {
    let server = TestServer::with_docs(Settings::default()).await;
    let bad = vec![point(num(2), &[1.0, 0.0]), point(num(3), &[1.0])];
    let elsewhere = UpsertStreamRequest {
        batch: 9,
        upsert: Some(upsert("nowhere", vec![point(num(1), &[1.0])])),
    };
    let batches = vec![
        batch(7, vec![point(num(1), &[1.0, 0.0])]),
        batch(8, bad),
        elsewhere,
        batch(7, vec![point(num(1), &[0.0, 1.0]), point(num(4), &[0.0, 1.0])]),
    ];
    let (replies, end) = send(&server, batches).await;
    assert!(end.is_none(), "{end:?}");
    let numbers: Vec<u64> = replies.iter().map(|reply| reply.batch).collect();
    assert_eq!(numbers, [7, 8, 9, 7]);
    let stored = |position: usize| match replies[position].outcome.as_ref().unwrap() {
        Outcome::Stored(stored) => (stored.inserted, stored.updated),
        Outcome::Refused(error) => panic!("{error:?}"),
    };
    let refused = |position: usize| match replies[position].outcome.as_ref().unwrap() {
        Outcome::Stored(stored) => panic!("{stored:?}"),
        Outcome::Refused(error) => Status::new(Code::from(error.code), error.message.clone()),
    };
    assert_eq!(stored(0), (1, 0));
    assert_status(&refused(1), Code::FailedPrecondition, &["has 2", "has 1"]);
    assert_status(&refused(2), Code::NotFound, &["nowhere"]);
    assert_eq!(stored(3), (1, 1));
    assert_eq!(server.count().await, 2);
}

#[tokio::test]
async fn a_batch_above_the_message_limit_ends_the_stream_after_the_answers_before_it() {
    let settings = Settings { max_message_bytes: Some(64 << 10), ..Settings::default() };
    let server = TestServer::with_docs(settings).await;
    let large = Point {
        payload_json: format!(r#"{{"text":"{}"}}"#, "x".repeat(100_000)),
        ..point(num(2), &[1.0, 0.0])
    };
    let batches = vec![batch(1, vec![point(num(1), &[1.0, 0.0])]), batch(2, vec![large])];
    let (replies, end) = send(&server, batches).await;
    assert_eq!(replies.len(), 1);
    let words = ["65536 bytes", "max_message_bytes", "split"];
    assert_status(&end.unwrap(), Code::ResourceExhausted, &words);
    assert_eq!(server.count().await, 1);
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline() {
    let server = TestServer::with_docs(Settings::default()).await;
    let mut request = Request::new(tokio_stream::pending());
    request.set_timeout(Duration::from_millis(50));
    let mut replies = server.points().upsert_stream(request).await.unwrap().into_inner();
    let status = replies.next().await.unwrap().unwrap_err();
    assert_status(&status, Code::DeadlineExceeded, &["50ms"]);
}
