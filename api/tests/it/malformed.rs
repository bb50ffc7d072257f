//! Requests that are wrong, on every level: bytes, messages, and what they ask for. Each is the caller's fault, and is
//! told so.

use bigrain_api::Settings;
use bigrain_api::proto::{
    CollectionConfig, CreateCollectionRequest, GetRequest, Metric, Point, PointId, SearchOptions,
    SearchRequest, UpsertRequest,
};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::support::{TestServer, config, num, point, text, toy_models, upsert};

const UPSERT: &str = "/bigrain.v1.Points/Upsert";
const SEARCH: &str = "/bigrain.v1.Search/Search";
const CREATE: &str = "/bigrain.v1.Collections/Create";
const GET: &str = "/bigrain.v1.Points/Get";

/// A message as gRPC frames it.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend((message.len() as u32).to_be_bytes());
    bytes.extend(message);
    bytes
}

/// A message of ours, encoded and framed.
fn valid(message: &impl Message) -> Vec<u8> {
    framed(&message.encode_to_vec())
}

/// Sends bytes to a call of gRPC, over HTTP/1.1, which hides nothing. Answers have their code in the headers; those
/// that begin well have none there.
async fn send(server: &TestServer, path: &str, bytes: &[u8]) -> (Code, String) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/grpc\r\ncontent-length: {}\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server may answer before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let reply = String::from_utf8_lossy(&reply).into_owned();
    assert!(reply.starts_with("HTTP/1.1 200"), "{path}: {reply}");
    let header = |name: &str| reply.lines().find_map(|line| line.strip_prefix(name));
    let code = header("grpc-status: ").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    (code, header("grpc-message: ").unwrap_or_default().to_owned())
}

/// A server with `docs` (two dimensions, dot product) and `turned` (two dimensions, cosine).
async fn server() -> TestServer {
    let server = TestServer::start_with(Settings::default(), toy_models()).await;
    server.create("docs", config(2, Metric::Dot)).await.unwrap();
    server.create("turned", config(2, Metric::Cosine)).await.unwrap();
    server
}

/// Fails if the server took the blame for any answer, or is not there any more.
async fn assert_blameless(server: &TestServer) {
    let metrics = server.http("GET", "/metrics", &[], "").await.body;
    let answers = metrics.lines().filter(|line| line.starts_with("bigrain_requests_total"));
    for line in answers {
        for code in ["Internal", "Unknown", "DataLoss", "Unavailable", "\"5"] {
            assert!(!line.contains(code), "{line}");
        }
    }
    server.at_rest().await;
    server.upsert(vec![point(num(1), &[1.0, 0.0])]).await.unwrap();
    assert_eq!(server.count().await, 1);
}

