//! What a device is asked for, it is asked on a thread that may wait, and never on one that serves connections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bigrain_api::proto::{
    CollectionConfig, CompactCollectionRequest, EncodeRequest, Example, Metric, Point,
    RecommendRequest, SearchBatchRequest, SearchGroupsRequest, SearchRequest, SearchTextRequest,
    example, search_groups_request,
};
use bigrain_api::{ModelRegistry, Settings};
use bigrain_encoders::{
    CrossScorer, DeviceReport, Embeddings, EncodeError, EncodeOptions, ScoreError, TextEncoder,
    ToyEncoder,
};
use bigrain_engine::{
    Cancel, CodeBlocks, CodeScanner, DeviceError, EmbeddingSpaceId, Engine, EngineConfig,
    ListCentroids, ListFinder, LoadedCentroids, LoadedCodes, Rotation, ScanDevice, ScanRequest,
    ScoredCode,
};
use tokio::runtime::Handle;

use crate::support::{TOY, TestServer, config, num, point, toy, upsert};

/// How often a device was asked for something, and how often on a thread that must not wait.
#[derive(Debug, Default)]
struct Calls {
    copies: AtomicUsize,
    scans: AtomicUsize,
    lists: AtomicUsize,
    encodes: AtomicUsize,
    scores: AtomicUsize,
    on_async: AtomicUsize,
}

impl Calls {
    fn count(&self, calls: &AtomicUsize) {
        calls.fetch_add(1, Ordering::SeqCst);
        // Where futures are run the runtime refuses, by a panic, to wait for one.
        let wait = |handle: &Handle| handle.block_on(async {});
        let refuses = |handle: &Handle| catch_unwind(AssertUnwindSafe(|| wait(handle))).is_err();
        if Handle::try_current().is_ok_and(|handle| refuses(&handle)) {
            self.on_async.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A device that counts, and leaves everything to the CPU.
#[derive(Clone, Debug)]
struct Counting(Arc<Calls>);

fn leave<T>() -> Result<T, DeviceError> {
    Err(DeviceError::DoesNotFit { needed: 2, free: 1 })
}

impl CodeScanner for Counting {
    fn device(&self) -> String {
        "counting".to_owned()
    }

    fn load(&self, _: &CodeBlocks<'_>) -> Result<Box<dyn LoadedCodes>, DeviceError> {
        self.0.count(&self.0.copies);
        Ok(Box::new(self.clone()))
    }

    fn list_finder(&self) -> Option<&dyn ListFinder> {
        Some(self)
    }
}

impl LoadedCodes for Counting {
    fn memory_bytes(&self) -> u64 {
        1
    }

    fn scan(&self, _: &[ScanRequest<'_>]) -> Result<Vec<Vec<ScoredCode>>, DeviceError> {
        self.0.count(&self.0.scans);
        leave()
    }
}

impl ListFinder for Counting {
    fn load_centroids(
        &self,
        _: &ListCentroids<'_>,
        _: Option<&Rotation>,
    ) -> Result<Box<dyn LoadedCentroids>, DeviceError> {
        self.0.count(&self.0.lists);
        Ok(Box::new(self.clone()))
    }
}

impl LoadedCentroids for Counting {
    fn nearest(&self, _: &[f32]) -> Result<Vec<u32>, DeviceError> {
        self.0.count(&self.0.lists);
        leave()
    }

    fn rotate_and_find(&self, _: &[f32], _: &mut [f32]) -> Result<Vec<u32>, DeviceError> {
        self.0.count(&self.0.lists);
        leave()
    }
}

/// The toy, as a model whose batches run on a device.
struct CountingEncoder {
    toy: ToyEncoder,
    calls: Arc<Calls>,
}

impl TextEncoder for CountingEncoder {
    fn dims(&self) -> usize {
        self.toy.dims()
    }

    fn space(&self) -> EmbeddingSpaceId {
        self.toy.space()
    }

    fn max_tokens(&self) -> usize {
        self.toy.max_tokens()
    }

    fn encode(&self, texts: &[&str], options: &EncodeOptions) -> Result<Embeddings, EncodeError> {
        self.calls.count(&self.calls.encodes);
        self.toy.encode(texts, options)
    }
}

/// Says that a device scores, and gives each passage its length.
struct CountingScorer(Arc<Calls>);

impl CrossScorer for CountingScorer {
    fn max_tokens(&self) -> usize {
        512
    }

    fn device(&self) -> Option<DeviceReport> {
        let mut report = DeviceReport::default();
        let batches = self.0.scores.load(Ordering::SeqCst) as u64;
        (report.device, report.device_batches) = ("counting".to_owned(), batches);
        Some(report)
    }

    fn score(&self, _: &str, passages: &[&str], _: &Cancel) -> Result<Vec<f32>, ScoreError> {
        self.0.count(&self.0.scores);
        Ok(passages.iter().map(|passage| passage.len() as f32).collect())
    }
}

fn of_text(id: u64) -> Point {
    let source = bigrain_api::proto::point::Source::Text(format!("a text, the {id}th"));
    Point { source: Some(source), ..point(num(id), &[]) }
}

#[tokio::test]
async fn whoever_serves_connections_does_not_wait_for_a_device() {
    let here = Calls::default();
    here.count(&here.scans);
    assert_eq!(here.on_async.load(Ordering::SeqCst), 1, "it would be noticed");

    let calls = Arc::new(Calls::default());
    let device = ScanDevice::new(Arc::new(Counting(Arc::clone(&calls))));
    let device = device.with_least_codes(1).with_least_pairs(1);
    let data = tempfile::tempdir().unwrap();
    let engine = Engine::open_with_device(data.path(), EngineConfig::default(), device).unwrap();
    let encoder = CountingEncoder { toy: toy(), calls: Arc::clone(&calls) };
    let scorer = Arc::new(CountingScorer(Arc::clone(&calls)));
    let models = ModelRegistry::new().with(TOY, Arc::new(encoder)).unwrap();
    let models = models.with_reranker("cross", scorer).unwrap();
    let server = TestServer::start_on(data, engine, Settings::default(), models).await;
    let model = Some(TOY.to_owned());
    let docs = CollectionConfig { model, ..config(0, Metric::Cosine) };
    server.create("docs", docs).await.unwrap();

    let counted = |calls: &AtomicUsize| calls.load(Ordering::SeqCst);
    let collection = || "docs".to_owned();
    server.points().upsert(upsert("docs", (0..300).map(of_text).collect())).await.unwrap();
    assert!(counted(&calls.encodes) > 0);
    let compact = CompactCollectionRequest { name: collection() };
    server.collections().compact(compact).await.unwrap();
    assert!(counted(&calls.lists) > 1, "{calls:?}");

    let vector = toy().encode(&["a text"], &EncodeOptions::default()).unwrap().into_data();
    let search =
        || SearchRequest { collection: collection(), vector: vector.clone(), ..Default::default() };
    let mut client = server.search();
    let mut scans = 0;
    let mut scanned = |what: &str| {
        assert!(counted(&calls.scans) > scans, "{what}: {calls:?}");
        scans = counted(&calls.scans);
    };
    client.search(search()).await.unwrap();
    scanned("a search");
    let searches = vec![search(), search()];
    let batch = SearchBatchRequest { collection: collection(), searches };
    client.search_batch(batch).await.unwrap();
    scanned("a batch");
    let text = SearchTextRequest {
        collection: collection(),
        text: "a text".to_owned(),
        ..Default::default()
    };
    client.search_text(text.clone()).await.unwrap();
    scanned("a text");
    let groups = SearchGroupsRequest {
        query: Some(search_groups_request::Query::Search(search())),
        group_by: "color".to_owned(),
        per_group: Some(1),
    };
    client.search_groups(groups).await.unwrap();
    scanned("groups");
    let recommend = RecommendRequest {
        collection: collection(),
        positive: vec![Example { example: Some(example::Example::Id(num(5))) }],
        ..Default::default()
    };
    client.recommend(recommend).await.unwrap();
    let json = [("content-type", "application/json")];
    let encodes = counted(&calls.encodes);
    let encode = EncodeRequest { texts: vec!["a new text".to_owned()], ..Default::default() };
    server.encoder().encode(encode).await.unwrap();
    let reply = server.http("POST", "/embed", &json, r#"{"inputs": "another text"}"#).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(counted(&calls.encodes) >= encodes + 2, "{calls:?}");
    let request = r#"{"query": "a", "texts": ["a text", "a longer text"]}"#;
    let reply = server.http("POST", "/rerank", &json, request).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(counted(&calls.scores), 1);
    let batches = "bigrain_encoded_batches_total{model=\"cross\",by=\"device\"} ";
    assert_eq!(server.metric(batches).await, 1);
    assert!(counted(&calls.copies) > 0);
    assert_eq!(counted(&calls.on_async), 0, "{calls:?}");
}