fn search(vector: &[f32], limit: u32) -> SearchRequest {
    SearchRequest {
        collection: "docs".to_owned(),
        vector: vector.to_vec(),
        options: Some(SearchOptions { limit: Some(limit), ..SearchOptions::default() }),
        ..SearchRequest::default()
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_a_code_that_says_whose_fault_it_is() {
    let server = server().await;
    let one = |vector: &[f32]| valid(&upsert("docs", vec![point(num(1), vector)]));
    let with = |point: Point| valid(&upsert("docs", vec![point]));
    let twice = vec![point(num(1), &[1.0, 0.0]), point(num(1), &[0.0, 1.0])];
    let unknown = CreateCollectionRequest {
        name: "new".to_owned(),
        config: Some(CollectionConfig { metric: 99, ..config(2, Metric::Dot) }),
    };
    let no_utf8 = {
        let mut message = upsert("docs", vec![]).encode_to_vec();
        let at = message.windows(4).position(|part| part == b"docs").unwrap();
        message[at] = 0xff;
        framed(&message)
    };
    let cut = one(&[1.0, 0.0]);
    let cut = framed(&cut[5..cut.len() - 3]);
    let claims = |bytes: u32| [&[0][..], &bytes.to_be_bytes(), b"abc"].concat();
    let wrong = Code::InvalidArgument;
    let mut surprises = Vec::new();
    for (what, path, bytes, code) in [
        ("other dimensions", UPSERT, one(&[1.0]), Code::FailedPrecondition),
        ("no dimensions", UPSERT, one(&[]), Code::FailedPrecondition),
        ("NaN", UPSERT, one(&[1.0, f32::NAN]), wrong),
        ("infinity", UPSERT, one(&[f32::INFINITY, 0.0]), wrong),
        (
            "zero under cosine",
            UPSERT,
            valid(&upsert("turned", vec![point(num(1), &[0.0; 2])])),
            wrong,
        ),
        ("an id twice", UPSERT, valid(&upsert("docs", twice)), wrong),
        ("no id", UPSERT, with(Point { id: None, ..point(num(1), &[1.0, 0.0]) }), wrong),
        (
            "half an id",
            UPSERT,
            with(Point { id: Some(PointId { id: None }), ..point(num(1), &[1.0, 0.0]) }),
            wrong,
        ),
        ("an id too long", UPSERT, with(point(text(&"x".repeat(513)), &[1.0, 0.0])), wrong),
        (
            "no JSON",
            UPSERT,
            with(Point { payload_json: "{".to_owned(), ..point(num(1), &[1.0, 0.0]) }),
            wrong,
        ),
        ("nothing in it", UPSERT, valid(&UpsertRequest::default()), Code::NotFound),
        (
            "no collection",
            SEARCH,
            valid(&SearchRequest { collection: "nowhere".to_owned(), ..search(&[1.0, 0.0], 1) }),
            Code::NotFound,
        ),
        ("limit 0", SEARCH, valid(&search(&[1.0, 0.0], 0)), wrong),
        ("limit 10^9", SEARCH, valid(&search(&[1.0, 0.0], 1_000_000_000)), wrong),
        ("a query of NaN", SEARCH, valid(&search(&[f32::NAN, 0.0], 1)), wrong),
        (
            "a query of other dimensions",
            SEARCH,
            valid(&search(&[1.0; 3], 1)),
            Code::FailedPrecondition,
        ),
        ("an unknown metric", CREATE, valid(&unknown), wrong),
        ("an empty name", CREATE, valid(&CreateCollectionRequest::default()), wrong),
        ("bytes that are no text", UPSERT, no_utf8, wrong),
        ("a message that is cut off", UPSERT, cut, wrong),
        ("bytes that are no message", GET, framed(&[0xff; 64]), wrong),
        ("no message", UPSERT, vec![], wrong),
        ("half a frame", UPSERT, vec![0, 0, 0], wrong),
        ("less than the frame says", UPSERT, claims(1000), wrong),
        ("a gigabyte, so the frame says", UPSERT, claims(1 << 30), Code::ResourceExhausted),
        ("all that a frame can say", UPSERT, claims(u32::MAX), Code::ResourceExhausted),
        (
            "a compression that was not named",
            UPSERT,
            [&[1][..], &framed(b"abc")[1..]].concat(),
            wrong,
        ),
        ("an unknown flag", UPSERT, [&[7][..], &framed(b"abc")[1..]].concat(), wrong),
        (
            "a call that is not there",
            "/bigrain.v1.Points/Invented",
            framed(b""),
            Code::Unimplemented,
        ),
        (
            "a service that is not there",
            "/bigrain.v9.Points/Upsert",
            framed(b""),
            Code::Unimplemented,
        ),
    ] {
        let (answered, message) = send(&server, path, &bytes).await;
        if answered != code {
            surprises.push(format!("{what}: expected {code:?}, got {answered:?} {message:?}"));
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
    assert_blameless(&server).await;
}

/// Numbers that look random, the same every time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((number ^ (number >> 31)) % bound as u64) as usize
    }
}

#[tokio::test]
async fn bytes_that_were_changed_at_random_are_never_the_servers_fault() {
    let server = server().await;
    let get =
        GetRequest { collection: "docs".to_owned(), ids: vec![num(1)], ..GetRequest::default() };
    let create =
        CreateCollectionRequest { name: "new".to_owned(), config: Some(config(2, Metric::L2)) };
    let requests = [
        (
            UPSERT,
            upsert("turned", vec![point(num(1), &[1.0, 0.0]), point(text("a"), &[0.0, 1.0])])
                .encode_to_vec(),
        ),
        (SEARCH, search(&[1.0, 0.0], 3).encode_to_vec()),
        (CREATE, create.encode_to_vec()),
        (GET, get.encode_to_vec()),
        ("/qdrant.Points/Upsert", upsert("turned", vec![]).encode_to_vec()),
        ("/qdrant.Points/Query", search(&[1.0, 0.0], 3).encode_to_vec()),
    ];
    let mut numbers = Numbers(15);
    for round in 0..600 {
        let (path, message) = &requests[round % requests.len()];
        let mut bytes = framed(message);
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(bytes.len());
            match numbers.below(3) {
                0 => bytes[at] ^= 1 << numbers.below(8),
                1 => bytes[at] = numbers.below(256) as u8,
                _ => bytes.truncate(at.max(1)),
            }
        }
        let (code, message) = send(&server, path, &bytes).await;
        let blamed = [Code::Internal, Code::Unknown, Code::DataLoss, Code::Unavailable];
        assert!(!blamed.contains(&code), "round {round}: {code:?} {message}: {bytes:?}");
    }
    assert_blameless(&server).await;
}
